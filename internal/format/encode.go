package format

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/keyturn/keyturn/internal/fault"
)

// Encode writes the pairs in the given order, ending with a newline. It reads the result back and compares, so that what it
// returns decodes to the same names, values and (where the format has them) comments. What a format cannot carry is refused
// with [fault.Invalid] that names the key, never the value, and a format that can.
func Encode(f Format, pairs []Pair, opt Options) ([]byte, error) {
	enc, ok := codecOf(f)
	if !ok {
		return nil, unknownFormat()
	}
	if err := checkPairs(f, enc, pairs); err != nil {
		return nil, err
	}
	if enc.whole != nil {
		if err := enc.whole(pairs, opt); err != nil {
			return nil, err
		}
	}
	var w bytes.Buffer
	enc.encode(&w, pairs, opt)
	if w.Len() == 0 {
		w.WriteByte('\n')
	}
	if w.Len() > MaxFile {
		return nil, fault.New(fault.Invalid, "couldn't write %s: the file would be larger than %d bytes", f, MaxFile).
			WithHint("export fewer folders at a time")
	}
	if err := readBack(f, enc, pairs, w.Bytes()); err != nil {
		return nil, err
	}
	return w.Bytes(), nil
}

// checkPairs refuses what no encoder should see.
func checkPairs(f Format, enc codec, pairs []Pair) error {
	if len(pairs) > MaxPairs {
		return fault.New(fault.Invalid, "couldn't write %s: more than %d pairs", f, MaxPairs)
	}
	seen := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		if seen[p.Name] {
			return fault.New(fault.Invalid, "couldn't write %s: %s occurs twice", f, label(p.Name))
		}
		seen[p.Name] = true
		if wrong := enc.refusal(p); wrong != "" {
			return refuse(f, p, wrong)
		}
	}
	return nil
}

// refusal says why the format cannot carry the pair; empty means that it can.
func (enc codec) refusal(p Pair) string {
	if wrong := enc.nameOut(p.Name); wrong != "" {
		return wrong
	}
	if len(p.Value) > MaxValue {
		return fmt.Sprintf("the value is larger than %d bytes", MaxValue)
	}
	if wrong := enc.valueOut(p); wrong != "" {
		return wrong
	}
	if enc.comments && plainText(Pair{Value: []byte(p.Comment)}) != "" {
		return "its comment holds control characters or is not UTF-8"
	}
	return ""
}

// readBack decodes what was written and compares.
func readBack(f Format, enc codec, pairs []Pair, out []byte) error {
	got, err := Decode(f, "the export", out)
	if err == nil && len(got) == len(pairs) && slices.EqualFunc(got, pairs, enc.same) {
		return nil
	}
	for i, p := range pairs {
		if i >= len(got) || !enc.same(got[i], p) {
			return refuse(f, p, "reading it back gives something else")
		}
	}
	return fault.New(fault.Invalid, "couldn't write %s: reading it back gives something else", f)
}

func (enc codec) same(a, b Pair) bool {
	return a.Name == b.Name && bytes.Equal(a.Value, b.Value) && (!enc.comments || a.Comment == b.Comment)
}

func refuse(f Format, p Pair, wrong string) error {
	err := fault.New(fault.Invalid, "couldn't write %s as %s: %s", label(p.Name), f, wrong)
	for _, other := range []Format{JSON, Kubernetes} { // the readable one first, then the one that carries any bytes
		if enc, _ := codecOf(other); other != f && enc.refusal(p) == "" {
			return err.WithHint("%s can carry it", other)
		}
	}
	return err.WithHint("leave it out or read it on its own")
}
