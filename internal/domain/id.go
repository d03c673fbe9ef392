package domain

import (
	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/fault"
)

// Ids are lower-case UUIDv7 (RFC 9562): they sort by time, foreign clients insist on UUIDs, and they are never used
// again, so that a ciphertext bound to one cannot be moved.
type (
	OrgID      string // an organisation
	ProjectID  string // a project
	EnvID      string // an environment of a project
	FolderID   string // a folder of an environment
	SecretID   string // a secret, the same through renames and moves
	CommitID   string // one atomic change of an environment
	ChangeID   string // a change set that waits for approval, or waited
	UserID     string // a person
	IdentityID string // a machine
	GroupID    string // a group of users, machines and groups
	TokenID    string // a bearer token or session, not the token itself
)

// NewID makes a fresh id.
func NewID[T ~string]() T { return T(uuid.Must(uuid.NewV7()).String()) }

// ParseID accepts only the canonical lower-case form.
func ParseID[T ~string](s string) (T, error) {
	u, err := uuid.Parse(s)
	if err != nil || u.String() != s {
		return "", fault.New(fault.Invalid, "not an id: want a lower-case UUID such as 0198c0de-0000-7000-8000-000000000000")
	}
	return T(s), nil
}

// IsID tells whether s has the form of an id, so that a caller may accept "id or slug".
func IsID(s string) bool { _, err := ParseID[string](s); return err == nil }
