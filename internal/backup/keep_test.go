package backup

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/fault"
)

func TestKeepHoldsTheNewestOfEachPeriod(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	all := []kept{
		{"now", at("2026-11-25 20:00"), false}, {"noon", at("2026-11-25 12:00"), false}, {"yesterday", at("2026-11-24 12:00"), false},
		{"monday", at("2026-11-23 01:00"), false}, {"week before", at("2026-11-22 23:00"), true}, {"october", at("2026-10-31 23:00"), false},
		{"early october", at("2026-10-02 23:00"), true}, {"last year", at("2025-12-31 23:00"), false},
	}
	for text, want := range map[string][]string{
		"1d":       {"noon", "yesterday", "monday", "october", "early october", "last year"}, // "week before" was proved
		"2d":       {"noon", "monday", "october", "early october", "last year"},
		"2d,2w":    {"noon", "monday", "october", "early october", "last year"},
		"1d,2m":    {"noon", "yesterday", "monday", "early october", "last year"},
		"2y":       {"noon", "yesterday", "monday", "october", "early october"},
		"30h":      nil,
		"all":      nil,
		"7d,9w,9m": {"noon"},
	} {
		k, err := ParseKeep(text)
		must(t, err)
		if got := k.drop(all); !slices.Equal(got, want) {
			t.Errorf("%s drops %v, want %v", text, got, want)
		}
	}
}

func TestWhatIsNoRuleIsRefused(t *testing.T) {
	for _, text := range []string{"7", "d", "0d", "-1d", "+1d", "7x", "7d,", ",7d", "7 d", "10001d", "999999999999999999999d", "7d5w", "ALL"} {
		_, err := ParseKeep(text)
		want(t, err, fault.Invalid)
	}
	for _, text := range []string{"d", "0d", "-1d", "1x", "0s", "-5h", "900ms", "99999999d", "Never"} {
		_, err := ParsePeriod(text)
		want(t, err, fault.Invalid)
	}
}

func TestPeriodsReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]string{"never": "never", "": "never", "24h": "1d", "7d": "7d", "90m": "1h30m0s", "1s": "1s"} {
		d, err := ParsePeriod(text)
		must(t, err)
		if got := periodText(d); got != want {
			t.Errorf("%q is written as %q, want %q", text, got, want)
		}
	}
}

// Whatever the rules and the history: the newest stays, the newest proved one stays, and what stays once stays when asked again.
func TestKeepNeverDropsTheLastGoodBackup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k Keep
		for range rapid.IntRange(1, 4).Draw(t, "rules") {
			k.rules = append(k.rules, keepRule{rapid.IntRange(1, 9).Draw(t, "count"), rapid.SampledFrom([]byte("hdwmy")).Draw(t, "unit")})
		}
		var all []kept
		for i := range rapid.IntRange(1, 60).Draw(t, "backups") {
			all = append(all, kept{string(rune('A' + i)), time.Unix(int64(rapid.IntRange(1_600_000_000, 1_800_000_000).Draw(t, "at")), 0), rapid.Bool().Draw(t, "good")})
		}
		gone := k.drop(all)
		left := slices.DeleteFunc(slices.Clone(all), func(b kept) bool { return slices.Contains(gone, b.id) })
		newest, proved := all[0], false
		for _, b := range all {
			if b.at.After(newest.at) {
				newest = b
			}
			proved = proved || b.good
		}
		if !slices.ContainsFunc(left, func(b kept) bool { return b.at.Equal(newest.at) }) {
			t.Fatal("the newest is gone")
		}
		if proved && !slices.ContainsFunc(left, func(b kept) bool { return b.good }) {
			t.Fatal("every proved one is gone")
		}
		if again := k.drop(left); len(again) > 0 {
			t.Fatalf("asked again, %v go as well", again)
		}
		if back, err := ParseKeep(k.String()); err != nil || back.String() != k.String() {
			t.Fatalf("%s reads back as %v, %v", k, back, err)
		}
	})
}

func FuzzParseKeep(f *testing.F) {
	for _, s := range []string{DefaultKeep, "all", "1h", "7d,,", "9999y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKeep(text)
		if err != nil {
			return
		}
		if back, err := ParseKeep(k.String()); err != nil || back.String() != k.String() {
			t.Errorf("%q reads back as %q: %v", k, back, err)
		}
	})
}

func FuzzParseSigner(f *testing.F) {
	f.Add("keyturn.dev/log/x+4cc50136+Abz6V5jogEW4nATnMDwqWKL0trgYIDYsmf9ULqC8K/1c")
	f.Add("a+b+c")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseSigner(text); err == nil && len(k) != 32 {
			t.Errorf("a key of %d bytes", len(k))
		}
	})
}
