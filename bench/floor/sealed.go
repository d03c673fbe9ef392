package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"strconv"

	"github.com/keyturn/keyturn/bench/measure"
)

// sealed is all values in memory, each an AES-256-GCM envelope with a random
// nonce in front, bound to its name.
type sealed struct {
	aead   cipher.AEAD
	values map[string][]byte
}

func newSealed(n int) (*sealed, error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	s := &sealed{aead: aead, values: make(map[string][]byte, n)}
	for i := range n {
		name := measure.Name(i)
		s.values[name] = aead.Seal(nil, nil, []byte(measure.Value(i, 0)), []byte(name))
	}
	return s, nil
}

// appendItem appends one secret as a JSON object of about size bytes: its
// name, its value and padding in the place of what a real answer says beside
// them. It reports whether the name is known.
func (s *sealed) appendItem(dst []byte, name string, size int) ([]byte, bool, error) {
	box, ok := s.values[name]
	if !ok {
		return dst, false, nil
	}
	start := len(dst)
	dst = append(dst, `{"name":"`...)
	dst = append(dst, name...)
	dst = append(dst, `","value":"`...)
	var err error
	// The test values need no JSON escapes, so they are opened in place.
	if dst, err = s.aead.Open(dst, nil, box, []byte(name)); err != nil {
		return nil, true, fmt.Errorf("open %s: %w", strconv.Quote(name), err)
	}
	dst = append(dst, `","meta":"`...)
	for len(dst)-start < size-len(`"}`) {
		dst = append(dst, padding[:min(len(padding), size-len(`"}`)-(len(dst)-start))]...)
	}
	return append(dst, `"}`...), true, nil
}

const padding = "................................................................"
