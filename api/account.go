package api

import "time"

// Profile is an account with its groups.
type Profile struct {
	User
	PasswordAt *time.Time `json:"password_at,omitzero"` // when the password was last set
	ErasedAt   *time.Time `json:"erased_at,omitzero"`
	Groups     []Named    `json:"groups"` // also those that it is in through others
}

// Named is an id and what it is called.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// ProfileRequest changes one's own name.
type ProfileRequest struct {
	Name string `json:"name"`
}

// PasswordRequest changes one's own password. All other sessions end.
type PasswordRequest struct {
	Old       string `json:"old"`
	Password  string `json:"password"`            // 12 characters to 1024 bytes
	EndTokens bool   `json:"end_tokens,omitzero"` // tokens that were made for programs end too
}

// AddressRequest changes an address.
type AddressRequest struct {
	Email string `json:"email"`
}

// SessionInfo is one login.
type SessionInfo struct {
	ID         string     `json:"id"` // of its token
	Method     string     `json:"method"`
	Address    string     `json:"address"` // from where it was made
	Agent      string     `json:"agent"`
	Current    bool       `json:"current"` // this one asks
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt time.Time  `json:"last_used_at"` // coarse
	ExpiresAt  time.Time  `json:"expires_at"`
	IdleLimit  string     `json:"idle_limit,omitzero"`
	ProvedAt   *time.Time `json:"proved_at,omitzero"` // when the second factor was last shown
}

// Sessions is a list of logins.
type Sessions struct {
	Sessions []SessionInfo `json:"sessions"`
}

// Task asks the owner of a secret to give it another value: somebody had read it and has left.
type Task struct {
	ID        string     `json:"id"`
	Leaver    string     `json:"leaver"`
	Place     string     `json:"place,omitzero"` // PROJECT/ENV; absent for who may not see it
	Key       string     `json:"key,omitzero"`   // full name
	Owner     string     `json:"owner,omitzero"` // attribute of the secret
	Version   int64      `json:"version"`        // that was read
	ReadAt    time.Time  `json:"read_at"`
	CreatedAt time.Time  `json:"created_at"`
	ClosedAt  *time.Time `json:"closed_at,omitzero"`
	Outcome   string     `json:"outcome,omitzero"` // rotated, gone or dismissed
	Reason    string     `json:"reason,omitzero"`
}

// Tasks is a list of tasks.
type Tasks struct {
	Tasks []Task `json:"tasks"`
}

// DismissRequest ends a task without a rotation.
type DismissRequest struct {
	Reason string `json:"reason"`
}
