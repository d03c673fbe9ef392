package api

import "time"

// Backup is one sealed copy of the whole instance. Names, sizes and recipients are no secret; the content opens with a
// recovery kit only.
type Backup struct {
	Name       string    `json:"name"`
	CreatedAt  time.Time `json:"created_at"`
	Bytes      int64     `json:"bytes"`               // of the file
	Digest     string    `json:"digest,omitzero"`     // SHA-256 of the file, hex
	Content    string    `json:"content,omitzero"`    // SHA-256 of the stream inside, hex: resealing leaves it as it is
	Recipients []string  `json:"recipients,omitzero"` // fingerprints of the age recipients that it was sealed to
	Schema     int64     `json:"schema,omitzero"`
	Epoch      int64     `json:"epoch,omitzero"`
	LogSize    int64     `json:"log_size,omitzero"` // entries of the audit log
	Rows       int64     `json:"rows,omitzero"`
	Secrets    int64     `json:"secrets,omitzero"`
	Seconds    float64   `json:"seconds,omitzero"`     // that making it took
	VerifiedAt time.Time `json:"verified_at,omitzero"` // when it was last read to its end and everything in it opened
	DrilledAt  time.Time `json:"drilled_at,omitzero"`  // when it was last restored into a throw-away instance
	Problem    string    `json:"problem,omitzero"`     // of the last verification or drill
	// Where is "place" for what lies at the place of this server, "missing" for what should, "client" for what was streamed
	// to a client, and "unlisted" for what lies at the place and was not made by this life of the instance.
	Where string `json:"where"`
}

// Backups lists the backups of the instance, newest first, and how the schedule stands.
type Backups struct {
	Place   string   `json:"place"` // without credentials; empty where none is configured
	Backups []Backup `json:"backups"`
	// Drill is the age recipient with which the server opens its backups for a drill: add it when you reseal one.
	Drill    string         `json:"drill_recipient,omitzero"`
	Schedule BackupSchedule `json:"schedule"`
	Problem  string         `json:"problem,omitzero"` // of the place, when it does not answer
}

// BackupSchedule says when the server makes backups and holds drills by itself.
type BackupSchedule struct {
	Every      string    `json:"every"` // a duration, or "never"
	Keep       string    `json:"keep"`
	DrillEvery string    `json:"drill_every"`
	NextAt     time.Time `json:"next_at,omitzero"` // of the next backup
	DrillAt    time.Time `json:"drill_at,omitzero"`
	Failures   int       `json:"failures,omitzero"` // since the last backup
	Problem    string    `json:"problem,omitzero"`  // of the last failure, or what keeps backups from being made
}

// BackupCheck is what a verification or a drill found.
type BackupCheck struct {
	Name      string          `json:"name"`
	Sound     bool            `json:"sound"`
	Rows      int64           `json:"rows"`
	Values    int64           `json:"values"` // that were opened
	LogSize   int64           `json:"log_size"`
	LogRoot   string          `json:"log_root"` // hex
	Content   string          `json:"content"`  // SHA-256 of the stream inside, hex
	Signer    string          `json:"signer"`   // verification key of the log that signed it
	CreatedAt time.Time       `json:"created_at"`
	Seconds   float64         `json:"seconds"`
	Restore   float64         `json:"restore_seconds,omitzero"` // of a drill: until an instance could serve
	Problems  []BackupProblem `json:"problems"`
}

// BackupProblem is one thing that is wrong. It holds no value.
type BackupProblem struct {
	Row  string `json:"row"`
	Text string `json:"text"`
}
