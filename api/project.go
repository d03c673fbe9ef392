package api

import "time"

// ProjectRequest makes a project.
type ProjectRequest struct {
	Slug   string            `json:"slug"`             // a-z, 0-9 and '-'
	Name   string            `json:"name,omitzero"`    // default: the slug
	Envs   []string          `json:"envs,omitzero"`    // slugs, default dev, staging, prod
	ID     string            `json:"id,omitzero"`      // of the system that it moves in from, a UUID never used here; default: a fresh one
	EnvIDs map[string]string `json:"env_ids,omitzero"` // the same for some of envs, by slug
}

// RenameRequest changes slug or name; what is absent stays.
type RenameRequest struct {
	Slug string `json:"slug,omitzero"`
	Name string `json:"name,omitzero"`
}

// Project holds environments.
type Project struct {
	ID        string     `json:"id"`
	Slug      string     `json:"slug"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"created_at"`
	DeletedAt *time.Time `json:"deleted_at,omitzero"`
	Envs      []Env      `json:"envs"` // those that the caller may see
}

// Projects is a list of them.
type Projects struct {
	Projects []Project `json:"projects"`
}

// EnvRequest adds an environment.
type EnvRequest struct {
	Slug string `json:"slug"`
	Name string `json:"name,omitzero"`
	ID   string `json:"id,omitzero"` // of the system that it moves in from, a UUID never used here; default: a fresh one
}

// Env is an environment.
type Env struct {
	ID        string     `json:"id"`
	Slug      string     `json:"slug"`
	Name      string     `json:"name"`
	Revision  int64      `json:"revision"` // number of its last commit
	CreatedAt time.Time  `json:"created_at"`
	DeletedAt *time.Time `json:"deleted_at,omitzero"`
}

// Done is the answer of changes that have nothing else to tell.
type Done struct {
	Done bool `json:"done"`
}
