package api

import "time"

// KeySlot is one way to unlock the instance: one wrapping of the instance key under one root key.
type KeySlot struct {
	ID          string    `json:"id"`
	Kind        string    `json:"kind"`               // environment, file, credential, command, passphrase, shares, recovery, aws-kms, ...
	Source      string    `json:"source,omitzero"`    // where the root key comes from, without secrets
	Fingerprint string    `json:"root_fingerprint"`   // of the root key
	KeyID       string    `json:"key_id"`             // the instance key inside
	CreatedAt   time.Time `json:"created_at"`         // UTC
	ProvedAt    time.Time `json:"proved_at,omitzero"` // when its root key last opened something here
	Unlocked    bool      `json:"unlocked"`           // this server was unlocked with it
	Reachable   bool      `json:"reachable"`          // this server's configuration names its source
	// Kept is what gives the root key back together with what people hold: the costs and salt of a passphrase, the verifiers of
	// shares, the age file of a recovery kit, the ciphertext of a KMS. It opens nothing alone, but who has it can try
	// passphrases without asking the server, so it is shown with the other facts about keys only.
	Kept []byte `json:"kept,omitzero"` // base64
}

// KeySlotRequest asks for another slot. Either Source names a source of root keys that the server's configuration has, and
// the server makes or fetches the root key itself; or Public and Fingerprint stand for a root key that the client holds, which
// the server never sees.
type KeySlotRequest struct {
	// ID is a lower-case UUID of version 7 that the client made, where what is kept must be bound to the slot before the slot
	// is there; empty lets the server choose.
	ID          string `json:"id,omitzero"`
	Kind        string `json:"kind,omitzero"`             // with Public: environment, file, credential, command, passphrase, shares or recovery
	Source      string `json:"source,omitzero"`           // URI, as in the configuration
	Public      []byte `json:"public,omitzero"`           // base64; HPKE public key made from the root key
	Fingerprint string `json:"root_fingerprint,omitzero"` // of the client's root key
	Kept        []byte `json:"kept,omitzero"`             // base64; what the source needs to give the root key back
	// Replaces is the fingerprint of the root key that shall go once the new one is proved; empty for one more way in.
	Replaces string `json:"replaces,omitzero"`
}

// KeySlotMade is a new slot. While Challenge is set, the slot is not yet proved: its holder must answer it.
type KeySlotMade struct {
	KeySlot
	Challenge []byte `json:"challenge,omitzero"` // base64
}

// KeySlotAnswer answers a challenge; empty asks the server to test the slot itself, or for a challenge where it cannot.
type KeySlotAnswer struct {
	Answer []byte `json:"answer,omitzero"` // base64
}

// KeyTurn is one turn of one key, running or over.
type KeyTurn struct {
	ID        string    `json:"id"`
	Layer     string    `json:"layer"` // root, instance, project, index, log, tokens
	ProjectID string    `json:"project_id,omitzero"`
	Project   string    `json:"project,omitzero"` // slug
	Old       string    `json:"old"`              // key id; of the root layer a slot id
	New       string    `json:"new"`
	Stage     string    `json:"stage"` // moving, overlap, settled, done, undone
	Cause     string    `json:"cause"` // hand, schedule, limit
	By        string    `json:"by"`
	StartedAt time.Time `json:"started_at"`
	DueAt     time.Time `json:"due_at,omitzero"`   // end of the overlap
	EndedAt   time.Time `json:"ended_at,omitzero"` // absent while it runs
	Paused    bool      `json:"paused,omitzero"`
	Rate      int64     `json:"rate,omitzero"` // envelopes a second at most
	Done      int64     `json:"done"`          // envelopes moved
	Total     int64     `json:"total"`         // envelopes found at the start
	PerSecond float64   `json:"per_second,omitzero"`
	Problem   string    `json:"problem,omitzero"`
	Census    string    `json:"census,omitzero"` // signed note
}

// KeyTurns lists turns.
type KeyTurns struct {
	Turns []KeyTurn `json:"turns"`
}

// KeyRotation asks for turns. Layer all turns every layer but root.
type KeyRotation struct {
	Layer   string `json:"layer"`
	Project string `json:"project,omitzero"`  // slug or id; with layer project: this one only
	KeepOld bool   `json:"keep_old,omitzero"` // stop before the old key is destroyed
	Rate    int64  `json:"rate,omitzero"`     // envelopes a second at most; 0 = as fast as readers allow
	Overlap string `json:"overlap,omitzero"`  // of layers log and tokens, a duration; empty = as configured
	DryRun  bool   `json:"dry_run,omitzero"`
}

// KeyPlan is what a rotation would do.
type KeyPlan struct {
	Layer      string  `json:"layer"`
	ProjectID  string  `json:"project_id,omitzero"`
	Project    string  `json:"project,omitzero"`
	Old        string  `json:"old"`
	Generation uint32  `json:"generation"`        // of the key that would be made
	Envelopes  int64   `json:"envelopes"`         // that would be moved
	Seconds    float64 `json:"seconds"`           // about how long, from what this server measured
	Conflict   string  `json:"conflict,omitzero"` // the turn that runs already
}

// KeyRotated is the answer to a rotation: turns that run now, or plans.
type KeyRotated struct {
	Turns []KeyTurn `json:"turns"`
	Plans []KeyPlan `json:"plans,omitzero"`
}

// KeySchedule says when a layer turns by itself.
type KeySchedule struct {
	Layer   string    `json:"layer"`
	Every   string    `json:"every"` // a duration, or "never"
	Due     time.Time `json:"due,omitzero"`
	ByHand  bool      `json:"by_hand,omitzero"` // the server cannot make the next one itself
	Overdue bool      `json:"overdue,omitzero"`
}

// KeysStatus is how the keys stand.
type KeysStatus struct {
	Epoch    int64         `json:"epoch"`
	Keys     []Key         `json:"keys"`
	Slots    []KeySlot     `json:"slots"`
	Running  []KeyTurn     `json:"running"`
	Schedule []KeySchedule `json:"schedule"`
}

// KeyCensus is a signed count of all envelopes by key.
type KeyCensus struct {
	Census string     `json:"census"` // signed note, see docs
	Keys   []string   `json:"keys"`   // verification keys of the log
	Counts []KeyCount `json:"counts"`
}

// KeyCount is one line of a census.
type KeyCount struct {
	Where string `json:"where"` // such as secret.value
	KeyID string `json:"key_id"`
	Layer string `json:"layer"`
	State string `json:"state"`
	Count int64  `json:"count"`
}

// Unlock enters something that helps to unlock a sealed server: exactly one of the fields.
type Unlock struct {
	RootKey    string `json:"root_key,omitzero"`
	Passphrase string `json:"passphrase,omitzero"`
	Share      string `json:"share,omitzero"`
	Identity   string `json:"identity,omitzero"` // of a recovery kit
}

// SealStatus tells whether the server is unlocked, and what it waits for.
type SealStatus struct {
	Sealed       bool      `json:"sealed"`
	Fingerprints []string  `json:"root_fingerprints"` // that open this instance
	Slots        []KeySlot `json:"slots"`
	Have         int       `json:"have,omitzero"` // shares entered
	Need         int       `json:"need,omitzero"`
	Reason       string    `json:"reason,omitzero"`
}
