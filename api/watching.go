package api

import "time"

// Consumer is a principal at a place that uses a secret, with the version that it was given the last time.
type Consumer struct {
	Kind      string    `json:"kind"` // user or identity
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Address   string    `json:"address"`
	Agent     string    `json:"agent,omitzero"` // what the client calls itself
	Version   int64     `json:"version"`
	Current   bool      `json:"current"` // it holds the current version
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"` // to about a minute
	Reads     int64     `json:"reads"`
}

// Consumers is who uses a secret, the latest first.
type Consumers struct {
	Place     string     `json:"place"`   // "project/env:/path/NAME"
	Version   int64      `json:"version"` // the current one
	Behind    int        `json:"behind"`  // how many hold another one
	Consumers []Consumer `json:"consumers"`
}

// UnusedSecret is one that nobody reads.
type UnusedSecret struct {
	Project   string     `json:"project"`
	Env       string     `json:"env"`
	Path      string     `json:"path"`
	Name      string     `json:"name"`
	ChangedAt time.Time  `json:"changed_at"`
	LastSeen  *time.Time `json:"last_seen,omitempty"` // absent when nobody ever read it
}

// Unused lists secrets that nobody has read or changed for so many days.
type Unused struct {
	Days    int            `json:"days"`
	Secrets []UnusedSecret `json:"secrets"`
}

// Read is a secret that a principal was given and that is still there.
type Read struct {
	SecretID     string    `json:"secret_id"`
	Place        string    `json:"place"`
	Owner        string    `json:"owner,omitzero"`
	Version      int64     `json:"version"` // the newest that was given
	Current      int64     `json:"current"`
	LastSeen     time.Time `json:"last_seen"`
	RotatedSince bool      `json:"rotated_since"`
}

// Reads is what a principal was given, what was not rotated since first.
type Reads struct {
	NotRotated int    `json:"not_rotated"`
	Reads      []Read `json:"reads"`
}

// FirstRead is the first time that somebody read a secret at a place.
type FirstRead struct {
	Place    string   `json:"place"` // "" when the secret is gone
	Consumer Consumer `json:"consumer"`
}

// FirstReads lists who is new, newest first.
type FirstReads struct {
	Days  int         `json:"days"`
	Reads []FirstRead `json:"reads"`
}
