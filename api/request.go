package api

import "time"

// AccessAsked asks for a role somewhere, for a time.
type AccessAsked struct {
	Role    string `json:"role"`
	Project string `json:"project,omitzero"` // default: the organisation
	Env     string `json:"env,omitzero"`     // default: the project
	Path    string `json:"path,omitzero"`    // pattern of folders; default: all
	For     string `json:"for"`              // 1m to 30d
	Reason  string `json:"reason"`
}

// AccessRequest is a role that somebody asks for.
type AccessRequest struct {
	ID            string     `json:"id"`
	PrincipalKind string     `json:"principal_kind"`
	PrincipalID   string     `json:"principal_id"`
	Principal     string     `json:"principal"`
	Role          string     `json:"role"`
	Project       string     `json:"project,omitzero"`
	Env           string     `json:"env,omitzero"`
	Path          string     `json:"path,omitzero"`
	For           string     `json:"for"`
	Reason        string     `json:"reason"`
	State         string     `json:"state"` // open, approved, denied, withdrawn, expired
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     time.Time  `json:"expires_at"` // of the request
	DecidedAt     *time.Time `json:"decided_at,omitzero"`
	DecidedBy     string     `json:"decided_by,omitzero"`
	Comment       string     `json:"comment,omitzero"`
	GrantID       string     `json:"grant_id,omitzero"`
	GrantedUntil  *time.Time `json:"granted_until,omitzero"`
	Mine          bool       `json:"mine"`
	MayDecide     bool       `json:"may_decide"`
}

// AccessRequests is a list of them, newest first.
type AccessRequests struct {
	Requests []AccessRequest `json:"requests"`
}
