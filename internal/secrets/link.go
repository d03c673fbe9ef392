package secrets

import (
	"context"
	"crypto/subtle"
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// linkTTL is how long a link approves: mail is read within two days or not at all.
const linkTTL = 48 * time.Hour

// LinkToReview makes a link by which one reviewer approves a change set as it is now, once and without a login. Its token is
// shown this once. A caller gets a link for himself only, so that no author can have one that is another's; the server itself
// makes one for each reviewer, user "" being the caller.
func (s *Service) LinkToReview(ctx context.Context, id string, user domain.UserID) (store.ChangeLink, sensitive.Value, error) {
	var row store.ChangeLink
	var token sensitive.Value
	_, err := s.onChange(ctx, policy.ChangeReview, id, func(tx *store.Tx, p guard.Permit, pl place, change *store.ChangeSet) error {
		reviewer := p
		switch who := p.Principal(); {
		case who.Kind == domain.System && user != "":
			other, err := s.people.Principal(ctx, tx.Queries, domain.User, string(user))
			if err != nil {
				return err
			}
			reviewer = p.OnBehalf(other)
		case user != "" && string(user) != who.ID:
			return fault.New(fault.Denied, "a link is made for oneself only").WithHint("the reviewer asks for it: keyturn change link %s", id)
		}
		need, err := rule(ctx, tx.Queries, change.Env)
		if err != nil {
			return err
		}
		if change.State != ChangeOpen || !need.mayReview(reviewer, pl, change) {
			return fault.New(fault.Denied, "there is nothing to review here")
		}
		token = domain.NewToken(domain.ReviewLink)
		hash := domain.TokenHash(string(token.Reveal()))
		row = store.ChangeLink{ID: domain.NewID[string](), Change: change.ID, Org: change.Org, Reviewer: domain.UserID(reviewer.Principal().ID), Digest: change.Digest,
			Hash: hash[:], CreatedAt: tx.Now(), ExpiresAt: min(tx.Now()+linkTTL.Milliseconds(), change.ExpiresAt)}
		p.Note("link", row.ID)
		return tx.PutChangeLink(ctx, &row)
	})
	if err != nil {
		return store.ChangeLink{}, sensitive.Value{}, err
	}
	return row, token, nil
}

func badLink() *fault.Error {
	return fault.New(fault.Unauthenticated, "the link is not valid: unknown, used, expired, or the change was edited").
		WithHint("log in and look at the change: keyturn change list")
}

// linked finds who a link is for, and gives a context in which he is the caller. Nothing is recorded yet.
func (s *Service) linked(ctx context.Context, token string) (context.Context, store.ChangeLink, error) {
	if kind, err := domain.CheckToken(token); err != nil || kind != domain.ReviewLink {
		return ctx, store.ChangeLink{}, badLink()
	}
	hash := domain.TokenHash(token)
	link, err := s.db.ChangeLinkByHash(ctx, hash[:])
	if missing(err) || err == nil && (link.UsedAt != 0 || link.ExpiresAt <= nowMS()) {
		err = badLink()
	}
	if err != nil {
		return ctx, link, err
	}
	who, err := s.people.Principal(ctx, s.db.Queries, domain.User, string(link.Reviewer))
	if fault.KindOf(err) == fault.Denied {
		err = badLink()
	}
	if err != nil {
		return ctx, link, err
	}
	c := *guard.CallerOf(ctx)
	c.Principal = who
	return guard.WithCaller(ctx, &c), link, nil
}

// OpenLink shows the change set of a link to its reviewer: names and kinds of change, never values. It uses nothing up, so that
// a mail program which follows links does no harm.
func (s *Service) OpenLink(ctx context.Context, token sensitive.Value) (ChangeView, error) {
	ctx, link, err := s.linked(ctx, string(token.Reveal()))
	if err != nil {
		return ChangeView{}, err
	}
	out, err := s.Change(ctx, string(link.Change))
	if err == nil && subtle.ConstantTimeCompare(out.Digest, link.Digest) != 1 {
		err = badLink()
	}
	return out, err
}

// ApproveLink approves as the reviewer of a link and uses it up.
func (s *Service) ApproveLink(ctx context.Context, token sensitive.Value, comment string) (ChangeView, error) {
	if len(comment) > maxReviewComment {
		return ChangeView{}, fault.New(fault.Invalid, "the comment is too long: at most %d bytes", maxReviewComment).WithField("/comment", "too long")
	}
	ctx, link, err := s.linked(ctx, string(token.Reveal()))
	if err != nil {
		return ChangeView{}, err
	}
	return s.onChange(ctx, policy.ChangeReview, string(link.Change), func(tx *store.Tx, p guard.Permit, pl place, row *store.ChangeSet) error {
		fresh, err := tx.ChangeLinkByHash(ctx, link.Hash)
		if err != nil {
			return err
		}
		if fresh.UsedAt != 0 || fresh.ExpiresAt <= tx.Now() || subtle.ConstantTimeCompare(row.Digest, fresh.Digest) != 1 {
			return badLink()
		}
		fresh.UsedAt = tx.Now()
		if err := tx.PutChangeLink(ctx, &fresh); err != nil {
			return err
		}
		p.Note("link", fresh.ID)
		return s.review(ctx, tx, p, pl, row, store.ChangeReview{Verdict: VerdictApprove, Digest: fresh.Digest, Comment: comment})
	})
}

// sweepEvery is how often changes are looked for that have expired. Nothing hangs on it: an expired change is refused before.
const sweepEvery = time.Minute

// sweepBatch bounds one look.
const sweepBatch = 100

// Run destroys what expired changes held, ends the predecessors of signing secrets, and deletes documents whose time is over, until
// the context ends.
func (s *Service) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	ended := ctx // ctx is another one below
	all.Go(func() { s.runSigning(ended) })
	all.Go(func() { s.runDocuments(ended) })
	ctx = guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "approvals", Name: "approvals"}, Dialect: "system"})
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
		s.Sweep(ctx)
	}
}

// Sweep ends changes that have expired. What could not be ended is tried again with the next look.
func (s *Service) Sweep(ctx context.Context) {
	rows, err := s.db.ChangeSetsDue(ctx, nowMS(), sweepBatch)
	if err != nil {
		return // an engine in trouble says so elsewhere
	}
	for i := range rows {
		op := guard.Op{Action: policy.ChangeReview, Resource: policy.Resource{Org: rows[i].Org, Project: rows[i].Project, Env: rows[i].Env},
			Detail: map[string]string{"change_set": string(rows[i].ID), "expired": "true"}}
		_ = s.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
			row, err := tx.ChangeSet(ctx, rows[i].ID)
			if err != nil || row.State != ChangeOpen && row.State != ChangeStale || row.ExpiresAt > tx.Now() {
				return err
			}
			return s.endChange(ctx, tx, &row, ChangeExpired)
		})
	}
}
