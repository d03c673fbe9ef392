package access

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

func takes(a *attempts, address, account string, n int) (granted int) {
	for range n {
		if a.take(address, account) == nil {
			granted++
		}
	}
	return granted
}

func TestTriesRunOutAndComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		if got := takes(a, "192.0.2.1", "ann", 100); got != pairBurst {
			t.Fatalf("%d tries at first", got)
		}
		err := a.take("192.0.2.1", "ann")
		if f := fault.As(err); !errors.Is(err, fault.Exhausted) || f.RetryAfter != refillEvery {
			t.Errorf("%v", err)
		}
		if takes(a, "192.0.2.2", "ann", 1) != 1 || takes(a, "192.0.2.1", "bob", 1) != 1 {
			t.Error("another address or account is locked as well")
		}
		time.Sleep(refillEvery)
		if got := takes(a, "192.0.2.1", "ann", 5); got != 1 {
			t.Errorf("%d tries after %v", got, refillEvery)
		}
		time.Sleep(100 * refillEvery)
		if got := takes(a, "192.0.2.1", "ann", 100); got != pairBurst {
			t.Errorf("%d tries after a long time", got)
		}
	})
}

func TestOneAddressCannotTryAllAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		granted := 0
		for i := range 3 * maxTracked { // more than memory is kept for: that must not start it anew
			granted += takes(a, "192.0.2.1", fmt.Sprint("account", i), 1)
		}
		if granted != addressBurst {
			t.Errorf("%d tries", granted)
		}
		if len(a.seen) > maxTracked {
			t.Errorf("%d are remembered", len(a.seen))
		}
	})
}

func TestMemoryIsBoundedAndForgetsTheHarmlessFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		takes(a, "192.0.2.1", "ann", pairBurst)
		for i := range maxTracked / 2 {
			address := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
			takes(a, address, "ann", 1)
			a.giveBack(address, "ann")
		}
		takes(a, "192.0.2.9", "ann", 1)
		if got := takes(a, "192.0.2.1", "ann", 1); got != 0 || len(a.seen) > maxTracked {
			t.Errorf("%d tries although they were used up, %d are remembered", got, len(a.seen))
		}
	})
}

func TestASuccessCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		for i := range 5 * addressBurst {
			if takes(a, "192.0.2.1", "ann", 1) != 1 {
				t.Fatalf("refused after %d successes", i)
			}
			a.giveBack("192.0.2.1", "ann")
		}
		for range 10 {
			a.giveBack("192.0.2.1", "ann")
		}
		if got := takes(a, "192.0.2.1", "ann", 100); got != pairBurst {
			t.Errorf("successes left %d tries", got)
		}
	})
}

func TestANetworkIsWhatOnePersonHolds(t *testing.T) {
	for address, want := range map[string]string{
		"2001:db8:1:2:ffff::1": "2001:db8:1:2::/64",
		"192.0.2.1":            "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::1": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "no address": "no address", "": "",
	} {
		if got, _ := network(address); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}
