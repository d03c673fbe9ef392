package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func TestCheckpointFormatIsPinned(t *testing.T) {
	s, vkey := signerFor(t, origin, 7)
	signed, err := audit.Checkpoint(origin, 20_852_163, tlog.RecordHash([]byte("root")), s)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "checkpoint", signed)
	golden(t, "key", []byte(vkey+"\n"))
	h, err := audit.OpenCheckpoint(signed, vkey)
	if err != nil {
		t.Fatal(err)
	}
	if want := (audit.Head{Origin: origin, Size: 20_852_163, Root: tlog.RecordHash([]byte("root"))}); h != want {
		t.Fatalf("got %v", h)
	}
}

func TestTheSignersOfTheNotePackageAgree(t *testing.T) {
	const skey = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz" // published in the package's own examples
	theirs, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := audit.Checkpoint("PeterNeumann", 1, tlog.Hash{}, theirs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.OpenCheckpoint(signed, "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"); err != nil {
		t.Fatal(err)
	}
	ours, vkey := signerFor(t, origin, 7)
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	if ours.KeyHash() != verifier.KeyHash() || ours.Name() != verifier.Name() {
		t.Fatal("the signer is not the one of its verification key")
	}
}

func TestEitherKeyOpensACheckpointOfTheOverlap(t *testing.T) {
	old, oldKey := signerFor(t, origin, 7)
	young, youngKey := signerFor(t, origin, 8)
	_, strangeKey := signerFor(t, origin, 9)
	both, err := audit.Checkpoint(origin, 3, tlog.Hash{1}, old, young)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]string{"old": {oldKey}, "new": {youngKey}, "both": {oldKey, youngKey}, "one of them": {strangeKey, youngKey}, "doubled": {oldKey, oldKey}} {
		t.Run(name, func(t *testing.T) {
			if h, err := audit.OpenCheckpoint(both, keys...); err != nil || h.Size != 3 {
				t.Fatalf("%v %v", h, err)
			}
		})
	}
	if _, err := audit.OpenCheckpoint(both, strangeKey); !errors.Is(err, fault.Invalid) {
		t.Fatalf("a stranger's key opened it: %v", err)
	}
}

func TestABadSignatureIsNotExcusedByAGoodOne(t *testing.T) {
	old, oldKey := signerFor(t, origin, 7)
	young, youngKey := signerFor(t, origin, 8)
	one, _ := audit.Checkpoint(origin, 3, tlog.Hash{1}, old)
	other, _ := audit.Checkpoint(origin, 4, tlog.Hash{2}, young)
	line := other[bytes.Index(other, []byte("—")):]
	if _, err := audit.OpenCheckpoint(append(bytes.Clone(one), line...), oldKey, youngKey); !errors.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
}

func TestNoByteOfACheckpointCanBeChanged(t *testing.T) {
	s, vkey := signerFor(t, origin, 7)
	signed, err := audit.Checkpoint(origin, 1234, tlog.Hash{1}, s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range signed {
		for bit := range 8 {
			c := bytes.Clone(signed)
			c[i] ^= 1 << bit
			if _, err := audit.OpenCheckpoint(c, vkey); err == nil {
				t.Fatalf("byte %d, bit %d", i, bit)
			}
		}
		if _, err := audit.OpenCheckpoint(signed[:i], vkey); err == nil {
			t.Fatalf("cut at byte %d", i)
		}
	}
}

func TestOtherTextsAreNoCheckpoints(t *testing.T) {
	s, vkey := signerFor(t, origin, 7)
	root := tlog.Hash{1}.String()
	for name, text := range map[string]string{
		"extension line":   origin + "\n1\n" + root + "\nmore\n",
		"two lines":        origin + "\n1\n",
		"leading zero":     origin + "\n01\n" + root + "\n",
		"plus sign":        origin + "\n+1\n" + root + "\n",
		"negative":         origin + "\n-1\n" + root + "\n",
		"enormous":         origin + "\n9223372036854775807\n" + root + "\n",
		"short root":       origin + "\n1\nAAAA\n",
		"unused bits":      origin + "\n1\n" + strings.TrimSuffix(root, "A=") + "B=\n",
		"another origin":   "another.example/log\n1\n" + root + "\n",
		"checksum db tree": "go.sum database tree\n1\n" + root + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			signed, err := note.Sign(&note.Note{Text: text}, s)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := audit.OpenCheckpoint(signed, vkey); !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	s, vkey := signerFor(t, origin, 7)
	signed, err := audit.Checkpoint(origin, 1, tlog.Hash{}, s)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]string{
		"none":             {},
		"empty":            {""},
		"cut":              {vkey[:len(vkey)-1]},
		"upper-case hash":  {strings.Replace(vkey, vkey[len(origin)+1:len(origin)+9], strings.ToUpper(vkey[len(origin)+1:len(origin)+9]), 1)},
		"a good and a bad": {vkey, "x"},
		"too many":         strings.Fields(strings.Repeat(vkey+" ", 17)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := audit.OpenCheckpoint(signed, keys...); !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestSignersAreRefusedWithoutSeedOrName(t *testing.T) {
	seed := bytes.Repeat([]byte{1}, 32)
	for name, c := range map[string]struct {
		origin string
		seed   []byte
	}{"short seed": {origin, seed[1:]}, "no seed": {origin, nil}, "no name": {"", seed}, "space": {"a b", seed}, "plus": {"a+b", seed}, "line": {"a\nb", seed}} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := audit.NewSigner(c.origin, sensitive.New(c.seed)); !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
		})
	}
	s, _ := signerFor(t, origin, 7)
	if _, err := audit.Checkpoint("another.example/log", 1, tlog.Hash{}, s); err == nil {
		t.Fatal("signed for another log")
	}
	if _, err := audit.Checkpoint(origin, 1, tlog.Hash{}); err == nil {
		t.Fatal("made without a signer")
	}
}

func TestASignerPrintsNoKey(t *testing.T) {
	s, _ := signerFor(t, origin, 0xAB)
	if out := fmt.Sprintf("%v %+v %#v %x", s, s, s, s); strings.Contains(out, "171 171") || strings.Contains(out, "0xab, 0xab") || strings.Contains(out, "abab") {
		t.Fatal("the seed was printed")
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	s, vkey := signerFor(f, origin, 7)
	signed, err := audit.Checkpoint(origin, 1234, tlog.Hash{1}, s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed, vkey)
	f.Add([]byte("a\n0\n\n\n— a AAAAAAA=\n"), "a+00000000+AQ==")
	f.Fuzz(func(t *testing.T, b []byte, k string) {
		if _, err := audit.OpenCheckpoint(b, vkey); err == nil && !bytes.Contains(b, signed[:bytes.Index(signed, []byte("\n\n"))]) {
			t.Fatal("forged")
		}
		_, _ = audit.OpenCheckpoint(b, k) // must only not panic
	})
}
