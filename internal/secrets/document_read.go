package secrets

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// ReadDocument shows a version of a document, 0 for the current one. A document or version that is not there, or is not shown any
// more, is fault.NotFound; one that was deleted or destroyed is Gone. Secrets that the caller may not read are left out, as in lists.
func (s *Service) ReadDocument(ctx context.Context, ref DocumentRef, version int64) (Document, error) {
	pl, err := s.docPlace(ctx, policy.SecretRead, ref)
	if err != nil {
		return Document{}, err
	}
	var out Document
	err = s.door.Read(ctx, docOp(policy.SecretRead, pl, ref.Path), func(p guard.Permit) error {
		held, err := s.cache.document(ctx, pl.env.ID, ref.Path)
		if err != nil {
			return hidden(err)
		}
		out, err = s.readDocument(ctx, p, pl, &held, version)
		p.Revision(held.revision)
		return err
	})
	return out, err
}

func (s *Service) readDocument(ctx context.Context, p guard.Permit, pl place, held *heldDocument, version int64) (Document, error) {
	look := p.In(policy.SecretRead, pl.resource(held.folder.Path))
	now := held.version
	if !look.Some() || now.Version == 0 || version < 0 || version > now.Version || version != 0 && version < now.Oldest {
		return Document{}, guard.Missing()
	}
	out := Document{}
	if d := held.folder.Settings.Document; d != nil {
		out.Custom = d.Custom
	}
	rows, old := held.rows, false
	if version != 0 && version != now.Version {
		row, err := s.db.DocumentVersion(ctx, held.folder.ID, version)
		if err != nil {
			return Document{}, hidden(err) // before this program kept versions
		}
		now, old = row, true
	}
	out.DocumentVersion = versionOf(&now)
	if out.Gone = out.DocumentVersion.Gone(nowMS()); out.Gone {
		return out, nil
	}
	if old {
		states, err := s.db.SecretsInAt(ctx, held.folder.ID, now.Revision)
		if err != nil {
			return Document{}, err
		}
		may := s.mayState(ctx, p, pl)
		rows = nil
		for i := range states {
			if may(policy.SecretRead, held.folder.Path, &states[i]) {
				rows = append(rows, &states[i])
			}
		}
	}
	return out, s.fields(ctx, p, pl, held.folder.Path, rows, look, &out)
}

// fields opens what the caller may read. A version of which nothing is left, since all of it was purged, is destroyed.
func (s *Service) fields(ctx context.Context, p guard.Permit, pl place, path domain.Path, rows []*store.Secret, look policy.Folder, out *Document) error {
	r := &reader{s: s, p: p, home: pl}
	out.Fields = make([]Field, 0, len(rows))
	keys := make([]string, 0, len(rows))
	purged := 0
	for _, row := range rows {
		if !look.May(row.Name, row.Attrs.Tags) {
			continue
		}
		if row.Value == nil {
			purged++
			continue
		}
		value, _, err := r.value(ctx, pl, path, row)
		if err != nil {
			return err
		}
		keys = append(keys, path.Key(row.Name))
		out.Fields = append(out.Fields, Field{Name: row.Name, Value: value, JSON: row.Attrs.JSON})
	}
	p.Names(keys...)
	if purged > 0 && len(out.Fields) == 0 {
		out.Destroyed, out.Gone, out.Fields = true, true, nil
	}
	return nil
}

// DocumentMetadata is what is known of a document beside its values. Times are unix milliseconds, 0 for none.
type DocumentMetadata struct {
	Current     int64
	Oldest      int64 // the lowest version that is shown, 0 when all are
	Versions    []DocumentVersion
	MaxVersions int64
	CASRequired bool
	DeleteAfter time.Duration
	Custom      map[string]string
	CreatedAt   int64
	UpdatedAt   int64
}

// maxAuthors bounds the versions of which metadata tells who made them: each is a question to the database.
const maxAuthors = 50

// DocumentMetadata shows settings and versions of a document. One that is not there is fault.NotFound.
func (s *Service) DocumentMetadata(ctx context.Context, ref DocumentRef) (DocumentMetadata, error) {
	pl, err := s.docPlace(ctx, policy.SecretList, ref)
	if err != nil {
		return DocumentMetadata{}, err
	}
	var out DocumentMetadata
	err = s.door.Read(ctx, docOp(policy.SecretList, pl, ref.Path), func(p guard.Permit) error {
		held, err := s.cache.document(ctx, pl.env.ID, ref.Path)
		if err != nil {
			return hidden(err)
		}
		if !p.In(policy.SecretList, pl.resource(ref.Path)).Some() {
			return guard.Missing()
		}
		p.Revision(held.revision)
		out, err = s.metadata(ctx, &held)
		return err
	})
	return out, err
}

func (s *Service) metadata(ctx context.Context, held *heldDocument) (DocumentMetadata, error) {
	out := DocumentMetadata{Current: held.version.Version, Oldest: held.version.Oldest, UpdatedAt: held.version.CreatedAt, CreatedAt: held.version.CreatedAt}
	if d := held.folder.Settings.Document; d != nil {
		out.MaxVersions, out.CASRequired, out.Custom = d.MaxVersions, d.CASRequired, d.Custom
		out.DeleteAfter = time.Duration(d.DeleteAfter) * time.Millisecond
		out.UpdatedAt, out.CreatedAt = max(out.UpdatedAt, d.UpdatedAt), cmp.Or(out.CreatedAt, d.CreatedAt)
		if d.CreatedAt != 0 {
			out.CreatedAt = min(out.CreatedAt, d.CreatedAt)
		}
	}
	if out.Current == 0 {
		return out, nil
	}
	rows, err := s.db.DocumentVersionsFrom(ctx, held.folder.ID, held.version.Oldest) // not all that were ever made
	if err != nil {
		return out, err
	}
	if first, err := s.db.DocumentVersion(ctx, held.folder.ID, 1); err == nil && first.CreatedAt != 0 {
		out.CreatedAt = min(out.CreatedAt, first.CreatedAt)
	} else if err != nil && !missing(err) {
		return out, err
	}
	if len(rows) == 0 || rows[0].Version < held.version.Version {
		rows = slices.Insert(rows, 0, held.version)
	}
	for i := range rows { // newest first
		row := &rows[i]
		if row.CreatedAt != 0 {
			out.CreatedAt = min(out.CreatedAt, row.CreatedAt)
		}
		if row.Version > out.Current || row.Version < out.Oldest {
			continue
		}
		v := versionOf(row)
		if len(out.Versions) < maxAuthors {
			if c, err := s.db.CommitAt(ctx, row.Env, row.Revision); err == nil {
				v.CreatedBy = c.AuthorName
			}
		}
		out.Versions = append(out.Versions, v)
	}
	slices.Reverse(out.Versions)
	return out, nil
}

// DocumentTag names the state of a document for the caller: equal tags mean that reading its current version again would give the
// same. It opens nothing and leaves no record.
func (s *Service) DocumentTag(ctx context.Context, ref DocumentRef) (string, error) {
	tag, err := s.Tag(ctx, ref.env(), ref.Path)
	if err != nil {
		return "", err
	}
	pl, err := s.dir.find(ctx, guard.CallerOf(ctx).Principal.Org, ref.env())
	if err != nil {
		return "", err
	}
	held, err := s.cache.document(ctx, pl.env.ID, ref.Path)
	if err != nil {
		return "", err
	}
	gone := "" // time alone ends a version
	if versionOf(&held.version).Gone(nowMS()) {
		gone = ".gone"
	}
	return tag + "." + strconv.FormatInt(held.version.Version, 10) + gone, nil
}
