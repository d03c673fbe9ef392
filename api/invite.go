package api

import "time"

// InviteRequest invites somebody, who makes his own account with the link. Without groups and role he may do nothing yet.
type InviteRequest struct {
	Email   string   `json:"email"`
	Name    string   `json:"name,omitzero"`
	Groups  []string `json:"groups,omitzero"`  // names or ids
	Project string   `json:"project,omitzero"` // slug or id; absent: the organisation
	Env     string   `json:"env,omitzero"`     // slug; absent: the project
	Role    string   `json:"role,omitzero"`    // admin, developer, viewer, none
	TTL     string   `json:"ttl,omitzero"`     // default 72h
	Mail    bool     `json:"mail,omitzero"`    // send it; else the link is handed over by hand
}

// Invite is a link that works once, without what is in it.
type Invite struct {
	ID        string     `json:"id"`
	Purpose   string     `json:"purpose"` // invite or password
	Email     string     `json:"email"`
	Name      string     `json:"name,omitzero"`
	Roles     []Role     `json:"roles,omitzero"`
	GroupIDs  []string   `json:"group_ids,omitzero"`
	InvitedBy string     `json:"invited_by"` // id
	Mailed    bool       `json:"mailed"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	UsedAt    *time.Time `json:"used_at,omitzero"`
	RevokedAt *time.Time `json:"revoked_at,omitzero"`
}

// Invites is a list of invitations.
type Invites struct {
	Invites []Invite `json:"invites"`
}

// NewInvite is a link that was just made. The token is shown this once; Link is the server's address with it, absent where the
// server does not know under which address people reach it.
type NewInvite struct {
	Invite
	Token string `json:"token"`
	Link  string `json:"link,omitzero"`
}

// LinkRequest carries what is in a link.
type LinkRequest struct {
	Token string `json:"token"`
}

// Link is what a link is for.
type Link struct {
	Purpose      string    `json:"purpose"` // invite, password or address
	Email        string    `json:"email"`
	Name         string    `json:"name,omitzero"`
	Organization string    `json:"organization"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// AcceptRequest makes the account that an invitation is for.
type AcceptRequest struct {
	Token    string `json:"token"`
	Name     string `json:"name,omitzero"`
	Password string `json:"password"` // 12 characters to 1024 bytes
}

// PasswordResetRequest sets a new password with a link.
type PasswordResetRequest struct {
	Token    string `json:"token"`
	Password string `json:"password"`
}
