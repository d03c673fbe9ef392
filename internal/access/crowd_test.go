package access

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturn/keyturn/internal/sensitive"
)

func TestAnAccountUnderAttackIsSlowAndNotLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		took := func(address string) time.Duration {
			began := time.Now()
			c.slow(t.Context(), address, "ann")
			return time.Since(began)
		}
		c.succeeded("192.0.2.1", "ann")
		for i := range crowdBurst {
			if d := took(fmt.Sprintf("10.0.%d.%d", i/250, i%250)); d != 0 {
				t.Fatalf("try %d waits %v", i, d)
			}
		}
		if took("10.9.9.9") != crowdDelay || took("2001:db8::1") != crowdDelay {
			t.Error("the next one is as fast as the first")
		}
		if took("192.0.2.1") != 0 {
			t.Error("its owner waits where he got in before")
		}
		if c.slow(t.Context(), "10.9.9.9", "bob"); c.known["10.9.9.9 bob"] {
			t.Error("another account waits as well")
		}
		// More at once than may wait are no slower than that.
		var all sync.WaitGroup
		began := time.Now()
		for range 4 * maxDelayed {
			all.Go(func() { c.slow(t.Context(), "10.9.9.9", "ann") })
		}
		all.Wait()
		if d := time.Since(began); d > crowdDelay {
			t.Errorf("they took %v together", d)
		}
	})
}

// The addresses of one customer's IPv6 network, and spellings of one IPv4 address, are not many places.
func TestAddressesOfOnePlaceCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		granted := 0
		for i := range 1000 {
			granted += takes(a, fmt.Sprintf("2001:db8:1:%x::%x", i, i), "ann", 1)
		}
		if granted != widePairBurst {
			t.Errorf("%d tries at one account from a /48", granted)
		}
		granted = 0
		for i := range 1000 {
			granted += takes(a, fmt.Sprintf("2001:db8:2:%x::1", i), fmt.Sprint("account", i), 1)
		}
		if granted != wideAddressBurst {
			t.Errorf("%d tries at many accounts from a /48", granted)
		}
		granted = takes(a, "192.0.2.1", "ann", 8) + takes(a, "::ffff:192.0.2.1", "ann", 8) + takes(a, "::ffff:c000:201", "ann", 8)
		if granted != pairBurst {
			t.Errorf("%d tries from spellings of one address", granted)
		}
		if takes(a, "2001:db8:3::1", "ann", 1) != 1 {
			t.Error("another customer is locked out")
		}
	})
}

// peak gives the most memory that the process held from the system while work ran, above what it held before, bytes.
func peak(work func()) uint64 {
	held := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64() - s[1].Value.Uint64()
	}
	runtime.GC()
	before, most := held(), uint64(0)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				most = max(most, held())
			}
		}
	})
	work()
	close(done)
	watch.Wait()
	return most - min(before, most)
}

func TestManyLoginsAtOnceStayWithinTheirMemory(t *testing.T) {
	// As the server sets its collector.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(104 << 20))
	s := &Service{passwords: make(chan struct{}, maxSlots)}
	// The memory of the real parameters, and a third of their time.
	stored := "$argon2id$v=19$m=65536,t=1,p=4$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"
	used := peak(func() {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := s.checkPassword(t.Context(), stored, sensitive.FromString("a wrong test-value")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
	t.Logf("50 logins at once took %d MiB, %d at a time", used>>20, maxSlots)
	if used > 300<<20 {
		t.Errorf("50 logins at once took %d MiB", used>>20)
	}
	if got := s.stretched.Load(); got != 50 {
		t.Errorf("%d computations", got)
	}
}
