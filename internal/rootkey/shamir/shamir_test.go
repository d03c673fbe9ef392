package shamir_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/rootkey/shamir"
	"github.com/keyturn/keyturn/internal/sensitive"
)

var (
	home  = rootkey.Binding{Instance: "instance", Slot: "slot"}
	start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
)

func root(fill byte) sensitive.Value {
	return sensitive.New(bytes.Repeat([]byte{fill, 0x3c}, rootkey.Size/2))
}

// set splits a key and gives the texts, as people have them.
func set(t testing.TB, k, n int, b rootkey.Binding) (texts []string, kept []byte) {
	t.Helper()
	shares, kept, err := shamir.Split(root(0x42), k, n, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shares {
		texts = append(texts, string(s.Text().Reveal()))
	}
	return texts, kept
}

func read(t testing.TB, text string) shamir.Share {
	t.Helper()
	s, err := shamir.ParseShare(sensitive.FromString(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func collector(t testing.TB, kept []byte) *shamir.Collector {
	t.Helper()
	c, err := shamir.NewCollector(kept, home)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnyKSharesInAnyOrderGiveTheKey(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 16).Draw(rt, "n")
		k := rapid.IntRange(2, n).Draw(rt, "k")
		secret := sensitive.New(rapid.SliceOfN(rapid.Byte(), rootkey.Size, rootkey.Size).Draw(rt, "root"))
		shares, kept, err := shamir.Split(secret, k, n, home)
		if err != nil || len(shares) != n || len(kept) > 600 {
			rt.Fatal(len(shares), len(kept), err)
		}
		order := rapid.Permutation(shares).Draw(rt, "order")
		c, err := shamir.NewCollector(kept, home)
		if err != nil {
			rt.Fatal(err)
		}
		for i, s := range order[:k] {
			if _, err := c.Root(start); !errors.Is(err, fault.Sealed) {
				rt.Fatalf("with %d of %d: %v", i, k, err)
			}
			copied, err := shamir.ParseShare(s.Text())
			if err != nil {
				rt.Fatal(err)
			}
			p, err := c.Add(copied, start)
			if err != nil || p != (shamir.Progress{Have: i + 1, Need: k, Set: s.Set()}) || p.Complete() != (i+1 == k) {
				rt.Fatal(p, err)
			}
		}
		if k < n {
			if _, err := c.Add(order[k], start); !errors.Is(err, fault.Exists) {
				rt.Fatal("one too many:", err)
			}
		}
		got, err := c.Root(start)
		if err != nil || !got.Equal(secret) {
			rt.Fatal("another key", err)
		}
		if p := c.Progress(start); p.Have != 0 {
			rt.Fatal("the shares are still there")
		}
	})
}

// The exhaustive proof is about the arithmetic; this one sees that Split takes fresh and even randomness for each byte.
func TestSharesOfOneKeyLookRandom(t *testing.T) {
	const rounds = 400
	var counts [2][256]int
	for range rounds {
		shares, _, err := shamir.Split(root(0), 3, 3, home)
		if err != nil {
			t.Fatal(err)
		}
		for i := range counts {
			for _, y := range shamir.Point(shares[i]) {
				counts[i][y]++
			}
		}
	}
	for i, count := range counts {
		const expected = float64(rounds*rootkey.Size) / 256
		chi := 0.0
		for _, n := range count {
			chi += (float64(n) - expected) * (float64(n) - expected) / expected
		}
		// 255 degrees of freedom: mean 255, deviation 22.6. Beyond 480 a fair source comes in one of 10^15 runs.
		if chi > 480 || chi < 100 {
			t.Errorf("share %d: chi-square %.0f", i+1, chi)
		}
	}
}

func TestNumbersThatMakeNoSense(t *testing.T) {
	for _, c := range [][2]int{{0, 0}, {1, 1}, {1, 5}, {3, 2}, {2, 17}, {17, 17}, {-1, 5}, {2, -2}, {258, 259}} {
		if _, _, err := shamir.Split(root(1), c[0], c[1], home); !errors.Is(err, fault.Invalid) {
			t.Errorf("%d of %d: %v", c[0], c[1], err)
		}
	}
	for _, secret := range []sensitive.Value{{}, sensitive.FromString("short")} {
		if _, _, err := shamir.Split(secret, 2, 3, home); !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
	}
}

// A share that is no use is refused when it is entered, by name, and what was collected stays.
func TestAShareIsJudgedWhenItIsEntered(t *testing.T) {
	texts, kept := set(t, 3, 5, home)
	older, _ := set(t, 3, 5, home)
	foreign, _ := set(t, 3, 5, rootkey.Binding{Instance: "instance", Slot: "another"})
	shares, _, err := shamir.Split(root(7), 3, 5, home)
	if err != nil {
		t.Fatal(err)
	}
	forged := string(shamir.Disguise(shares[3], read(t, texts[3])).Text().Reveal())
	c := collector(t, kept)
	add := func(text string) error {
		t.Helper()
		_, err := c.Add(read(t, text), start)
		return err
	}
	if err := add(texts[0]); err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]struct {
		text string
		kind fault.Kind
		say  string
	}{
		"repeated": {strings.ToUpper(texts[0]), fault.Exists, "share 1 has been entered"},
		"stale":    {older[1], fault.Expired, "share 2 belongs to set " + read(t, older[1]).Set()},
		"foreign":  {foreign[2], fault.Invalid, "share 3 is for another slot"},
		"forged":   {forged, fault.Invalid, "share 4 is not one that was given out"},
	} {
		err := add(wrong.text)
		if !errors.Is(err, wrong.kind) || !strings.Contains(fault.As(err).Message, wrong.say) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Add(shamir.Share{}, start); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if p := c.Progress(start); p.Have != 1 || p.Need != 3 {
		t.Error(p)
	}
	if err := errors.Join(add(texts[4]), add(texts[2])); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Root(start); err != nil || !got.Equal(root(0x42)) {
		t.Error(err)
	}
}

// A holder can make a text of good form for anything, but not change what the slot has kept.
func TestAnEntryOfAShareCannotBeAltered(t *testing.T) {
	texts, kept := set(t, 2, 3, home)
	for name, change := range map[string]func(*shamir.Fields){
		"index": func(f *shamir.Fields) { f.Index = 2 }, "k": func(f *shamir.Fields) { f.K = 3 }, "n": func(f *shamir.Fields) { f.N = 4 },
	} {
		altered := shamir.Alter(read(t, texts[0]), change)
		if _, err := shamir.ParseShare(altered.Text()); err != nil {
			t.Fatal("the holder knows his own MAC key:", err)
		}
		if _, err := collector(t, kept).Add(altered, start); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSharesDoNotWaitForEver(t *testing.T) {
	texts, kept := set(t, 3, 3, home)
	c := collector(t, kept)
	first := read(t, texts[0])
	for i, at := range []time.Duration{0, shamir.Patience} {
		s := first
		if i == 1 {
			s = read(t, texts[1])
		}
		if p, err := c.Add(s, start.Add(at)); err != nil || p.Have != i+1 || p.Restarted {
			t.Fatal(p, err)
		}
	}
	if p, err := c.Add(read(t, texts[2]), start.Add(2*shamir.Patience+1)); err != nil || p.Have != 1 || !p.Restarted {
		t.Error(p, err)
	}
	if !bytes.Equal(shamir.Point(first), make([]byte, rootkey.Size)) {
		t.Error("a forgotten share is still in memory")
	}
	for _, text := range texts[:2] {
		if _, err := c.Add(read(t, text), start.Add(2*shamir.Patience)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Root(start.Add(4 * shamir.Patience)); !errors.Is(err, fault.Sealed) {
		t.Error("a complete collection waited for ever:", err)
	}
}

func TestCancelWipes(t *testing.T) {
	texts, kept := set(t, 2, 2, home)
	c := collector(t, kept)
	first := read(t, texts[0])
	if _, err := c.Add(first, start); err != nil {
		t.Fatal(err)
	}
	c.Cancel()
	if p := c.Progress(start); p.Have != 0 || p.Restarted || !bytes.Equal(shamir.Point(first), make([]byte, rootkey.Size)) {
		t.Error("cancelled, and still there", p)
	}
}

func TestWhatTheSlotKeepsIsChecked(t *testing.T) {
	_, kept := set(t, 2, 3, home)
	for _, b := range []rootkey.Binding{{}, {Instance: "slot", Slot: "instance"}, {Instance: "instances", Slot: "lot"}} {
		if _, err := shamir.NewCollector(kept, b); !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
	}
	for cut := range kept {
		if _, err := shamir.NewCollector(kept[:cut], home); !errors.Is(err, fault.Invalid) {
			t.Fatal(cut, err)
		}
	}
	if _, err := shamir.NewCollector(append(kept, 0), home); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// A slot that was lowered to fewer needed shares opens to nobody, because each share says how many are needed.
func TestALoweredThresholdIsOfNoUse(t *testing.T) {
	texts, kept := set(t, 3, 5, home)
	lowered := bytes.Clone(kept)
	lowered[17] = 2
	c := collector(t, lowered)
	if _, err := c.Add(read(t, texts[0]), start); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
