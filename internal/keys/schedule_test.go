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
	p := &pace{limit: minSlice, damages: &Damages{}}
	for range 20 {
		p.done(p.next(), time.Millisecond, false)
	}
	if p.next() != maxSlice {
		t.Errorf("alone, a slice is %d", p.next())
	}
	p.done(1, time.Millisecond, true)
	if p.next() != minSlice {
		t.Errorf("in company, a slice is %d", p.next())
	}
}

func TestTooManyDamagesEndATurnForNow(t *testing.T) {
	var d Damages
	for i := range maxDamages {
		if err := d.Add("secret", string(rune('a'+i%26)), errors.New("does not open")); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Add("secret", "x", errors.New("does not open")); !errors.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
	if len(d.In("secret")) != maxDamages || len(d.In("personal")) != 0 {
		t.Error("damages are not kept by table")
	}
}
