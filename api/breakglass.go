package api

import "time"

// BreakGlassRequest prepares a credential for emergencies.
type BreakGlassRequest struct {
	Name       string   `json:"name"`
	Role       string   `json:"role"`
	Project    string   `json:"project,omitzero"` // default: the organisation
	Env        string   `json:"env,omitzero"`     // default: the project
	For        string   `json:"for"`              // how long an opening lasts, at most 24h
	Custodians []string `json:"custodians"`       // addresses or ids of users
	Need       int64    `json:"need"`             // how many of them open it
}

// BreakGlassMade is a prepared credential with the shares of its custodians, which are shown this once.
type BreakGlassMade struct {
	BreakGlass
	Shares []BreakGlassShare `json:"shares"`
}

// BreakGlassShare is what one custodian enters.
type BreakGlassShare struct {
	Custodian string `json:"custodian"`
	Share     string `json:"share"`
}

// BreakGlass is a credential for emergencies.
type BreakGlass struct {
	Name       string             `json:"name"`
	Role       string             `json:"role"`
	ProjectID  string             `json:"project_id,omitzero"`
	EnvID      string             `json:"env_id,omitzero"`
	For        string             `json:"for"`
	Need       int64              `json:"need"`
	State      string             `json:"state"` // ready, begun, open, used
	Custodians []string           `json:"custodians"`
	CreatedAt  time.Time          `json:"created_at"`
	CreatedBy  string             `json:"created_by"`
	Opening    *BreakGlassOpening `json:"opening,omitzero"` // the last one
}

// BreakGlassList is all that one has to do with.
type BreakGlassList struct {
	BreakGlass []BreakGlass `json:"break_glass"`
}

// BreakGlassOpening is one opening of a credential.
type BreakGlassOpening struct {
	ID        string     `json:"id"`
	Opener    string     `json:"opener"`
	Reason    string     `json:"reason"`
	State     string     `json:"state"` // begun, open, closed, lapsed
	Entered   []string   `json:"entered"`
	BegunAt   time.Time  `json:"begun_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	OpenedAt  *time.Time `json:"opened_at,omitzero"`
	ClosedAt  *time.Time `json:"closed_at,omitzero"`
}

// BreakGlassOpen begins an opening.
type BreakGlassOpen struct {
	Reason string `json:"reason"`
}

// BreakGlassEntry enters a share.
type BreakGlassEntry struct {
	Share string `json:"share"`
}

// BreakGlassAct is one thing that was done in an opening, as the log has it.
type BreakGlassAct struct {
	At        time.Time `json:"at"`
	Action    string    `json:"action"`
	Outcome   string    `json:"outcome"`
	ProjectID string    `json:"project_id,omitzero"`
	EnvID     string    `json:"env_id,omitzero"`
	Keys      []string  `json:"keys,omitzero"`
	Revision  int64     `json:"revision,omitzero"`
}

// BreakGlassReport tells of one opening: who, when, why, what was read, what was changed and what is open.
type BreakGlassReport struct {
	Name       string            `json:"name"`
	Role       string            `json:"role"`
	Opening    BreakGlassOpening `json:"opening"`
	ClosedBy   string            `json:"closed_by"`
	LogFrom    int64             `json:"log_from"` // index in the audit log where it begins
	Final      bool              `json:"final"`
	Acts       []BreakGlassAct   `json:"acts"`
	Tasks      []BreakGlassTask  `json:"tasks"`
	OpenTasks  int               `json:"open_tasks"`
	FiledAt    time.Time         `json:"filed_at"`
	Incomplete string            `json:"incomplete,omitzero"`
}

// BreakGlassTask is a value that was read under a break-glass credential and must be replaced.
type BreakGlassTask struct {
	ID        string     `json:"id"`
	Cause     string     `json:"cause"` // "break-glass" and its name
	ProjectID string     `json:"project_id"`
	EnvID     string     `json:"env_id"`
	Path      string     `json:"path"`
	Name      string     `json:"name"`
	SecretID  string     `json:"secret_id,omitzero"`
	ReadAt    time.Time  `json:"read_at"`
	DueAt     time.Time  `json:"due_at"`
	DoneAt    *time.Time `json:"done_at,omitzero"`
	DoneBy    string     `json:"done_by,omitzero"`
}

// BreakGlassTasks is what is to be done.
type BreakGlassTasks struct {
	Tasks []BreakGlassTask `json:"tasks"`
}
