package audit_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const censusOrigin = "keyturn.dev/log/test"

func logKey(t testing.TB, fill byte) (note.Signer, string) {
	t.Helper()
	signer, vkey, err := audit.NewSigner(censusOrigin, sensitive.New(bytes.Repeat([]byte{fill, fill + 1}, 16)))
	if err != nil {
		t.Fatal(err)
	}
	return signer, vkey
}

func aCensus() audit.Census {
	return audit.Census{Origin: censusOrigin, AtMS: 1_750_000_000_000, Epoch: 7, LogSize: 42, Turn: "t", Layer: "project", Project: "p", Old: "k1", Left: 0,
		Counts: []audit.CensusCount{{Where: "secret.comment", Key: "k2", Layer: "project", State: "primary", Count: 3}, {Where: "secret.value", Key: "k2", Layer: "project", State: "primary", Count: 12}}}
}

func TestACensusComesBackAsItWasSigned(t *testing.T) {
	signer, vkey := logKey(t, 1)
	second, vkey2 := logKey(t, 9)
	for name, c := range map[string]audit.Census{"of a turn": aCensus(), "of a layer without project": func() audit.Census { c := aCensus(); c.Project = ""; return c }(),
		"at any time": func() audit.Census {
			c := aCensus()
			c.Turn, c.Layer, c.Project, c.Old = "", "", "", ""
			return c
		}()} {
		signed, err := c.Sign(signer, second)
		if err != nil {
			t.Fatal(err)
		}
		for _, keys := range [][]string{{vkey}, {vkey2}, {vkey, vkey2}} {
			got, err := audit.OpenCensus(signed, keys...)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(c, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

func TestACensusThatWasAlteredIsRefused(t *testing.T) {
	signer, vkey := logKey(t, 1)
	c := aCensus()
	c.Left = 5
	signed, err := c.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger := logKey(t, 5)
	checkpoint, err := audit.Checkpoint(censusOrigin, 1, c.LogRoot, signer)
	if err != nil {
		t.Fatal(err)
	}
	handover, err := audit.SignHandover(censusOrigin, stranger, signer)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		signed []byte
		key    string
	}{
		"left under the old key": {bytes.Replace(signed, []byte("left 5"), []byte("left 0"), 1), vkey},
		"a count":                {bytes.Replace(signed, []byte(" 12\n"), []byte(" 13\n"), 1), vkey},
		"a line gone":            {bytes.Replace(signed, []byte("count secret.comment k2 project primary 3\n"), nil, 1), vkey},
		"a stranger's key":       {signed, stranger},
		"a checkpoint":           {checkpoint, vkey},
		"a handover":             {handover, vkey},
		"nothing":                {nil, vkey},
	} {
		if _, err := audit.OpenCensus(tt.signed, tt.key); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestHandoversLeadFromAKeyToTheNext(t *testing.T) {
	var signers []note.Signer
	var vkeys, handovers []string
	for i := range 4 {
		s, v := logKey(t, byte(20*i+1))
		signers, vkeys = append(signers, s), append(vkeys, v)
	}
	for i := range 3 {
		h, err := audit.SignHandover(censusOrigin, vkeys[i+1], signers[i])
		if err != nil {
			t.Fatal(err)
		}
		handovers = append(handovers, string(h))
	}
	if got := audit.Follow(vkeys[:1], handovers); len(got) != 4 {
		t.Errorf("%d keys are trusted, want all 4", len(got))
	}
	if got := audit.Follow(vkeys[:1], []string{handovers[2], handovers[1], handovers[0]}); len(got) != 4 {
		t.Errorf("in another order %d keys are trusted", len(got))
	}
	if got := audit.Follow(vkeys[:1], []string{handovers[0], handovers[2]}); len(got) != 2 {
		t.Errorf("with one missing %d keys are trusted, want 2", len(got))
	}
	if got := audit.Follow(vkeys[3:], handovers); len(got) != 1 {
		t.Error("a handover leads backwards")
	}
	forged := strings.Replace(handovers[0], vkeys[1], vkeys[3], 1)
	if got := audit.Follow(vkeys[:1], []string{forged}); len(got) != 1 {
		t.Error("a forged handover is followed")
	}
}

func FuzzOpenCensus(f *testing.F) {
	signer, vkey := logKey(f, 1)
	c := aCensus()
	signed, err := c.Sign(signer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(signed))
	text, _, _ := strings.Cut(string(signed), "\n\n")
	f.Add(text + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		// Whatever the signer signs: what is accepted says the same again.
		again, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			return
		}
		c, err := audit.OpenCensus(again, vkey)
		if err != nil {
			return
		}
		twice, err := c.Sign(signer)
		if err != nil || !bytes.Equal(twice, again) {
			t.Fatalf("accepted another spelling: %q", text)
		}
	})
}
