package secrets

import (
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// maxChanges bounds one commit: an import of ten thousand names must fit, a mistake of millions must not hold the writer.
const maxChanges = 20000

// maxMessage bounds the message of a commit, in bytes.
const maxMessage = 1000

// Verb says what one change does.
type Verb string

// The verbs of changes.
const (
	Set            Verb = "set"             // make a secret, or give it a new value or attributes
	Delete         Verb = "delete"          // a secret
	Restore        Verb = "restore"         // a deleted secret, under its name
	Rename         Verb = "rename"          // a secret, to To in the same folder
	Move           Verb = "move"            // a secret, to the folder ToPath
	Copy           Verb = "copy"            // a secret from Source into Path, as To or under its own name
	FolderCreate   Verb = "folder.create"   // and what is missing above it
	FolderMove     Verb = "folder.move"     // to ToPath: a rename, or a move with all that is in it
	FolderDelete   Verb = "folder.delete"   // with all that is in it
	FolderRestore  Verb = "folder.restore"  // with all that was deleted with it
	FolderImports  Verb = "folder.imports"  // replace the list of folders whose secrets it shows
	FolderNote     Verb = "folder.note"     // say in Comment what it is for
	FolderRequired Verb = "folder.required" // replace the list of names without which it is incomplete
)

// Source names a secret or folder elsewhere, in words.
type Source struct {
	EnvRef
	Path domain.Path
	Name domain.SecretName
}

// Condition says what must be so when a change is applied.
type Condition string

// The conditions. With each of them the folder must be there.
const (
	Absent        Condition = "absent"  // the secret is not there
	Present       Condition = "present" // the secret is there
	PresentOrSkip Condition = "skip"    // else the change does nothing
	Anyway        Condition = "anyway"  // whether it is there or not
)

// Change is one part of a commit. Pointers that are nil leave the thing as it is.
type Change struct {
	Verb Verb
	Path domain.Path       // the folder
	Name domain.SecretName // the secret, for verbs on secrets
	If   Condition         `json:",omitzero"` // Set, Rename; "" makes what is missing, folders too

	Value    *sensitive.Value // Set
	Comment  *string
	Attrs    AttributeChange
	Generate int // Set: make a random value of so many characters instead of Value

	To       domain.SecretName   // Rename, Copy
	ToPath   domain.Path         // Move, FolderMove
	From     Source              // Copy
	Imports  []Source            // FolderImports
	Required []domain.SecretName // FolderRequired
}

// AttributeChange says which attributes change.
type AttributeChange struct {
	Owner     *string
	Tags      *[]domain.Tag
	Meta      *map[string]string
	Public    *bool
	Cadence   *domain.Cadence
	ExpiresAt *int64
	Required  *bool
	Literal   *bool
	OneLine   *bool
	Reminder  *string
	JSON      *bool // a new value that does not say so is plain text
}

func (c AttributeChange) apply(a *domain.Attributes) error {
	assign(&a.Owner, c.Owner)
	assign(&a.Tags, c.Tags)
	assign(&a.Meta, c.Meta)
	if len(a.Meta) == 0 {
		a.Meta = nil
	}
	assign(&a.Public, c.Public)
	assign(&a.ExpiresAt, c.ExpiresAt)
	assign(&a.Required, c.Required)
	assign(&a.Literal, c.Literal)
	assign(&a.OneLine, c.OneLine)
	assign(&a.Reminder, c.Reminder)
	assign(&a.JSON, c.JSON)
	if c.Cadence != nil {
		cadence, err := domain.ParseCadence(string(*c.Cadence))
		if err != nil {
			return err
		}
		a.Cadence = cadence
	}
	return a.Check()
}

func assign[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Outcome says what a change did.
type Outcome string

// The outcomes of changes.
const (
	Added   Outcome = "added"
	Changed Outcome = "changed"
	Same    Outcome = "same"
	Removed Outcome = "removed"
	Skipped Outcome = "skipped" // by its condition
)

// Effect is what became of one change.
type Effect struct {
	Path    domain.Path
	Name    domain.SecretName
	Outcome Outcome
	Version int64
	// State is the secret afterwards, or as it was when it is gone. Only where the commit asks for it.
	State *Item

	made *secretDraft
}

// Commit is what somebody wants to change in one environment, all or nothing.
type Commit struct {
	Changes []Change
	Message string
	Cause   string // "person", "import", "rollback", ...
	// IfRevision, when not negative, refuses the commit unless the environment stands at this revision.
	IfRevision int64
	DryRun     bool // tell the effects and change nothing
	// Loose takes values whose references point to nothing: they stay text until there is something. The native API refuses
	// them, so that nobody finds out only when a program starts.
	Loose bool
	// Show puts the state of each secret into its effect, with the value for an author who may read it.
	Show bool
}

// Committed is what came of it.
type Committed struct {
	ID       domain.CommitID // empty when nothing changed
	Revision int64
	Effects  []Effect
}

func (c *Commit) check() error {
	switch {
	case len(c.Changes) == 0:
		return fault.New(fault.Invalid, "the commit holds no change")
	case len(c.Changes) > maxChanges:
		return fault.New(fault.Invalid, "too many changes in one commit: at most %d", maxChanges).WithHint("split it in several commits")
	case len(c.Message) > maxMessage:
		return fault.New(fault.Invalid, "the message is too long: at most %d bytes", maxMessage)
	}
	for _, ch := range c.Changes {
		if ch.Value != nil && ch.Value.Len() > domain.MaxValue {
			return fault.New(fault.Invalid, "the value of %s is too large: at most %d bytes", ch.Path.Key(ch.Name), domain.MaxValue)
		}
		if ch.Comment != nil && len(*ch.Comment) > domain.MaxComment {
			return fault.New(fault.Invalid, "the comment of %s is too long: at most %d bytes", ch.Path.Key(ch.Name), domain.MaxComment)
		}
	}
	return nil
}
