package secrets

import (
	"context"
	"log/slog"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// documentSweepEvery is how often versions are looked for whose time is over: a question that an index answers. The Vault view
	// shows none of these meanwhile, so this is how much longer the others do.
	documentSweepEvery = 3 * time.Second
	// documentSweepBatch bounds one look.
	documentSweepBatch = 100
	// documentRetry is when a version is tried again that could not be deleted: somebody must change something first.
	documentRetry = time.Hour
)

// endDocument is what the log says of deletions by time.
const endDocument = "end of documents"

func (s *Service) runDocuments(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(documentSweepEvery):
		}
		s.SweepDocuments(ctx)
	}
}

// maxSweepRounds bounds one sweep; the next begins where this one ended.
const maxSweepRounds = 100

// SweepDocuments deletes the secrets of current versions whose time is over, as their own views show them.
func (s *Service) SweepDocuments(ctx context.Context) {
	for skip, round := 0, 0; ctx.Err() == nil && round < maxSweepRounds; round++ { // what is left standing must not keep others from their turn
		rows, err := s.db.DocumentVersionsDue(ctx, nowMS(), skip, documentSweepBatch)
		if err != nil {
			return // the database tells others of that
		}
		for i := range rows {
			row := &rows[i]
			if _, frozen, err := s.db.Frozen(ctx, row.Project); err != nil || frozen {
				skip++
				continue // when it is thawed
			}
			who := &domain.Principal{Kind: domain.System, ID: "documents", Name: endDocument, Org: row.Org}
			ctx := guard.WithCaller(ctx, &guard.Caller{Principal: who, Request: domain.NewID[string](), Dialect: "native"})
			err := s.endOneDocument(ctx, row)
			if err != nil {
				slog.Warn("a document whose time is over could not be deleted", "folder", row.Folder, "version", row.Version, "error", err)
				err = s.postpone(ctx, row)
			}
			if err != nil {
				slog.Warn("a document whose time is over could not be put off", "folder", row.Folder, "version", row.Version, "error", err)
				skip++
			}
		}
		if len(rows) < documentSweepBatch {
			return
		}
	}
}

// endOneDocument deletes what the version shows if it is the current one, and remembers that this was done.
func (s *Service) endOneDocument(ctx context.Context, due *store.DocumentVersion) error {
	pl, err := s.dir.find(ctx, due.Org, EnvRef{string(due.Project), string(due.Env)})
	if missing(err) { // deleted as a whole
		return s.settled(ctx, due, 0)
	}
	if err != nil {
		return err
	}
	r := &request{Commit: &Commit{IfRevision: -1, Cause: causeDocument, Message: endDocument}}
	r.steps = func(ctx context.Context, d *draft) ([]Effect, error) {
		row, err := d.tx.DocumentVersion(ctx, due.Folder, due.Version)
		if err != nil || row.Due == 0 || row.Due > d.tx.Now() {
			return nil, err
		}
		row.Due = 0
		f := d.home.byID[due.Folder]
		if f == nil || f.row.Version != row.Version || row.Destroyed {
			return nil, d.tx.PutDocumentVersions(ctx, &row)
		}
		d.p.Note("document", string(f.row.Path))
		doc := &docDraft{d: d, ref: DocumentRef{Path: f.row.Path}, f: f, now: row}
		doc.mark(&row)
		return nil, doc.deleteLive(ctx, &row)
	}
	_, err = s.commitAs(ctx, guard.Op{Action: policy.SecretDelete, Resource: pl.resource(""), Somewhere: true}, pl, r)
	return err
}

// settled stores when a version is looked at again, 0 for never.
func (s *Service) settled(ctx context.Context, due *store.DocumentVersion, at int64) error {
	op := guard.Op{Action: policy.SecretDelete, Resource: policy.Resource{Org: due.Org, Project: due.Project, Env: due.Env}, Detail: map[string]string{"document": endDocument}}
	err := s.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
		row, err := tx.DocumentVersion(ctx, due.Folder, due.Version)
		if err != nil {
			return err
		}
		row.Due = at
		return tx.PutDocumentVersions(ctx, &row)
	})
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil // forgotten meanwhile
	}
	return err
}

func (s *Service) postpone(ctx context.Context, due *store.DocumentVersion) error {
	return s.settled(ctx, due, nowMS()+documentRetry.Milliseconds())
}
