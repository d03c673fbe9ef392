package secrets

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// The states of a change set. Once enough others approved it is applied in the same transaction, so none is merely approved.
const (
	ChangeOpen      = "open"
	ChangeStale     = "stale" // what it changes was changed meanwhile: rebase it
	ChangeApplied   = "applied"
	ChangeRejected  = "rejected"
	ChangeExpired   = "expired"
	ChangeWithdrawn = "withdrawn"
)

// maxOpenChanges bounds what waits in one environment: more than that nobody reviews.
const maxOpenChanges = 200

// maxListedChanges bounds one list.
const maxListedChanges = 1000

// ChangeView is a change set as a caller sees it.
type ChangeView struct {
	ChangeRow
	ProjectSlug, EnvSlug domain.Slug
	Reviews              []store.ChangeReview
	Approvals            int64 // that count now
	Hidden               int   // things that it changes and that the caller may not see
	MayReview            bool  // the caller may approve or reject it
	Mine                 bool  // the caller is its author
}

// DigestText is the digest as people and requests write it.
func (c *ChangeView) DigestText() string { return hex.EncodeToString(c.Digest) }

// Waits says that a change was kept and waits for others. It comes in place of an answer, and nothing was changed.
type Waits struct {
	Change  ChangeView
	Effects []Effect // what it will do, as things stand
}

// Error implements error.
func (w *Waits) Error() string { return "the change waits for approval: " + string(w.Change.ID) }

// settle does a request, or keeps it as a change set where the environment needs others: then the error is a [Waits], told
// only after the transaction.
func (s *Service) settle(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, r *request) (Committed, *Waits, error) {
	need, err := rule(ctx, tx.Queries, pl.env.ID)
	if err != nil {
		return Committed{}, nil, err
	}
	if need.waits(p) && r.spelled != nil {
		if r, err = s.spell(ctx, tx, p, pl, r); err != nil {
			return Committed{}, nil, err
		}
	}
	if need.waits(p) && r.steps != nil {
		return Committed{}, nil, fault.New(fault.Conflict, "changes of this environment wait for approval, and this one cannot be shown to reviewers before it is done").
			WithHint("set the new value and the one before it by an ordinary change, which waits")
	}
	if need.waits(p) && !r.dryRun() {
		w, err := s.keepChange(ctx, tx, p, pl, need, r)
		return Committed{}, w, err
	}
	made, err := s.prepare(ctx, tx, p, pl, r, nil)
	if err != nil {
		return Committed{}, nil, err
	}
	out := Committed{Effects: made.effects}
	if r.dryRun() {
		p.Note("dry_run", "true")
		row, err := tx.Environment(ctx, pl.env.ID)
		if err != nil {
			return out, nil, err
		}
		out.Revision = row.Revision
		return out, nil, store.ErrUndo
	}
	if out.ID, out.Revision, err = made.save(""); err == nil && out.Revision > 0 {
		p.Revision(out.Revision)
	}
	if err == nil && r.Commit != nil && r.Commit.Show {
		err = made.show()
	}
	return out, nil, err
}

// spell gives a request that can wait in place of one whose steps depend on what they meet.
func (s *Service) spell(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, r *request) (*request, error) {
	d, err := s.newDraft(ctx, tx, p, pl)
	if err != nil {
		return nil, err
	}
	c := *r.Commit
	if c.Changes, err = r.spelled(ctx, d); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return &request{Commit: &c}, nil
}

// keepChange makes a change set of a request.
func (s *Service) keepChange(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, need ApprovalRule, r *request) (*Waits, error) {
	open, err := tx.ChangeSets(ctx, p.Org(), true, maxListedChanges)
	if err != nil {
		return nil, err
	}
	if n := len(slices.DeleteFunc(open, func(c store.ChangeSet) bool { return c.Env != pl.env.ID || c.ExpiresAt <= tx.Now() })); n >= maxOpenChanges {
		return nil, fault.New(fault.Exhausted, "too many changes wait in this environment: at most %d", maxOpenChanges).WithHint("decide or withdraw some: keyturn change list")
	}
	who := p.Principal()
	row := store.ChangeSet{ID: domain.NewID[domain.ChangeID](), Org: p.Org(), Project: pl.env.Project, Env: pl.env.ID, Kind: r.kind(), Need: need.Need,
		AuthorKind: who.Kind, AuthorID: who.ID, AuthorName: who.Name, Scopes: who.Scopes, State: ChangeOpen, CreatedAt: tx.Now(),
		ExpiresAt: tx.Now() + need.Expiry.Milliseconds()}
	effects, err := s.fillChange(ctx, tx, p, pl, &row, r)
	if err != nil {
		return nil, err
	}
	p.Note("change_set", string(row.ID))
	p.Note("waits", "true")
	return &Waits{Change: ChangeView{ChangeRow: row, ProjectSlug: pl.project.Slug, EnvSlug: pl.env.Slug, Mine: true}, Effects: effects}, nil
}

