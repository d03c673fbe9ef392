package secrets

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// The verdicts of a review.
const (
	VerdictApprove = "approve"
	VerdictReject  = "reject"
	VerdictComment = "comment"
)

const (
	maxReviewComment = 2000 // bytes: a remark, not a document
	maxReviews       = 500  // of one change set
	maxCause         = 200  // bytes of the names in a commit's cause
)

func nowMS() int64 { return time.Now().UnixMilli() }

func valueOf(b []byte) *sensitive.Value {
	v := sensitive.New(b)
	return &v
}

// Review approves or rejects a change set, or comments on it. Approving and rejecting are bound to the content that was looked
// at, by its digest in hexadecimal. The last approval that is needed applies the change in the same transaction, in the name
// of its author; what it changes may have moved, and then it is stale instead.
func (s *Service) Review(ctx context.Context, id, verdict, digest, comment string) (ChangeView, error) {
	if len(comment) > maxReviewComment {
		return ChangeView{}, fault.New(fault.Invalid, "the comment is too long: at most %d bytes", maxReviewComment).WithField("/comment", "too long")
	}
	if verdict == VerdictComment && comment == "" {
		return ChangeView{}, fault.New(fault.Invalid, "the comment is empty").WithField("/comment", "missing")
	}
	saw, err := hex.DecodeString(digest)
	if verdict != VerdictComment && (err != nil || len(saw) == 0) {
		return ChangeView{}, fault.New(fault.Invalid, "say which content you looked at").WithField("/digest", "want the digest that the change shows")
	}
	return s.onChange(ctx, policy.ChangeReview, id, func(tx *store.Tx, p guard.Permit, pl place, row *store.ChangeSet) error {
		return s.review(ctx, tx, p, pl, row, store.ChangeReview{Verdict: verdict, Digest: saw, Comment: comment})
	})
}

// onChange runs work on a change set that waits and gives it as it is afterwards.
func (s *Service) onChange(ctx context.Context, action policy.Action, id string, work func(*store.Tx, guard.Permit, place, *store.ChangeSet) error) (ChangeView, error) {
	found, pl, err := s.locate(ctx, action, id)
	if err != nil {
		return ChangeView{}, err
	}
	var out *ChangeView
	err = s.door.Do(ctx, changeOp(action, &found, pl), func(tx *store.Tx, p guard.Permit) error {
		row, pl, err := s.changeAt(ctx, tx.Queries, id)
		if err != nil {
			return err
		}
		seen, err := s.see(ctx, tx.Queries, p, pl, row, tx.Now())
		if err != nil {
			return err
		}
		if seen == nil {
			return guard.Missing()
		}
		if !seen.waitsAt(tx.Now()) {
			return over(seen.State)
		}
		if err := work(tx, p, pl, &row); err != nil {
			return err
		}
		out, err = s.see(ctx, tx.Queries, p, pl, row, tx.Now())
		return err
	})
	if err != nil {
		return ChangeView{}, err
	}
	return *out, nil
}

func over(state string) error {
	if state == ChangeExpired {
		return fault.New(fault.Expired, "the change has expired").WithHint("make it anew")
	}
	return fault.New(fault.Conflict, "the change is over: it is %s", state)
}

func (s *Service) review(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, row *store.ChangeSet, r store.ChangeReview) error {
	who := p.Principal()
	reviews, err := tx.ChangeReviews(ctx, row.ID)
	if err != nil {
		return err
	}
	if len(reviews) >= maxReviews {
		return fault.New(fault.Exhausted, "too many reviews: at most %d of one change", maxReviews)
	}
	r.ID, r.Change, r.Org, r.At = domain.NewID[string](), row.ID, row.Org, tx.Now()
	r.ReviewerKind, r.ReviewerID, r.ReviewerName = who.Kind, who.ID, who.Name
	p.Note("verdict", r.Verdict)
	if r.Verdict == VerdictComment {
		r.Digest = row.Digest
		return tx.PutChangeReview(ctx, &r)
	}
	need, err := rule(ctx, tx.Queries, row.Env)
	if err != nil {
		return err
	}
	switch {
	case who.ID == row.AuthorID:
		return fault.New(fault.Denied, "nobody reviews his own change").WithHint("ask another one, or take it back: keyturn change withdraw %s", row.ID)
	case !need.mayReview(p, pl, row):
		return fault.New(fault.Denied, "you may not review this change").WithHint("whose approval the environment wants: keyturn env approval")
	case row.State == ChangeStale:
		return fault.New(fault.Conflict, "the change is stale: what it changes was changed meanwhile").WithHint("its author rebases it: keyturn change rebase %s", row.ID)
	case subtle.ConstantTimeCompare(r.Digest, row.Digest) != 1:
		return fault.New(fault.Conflict, "the change is not what you looked at any more: it was edited").WithHint("look at it again: keyturn change diff %s", row.ID)
	}
	if err := tx.PutChangeReview(ctx, &r); err != nil {
		return err
	}
	if r.Verdict == VerdictReject {
		return s.endChange(ctx, tx, row, ChangeRejected)
	}
	names, err := s.approving(ctx, tx.Queries, p, need, pl, row, append(reviews, r))
	if err != nil || int64(len(names)) < max(need.Need, 1) {
		return err
	}
	return s.applyChange(ctx, tx, p, pl, row, names)
}

// endChange closes a change set and destroys what it held.
func (s *Service) endChange(ctx context.Context, tx *store.Tx, row *store.ChangeSet, state string) error {
	row.State, row.Problem, row.EndedAt = state, "", tx.Now()
	if err := tx.SetChangeParts(ctx, row.ID, nil); err != nil {
		return err
	}
	return tx.PutChangeSet(ctx, row)
}

