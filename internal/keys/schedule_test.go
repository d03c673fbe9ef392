package keys

import (
	"errors"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
)

func TestSchedulesAreReadOverTheirDefaults(t *testing.T) {
	s, err := ParseSchedule("project=30d, log=never,index=720h", "log=7d")
	if err != nil {
		t.Fatal(err)
	}
	want := map[keyring.Layer]time.Duration{LayerRoot: 365 * day, keyring.LayerInstance: 365 * day, keyring.LayerProject: 30 * day,
		keyring.LayerIndex: 30 * day, keyring.LayerTokens: 365 * day}
	for layer, every := range want {
		if s.Every[layer] != every {
			t.Errorf("%s turns every %s, want %s", layer, s.Every[layer], every)
		}
	}
	if _, ok := s.Every[keyring.LayerLog]; ok {
		t.Error("never is not never")
	}
	if s.Overlap[keyring.LayerLog] != 7*day || s.Overlap[keyring.LayerTokens] != 90*day {
		t.Errorf("overlaps are %v", s.Overlap)
	}
}

func TestSchedulesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, c := range [][2]string{{"secret=1d", ""}, {"project", ""}, {"project=", ""}, {"project=0d", ""}, {"project=-1d", ""}, {"project=1s", ""},
		{"project=abc", ""}, {"project=99999999999d", ""}, {"", "project=1d"}, {"", "log=1ms"}, {"=1d", ""}} {
		if _, err := ParseSchedule(c[0], c[1]); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v", c, err)
		}
	}
}

func TestAPaceGrowsAloneAndFallsBackInCompany(t *testing.T) {
	for shared, least := range map[bool]int64{false: minSlice, true: minSliceShared} {
		p, submitted := newPace(shared), int64(100)
		slice := func(company int64) int64 {
			submitted += 1 + company
			return p.done(p.next(), time.Millisecond, submitted)
		}
		for range 20 {
			if n := slice(0); n != 0 {
				t.Fatalf("alone, %d others are seen", n)
			}
		}
		if p.next() != maxSlice {
			t.Errorf("alone, a slice is %d", p.next())
		}
		if n := slice(3); n != 3 || p.next() != least {
			t.Errorf("of 3 others %d are seen, and a slice is %d", n, p.next())
		}
	}
}

func TestOthersHaveTheServerAfterASlice(t *testing.T) {
	const took = 2 * time.Millisecond
	for others, want := range map[int64]time.Duration{0: 0, 1: took, 3: 3 * took, 100: maxShare * took} {
		if got := restFor(others, took); got != want {
			t.Errorf("after a slice with %d others: a rest of %s, want %s", others, got, want)
		}
	}
	if got := restFor(9, time.Second); got != maxRest {
		t.Errorf("after a long slice: a rest of %s", got)
	}
	if atRate(0, 100) != 0 || atRate(1000, 100) != 100*time.Millisecond {
		t.Errorf("100 at a thousand a second take %s", atRate(1000, 100))
	}
}

func TestTooManyDamagesEndATurnForNow(t *testing.T) {
	var d Pass
	for i := range maxDamages {
		if err := d.Damage("secret", string(rune('a'+i%26)), errors.New("does not open")); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Damage("secret", "x", errors.New("does not open")); !errors.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
	if len(d.Damaged("secret")) != maxDamages || len(d.Damaged("personal")) != 0 {
		t.Error("damages are not kept by table")
	}
}

func TestATurnThatFailsWaitsLongerEachTime(t *testing.T) {
	p, at := newPace(false), time.Unix(1_750_000_000, 0)
	last := time.Duration(0)
	for range 40 {
		wait := p.failed(at)
		if wait < last || wait > retryAtMost || p.waits(at) != wait || p.waits(at.Add(wait)) > 0 {
			t.Fatalf("a pause of %s after %s", wait, last)
		}
		last = wait
	}
	if last != retryAtMost {
		t.Errorf("at last it waits %s", last)
	}
	if p.succeeded(); p.waits(at) > 0 || p.failed(at) != retryAfter {
		t.Error("a success does not end the pauses")
	}
}
