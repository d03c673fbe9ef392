// Package sensitive holds the one type that may carry a secret through the program.
//
// A [Value] keeps its bytes behind a function, not in a field. A redacting type with a byte field still prints in clear
// when it sits in an unexported field of another struct, because fmt may not call methods reached that way. The closure
// form leaks in no fmt verb, in neither slog handler and not in JSON.
package sensitive

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Redacted is what every way of printing a [Value] shows instead of its bytes.
const Redacted = "[redacted]"

// Value is a secret. The zero Value is empty. It cannot be compared with ==, printed, logged or marshalled;
// [Value.Reveal] is the one way out, and a test pins every place that calls it.
type Value struct{ reveal func() []byte }

// New takes ownership of b: the caller must neither keep nor change it.
func New(b []byte) Value { return Value{func() []byte { return b }} }

// FromString copies s into a Value.
func FromString(s string) Value { return New([]byte(s)) }

// Reveal returns the bytes themselves, not a copy. Callers must not change them.
func (v Value) Reveal() []byte {
	if v.reveal == nil {
		return nil
	}
	return v.reveal()
}

// Len tells how many bytes the value has.
func (v Value) Len() int { return len(v.Reveal()) }

// Empty tells whether the value has no bytes.
func (v Value) Empty() bool { return v.Len() == 0 }

// Equal compares in time that depends on the lengths only.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare(v.Reveal(), w.Reveal()) == 1
}

// Wipe overwrites the bytes with zeros. It is best effort: the runtime may have copied them before.
func (v Value) Wipe() { clear(v.Reveal()) }

// String, GoString, Format, LogValue, MarshalText and MarshalJSON all show [Redacted].
func (v Value) String() string { return Redacted }

// GoString implements [fmt.GoStringer].
func (v Value) GoString() string { return Redacted }

// Format implements [fmt.Formatter] for every verb.
func (v Value) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(Redacted)) }

// LogValue implements [slog.LogValuer].
func (v Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (v Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }
