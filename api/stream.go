package api

import "time"

// StreamRequest makes a stream of the audit log. Kinds and their settings: file (file, max_size), syslog (address, ca,
// hostname), webhook (url) and bucket (address).
type StreamRequest struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	Settings map[string]string `json:"settings"`
	// Credential is the signing secret of a webhook, made when it is empty, or the access key of a bucket.
	Credential string   `json:"credential,omitzero"`
	Actions    []string `json:"actions,omitzero"`    // such as secret.read or secret.*; empty for all
	FromStart  bool     `json:"from_start,omitzero"` // begin with the first entry there is instead of the next one
}

// Stream is one place where entries of the log are sent on.
type Stream struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"`
	Kind          string            `json:"kind"`
	Settings      map[string]string `json:"settings"`
	Actions       []string          `json:"actions,omitzero"`
	Paused        bool              `json:"paused"`
	CreatedAt     time.Time         `json:"created_at"`
	Position      int64             `json:"position"`         // index of the first entry that is not known to be sent
	Lag           int64             `json:"lag"`              // entries that are not sent
	BehindSeconds float64           `json:"behind_seconds"`   // age of the oldest of them
	Problem       string            `json:"problem,omitzero"` // of the last try
}

// Streams lists all.
type Streams struct {
	Streams []Stream `json:"streams"`
}

// StreamMade is a new stream. A credential that the server made is shown here and never again.
type StreamMade struct {
	Stream     Stream `json:"stream"`
	Credential string `json:"credential,omitzero"`
}