// fillChange rehearses a request as its author, writes what it would do into the row, seals it and stores both.
func (s *Service) fillChange(ctx context.Context, tx *store.Tx, author guard.Permit, pl place, row *store.ChangeSet, r *request) ([]Effect, error) {
	c := content{Salt: newSalt()}
	made, err := s.prepare(ctx, tx, author, pl, r, c.Salt)
	if err != nil {
		return nil, err
	}
	env, err := tx.Environment(ctx, pl.env.ID)
	if err != nil {
		return nil, err
	}
	c.Request, c.Trace, c.Values = *r, made.trace, made.values
	b, digest, err := c.encode()
	if err != nil {
		return nil, err
	}
	row.Base, row.Summary, row.Digest, row.Message, row.Kind = env.Revision, made.items, digest, r.message(), r.kind()
	if r.Commit != nil {
		row.Cause = r.Commit.Cause
	}
	if len(row.Summary) == 0 {
		return nil, fault.New(fault.Invalid, "nothing would change, so there is nothing to approve")
	}
	if err := tx.PutChangeSet(ctx, row); err != nil {
		return nil, err
	}
	return made.effects, s.sealContent(ctx, tx, row, b)
}

// locate finds a change set and where it belongs, or records the miss and hides it.
func (s *Service) locate(ctx context.Context, action policy.Action, id string) (store.ChangeSet, place, error) {
	row, pl, err := s.changeAt(ctx, s.db.Queries, id)
	if err == nil && row.Org != guard.CallerOf(ctx).Principal.Org {
		err = fault.New(fault.NotFound, "no such change")
	}
	if err != nil {
		return row, pl, s.door.Miss(ctx, guard.Op{Action: action, Detail: map[string]string{"change_set": clip(id)}}, err)
	}
	return row, pl, nil
}

func (s *Service) changeAt(ctx context.Context, q store.Queries, id string) (store.ChangeSet, place, error) {
	var pl place
	row, err := q.ChangeSet(ctx, domain.ChangeID(id))
	if err != nil {
		return row, pl, err
	}
	if pl.env, err = q.Environment(ctx, row.Env); err != nil { // deleted ones too: their restoration may wait
		return row, pl, err
	}
	pl.project, err = q.Project(ctx, row.Project)
	return row, pl, err
}

func changeOp(action policy.Action, row *store.ChangeSet, pl place) guard.Op {
	return guard.Op{Action: action, Resource: pl.resource(""), Somewhere: true, Detail: map[string]string{"change_set": string(row.ID)}}
}

// see makes what the holder of the permit may know of a change set; nil when that is nothing.
func (s *Service) see(ctx context.Context, q store.Queries, p guard.Permit, pl place, row store.ChangeSet, now int64) (*ChangeView, error) {
	who := p.Principal()
	out := &ChangeView{ChangeRow: row, ProjectSlug: pl.project.Slug, EnvSlug: pl.env.Slug, Mine: who.Kind == row.AuthorKind && who.ID == row.AuthorID}
	if out.waitsAt(now) && row.ExpiresAt <= now {
		out.State = ChangeExpired
	}
	out.Summary = slices.DeleteFunc(slices.Clone(row.Summary), func(i store.ChangeItem) bool { return !p.Can(policy.SecretList, itemResource(pl, &i)) })
	if out.Hidden = len(row.Summary) - len(out.Summary); out.Hidden == len(row.Summary) && !out.Mine {
		return nil, nil
	}
	need, err := rule(ctx, q, row.Env)
	if err != nil {
		return nil, err
	}
	if out.Reviews, err = q.ChangeReviews(ctx, row.ID); err != nil {
		return nil, err
	}
	if out.State == ChangeOpen {
		approving, err := s.approving(ctx, q, p, need, pl, &row, out.Reviews)
		if err != nil {
			return nil, err
		}
		out.Approvals, out.MayReview = int64(len(approving)), need.mayReview(p, pl, &row)
		out.Need = max(need.Need, 1)
	}
	return out, nil
}

// waitsAt tells whether somebody can still do something about it.
func (c *ChangeView) waitsAt(now int64) bool { return c.State == ChangeOpen || c.State == ChangeStale }

// Changes lists change sets that the caller may see, newest first: those that wait, or with all also those that are over.
func (s *Service) Changes(ctx context.Context, project, env string, all bool) ([]ChangeView, error) {
	var out []ChangeView
	err := s.door.Read(ctx, reportOp(ctx, "changes"), func(p guard.Permit) error {
		rows, err := s.db.ChangeSets(ctx, p.Org(), !all, maxListedChanges)
		if err != nil {
			return err
		}
		for _, row := range rows {
			_, pl, err := s.changeAt(ctx, s.db.Queries, string(row.ID))
			if err != nil {
				return err
			}
			if project != "" && project != string(pl.project.Slug) && project != string(row.Project) || env != "" && env != string(pl.env.Slug) && env != string(row.Env) {
				continue
			}
			c, err := s.see(ctx, s.db.Queries, p, pl, row, nowMS())
			if err != nil {
				return err
			}
			if c != nil && (all || c.State != ChangeExpired) {
				out = append(out, *c)
			}
		}
		return nil
	})
	return out, err
}

