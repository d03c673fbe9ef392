package secrets

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// maxVersionsNamed bounds what one request does to versions.
const maxVersionsNamed = 1000

// DeleteDocument hides versions of a document, the current one when none are named. When that is the current one its secrets are
// deleted, which the other views see. No new version is made. What is not there or hidden already stays as it is.
func (s *Service) DeleteDocument(ctx context.Context, ref DocumentRef, versions []int64) error {
	return s.onVersions(ctx, policy.SecretDelete, ref, "delete", versions, func(ctx context.Context, doc *docDraft, row *store.DocumentVersion) error {
		if versionOf(row).Gone(doc.d.tx.Now()) {
			return nil
		}
		row.DeletedAt, row.Due = doc.d.tx.Now(), 0
		doc.mark(row)
		return doc.deleteLive(ctx, row)
	})
}

// UndeleteDocument brings hidden versions back. The secrets of the current one are restored. Destroyed ones stay destroyed.
func (s *Service) UndeleteDocument(ctx context.Context, ref DocumentRef, versions []int64) error {
	return s.onVersions(ctx, policy.SecretDelete, ref, "undelete", versions, func(ctx context.Context, doc *docDraft, row *store.DocumentVersion) error {
		if row.Destroyed {
			return nil
		}
		was := *row
		row.DeletedAt, row.Due = doc.set.end(doc.d.tx.Now()), 0
		if row.Version == doc.now.Version {
			row.Due = row.DeletedAt
		}
		if *row == was {
			return nil
		}
		if row.Version != doc.now.Version {
			if err := doc.d.allowed(policy.SecretDelete, doc.d.home, doc.ref.Path); err != nil {
				return err
			}
			doc.mark(row)
			return nil
		}
		doc.mark(row)
		return doc.revive(ctx, row)
	})
}

// DestroyDocument destroys versions for good. Of their values those go that no other version shows which could still be read, and
// that no secret holds elsewhere. How many went is noted in the log.
func (s *Service) DestroyDocument(ctx context.Context, ref DocumentRef, versions []int64) error {
	return s.onVersions(ctx, policy.SecretPurge, ref, "destroy", versions, func(ctx context.Context, doc *docDraft, row *store.DocumentVersion) error {
		if row.Destroyed {
			return nil
		}
		// Each value that goes is the caller's to destroy, as everywhere else.
		states, err := doc.d.tx.SecretsInAt(ctx, doc.f.row.ID, row.Revision)
		if err != nil {
			return err
		}
		for i := range states {
			if err := doc.d.may(policy.SecretPurge, doc.d.home, doc.d.home.place.row(doc.ref.Path, &states[i])); err != nil {
				return err
			}
		}
		row.Destroyed, row.Due = true, 0
		doc.mark(row)
		doc.destroyed = append(doc.destroyed, row)
		return doc.deleteLive(ctx, row)
	})
}

// onVersions does something to each version that is there.
func (s *Service) onVersions(ctx context.Context, action policy.Action, ref DocumentRef, verb string, versions []int64,
	change func(context.Context, *docDraft, *store.DocumentVersion) error) error {
	if len(versions) > maxVersionsNamed {
		return fault.New(fault.Invalid, "too many versions at once: at most %d", maxVersionsNamed)
	}
	pl, err := s.docPlace(ctx, action, ref)
	if err != nil {
		return err
	}
	op := docOp(action, pl, ref.Path)
	op.Detail = map[string]string{"document": verb}
	if len(versions) > 0 {
		op.Detail["versions"] = numbers(versions)
	}
	r := &request{Commit: &Commit{IfRevision: -1, Cause: causeDocument, Message: verb + " " + string(ref.Path)}}
	r.steps = func(ctx context.Context, d *draft) ([]Effect, error) {
		doc, err := d.document(ctx, ref, action)
		if err != nil || doc.now.Version == 0 {
			return nil, err
		}
		named := versions
		if len(named) == 0 {
			named = []int64{doc.now.Version}
		}
		for _, v := range slices.Compact(slices.Sorted(slices.Values(named))) {
			row, err := doc.version(ctx, v)
			if err != nil {
				return nil, err
			}
			if row == nil {
				continue
			}
			if err := change(ctx, doc, row); err != nil {
				return nil, err
			}
		}
		if len(doc.destroyed) > 0 {
			d.then = append(d.then, doc.destroyValues)
		}
		return nil, nil
	}
	_, err = s.commitAs(ctx, op, pl, r)
	return s.refusedWrite(ctx, pl, ref, err)
}

// shownNumbers bounds how many versions the log names.
const shownNumbers = 20

func numbers(versions []int64) string {
	var out []string
	for i, v := range versions {
		if i == shownNumbers {
			out = append(out, "...")
			break
		}
		out = append(out, strconv.FormatInt(v, 10))
	}
	return strings.Join(out, ",")
}

// version gives the row of a version that can be seen, nil when there is none.
func (doc *docDraft) version(ctx context.Context, v int64) (*store.DocumentVersion, error) {
	if v < 1 || v < doc.now.Oldest || v > doc.now.Version {
		return nil, nil
	}
	if v == doc.now.Version {
		return &doc.now, nil
	}
	row, err := doc.d.tx.DocumentVersion(ctx, doc.f.row.ID, v)
	if missing(err) {
		return nil, nil
	}
	return &row, err
}

// mark has a changed version written. The folder counts as changed, so that there is a revision by which all servers hear of it.
func (doc *docDraft) mark(row *store.DocumentVersion) {
	e := doc.d.home
	e.marks = append(e.marks, row)
	e.unnumbered[doc.f.row.ID] = true
	e.changeFolder(doc.f)
}

