package secrets

import (
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// causeDocument is in the history for commits that were made through documents.
const causeDocument = "document"

// DocumentWrite is a new version of a document.
type DocumentWrite struct {
	Fields []Field // each name once
	// Merge keeps what is not named, removes fields that are the JSON text null, and merges JSON objects into objects (RFC 7396).
	Merge bool
	// CAS, when set, is the version that must be the current one; 0: there must never have been one.
	CAS *int64
	// Plain writes do not know of check-and-set: version 1 of the engine.
	Plain bool
}

func (w *DocumentWrite) check(path domain.Path) error {
	if len(w.Fields) > maxChanges {
		return fault.New(fault.Invalid, "too many keys in one document: at most %d", maxChanges)
	}
	for _, f := range w.Fields {
		if f.Value.Len() > domain.MaxValue {
			return fault.New(fault.Invalid, "the value of %s is too large: at most %d bytes", path.Key(f.Name), domain.MaxValue)
		}
	}
	return nil
}

// DocumentGone is what a merge gets when the current version was deleted or destroyed: that version.
type DocumentGone struct {
	DocumentVersion
	Custom map[string]string
}

// Error implements error.
func (*DocumentGone) Error() string { return "the current version of the document is deleted" }

// Unwrap gives the fault that it is for whoever does not know it.
func (g *DocumentGone) Unwrap() error { return fault.New(fault.Conflict, "%s", g.Error()) }

// WriteDocument makes a new version, of these fields alone, or with Merge of what the current one has too. What was written comes
// back as it was: references are not followed in it. The fault of a wrong version is fault.Conflict, with the words that clients of
// Vault look for. A merge into a document that is not there is fault.NotFound, into one that is gone [DocumentGone].
func (s *Service) WriteDocument(ctx context.Context, ref DocumentRef, w DocumentWrite) (DocumentVersion, map[string]string, error) {
	if err := w.check(ref.Path); err != nil {
		return DocumentVersion{}, nil, err
	}
	pl, err := s.docPlace(ctx, policy.SecretWrite, ref)
	if err != nil {
		return DocumentVersion{}, nil, err
	}
	op := docOp(policy.SecretWrite, pl, ref.Path)
	for _, f := range w.Fields {
		op.Keys = append(op.Keys, ref.Path.Key(f.Name))
	}
	var made *docDraft
	r := &request{Commit: &Commit{IfRevision: -1, Cause: causeDocument}}
	r.steps = func(ctx context.Context, d *draft) (effects []Effect, err error) {
		if made, err = d.document(ctx, ref, policy.SecretWrite); err != nil {
			return nil, err
		}
		return made.write(ctx, &w)
	}
	r.spelled = func(ctx context.Context, d *draft) ([]Change, error) {
		doc, err := d.document(ctx, ref, policy.SecretWrite)
		if err != nil {
			return nil, err
		}
		return doc.changes(ctx, &w)
	}
	if _, err = s.commitAs(ctx, op, pl, r); err != nil {
		if made != nil && made.missing {
			return DocumentVersion{}, nil, guard.Missing()
		}
		return DocumentVersion{}, nil, s.refusedWrite(ctx, pl, ref, err)
	}
	row, err := made.row()
	return row, made.custom(), err
}

// docDraft is a document in a draft.
type docDraft struct {
	d       *draft
	ref     DocumentRef
	f       *folderDraft          // nil: no such folder
	now     store.DocumentVersion // zero when it has no version
	known   bool                  // now has a row
	set     effective
	missing bool // what should have been there was not
	// destroyed are the versions that a commit destroys.
	destroyed []*store.DocumentVersion
}

// document opens a document in a draft, for somebody who may do the action with some of it.
func (d *draft) document(ctx context.Context, ref DocumentRef, action policy.Action) (*docDraft, error) {
	d.through = &ref.Mount
	if at := d.home.place.resource(ref.Path); !d.p.In(action, at).Some() {
		return nil, d.refused(action, d.home, at)
	}
	doc := &docDraft{d: d, ref: ref, f: d.home.byPath[ref.Path]}
	if doc.f == nil {
		doc.set = effectiveSettings(nil, ref.Mount.Settings)
		return doc, nil
	}
	doc.set = effectiveSettings(doc.f.row.Settings.Document, ref.Mount.Settings)
	if doc.f.row.Version == 0 {
		return doc, nil
	}
	var err error
	doc.now, doc.known, err = d.current(ctx, d.home, doc.f)
	return doc, err
}

func (doc *docDraft) checkCAS(w *DocumentWrite) error {
	switch {
	case w.Plain:
	case w.CAS == nil && doc.set.cas:
		return fault.New(fault.Invalid, "check-and-set parameter required for this call")
	case w.CAS != nil && *w.CAS != doc.now.Version:
		return fault.New(fault.Conflict, "check-and-set parameter did not match the current version")
	}
	return nil
}

// changes spells a write out as changes of secrets.
func (doc *docDraft) changes(ctx context.Context, w *DocumentWrite) ([]Change, error) {
	d := doc.d
	if err := doc.checkCAS(w); err != nil {
		return nil, err
	}
	var live []*secretDraft
	if doc.f != nil {
		var err error
		if live, err = d.live(ctx, d.home, doc.f); err != nil {
			return nil, err
		}
	}
	if w.Merge {
		if doc.now.Version == 0 {
			doc.missing = true
			return nil, guard.Missing()
		}
		if v := versionOf(&doc.now); v.Gone(d.tx.Now()) {
			return nil, &DocumentGone{v, doc.custom()}
		}
	}
	return doc.replace(ctx, w, live)
}

func (doc *docDraft) replace(ctx context.Context, w *DocumentWrite, live []*secretDraft) ([]Change, error) {
	path := doc.ref.Path
	var out []Change
	named := map[domain.SecretName]bool{}
	for i := range w.Fields {
		f := w.Fields[i]
		named[f.Name] = true
		if w.Merge && f.JSON {
			merged, keep, err := doc.merged(ctx, &f)
			if err != nil {
				return nil, err
			}
			if !keep {
				if doc.f.named[f.Name] != nil {
					out = append(out, Change{Verb: Delete, Path: path, Name: f.Name})
				}
				continue
			}
			f.Value = merged
		}
		literal := strings.Contains(string(f.Value.Reveal()), "${")
		out = append(out, Change{Verb: Set, Path: path, Name: f.Name, Value: &f.Value, Attrs: AttributeChange{JSON: &f.JSON, Literal: &literal}})
	}
	if w.Merge || doc.f == nil {
		return out, nil
	}
	for _, s := range live {
		if !named[s.row.Name] {
			out = append(out, Change{Verb: Delete, Path: path, Name: s.row.Name})
		}
	}
	return out, nil
}

// merged gives what becomes of a field that a merge names; false when it goes.
func (doc *docDraft) merged(ctx context.Context, f *Field) (sensitive.Value, bool, error) {
	patch := f.Value.Reveal()
	if string(patch) == "null" {
		return sensitive.Value{}, false, nil
	}
	var now []byte
	if s, err := doc.d.secret(ctx, doc.d.home, doc.f, f.Name); err != nil {
		return sensitive.Value{}, false, err
	} else if s != nil && s.row.Attrs.JSON {
		v, err := doc.d.plaintext(s)
		if err != nil {
			return sensitive.Value{}, false, err
		}
		now = v.Reveal()
	}
	merged, err := mergePatch(now, patch)
	if err == nil && len(merged) > domain.MaxValue {
		err = fault.New(fault.Invalid, "the value of %s becomes too large: at most %d bytes", doc.ref.Path.Key(f.Name), domain.MaxValue)
	}
	return sensitive.New(merged), true, err
}

// write does a write and makes sure that it counts as a new version, even when nothing becomes another value.
func (doc *docDraft) write(ctx context.Context, w *DocumentWrite) ([]Effect, error) {
	d := doc.d
	changes, err := doc.changes(ctx, w)
	if err != nil {
		return nil, err
	}
	for i := range changes {
		if changes[i].Verb == Delete {
			d.p.Names(doc.ref.Path.Key(changes[i].Name))
		}
	}
	effects, err := d.applyAll(ctx, changes)
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		if err := d.allowed(policy.SecretWrite, d.home, doc.ref.Path); err != nil {
			return nil, err
		}
	}
	if doc.f = d.home.byPath[doc.ref.Path]; doc.f == nil || len(d.home.order) == 0 {
		if doc.f, err = d.home.folder(doc.ref.Path, true); err != nil {
			return nil, err
		}
		d.home.changeFolder(doc.f)
	}
	d.home.touched[doc.f.row.ID] = true
	return effects, nil
}

// row tells of the version that was made, after the commit.
func (doc *docDraft) row() (DocumentVersion, error) {
	i := slices.IndexFunc(doc.d.home.made, func(v *store.DocumentVersion) bool { return v.Folder == doc.f.row.ID })
	if i < 0 {
		return DocumentVersion{}, fault.New(fault.Internal, "a document was written and has no version")
	}
	return versionOf(doc.d.home.made[i]), nil
}

func (doc *docDraft) custom() map[string]string {
	if doc.f == nil || doc.f.row.Settings.Document == nil {
		return nil
	}
	return doc.f.row.Settings.Document.Custom
}