// Change shows one change set.
func (s *Service) Change(ctx context.Context, id string) (ChangeView, error) {
	row, pl, err := s.locate(ctx, policy.SecretList, id)
	if err != nil {
		return ChangeView{}, err
	}
	var out *ChangeView
	err = s.door.Read(ctx, changeOp(policy.SecretList, &row, pl), func(p guard.Permit) (err error) {
		if out, err = s.see(ctx, s.db.Queries, p, pl, row, nowMS()); err == nil && out == nil {
			err = guard.Missing()
		}
		return err
	})
	if err != nil {
		return ChangeView{}, err
	}
	return *out, nil
}

// ChangeDiff tells what a change set changes, in the form of [Service.Diff]. With reveal it shows values, now and as they would
// be, in the folders where the caller may read them; elsewhere names, kinds of change and attributes.
func (s *Service) ChangeDiff(ctx context.Context, id string, reveal bool) ([]Difference, error) {
	action := policy.SecretList
	if reveal {
		action = policy.SecretRead
	}
	row, pl, err := s.locate(ctx, action, id)
	if err != nil {
		return nil, err
	}
	var out []Difference
	err = s.door.Read(ctx, changeOp(action, &row, pl), func(p guard.Permit) error {
		seen, err := s.see(ctx, s.db.Queries, p, pl, row, nowMS())
		if err != nil {
			return err
		}
		if seen == nil {
			return guard.Missing()
		}
		var fresh map[string][]byte
		if reveal {
			c, err := s.openContent(ctx, s.db.Queries, p, &row)
			if err != nil {
				return err
			}
			fresh = c.newValues()
		}
		for _, i := range seen.Summary {
			d, err := s.difference(ctx, p, pl, i, fresh)
			if err != nil {
				return err
			}
			out = append(out, d)
		}
		return nil
	})
	return out, err
}

// newValues gives the values that a content would write, by full name.
func (c *content) newValues() map[string][]byte {
	out := map[string][]byte{}
	for k, v := range c.Values {
		out[k] = v
	}
	if c.Commit != nil {
		for _, ch := range c.Commit.Changes {
			if ch.Value != nil {
				out[ch.Path.Key(ch.Name)] = *ch.Value
			}
		}
	}
	return out
}

// difference shows one thing that a change does. Values are shown by name and folder as they will be; a secret that is renamed
// in the same change shows none.
func (s *Service) difference(ctx context.Context, p guard.Permit, pl place, i store.ChangeItem, fresh map[string][]byte) (Difference, error) {
	out := Difference{Path: i.Path, Name: i.Name, Outcome: Outcome(i.Outcome)}
	if i.Name == "" {
		return out, nil
	}
	key := i.Path.Key(i.Name)
	now, _, _, err := s.cache.secret(ctx, pl.env.ID, i.Path, i.Name)
	if missing(err) {
		now, err = nil, nil
	}
	if err != nil {
		return out, err
	}
	reads := fresh != nil && p.Can(policy.SecretRead, itemResource(pl, &i)) && (now == nil || p.Can(policy.SecretRead, pl.row(i.Path, now)))
	if i.Outcome != string(Removed) && i.Attrs != nil {
		out.To = &Item{Path: i.Path, Name: i.Name, Attrs: *i.Attrs}
		if v, ok := fresh[key]; ok && i.Value && reads {
			out.To.Value = valueOf(v)
			p.Names(key)
		}
	}
	if now == nil {
		return out, nil
	}
	from := item(now, i.Path)
	if reads && now.Value != nil {
		v, err := s.show(p, now)
		if err != nil {
			return out, err
		}
		from.Value = &v
		p.Names(key)
	}
	out.From = &from
	return out, nil
}

// approving gives the distinct reviewers whose approval of the present content counts now: they still may review.
func (s *Service) approving(ctx context.Context, q store.Queries, p guard.Permit, need ApprovalRule, pl place, row *store.ChangeSet, reviews []store.ChangeReview) ([]string, error) {
	verdicts := map[string]store.ChangeReview{}
	for _, r := range reviews {
		if r.Verdict != VerdictComment && string(r.Digest) == string(row.Digest) {
			verdicts[r.ReviewerID] = r // the last word counts
		}
	}
	var out []string
	for id, r := range verdicts {
		if r.Verdict != VerdictApprove {
			continue
		}
		who, err := s.people.Principal(ctx, q, r.ReviewerKind, id)
		if fault.KindOf(err) == fault.Denied {
			continue
		}
		if err != nil {
			return nil, err
		}
		if need.mayReview(p.OnBehalf(who), pl, row) {
			out = append(out, cmp.Or(who.Name, id))
		}
	}
	slices.Sort(out)
	return out, nil
}
