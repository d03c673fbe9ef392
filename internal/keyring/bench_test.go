package keyring_test

import (
	"crypto/aes"
	"crypto/cipher"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// BenchmarkFloor256 is the bare cipher on the same plaintext, with associated data of the same length.
func BenchmarkFloor256(b *testing.B) {
	block := must(aes.NewCipher(make([]byte, 32)))(b)
	aead := must(cipher.NewGCMWithRandomNonce(block))(b)
	plaintext, associated := make([]byte, 256), make([]byte, 190)
	sealed := aead.Seal(nil, nil, plaintext, associated)
	b.Run("seal", func(b *testing.B) {
		for b.Loop() {
			aead.Seal(nil, nil, plaintext, associated)
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			must(aead.Open(nil, nil, sealed, associated))(b)
		}
	})
}

func BenchmarkSeal256(b *testing.B) {
	w := newWorld(b)
	v := sensitive.FromString(strings.Repeat("x", 256))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := w.ring.Seal(place, v); err != nil {
			b.Fatal(err)
		}
		if n%1000 == 0 { // as a server that stores its reservations
			w.ring.Reserved(w.ring.Reservations())
		}
	}
}

func BenchmarkOpen256(b *testing.B) {
	w := newWorld(b)
	envelope := seal(b, w.ring, place, strings.Repeat("x", 256))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.ring.Open(place, envelope); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen256Parallel(b *testing.B) {
	w := newWorld(b)
	envelope := seal(b, w.ring, place, strings.Repeat("x", 256))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.ring.Open(place, envelope); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkDigest256(b *testing.B) {
	w := newWorld(b)
	v := sensitive.FromString(strings.Repeat("x", 256))
	b.ReportAllocs()
	for b.Loop() {
		w.ring.Digest(v)
	}
}

// BenchmarkUnlock opens an instance of a thousand projects.
func BenchmarkUnlock(b *testing.B) {
	w := newWorld(b)
	for i := range 1000 {
		row := must(w.ring.NewProjectKey("project-"+strings.Repeat("i", i), nowMS))(b)
		w.rows.Keys = append(w.rows.Keys, row)
	}
	for b.Loop() {
		must(keyring.Unlock(w.root, instance, w.rows))(b)
	}
}
