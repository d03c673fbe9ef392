package secrets

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// A document is a folder as the Vault view shows it: its keys are the secrets of the folder. Every commit that touches these makes
// the document's next version, whichever view it comes from. A version may be marked as deleted, which hides the secrets from all
// views while it is the current one, or as destroyed. A folder that never had a secret and no settings is no document.

// defaultVersions is how many versions of a document are shown when neither it nor its mount says so, as in Vault.
const defaultVersions = 10

// DocumentRef names a document below a mount.
type DocumentRef struct {
	Mount Mount
	Env   string // slug or id
	Path  domain.Path
}

func (r DocumentRef) env() EnvRef { return EnvRef{string(r.Mount.Project), r.Env} }

// Document finds which document a path below a mount names. What no environment or folder can be called is fault.Invalid.
func (m Mount) Document(rest string) (DocumentRef, error) {
	out := DocumentRef{Mount: m, Env: string(m.Env)}
	if m.Kind != MountKV {
		return out, fault.New(fault.Invalid, "%s/ holds no documents", m.Path)
	}
	if m.Env == "" {
		var err error
		if out.Env, rest, err = cutEnv(rest); err != nil {
			return out, err
		}
	} else if rest == "" {
		return out, fault.New(fault.Invalid, "the path must name a document below %s/", m.Path)
	}
	if strings.HasPrefix(rest, "/") || strings.HasSuffix(rest, "/") {
		return out, fault.New(fault.Invalid, "a folder has no name: two slashes stand together, or one at the end")
	}
	var err error
	out.Path, err = domain.ParsePath(strings.TrimSuffix(string(m.Folder), "/") + "/" + rest)
	return out, err
}

func cutEnv(rest string) (string, string, error) {
	first, after, _ := strings.Cut(rest, "/")
	if _, err := domain.ParseSlug(first); err != nil {
		return "", "", fault.New(fault.Invalid, "the first segment below the mount must be an environment").WithHint("write PROJECT/data/ENVIRONMENT/FOLDER")
	}
	return first, after, nil
}

// DocumentVersion tells of one version of a document. Times are unix milliseconds, 0 for none.
type DocumentVersion struct {
	Version   int64
	CreatedAt int64
	CreatedBy string // name of whoever made it, where that is asked for and known
	DeletedAt int64  // may lie in the future: it is not deleted before
	Destroyed bool
}

// Gone tells whether nothing of the version is to be shown at a time.
func (v DocumentVersion) Gone(nowMS int64) bool {
	return v.Destroyed || v.DeletedAt != 0 && v.DeletedAt <= nowMS
}

// Field is one key of a document.
type Field struct {
	Name  domain.SecretName
	Value sensitive.Value
	// JSON is true when the value is the text of a JSON value that is not a string.
	JSON bool
}

// Document is one version of a document.
type Document struct {
	DocumentVersion
	Gone   bool // deleted or destroyed: there are no fields to show
	Fields []Field
	Custom map[string]string // metadata of the document as a whole; nil for none
}

// docPlace finds the environment of a document. What cannot be written to is told apart from what cannot be read: a write to an
// environment that is not there, or that the caller may not know of, is fault.Invalid.
func (s *Service) docPlace(ctx context.Context, action policy.Action, ref DocumentRef) (place, error) {
	pl, err := s.where(ctx, action, ref.env())
	if missing(err) && policy.Changes(action) {
		return pl, s.noEnv(ref)
	}
	return pl, err
}

func (s *Service) noEnv(ref DocumentRef) error {
	return fault.New(fault.Invalid, "there is no environment of that name below %s/, or you may not see it", ref.Mount.Path).
		WithHint("the first segment below the mount of a project is an environment: keyturn env list")
}

// refusedWrite gives the answer to a write for which something is not there: what hides an environment looks as if there were none,
// and who sees the environment is told that he may not do this.
func (s *Service) refusedWrite(ctx context.Context, pl place, ref DocumentRef, err error) error {
	if !missing(err) {
		return err
	}
	r := pl.resource("")
	for _, a := range []policy.Action{policy.SecretList, policy.SecretRead, policy.SecretWrite, policy.SecretDelete} {
		if s.door.Reaches(ctx, a, r) {
			return fault.New(fault.Denied, "you may not do this with a document there")
		}
	}
	return s.noEnv(ref)
}

// effective are the settings of a document together with those of its mount.
type effective struct {
	max   int64
	cas   bool
	after time.Duration // 0: for ever
}

func effectiveSettings(own *store.DocumentSettings, m MountSettings) effective {
	if own == nil {
		own = &store.DocumentSettings{}
	}
	e := effective{max: max(own.MaxVersions, m.MaxVersions), cas: own.CASRequired || m.CASRequired}
	e.max = cmp.Or(e.max, defaultVersions)
	mine := time.Duration(own.DeleteAfter) * time.Millisecond
	switch {
	case mine < 0 || m.DeleteVersionAfter < 0:
	case mine == 0 || m.DeleteVersionAfter == 0:
		e.after = max(mine, m.DeleteVersionAfter)
	default:
		e.after = min(mine, m.DeleteVersionAfter)
	}
	return e
}

// end tells when a version that is made now is to be deleted, 0 for never.
func (e effective) end(nowMS int64) int64 {
	if e.after <= 0 {
		return 0
	}
	return nowMS + e.after.Milliseconds()
}

func versionOf(row *store.DocumentVersion) DocumentVersion {
	return DocumentVersion{Version: row.Version, CreatedAt: row.CreatedAt, DeletedAt: row.DeletedAt, Destroyed: row.Destroyed}
}

// unknownVersion stands in for the row of a current version that no program has written: older ones kept none. That it is the
// current one, and what it holds, is known all the same.
func unknownVersion(ctx context.Context, q store.Queries, f *store.Folder, upTo int64) (store.DocumentVersion, error) {
	revision, at, err := q.LastTouched(ctx, f.ID, upTo)
	return store.DocumentVersion{Folder: f.ID, Version: f.Version, Org: f.Org, Project: f.Project, Env: f.Env, Revision: revision, CreatedAt: at}, err
}

// docOp is the question for the door about a document as a whole; each secret is asked for then.
func docOp(action policy.Action, pl place, path domain.Path) guard.Op {
	return guard.Op{Action: action, Resource: pl.resource(path), Within: true}
}
