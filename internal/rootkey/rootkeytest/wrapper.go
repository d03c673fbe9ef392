// Package rootkeytest is the contract of [rootkey.Wrapper], as one suite over every implementation.
package rootkeytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// maxKept is what a slot keeps at most, in bytes.
const maxKept = 16 << 10

// flips is how many places of what was kept are damaged: enough to meet each part, few enough for slow services.
const flips = 24

// Wrapper runs the contract against w, whose service must be up and willing.
func Wrapper(t *testing.T, w rootkey.Wrapper) {
	t.Helper()
	home := rootkey.Binding{Instance: "0192f0c1-0000-7000-8000-000000000001", Slot: "0192f0c1-0000-7000-8000-000000000002"}
	raw := make([]byte, rootkey.Size)
	_, _ = rand.Read(raw)
	root := sensitive.New(raw)
	wrap := func(t *testing.T) []byte {
		t.Helper()
		kept, err := w.Wrap(t.Context(), home, root)
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}

	t.Run("gives back what it was given", func(t *testing.T) {
		kept := wrap(t)
		back, err := w.Unwrap(t.Context(), home, kept)
		if err != nil || !back.Equal(root) {
			t.Fatalf("another root key, or %v", err)
		}
		back.Wipe()
		if bytes.Equal(raw, make([]byte, rootkey.Size)) {
			t.Fatal("wiping the answer wiped what was given")
		}
		if again, err := w.Unwrap(t.Context(), home, kept); err != nil || !again.Equal(root) {
			t.Fatalf("the second time: another root key, or %v", err)
		}
	})
	t.Run("keeps nothing that shows the root key, and not too much", func(t *testing.T) {
		first, second := wrap(t), wrap(t)
		if len(first) == 0 || len(first) > maxKept {
			t.Errorf("%d bytes are kept", len(first))
		}
		if bytes.Equal(first, second) {
			t.Error("two wrappings are alike")
		}
		for _, form := range []string{string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw)} {
			if bytes.Contains(bytes.ToLower(first), []byte(strings.ToLower(form))) {
				t.Error("the root key is in what is kept")
			}
		}
	})
	t.Run("opens for its own slot and instance only", func(t *testing.T) {
		kept := wrap(t)
		for _, other := range []rootkey.Binding{
			{Instance: home.Instance, Slot: home.Instance}, {Instance: home.Slot, Slot: home.Slot},
			{Instance: home.Slot, Slot: home.Instance}, {},
		} {
			if back, err := w.Unwrap(t.Context(), other, kept); !errors.Is(err, fault.Invalid) || !back.Empty() {
				t.Errorf("another binding: %v", err)
			}
		}
	})
	t.Run("refuses what was damaged", func(t *testing.T) {
		kept := wrap(t)
		damaged := map[string][]byte{
			"nothing": nil, "one byte": kept[:1], "the half": kept[:len(kept)/2], "all but one": kept[:len(kept)-1],
			"one more": append(bytes.Clone(kept), 0), "twice": append(bytes.Clone(kept), kept...), "too much": make([]byte, maxKept+1),
		}
		for i := range flips {
			at := i * (len(kept) - 1) / (flips - 1)
			flipped := bytes.Clone(kept)
			flipped[at] ^= 1 << (i % 8)
			damaged[fmt.Sprintf("bit %d of byte %d", i%8, at)] = flipped
		}
		for name, b := range damaged {
			back, err := w.Unwrap(t.Context(), home, b)
			if err == nil && back.Equal(root) && strings.HasPrefix(name, "bit") {
				t.Errorf("%s: it opens all the same", name)
			} else if !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("takes keys of the right size only", func(t *testing.T) {
		for _, wrong := range []sensitive.Value{{}, sensitive.New(raw[:31]), sensitive.New(append(bytes.Clone(raw), 1))} {
			if kept, err := w.Wrap(t.Context(), home, wrong); !errors.Is(err, fault.Invalid) || kept != nil {
				t.Errorf("%d bytes: %v", wrong.Len(), err)
			}
		}
	})
	t.Run("does not work for nobody", func(t *testing.T) {
		kept := wrap(t)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Wrap(gone, home, root); !errors.Is(err, fault.Unavailable) {
			t.Errorf("wrap: %v", err)
		}
		if _, err := w.Unwrap(gone, home, kept); !errors.Is(err, fault.Unavailable) {
			t.Errorf("unwrap: %v", err)
		}
	})
	t.Run("is named", func(t *testing.T) {
		again, err := rootkey.Parse(w.Name(), rootkey.Environment{})
		if err != nil {
			t.Fatal(err)
		}
		if again.Name() != w.Name() || again.Kind() != w.Kind() || w.Kind() == "" {
			t.Error("its name names another source")
		}
	})
}
