package keyring_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/keyring"
)

func FuzzParseHeader(f *testing.F) {
	w := newWorld(f)
	f.Add([]byte(nil))
	f.Add(make([]byte, keyring.Overhead))
	f.Add(seal(f, w.ring, place, planted))
	f.Add(w.rows.Keys[1].Wrapped)
	f.Fuzz(func(t *testing.T, envelope []byte) {
		h, err := keyring.ParseHeader(envelope)
		if err != nil {
			if h != (keyring.Header{}) {
				t.Fatal("a refused envelope gives a header")
			}
			return
		}
		again := append([]byte{h.Format, h.Algorithm}, h.Key[:]...)
		again = binary.BigEndian.AppendUint32(again, h.Generation)
		if !bytes.HasPrefix(envelope, again) || h.Format != 1 || h.Algorithm != 1 || h.Generation == 0 {
			t.Fatal("a header does not serialise to itself")
		}
	})
}

func FuzzOpen(f *testing.F) {
	w := newWorld(f)
	genuine := seal(f, w.ring, place, planted)
	f.Add(genuine)
	f.Add(genuine[:keyring.Overhead])
	for _, row := range w.rows.Keys {
		f.Add(row.Wrapped)
	}
	f.Fuzz(func(t *testing.T, envelope []byte) {
		v, err := w.ring.Open(place, envelope)
		if err == nil && !bytes.Equal(envelope, genuine) {
			t.Fatal("an envelope opened that was never sealed")
		}
		if err != nil && !v.Empty() {
			t.Fatal("a refused envelope gives a value")
		}
	})
}

func FuzzParseRoot(f *testing.F) {
	for _, text := range []string{"", "\n", rootTestValue, rootTestValue + "\r\n", strings.Repeat("0", 64), strings.Repeat("é", 64)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		given := bytes.Clone(text)
		root, err := keyring.ParseRoot(text)
		if !bytes.Equal(given, text) {
			t.Fatal("the caller's text was changed")
		}
		if err != nil {
			return
		}
		canonical := string(root.Hex().Reveal())
		if rest := strings.ToLower(string(text)); rest != canonical && rest != canonical+"\n" && rest != canonical+"\r\n" {
			t.Fatal("a text was accepted that is not the key")
		}
		if again := must(keyring.ParseRoot([]byte(canonical)))(t); again.Fingerprint() != root.Fingerprint() {
			t.Fatal("a root key does not parse from its own hex")
		}
	})
}
