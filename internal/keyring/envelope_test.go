package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func TestWhatIsSealedOpensInItsPlace(t *testing.T) {
	w := newWorld(t)
	again := w.reopen(t)
	rapid.Check(t, func(rt *rapid.T) {
		p := keyring.Place{
			Project: rapid.SampledFrom([]string{"", projectA, projectB}).Draw(rt, "project"),
			Record:  rapid.StringN(1, 50, 200).Draw(rt, "record"),
			Field:   rapid.StringN(1, 50, 200).Draw(rt, "field"),
			Version: rapid.Int64().Draw(rt, "version"),
		}
		text := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(rt, "text")
		envelope, err := w.ring.Seal(p, sensitive.New(bytes.Clone(text)))
		if err != nil {
			rt.Fatal(err)
		}
		if len(envelope) != len(text)+keyring.Overhead {
			rt.Fatal("the envelope has another length than documented")
		}
		for _, ring := range []*keyring.Ring{w.ring, again} {
			v, err := ring.Open(p, envelope)
			if err != nil {
				rt.Fatal(err)
			}
			if !bytes.Equal(v.Reveal(), text) {
				rt.Fatal("opened to something else")
			}
		}
	})
}

func TestLongestPlaintextSealsAndOneByteMoreIsRefused(t *testing.T) {
	w := newWorld(t)
	longest := strings.Repeat("x", keyring.MaxPlaintext)
	wantOpen(t, w.ring, place, seal(t, w.ring, place, longest), longest)
	_, err := w.ring.Seal(place, sensitive.FromString(longest+"x"))
	wantKind(t, err, fault.Invalid)
	wantText(t, err, fmt.Sprint(keyring.MaxPlaintext))
}

func TestNoNonceRepeats(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for range 10_000 {
		e := seal(t, w.ring, place, planted)
		nonce := string(e[22:34])
		if seen[nonce] {
			t.Fatal("a nonce was used twice")
		}
		seen[nonce] = true
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	w := newWorld(t)
	envelope := seal(t, w.ring, place, planted)
	for at := range envelope {
		for bit := range 8 {
			altered := bytes.Clone(envelope)
			altered[at] ^= 1 << bit
			v, err := w.ring.Open(place, altered)
			if err == nil || !v.Empty() {
				t.Fatalf("opened with bit %d of byte %d flipped", bit, at)
			}
			switch {
			case at < 2: // format and algorithm: perhaps a newer server's
				wantKind(t, err, fault.Unsupported)
			case at < 18: // key id: perhaps a key that another server made
				wantKind(t, err, fault.Unavailable)
			default:
				wantDamaged(t, err)
			}
		}
	}
}

func TestEveryTruncationAndExtensionIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{"", planted} {
		envelope := seal(t, w.ring, place, text)
		for n := range envelope {
			_, err := w.ring.Open(place, envelope[:n])
			wantDamaged(t, err)
		}
		_, err := w.ring.Open(place, append(bytes.Clone(envelope), 0))
		wantDamaged(t, err)
	}
	_, err := w.ring.Open(place, make([]byte, keyring.Overhead+keyring.MaxPlaintext+1))
	wantDamaged(t, err)
}

func TestEnvelopeOpensInNoOtherPlace(t *testing.T) {
	w := newWorld(t)
	envelope := seal(t, w.ring, place, planted)
	ofInstance := place
	ofInstance.Project = ""
	instanceEnvelope := seal(t, w.ring, ofInstance, planted)
	change := func(f func(*keyring.Place)) keyring.Place { p := place; f(&p); return p }
	for name, p := range map[string]keyring.Place{
		"other project":         change(func(p *keyring.Place) { p.Project = projectB }),
		"no project":            change(func(p *keyring.Place) { p.Project = "" }),
		"unknown project":       change(func(p *keyring.Place) { p.Project = "x" }),
		"other record":          change(func(p *keyring.Place) { p.Record = "x" }),
		"no record":             change(func(p *keyring.Place) { p.Record = "" }),
		"other field":           change(func(p *keyring.Place) { p.Field = "comment" }),
		"no field":              change(func(p *keyring.Place) { p.Field = "" }),
		"version before":        change(func(p *keyring.Place) { p.Version-- }),
		"version after":         change(func(p *keyring.Place) { p.Version++ }),
		"version 0":             change(func(p *keyring.Place) { p.Version = 0 }),
		"negative version":      change(func(p *keyring.Place) { p.Version = -p.Version }),
		"border moved left":     change(func(p *keyring.Place) { p.Field = p.Record[35:] + p.Field; p.Record = p.Record[:35] }),
		"border moved right":    change(func(p *keyring.Place) { p.Record += p.Field[:1]; p.Field = p.Field[1:] }),
		"record into field":     change(func(p *keyring.Place) { p.Field = p.Record + p.Field; p.Record = "" }),
		"record and field swap": change(func(p *keyring.Place) { p.Record, p.Field = p.Field, p.Record }),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.ring.Open(p, envelope)
			wantDamaged(t, err)
		})
	}
	_, err := w.ring.Open(place, instanceEnvelope)
	wantDamaged(t, err)
}

