package cli

import (
	"strings"
	"testing"
	"time"
)

func TestAnExpiryIsADayATimeADurationOrNever(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 1234567, time.FixedZone("", 3600))
	for in, want := range map[string]string{
		"2027-01-31":                "2027-01-31T00:00:00Z",
		"2027-01-31T12:00:00+02:00": "2027-01-31T10:00:00Z",
		"2020-01-01":                "2020-01-01T00:00:00Z",
		"1d":                        "2026-03-02T11:00:00.001Z",
		"2w":                        "2026-03-15T11:00:00.001Z",
		"36h":                       "2026-03-02T23:00:00.001Z",
		"never":                     "1970-01-01T00:00:00Z",
		"":                          "1970-01-01T00:00:00Z",
	} {
		got, err := parseExpiry(in, now)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %s, %v; want %s", in, got.Format(time.RFC3339Nano), err, want)
		}
	}
	for _, in := range []string{"soon", "0d", "-1d", "-3h", "1.5d", "99999999999d", "36501000d", "2027-13-01", "2027-1-1", "d", "90", "90 d"} {
		if got, err := parseExpiry(in, now); err == nil {
			t.Errorf("%q was taken as %s", in, got)
		} else if strings.Contains(err.Error(), in) {
			t.Errorf("%q is repeated: %s", in, err)
		}
	}
}

func TestWithinMayBeNothingAtAll(t *testing.T) {
	for in, want := range map[string]time.Duration{"0d": 0, "0": 0, "0s": 0, "30d": 720 * time.Hour, "2w": 336 * time.Hour, "90m": 90 * time.Minute} {
		if got, err := parseWithin(in); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "soon", "-1d", "d", "00x"} {
		if got, err := parseWithin(in); err == nil {
			t.Errorf("%q was taken as %s", in, got)
		}
	}
}
