package api

import "time"

// Mount is a path of the Vault view and what lies below it. Every project is one under its slug.
type Mount struct {
	ID                 string     `json:"id"`
	Path               string     `json:"path"`
	Kind               string     `json:"kind"`             // kv or transit
	Version            int        `json:"version,omitzero"` // of the KV engine
	ProjectID          string     `json:"project_id,omitzero"`
	Project            string     `json:"project,omitzero"`
	EnvID              string     `json:"env_id,omitzero"`
	Env                string     `json:"env,omitzero"` // "" when the next segment names it
	Folder             string     `json:"folder,omitzero"`
	Description        string     `json:"description,omitzero"`
	MaxVersions        int64      `json:"max_versions"`         // of a document that are shown; 0 leaves it to the document
	CASRequired        bool       `json:"cas_required"`         // writes must say which version they replace
	DeleteVersionAfter string     `json:"delete_version_after"` // a duration; 0s leaves it to the document
	Implicit           bool       `json:"implicit"`             // there without having been made
	CreatedAt          *time.Time `json:"created_at,omitzero"`
}

// Mounts lists mounts.
type Mounts struct {
	Mounts []Mount `json:"mounts"`
}

// MountRequest lays a path over a project, an environment of it, or a folder of that.
type MountRequest struct {
	Path               string `json:"path"`
	Project            string `json:"project"`
	Env                string `json:"env,omitzero"`     // without one the next segment names it
	Folder             string `json:"folder,omitzero"`  // needs an environment
	Version            int    `json:"version,omitzero"` // of the KV engine: 1 or 2, default 2
	Description        string `json:"description,omitzero"`
	MaxVersions        int64  `json:"max_versions,omitzero"`
	CASRequired        bool   `json:"cas_required,omitzero"`
	DeleteVersionAfter string `json:"delete_version_after,omitzero"`
}

// MountTune changes a mount. What is left out stays as it is.
type MountTune struct {
	Version            *int    `json:"version,omitzero"`
	Description        *string `json:"description,omitzero"`
	MaxVersions        *int64  `json:"max_versions,omitzero"`
	CASRequired        *bool   `json:"cas_required,omitzero"`
	DeleteVersionAfter *string `json:"delete_version_after,omitzero"`
}