func TestEnvelopeOfAnotherInstanceDoesNotOpen(t *testing.T) {
	w := newWorld(t)
	envelope := seal(t, w.ring, place, planted)
	_, err := newWorld(t).ring.Open(place, envelope)
	wantKind(t, err, fault.Unavailable)
}

// A thief of the database who can write to it might put a wrapped key where a value belongs and read it through the API.
func TestWrappedKeyDoesNotOpenAsAValue(t *testing.T) {
	w := newWorld(t)
	for _, row := range w.rows.Keys {
		if row.Layer == keyring.LayerInstance {
			continue
		}
		for _, project := range []string{"", projectA} {
			_, err := w.ring.Open(keyring.Place{Project: project, Record: row.ID.String(), Field: "value"}, row.Wrapped)
			wantDamaged(t, err)
		}
	}
	_, err := w.ring.Open(place, w.rows.Slots[0].Wrapped)
	wantKind(t, err, fault.Unsupported)
	_, err = w.ring.Open(keyring.Place{Record: w.rows.Slots[0].ID, Field: "value"}, w.rows.Slots[0].Proof)
	wantDamaged(t, err)
}

func TestEnvelopeThatNamesAKeyOfAnotherLayerIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, layer := range []keyring.Layer{keyring.LayerIndex, keyring.LayerLog, keyring.LayerTokens} {
		for _, project := range []string{"", projectA} {
			p := place
			p.Project = project
			envelope := seal(t, w.ring, p, planted)
			id := w.row(t, layer, "").ID
			copy(envelope[2:18], id[:])
			_, err := w.ring.Open(p, envelope)
			wantDamaged(t, err)
		}
	}
}

func TestSealRefusesAPlaceThatBindsNothing(t *testing.T) {
	w := newWorld(t)
	for _, p := range []keyring.Place{{}, {Project: projectA, Field: "value"}, {Project: projectA, Record: "x"}} {
		_, err := w.ring.Seal(p, sensitive.FromString(planted))
		wantKind(t, err, fault.Internal)
	}
	_, err := w.ring.Seal(keyring.Place{Project: "unknown", Record: "x", Field: "value"}, sensitive.FromString(planted))
	wantKind(t, err, fault.Unavailable)
}

func TestUnknownKeyIsNamedSoThatTheServerReloads(t *testing.T) {
	w := newWorld(t)
	asleep := w.reopen(t)
	next := w.addProject(t, projectA)
	next.State = keyring.StatePrimary
	if err := w.ring.Add(next); err != nil {
		t.Fatal(err)
	}
	envelope := seal(t, w.ring, place, planted)
	_, err := asleep.Open(place, envelope)
	wantKind(t, err, fault.Unavailable)
	wantText(t, err, "key "+next.ID.String()+" is not loaded")
	if asleep.Has(next.ID) {
		t.Fatal("Has knows a key that was never added")
	}
	if err := asleep.Add(next); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, asleep, place, envelope, planted)
}

func TestHeaderSaysWhichKeySealed(t *testing.T) {
	w := newWorld(t)
	row := w.row(t, keyring.LayerProject, projectA)
	got := must(keyring.ParseHeader(seal(t, w.ring, place, "")))(t)
	if want := (keyring.Header{Format: 1, Algorithm: 1, Key: row.ID, Generation: 1}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	zero := seal(t, w.ring, place, "")
	clear(zero[18:22])
	_, err := keyring.ParseHeader(zero)
	wantDamaged(t, err)
}

func TestErrorsOfOpenShowNoPlaintext(t *testing.T) {
	w := newWorld(t)
	envelope := seal(t, w.ring, place, planted)
	p := place
	p.Version++
	_, err := w.ring.Open(p, envelope)
	if strings.Contains(fmt.Sprintf("%+v %v", fault.As(err), errors.Unwrap(err)), planted) {
		t.Fatal("the error shows the plaintext")
	}
	wantText(t, err, p.Record, p.Field)
}
