package api

import "time"

// Secret is one secret. Value and comment are there only where they were asked for and may be seen.
type Secret struct {
	ID       string `json:"id"`
	Path     string `json:"path"` // of its folder
	Name     string `json:"name"`
	Version  int64  `json:"version"`
	Revision int64  `json:"revision"` // of the environment when this state was made
	*Value          // nil when it is not shown
	Comment  string `json:"comment,omitzero"`
	Attributes
	ChangedAt time.Time  `json:"changed_at"`
	DueAt     *time.Time `json:"due_at,omitzero"`
	Personal  bool       `json:"personal,omitzero"` // the value is the caller's own
	From      string     `json:"from,omitzero"`     // project/env:/path that an import shows it from
	Deleted   bool       `json:"deleted,omitzero"`
	Purged    bool       `json:"purged,omitzero"`
}

// Attributes is what people say of a secret.
type Attributes struct {
	Owner       string            `json:"owner,omitzero"`
	Tags        []string          `json:"tags,omitzero"`
	Metadata    map[string]string `json:"metadata,omitzero"`
	Public      bool              `json:"public,omitzero"`       // not sensitive
	RotateEvery string            `json:"rotate_every,omitzero"` // "90d", "on staff change or on compromise", "never"
	ExpiresAt   *time.Time        `json:"expires_at,omitzero"`
	RotatedAt   *time.Time        `json:"rotated_at,omitzero"`
	Generated   bool              `json:"generated,omitzero"`
	Required    bool              `json:"required,omitzero"`
	Literal     bool              `json:"literal,omitzero"` // ${...} is text, not a reference
	JSON        bool              `json:"json,omitzero"`    // the value is the text of a JSON value that is no string; clients of documents get it as such
}

// Secrets is a list, at one revision.
type Secrets struct {
	Revision int64    `json:"revision"`
	Secrets  []Secret `json:"secrets"`
	Folders  []string `json:"folders"`
}

// CommitRequest changes one environment, all or nothing.
type CommitRequest struct {
	Message    string   `json:"message,omitzero"`
	Cause      string   `json:"cause,omitzero"`       // default "person"; "import" and the like
	IfRevision *int64   `json:"if_revision,omitzero"` // refuse unless the environment stands there
	DryRun     bool     `json:"dry_run,omitzero"`     // tell the effects, change nothing
	Changes    []Change `json:"changes"`              // 1 to 20,000
}

// Change is one part of a commit. What is absent stays as it is.
type Change struct {
	Op       string  `json:"op"`   // set, delete, restore, rename, move, copy, folder.create, folder.move, folder.delete, folder.restore, folder.imports, folder.note, folder.required
	Path     string  `json:"path"` // of the folder, "/" for the root
	Name     string  `json:"name,omitzero"`
	Value    *string `json:"value,omitzero"`    // set
	Encoding string  `json:"encoding,omitzero"` // "" or "base64", of value
	Generate int     `json:"generate,omitzero"` // set: a random value of so many letters and digits instead
	Comment  *string `json:"comment,omitzero"`  // set; folder.note: what the folder is for

	Owner       *string            `json:"owner,omitzero"`
	Tags        *[]string          `json:"tags,omitzero"`
	Metadata    *map[string]string `json:"metadata,omitzero"`
	Public      *bool              `json:"public,omitzero"`
	RotateEvery *string            `json:"rotate_every,omitzero"`
	ExpiresAt   *time.Time         `json:"expires_at,omitempty"` // the zero time takes it away; so it must be sent
	Required    *bool              `json:"required,omitzero"`
	Literal     *bool              `json:"literal,omitzero"`
	JSON        *bool              `json:"json,omitzero"` // with value: it is the text of a JSON value that is no string

	To       string   `json:"to,omitzero"`       // rename, copy: the new name
	ToPath   string   `json:"to_path,omitzero"`  // move, folder.move: the new folder
	From     *Place   `json:"from,omitzero"`     // copy
	Imports  []Place  `json:"imports,omitzero"`  // folder.imports: replaces the list; the last wins
	Requires []string `json:"requires,omitzero"` // folder.required: replaces the list
}

