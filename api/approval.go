package api

import "time"

// Approval says whose approval changes of an environment need.
type Approval struct {
	Need      int64      `json:"need"`               // how many others; 0 lets changes apply at once
	Approvers []Approver `json:"approvers,omitzero"` // none: whoever may write what changes
	Expiry    string     `json:"expiry,omitzero"`    // how long a change waits, default 7d
	Bypass    []string   `json:"bypass,omitzero"`    // ids of machine identities whose changes apply at once
}

// Approver names who may approve. Machines approve nothing.
type Approver struct {
	Kind string `json:"kind"` // role, group or user
	ID   string `json:"id"`   // name of a role, id of a group or a user
}

// ChangeSet is a change that waits for approval, or waited.
type ChangeSet struct {
	ID         string       `json:"id"`
	Project    string       `json:"project"`
	Env        string       `json:"env"`
	Kind       string       `json:"kind"`  // commit, rollback, purge, setting, env.rename, env.delete, env.restore, env.purge
	State      string       `json:"state"` // open, stale, applied, rejected, expired, withdrawn
	Problem    string       `json:"problem,omitzero"`
	Base       int64        `json:"base"` // revision that it was made for
	AuthorKind string       `json:"author_kind"`
	AuthorID   string       `json:"author_id"`
	Author     string       `json:"author"`
	Message    string       `json:"message,omitzero"`
	Digest     string       `json:"digest"` // of its content, hexadecimal: what an approval is bound to
	Need       int64        `json:"need"`
	Approvals  int64        `json:"approvals"` // that count now
	CreatedAt  time.Time    `json:"created_at"`
	ExpiresAt  time.Time    `json:"expires_at"`
	EndedAt    *time.Time   `json:"ended_at,omitzero"`
	Revision   int64        `json:"revision,omitzero"` // that it made
	Items      []ChangeItem `json:"items"`
	Hidden     int          `json:"hidden,omitzero"` // things that it changes and that the caller may not see
	Reviews    []Review     `json:"reviews"`
	MayReview  bool         `json:"may_review"` // the caller may approve or reject it
	Mine       bool         `json:"mine"`
}

// ChangeItem is one thing that a change set does, without values.
type ChangeItem struct {
	Path       string      `json:"path"`
	Name       string      `json:"name,omitzero"` // absent of a folder
	Outcome    string      `json:"outcome"`
	From       string      `json:"from,omitzero"`  // full name before a rename or move
	Value      bool        `json:"value,omitzero"` // it gets another value
	Attributes *Attributes `json:"attributes,omitzero"`
	Changed    []string    `json:"changed,omitzero"` // attributes that become others
}

// Review is what somebody said of a change set.
type Review struct {
	Reviewer   string    `json:"reviewer"`
	ReviewerID string    `json:"reviewer_id"`
	Verdict    string    `json:"verdict"` // approve, reject, comment
	Comment    string    `json:"comment,omitzero"`
	Digest     string    `json:"digest"` // of the content that was looked at
	At         time.Time `json:"at"`
}

// ChangeSets is a list of them, newest first.
type ChangeSets struct {
	Changes []ChangeSet `json:"changes"`
}

// Waiting is the answer, with status 202, of a change that waits for approval. Nothing was changed yet.
type Waiting struct {
	ChangeSet *ChangeSet `json:"change_set"`
	Effects   []Effect   `json:"effects,omitzero"` // what it will do, as things stand
}

// ReviewRequest approves or rejects what was looked at.
type ReviewRequest struct {
	Digest  string `json:"digest"` // of the change as it was looked at
	Comment string `json:"comment,omitzero"`
}

// CommentRequest says something about a change.
type CommentRequest struct {
	Comment string `json:"comment"`
}

// ReviewLink approves one change as it is now, once, in the name of the one who asked for it.
type ReviewLink struct {
	Token     string    `json:"token"` // shown this once
	Digest    string    `json:"digest"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ReviewLinkRequest shows or uses a link.
type ReviewLinkRequest struct {
	Token   string `json:"token"`
	Comment string `json:"comment,omitzero"` // with an approval
}
