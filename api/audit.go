package api

import (
	"encoding/json"
	"time"
)

// Entries is a page of the audit log, newest first. Next is the value of "before" for the page after it, absent at the end.
type Entries struct {
	Size    int64   `json:"size"` // of the whole log
	Entries []Entry `json:"entries"`
	Next    *int64  `json:"next,omitzero"`
	// Archived counts the entries from 0 on that no list shows, since they are archived.
	Archived int64 `json:"archived,omitzero"`
}

// Entry is one leaf of the log in its canonical form (RFC 8785).
type Entry struct {
	Index int64           `json:"index"`
	Entry json.RawMessage `json:"entry"`
}

// Checkpoint is a signed tree head (C2SP tlog-checkpoint) and the keys that verify it (C2SP signed-note).
type Checkpoint struct {
	Checkpoint string `json:"checkpoint"`
	Key        string `json:"key"`
	// Handovers are the changes of the log's key, each signed by the key before it: they lead from a key that is remembered
	// to one that is not.
	Handovers []string `json:"handovers,omitzero"`
}

// InclusionProof shows that an entry is in the tree of a checkpoint (RFC 6962, 2.1.1).
type InclusionProof struct {
	Index int64           `json:"index"`
	Entry json.RawMessage `json:"entry"`
	Proof []string        `json:"proof"` // base64 hashes, from the leaf up
	Checkpoint
}

// ConsistencyProof shows that a tree is a later state of a smaller one (RFC 6962, 2.1.2).
type ConsistencyProof struct {
	OldSize int64    `json:"old_size"`
	Proof   []string `json:"proof"`
	Checkpoint
}

// LogPage is a stretch of the raw log, for an offline copy: entries From to From+len(Entries)-1 in canonical form.
type LogPage struct {
	From    int64             `json:"from"`
	Size    int64             `json:"size"`
	Entries []json.RawMessage `json:"entries"`
}

// Verification is what the server found when it checked its own log and, with deep, its data against the log.
type Verification struct {
	Size     int64     `json:"size"`
	Root     string    `json:"root"`              // base64
	Archived int64     `json:"archived,omitzero"` // entries from 0 on that are in the archive; their hashes stand
	Deep     bool      `json:"deep"`
	Rows     int64     `json:"rows,omitzero"`   // rows compared
	Values   int64     `json:"values,omitzero"` // values opened and compared
	Problems []Finding `json:"problems"`
	Checkpoint
}

// Finding is one thing that is wrong.
type Finding struct {
	Index int64  `json:"index"` // entry, -1 when it is not about one
	Row   string `json:"row,omitzero"`
	Text  string `json:"text"`
}

// Status is how the server stands.
type Status struct {
	Version     string    `json:"version"`
	Mode        string    `json:"mode"`  // development or production
	Store       string    `json:"store"` // sqlite or postgres
	InstanceID  string    `json:"instance_id"`
	StartedAt   time.Time `json:"started_at"`
	LogSize     int64     `json:"log_size"`
	NeedsSetup  bool      `json:"needs_setup"`
	Fingerprint string    `json:"root_fingerprint"`
	Keys        []Key     `json:"keys"`
	// OfflineMaxAge is how long clients may serve from their sealed cache when the server cannot be reached.
	OfflineMaxAge string `json:"offline_max_age"`
}

// Key is one generation of one key, without the key.
type Key struct {
	ID         string    `json:"id"`
	Layer      string    `json:"layer"`
	ProjectID  string    `json:"project_id,omitzero"`
	Generation uint32    `json:"generation"`
	State      string    `json:"state"`
	CreatedAt  time.Time `json:"created_at"`
	Seals      int64     `json:"seals,omitzero"` // taken out under it, in blocks
}

// Checks is what the doctor found.
type Checks struct {
	Checks []Check `json:"checks"`
}

// Check is one line of the production checklist.
type Check struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Outcome  string `json:"outcome"` // pass, warn, fail, unknown
	Evidence string `json:"evidence"`
	Fix      string `json:"fix,omitzero"`
	Source   string `json:"source,omitzero"` // which checklist asks for it
}

// ArchiveRequest moves old entries of the log into the archive.
type ArchiveRequest struct {
	Before time.Time `json:"before"`        // entries that are older
	Open   bool      `json:"open,omitzero"` // not sealed to the recovery kits
}

// Archive tells what is archived, and lists segments.
type Archive struct {
	Archived int64            `json:"archived"` // entries, from 0 on
	Segments []ArchiveSegment `json:"segments"`
}

// ArchiveSegment is one file with a stretch of the log.
type ArchiveSegment struct {
	First      int64     `json:"first"`
	Last       int64     `json:"last"`
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Place      string    `json:"place"`
	Name       string    `json:"name"`
	Sealed     bool      `json:"sealed"`
	Bytes      int64     `json:"bytes"`
	Digest     string    `json:"digest"` // SHA-256 of the file, hex
	ArchivedAt time.Time `json:"archived_at"`
}