// author gives a permit for the author of a change set with the rights that he has now, narrowed as his token was.
func (s *Service) author(ctx context.Context, tx *store.Tx, p guard.Permit, row *store.ChangeSet) (guard.Permit, error) {
	who, err := s.people.Principal(ctx, tx.Queries, row.AuthorKind, row.AuthorID)
	if err != nil {
		return guard.Permit{}, err
	}
	who.Scopes = row.Scopes
	policy.Prepare(who) // with the scopes
	return p.OnBehalf(who), nil
}

// actions that the author of each kind of change must still be allowed.
var changeActions = map[string]policy.Action{
	"commit": policy.SecretWrite, "rollback": policy.SecretWrite, "purge": policy.SecretPurge, "setting": policy.ProjectUpdate, "env.rename": policy.ProjectUpdate,
	"env.delete": policy.ProjectDelete, "env.restore": policy.ProjectDelete, "env.purge": policy.ProjectPurge,
}

// applyChange does what was approved. What does not fit any more makes the change stale, not the review a failure.
func (s *Service) applyChange(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, row *store.ChangeSet, names []string) error {
	c, err := s.openContent(ctx, tx.Queries, p, row)
	if err != nil {
		return err
	}
	made, err := s.again(ctx, tx, p, pl, row, c)
	if err == nil && string(made.trace) != string(c.Trace) {
		err = fault.New(fault.Conflict, "what it changes was changed meanwhile")
	}
	if err != nil {
		return s.makeStale(ctx, tx, p, row, err)
	}
	commit, revision, err := made.save(clipTo("approved by "+strings.Join(names, ", "), maxCause))
	if err != nil {
		return err
	}
	for _, i := range row.Summary {
		if i.Name != "" {
			p.Names(i.Path.Key(i.Name))
		}
	}
	if revision > 0 {
		p.Revision(revision)
	}
	p.Note("applied", string(commit))
	p.Note("author", row.AuthorName)
	row.Commit, row.Revision = commit, revision
	return s.endChange(ctx, tx, row, ChangeApplied)
}

// again makes the request of a change set ready once more, as its author.
func (s *Service) again(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, row *store.ChangeSet, c *content) (*plan, error) {
	author, err := s.author(ctx, tx, p, row)
	if err != nil {
		return nil, err
	}
	if action := changeActions[row.Kind]; row.Kind != "commit" && row.Kind != "rollback" && !author.Can(action, pl.resource("")) {
		return nil, fault.New(fault.Denied, "its author may not do this any more: %s", action)
	}
	return s.prepare(ctx, tx, author, pl, &c.Request, c.Salt)
}

func (s *Service) makeStale(ctx context.Context, tx *store.Tx, p guard.Permit, row *store.ChangeSet, cause error) error {
	switch fault.KindOf(cause) {
	case fault.Invalid, fault.Denied, fault.NotFound, fault.Exists, fault.Conflict, fault.Exhausted:
	default:
		return cause // the server's own trouble: the approval can be given again
	}
	row.State, row.Problem = ChangeStale, clipTo(fault.As(cause).Message, maxReviewComment)
	p.Note("stale", "true")
	return tx.PutChangeSet(ctx, row)
}

// clipTo shortens a text to so many bytes.
func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}

// mine refuses whoever is not the author.
func mine(p guard.Permit, row *store.ChangeSet) error {
	if who := p.Principal(); who.Kind != row.AuthorKind || who.ID != row.AuthorID {
		return fault.New(fault.Denied, "only its author can do this").WithHint("reject it instead, or comment on it")
	}
	return nil
}

// Withdraw takes back one's own change.
func (s *Service) Withdraw(ctx context.Context, id string) (ChangeView, error) {
	return s.onChange(ctx, policy.SecretWrite, id, func(tx *store.Tx, p guard.Permit, _ place, row *store.ChangeSet) error {
		if err := mine(p, row); err != nil {
			return err
		}
		return s.endChange(ctx, tx, row, ChangeWithdrawn)
	})
}

// Rebase makes one's own change anew for what stands there now. It is another content then, and reviews count no more.
func (s *Service) Rebase(ctx context.Context, id string) (ChangeView, error) {
	return s.refill(ctx, id, func(tx *store.Tx, p guard.Permit, row *store.ChangeSet) (*request, error) {
		c, err := s.openContent(ctx, tx.Queries, p, row)
		if err != nil {
			return nil, err
		}
		if c.Request.Commit != nil {
			c.Request.Commit.IfRevision = -1
		}
		return &c.Request, nil
	})
}

// EditChange replaces what one's own commit says while it waits. Reviews count no more.
func (s *Service) EditChange(ctx context.Context, id string, c Commit) (ChangeView, error) {
	if err := c.check(); err != nil {
		return ChangeView{}, err
	}
	c.DryRun = false
	return s.refill(ctx, id, func(_ *store.Tx, _ guard.Permit, row *store.ChangeSet) (*request, error) {
		if row.Kind != "commit" {
			return nil, fault.New(fault.Invalid, "only a commit can be edited").WithHint("withdraw it and make another one")
		}
		return &request{Commit: &c}, nil
	})
}

func (s *Service) refill(ctx context.Context, id string, with func(*store.Tx, guard.Permit, *store.ChangeSet) (*request, error)) (ChangeView, error) {
	return s.onChange(ctx, policy.SecretWrite, id, func(tx *store.Tx, p guard.Permit, pl place, row *store.ChangeSet) error {
		if err := mine(p, row); err != nil {
			return err
		}
		r, err := with(tx, p, row)
		if err != nil {
			return err
		}
		row.State, row.Problem, row.Scopes = ChangeOpen, "", p.Principal().Scopes
		_, err = s.fillChange(ctx, tx, p, pl, row, r)
		return err
	})
}
