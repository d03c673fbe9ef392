package migrate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Bounds of one migration. A source with more is moved project by project, with --only.
const (
	maxSets   = 500_000   // states of secrets, old ones too
	maxBytes  = 512 << 20 // of all values: they are held until they are written
	maxPlaces = 100_000   // folders
)

// Plan is what a source holds, in our terms. Before [Plan.Fit] the names are the source's own.
type Plan struct {
	Source   string    // "infisical", "vault" and so on
	Where    string    // address or file
	Projects []Project // sorted as the source has them
	Notes    []Note    // what is not moved, or not as it is
	// Advice is what to change in each client, one line each; {server} and {project:NAME} stand for ours.
	Advice []string
	Mounts []Mount // of Vault, to be laid over what is made
	// References says that ${...} in values means what it means here. Otherwise it is text.
	References bool
	sets       int
	bytes      int
}

// Mount is a path that clients of Vault use. Before [Plan.Fit] its place is not known.
type Mount struct {
	Name               string
	KV                 int // 1 or 2
	Project, Env, Path string
}

// Project becomes a project.
type Project struct {
	ID   string // UUID at the source; empty for none
	Slug string
	Name string
	Envs []*Env
	// From is how the source calls it; "" when it is the slug.
	From string
}

// Env becomes an environment.
type Env struct {
	ID      string // UUID at the source; empty for none
	Slug    string
	Name    string
	Folders []Folder // also those without a secret
	Steps   []Step   // oldest first; what they make of an empty environment is what the source has now
}

// Folder is a folder that exists although it may be empty.
type Folder struct {
	Path    string
	Imports []Place // what it shows beside its own; the last wins
}

// Place names a folder. Empty project and environment mean the same ones.
type Place struct {
	Project, Env, Path string
}

// Step is what one change at the source did, or the state of now where a source keeps no history.
type Step struct {
	At     time.Time // zero when the source does not say
	Author string    // empty when the source does not say
	Sets   []Secret
	Gone   []Key // secrets that exist no more after it
}

// keys lists the secrets that the step is about.
func (st *Step) keys() []Key {
	out := slices.Clone(st.Gone)
	for _, s := range st.Sets {
		out = append(out, s.Key)
	}
	return out
}

// Key names a secret in its environment.
type Key struct {
	Path, Name string
}

// String gives "/path/NAME".
func (k Key) String() string { return strings.TrimSuffix(k.Path, "/") + "/" + k.Name }

// Secret is one state of a secret.
type Secret struct {
	Key
	Value       sensitive.Value
	Comment     string
	Tags        []string
	Meta        map[string]string
	RotateEvery string
	Literal     bool // ${...} in it is text
	JSON        bool // the value is a JSON document other than a string
}

// Kind sorts notes.
type Kind string

// The kinds of notes.
const (
	Unfit    Kind = "unfit"    // cannot be held here as it is, so it is left out unless names may be changed
	Renamed  Kind = "renamed"  // gets another name here
	Changed  Kind = "changed"  // is held here in another way
	Skipped  Kind = "skipped"  // is left at the source on purpose
	Identity Kind = "identity" // users, machines, roles and policies: they are made anew
	Unread   Kind = "unread"   // the credential may not read it
)

// Note is a sentence about something that is not moved as it is. It holds names and never values.
type Note struct {
	Kind  Kind   `json:"kind"`
	Where string `json:"where"`
	Text  string `json:"text"`
}

func (p *Plan) note(kind Kind, where, text string) {
	p.Notes = append(p.Notes, Note{kind, where, text})
}

// Unfit tells how many things cannot be held here as they are.
func (p *Plan) Unfit() int {
	n := 0
	for _, note := range p.Notes {
		if note.Kind == Unfit {
			n++
		}
	}
	return n
}

// count takes a secret into the bounds of the plan.
func (p *Plan) count(n int) error {
	p.sets++
	p.bytes += n
	if p.sets > maxSets || p.bytes > maxBytes {
		return fault.New(fault.Exhausted, "%s holds more than is moved at once: %d states of secrets or %d MiB of values", p.Source, maxSets, maxBytes>>20).
			WithHint("move a part at a time with --only, or with fewer old versions: --history 1")
	}
	return nil
}

// env finds or makes an environment of a project.
func (p *Project) env(slug string) *Env {
	for _, e := range p.Envs {
		if e.Slug == slug {
			return e
		}
	}
	e := &Env{Slug: slug, Name: slug}
	p.Envs = append(p.Envs, e)
	return e
}

// Size counts what a plan makes.
type Size struct {
	Projects, Envs, Folders, Secrets, Versions, Imports, References, Comments, Tags int
}

// Size counts the plan: secrets as they are now, and all their states.
func (p *Plan) Size() Size {
	var s Size
	s.Projects = len(p.Projects)
	for i := range p.Projects {
		for _, e := range p.Projects[i].Envs {
			s.Envs++
			s.Folders += len(e.Folders)
			for _, f := range e.Folders {
				s.Imports += len(f.Imports)
			}
			for _, st := range e.Steps {
				s.Versions += len(st.Sets)
			}
			for _, secret := range e.Now() {
				s.Secrets++
				if secret.Comment != "" {
					s.Comments++
				}
				if len(secret.Tags) > 0 {
					s.Tags++
				}
				if !secret.Literal && hasReference(secret.Value) {
					s.References++
				}
			}
		}
	}
	return s
}

// Now gives the environment as the last step leaves it, sorted.
func (e *Env) Now() []Secret {
	state := map[Key]Secret{}
	for _, st := range e.Steps {
		for _, s := range st.Sets {
			state[s.Key] = s
		}
		for _, k := range st.Gone {
			delete(state, k)
		}
	}
	out := make([]Secret, 0, len(state))
	for _, s := range state {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Secret) int { return compareKeys(a.Key, b.Key) })
	return out
}

func compareKeys(a, b Key) int {
	if c := strings.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// Digest is a keyed digest of what a secret says. Both sides are compared by it, so that no plaintext of one has to be kept
// while the other is read.
type Digest [sha256.Size]byte

// Digest takes value, type, comment, tags and metadata together. Each part goes in with its length before it.
func (s *Secret) Digest(key []byte) Digest {
	mac := hmac.New(sha256.New, key)
	part := func(b []byte) {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(b))) // a hash never fails
		mac.Write(b)
	}
	part(s.Value.Reveal())
	if s.JSON {
		part([]byte("json"))
	} else {
		part(nil)
	}
	part([]byte(s.Comment))
	tags := slices.Compact(slices.Sorted(slices.Values(s.Tags)))
	part([]byte(strings.Join(tags, "\n")))
	keys := make([]string, 0, len(s.Meta))
	for k := range s.Meta {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		part([]byte(k))
		part([]byte(s.Meta[k]))
	}
	var out Digest
	mac.Sum(out[:0])
	return out
}