// deleteLive deletes the secrets of the current version, when that is the one.
func (doc *docDraft) deleteLive(ctx context.Context, row *store.DocumentVersion) error {
	d := doc.d
	if row.Version != doc.now.Version {
		return d.allowed(policy.SecretDelete, d.home, doc.ref.Path)
	}
	live, err := d.live(ctx, d.home, doc.f)
	if err != nil {
		return err
	}
	for _, s := range live {
		d.p.Names(doc.ref.Path.Key(s.row.Name))
		if _, err := d.apply(ctx, &Change{Verb: Delete, Path: doc.ref.Path, Name: s.row.Name}); err != nil {
			return err
		}
	}
	return nil
}

// revive brings the secrets of the current version back, as far as they were not purged.
func (doc *docDraft) revive(ctx context.Context, row *store.DocumentVersion) error {
	d := doc.d
	states, err := d.tx.SecretsInAt(ctx, doc.f.row.ID, row.Revision)
	if err != nil {
		return err
	}
	if _, err := d.live(ctx, d.home, doc.f); err != nil {
		return err
	}
	for i := range states {
		if doc.f.named[states[i].Name] != nil {
			continue // it was never deleted
		}
		now, err := d.tx.Secret(ctx, states[i].ID)
		if err != nil {
			return err
		}
		if now.Deleted == 0 || now.Value == nil {
			continue
		}
		if err := d.may(policy.SecretDelete, d.home, d.home.place.row(doc.ref.Path, &now)); err != nil {
			return err
		}
		s := d.home.adopt(now)
		s.row.Folder = doc.f.row.ID
		d.revive(doc.f, s)
		d.p.Names(doc.ref.Path.Key(s.row.Name))
	}
	return nil
}

// valueOfSecret names one value in the history of a secret.
type valueOfSecret struct {
	id      domain.SecretID
	version int64
}

// destroyValues destroys what only the destroyed versions show. It runs after all states are written.
func (doc *docDraft) destroyValues(ctx context.Context) error {
	d, folder := doc.d, doc.f.row.ID
	states, err := d.tx.StatesEverIn(ctx, folder)
	if err != nil {
		return err
	}
	rows, err := d.tx.DocumentVersions(ctx, folder)
	if err != nil {
		return err
	}
	kept := map[valueOfSecret]bool{}
	for _, s := range states {
		if s.Folder != folder && s.Deleted == 0 { // it was or is a key of another document too
			kept[valueOfSecret{s.ID, s.Version}] = true
		}
	}
	for i := range rows {
		if !rows[i].Destroyed && rows[i].Version >= doc.now.Oldest {
			for v := range shownBy(states, folder, rows[i].Revision) {
				kept[v] = true
			}
		}
	}
	gone, stay := map[valueOfSecret]bool{}, map[valueOfSecret]bool{}
	for _, row := range doc.destroyed {
		for v := range shownBy(states, folder, row.Revision) {
			if kept[v] {
				stay[v] = true
			} else {
				gone[v] = true
			}
		}
	}
	for v := range gone {
		if err := d.tx.DestroyVersion(ctx, v.id, v.version); err != nil {
			return err
		}
	}
	d.p.Note("destroyed_values", strconv.Itoa(len(gone)))
	if len(stay) > 0 {
		d.p.Note("kept_values", strconv.Itoa(len(stay)))
	}
	return nil
}

// shownBy gives the values that a folder showed at a revision. States of one secret stand together, the newest first.
func shownBy(states []store.SecretState, folder domain.FolderID, revision int64) map[valueOfSecret]bool {
	out := map[valueOfSecret]bool{}
	seen := map[domain.SecretID]bool{}
	for _, s := range states {
		if s.Revision > revision || seen[s.ID] {
			continue
		}
		seen[s.ID] = true
		if s.Folder == folder && s.Deleted == 0 {
			out[valueOfSecret{s.ID, s.Version}] = true
		}
	}
	return out
}

// ForgetDocument deletes the secrets of a folder and all that is known of it as a document: the next write makes version 1. What
// lies in folders below stays. The history of the other views keeps what was there.
func (s *Service) ForgetDocument(ctx context.Context, ref DocumentRef) error {
	pl, err := s.docPlace(ctx, policy.SecretDelete, ref)
	if err != nil {
		return err
	}
	op := docOp(policy.SecretDelete, pl, ref.Path)
	op.Detail = map[string]string{"document": "forget"}
	r := &request{Commit: &Commit{IfRevision: -1, Cause: causeDocument, Message: "delete " + string(ref.Path)}}
	r.steps = func(ctx context.Context, d *draft) ([]Effect, error) {
		doc, err := d.document(ctx, ref, policy.SecretDelete)
		if err != nil || doc.f == nil || !isDocument(&doc.f.row) {
			return nil, err
		}
		if err := d.allowed(policy.SecretDelete, d.home, ref.Path); err != nil {
			return nil, err
		}
		if err := doc.deleteLive(ctx, &doc.now); err != nil {
			return nil, err
		}
		d.home.unnumbered[doc.f.row.ID] = true
		doc.f.row.Version, doc.f.row.Settings.Document = 0, nil
		d.home.changeFolder(doc.f)
		d.then = append(d.then, func(ctx context.Context) error { return d.tx.RemoveDocumentVersions(ctx, doc.f.row.ID) })
		return nil, nil
	}
	_, err = s.commitAs(ctx, op, pl, r)
	return s.refusedWrite(ctx, pl, ref, err)
}
