package keyring

import (
	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/fault"
)

// KeyID names one generation of one key for ever: the 16 bytes of a UUID version 7 (RFC 9562). Ids are never used again.
type KeyID [16]byte

// newKeyID makes a fresh id. It panics only if the system has no randomness, in which case no key may be made either.
func newKeyID() KeyID { return KeyID(uuid.Must(uuid.NewV7())) }

// ParseKeyID reads the one canonical form: 36 characters, lower case, version 7. Anything else is [fault.Invalid].
func ParseKeyID(s string) (KeyID, error) {
	id, err := uuid.Parse(s)
	// uuid.Parse also takes upper case, braces and a URN prefix. One key must have one spelling.
	if err != nil || id.String() != s || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		return KeyID{}, fault.New(fault.Invalid, "key id is not a lower-case uuid of version 7")
	}
	return KeyID(id), nil
}

// String gives the lower-case UUID.
func (id KeyID) String() string { return uuid.UUID(id).String() }

// IsZero tells whether id names no key.
func (id KeyID) IsZero() bool { return id == KeyID{} }

// MarshalText implements [encoding.TextMarshaler], so that JSON shows the UUID and not sixteen numbers.
func (id KeyID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with the rules of [ParseKeyID].
func (id *KeyID) UnmarshalText(text []byte) error {
	parsed, err := ParseKeyID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
