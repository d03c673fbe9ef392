package api

import "time"

// CanaryRequest makes a decoy: a token, or of a secret that is there.
type CanaryRequest struct {
	Kind    string   `json:"kind"`             // token or secret
	Place   string   `json:"place"`            // where this one lies and no other
	Project string   `json:"project,omitzero"` // these four of a secret
	Env     string   `json:"env,omitzero"`
	Path    string   `json:"path,omitzero"`
	Name    string   `json:"name,omitzero"`
	Exempt  []string `json:"exempt,omitzero"` // ids of people and machines whose reads of the secret are no touch
}

// Canary is one decoy. A decoy token is shown when it is made and never again.
type Canary struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Place     string    `json:"place"`
	ProjectID string    `json:"project_id,omitzero"`
	EnvID     string    `json:"env_id,omitzero"`
	SecretID  string    `json:"secret_id,omitzero"`
	Exempt    []string  `json:"exempt,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	TouchedAt time.Time `json:"touched_at,omitzero"` // the last time
	Touched   int64     `json:"touched"`             // how often, as far as recorded
}

// Canaries lists all decoys.
type Canaries struct {
	Canaries []Canary `json:"canaries"`
}

// CanaryMade is a new decoy, and the token if it is one.
type CanaryMade struct {
	Canary Canary `json:"canary"`
	Token  string `json:"token,omitzero"`
}