// Place names a folder, or a secret in it.
type Place struct {
	Project string `json:"project,omitzero"` // default: the same
	Env     string `json:"env,omitzero"`     // default: the same
	Path    string `json:"path"`
	Name    string `json:"name,omitzero"`
}

// Committed is what came of a commit.
type Committed struct {
	ID       string   `json:"id,omitzero"` // absent when nothing changed
	Revision int64    `json:"revision"`
	Effects  []Effect `json:"effects"`
}

// Effect is what became of one change.
type Effect struct {
	Path    string `json:"path"`
	Name    string `json:"name,omitzero"`
	Outcome string `json:"outcome"` // added, changed, same, removed
	Version int64  `json:"version,omitzero"`
}

// Commit is one commit of the history.
type Commit struct {
	ID         string    `json:"id"`
	Revision   int64     `json:"revision"`
	AuthorKind string    `json:"author_kind"`
	AuthorID   string    `json:"author_id"`
	Author     string    `json:"author"`
	At         time.Time `json:"at"`
	Message    string    `json:"message,omitzero"`
	Cause      string    `json:"cause"`
	Changes    int64     `json:"changes"`
}

// Commits is a page of the history, newest first. Next is the value of "below" for the page after it, 0 at the end.
type Commits struct {
	Commits []Commit `json:"commits"`
	Next    int64    `json:"next,omitzero"`
}

// State is one state of a secret and the commit that made it.
type State struct {
	Secret
	Commit Commit `json:"commit"`
}

// History is every state of a secret, newest first, without values.
type History struct {
	States []State `json:"states"`
}

// Difference is one secret that differs between two states.
type Difference struct {
	Path    string  `json:"path"`
	Name    string  `json:"name"`
	Outcome string  `json:"outcome"` // added, changed, removed
	From    *Secret `json:"from,omitzero"`
	To      *Secret `json:"to,omitzero"`
}

// Diff is all that differs.
type Diff struct {
	Differences []Difference `json:"differences"`
}

// RollbackRequest puts an environment, a folder or one secret back to a revision, by a new commit.
type RollbackRequest struct {
	To      int64  `json:"to"`
	Path    string `json:"path,omitzero"` // only this folder and below; default all
	Name    string `json:"name,omitzero"` // only this secret of the folder
	Message string `json:"message,omitzero"`
	DryRun  bool   `json:"dry_run,omitzero"`
}

// PersonalRequest gives the caller a value of his own.
type PersonalRequest struct {
	Path string `json:"path"`
	Name string `json:"name"`
	Value
}

// PurgeRequest destroys a deleted secret.
type PurgeRequest struct {
	Path string `json:"path"`
	Name string `json:"name"`
}

// Located is a secret and where it is.
type Located struct {
	Project string `json:"project"` // slug
	Env     string `json:"env"`     // slug
	Secret
	Group    string `json:"group,omitzero"`    // the same for equal values within one answer
	Replaced bool   `json:"replaced,omitzero"` // only an older version has the value
	Cause    string `json:"cause,omitzero"`    // why it is due, beside its own attributes
}

// Found is the answer of due, reuse, search and where.
type Found struct {
	Secrets []Located `json:"secrets"`
}

// WhereRequest asks where a value is stored. It is a body so that the value stands in no URL.
type WhereRequest struct {
	Value
}

// Schema is what a folder needs.
type Schema struct {
	Path     string        `json:"path"`
	Required []string      `json:"required"`
	Names    []Requirement `json:"names"`
}

// Requirement is one name of a schema.
type Requirement struct {
	Name    string `json:"name"`
	Owner   string `json:"owner,omitzero"`
	Public  bool   `json:"public,omitzero"`
	Missing bool   `json:"missing,omitzero"`
	Problem string `json:"problem,omitzero"` // empty, placeholder, one character repeated
}

// Example is a .env.example, without values.
type Example struct {
	Text string `json:"text"`
}

// Event is one change, as the event stream sends it (text/event-stream, one JSON object in each data line).
type Event struct {
	Seq      int64  `json:"seq"`
	Kind     string `json:"kind"` // commit
	Project  string `json:"project_id"`
	Env      string `json:"env_id"`
	Revision int64  `json:"revision"`
}
