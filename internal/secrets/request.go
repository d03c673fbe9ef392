package secrets

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// request is a change of an environment in a form that can wait. Exactly one of its parts is set.
type request struct {
	Commit   *Commit          `json:"-"` // kept as sealedCommit
	Rollback *RollbackOptions `json:"rollback,omitzero"`
	Purge    *purgeRequest    `json:"purge,omitzero"`
	Env      *envRequest      `json:"env,omitzero"`
	Rule     *ApprovalRule    `json:"rule,omitzero"`
	// steps does the work of the commit in place of its changes, which then only say what is touched. What depends on the state
	// that it meets cannot be written down for reviewers, so such a request never waits, unless spelled gives the same in other words.
	steps func(context.Context, *draft) ([]Effect, error)
	// spelled gives the same as ordinary changes, as things stand, where that can be shown to reviewers.
	spelled func(context.Context, *draft) ([]Change, error)
}

// purgeRequest destroys a deleted secret.
type purgeRequest struct {
	Path domain.Path       `json:"path"`
	Name domain.SecretName `json:"name"`
}

// envRequest does something to the environment as a whole.
type envRequest struct {
	Verb envVerb      `json:"verb"`
	Slug domain.Slug  `json:"slug,omitzero"`
	Name domain.Label `json:"name,omitzero"`
}

type envVerb string

const (
	envRename  envVerb = "rename"
	envDelete  envVerb = "delete"
	envRestore envVerb = "restore"
	envPurge   envVerb = "purge"
)

// kind names the request in lists and in the log.
func (r *request) kind() string {
	switch {
	case r.Rollback != nil:
		return "rollback"
	case r.Purge != nil:
		return "purge"
	case r.Env != nil:
		return "env." + string(r.Env.Verb)
	case r.Rule != nil:
		return "setting"
	}
	return "commit"
}

func (r *request) message() string {
	switch {
	case r.Commit != nil:
		return r.Commit.Message
	case r.Rollback != nil:
		return r.Rollback.Message
	}
	return ""
}

func (r *request) dryRun() bool {
	return r.Commit != nil && r.Commit.DryRun || r.Rollback != nil && r.Rollback.DryRun
}

// plan is a request made ready inside a transaction: what it would do, and the doing.
type plan struct {
	effects []Effect
	items   []store.ChangeItem
	// trace is everything that decides what comes of the request: when it is the same again, the same will happen. Values stand
	// in it as hashes.
	trace []byte
	// values are what a rollback brings back, by full name, for those who may read them.
	values map[string][]byte
	// show puts the states of secrets into the effects, after save.
	show func() error
	// save writes it; who is on the permit is the author. The cause stands in the history.
	save func(cause string) (domain.CommitID, int64, error)
}

// prepare makes a request ready. With a salt the trace is made too, and what the request takes from elsewhere is written into
// it, so that nothing but what was reviewed can be applied.
func (s *Service) prepare(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, r *request, salt []byte) (*plan, error) {
	switch {
	case r.Purge != nil:
		return s.preparePurge(ctx, tx, p, pl, r.Purge)
	case r.Env != nil:
		return s.prepareEnv(ctx, tx, p, pl, r.Env)
	case r.Rule != nil:
		return s.prepareRule(ctx, tx, pl, r.Rule)
	}
	d, err := s.newDraft(ctx, tx, p, pl)
	if err != nil {
		return nil, err
	}
	d.pin = salt != nil
	out := &plan{}
	c := r.Commit
	if r.Rollback != nil {
		c = &Commit{Message: r.Rollback.Message, Cause: "rollback", IfRevision: -1}
		out.effects, err = (&rollback{d: d, o: *r.Rollback}).run(ctx)
	} else {
		if now := d.home.place.env.Revision; c.IfRevision >= 0 && c.IfRevision != now {
			return nil, fault.New(fault.Conflict, "the environment stands at revision %d, not at %d", now, c.IfRevision).
				WithHint("read it again, then repeat the change")
		}
		if r.steps != nil {
			out.effects, err = r.steps(ctx, d)
		} else {
			out.effects, err = d.applyAll(ctx, c.Changes)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := d.respell(ctx); err != nil {
		return nil, err
	}
	d.loose = c.Loose
	if err := d.connect(ctx); err != nil {
		return nil, err
	}
	if salt != nil {
		if out.trace, out.items, err = d.trace(salt); err != nil {
			return nil, err
		}
		if r.Rollback != nil {
			out.values = d.newValues()
		}
	}
	out.show = func() error { return d.show(out.effects) }
	out.save = func(cause string) (domain.CommitID, int64, error) {
		with := *c
		if cause != "" {
			with.Cause = cause
		}
		return d.save(ctx, &with)
	}
	return out, nil
}

func (d *draft) applyAll(ctx context.Context, changes []Change) ([]Effect, error) {
	if err := d.prepare(ctx, d.home, changes); err != nil {
		return nil, err
	}
	effects := make([]Effect, 0, len(changes))
	for i := range changes {
		e, err := d.apply(ctx, &changes[i])
		if err != nil {
			return nil, err
		}
		effects = append(effects, e)
	}
	return effects, nil
}

// fieldChange names a part of a waiting change in associated data; it never changes.
const fieldChange = "change.part"

func changePlace(row *store.ChangePart) keyring.Place {
	return keyring.Place{Project: string(row.Project), Record: row.ID, Field: fieldChange, Version: row.Part}
}

// content is what lies sealed of a waiting change. The salt keeps its digest, which everybody may know, from telling anything
// about values that can be guessed.
type content struct {
	Salt    []byte            `json:"salt"`
	Commit  *sealedCommit     `json:"commit,omitzero"`
	Request request           `json:"request"`
	Trace   []byte            `json:"trace"`
	Values  map[string][]byte `json:"values,omitzero"`
}

// sealedCommit is a commit with its values in clear, for the inside of an envelope only.
type sealedCommit struct {
	Changes    []sealedChange `json:"changes"`
	Message    string         `json:"message,omitzero"`
	Cause      string         `json:"cause,omitzero"`
	IfRevision int64          `json:"if_revision"`
	Loose      bool           `json:"loose,omitzero"`
}

// sealedChange hides the field Value of the change, which never shows what it holds, behind one that does.
type sealedChange struct {
	Change
	Value *[]byte
}

// saltSize is 256 bits: the digest of a guessed content cannot be compared without it.
const saltSize = 32

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	return salt
}

// encode gives the content and its digest.
func (c *content) encode() ([]byte, []byte, error) {
	if in := c.Request.Commit; in != nil {
		c.Commit = &sealedCommit{Message: in.Message, Cause: in.Cause, IfRevision: in.IfRevision, Loose: in.Loose}
		for _, ch := range in.Changes {
			out := sealedChange{Change: ch}
			if ch.Value != nil {
				v := ch.Value.Reveal()
				out.Value = &v
			}
			c.Commit.Changes = append(c.Commit.Changes, out)
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, err, "the change cannot be written down")
	}
	sum := sha256.Sum256(b)
	return b, sum[:], nil
}

func decodeContent(b []byte) (*content, error) {
	var c content
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fault.New(fault.Internal, "the content of the change is damaged") // the cause may quote a value
	}
	if c.Commit != nil {
		out := &Commit{Message: c.Commit.Message, Cause: c.Commit.Cause, IfRevision: c.Commit.IfRevision, Loose: c.Commit.Loose}
		for _, ch := range c.Commit.Changes {
			ch.Change.Value = nil
			if ch.Value != nil {
				v := sensitive.New(*ch.Value)
				ch.Change.Value = &v
			}
			out.Changes = append(out.Changes, ch.Change)
		}
		c.Request.Commit = out
	}
	return &c, nil
}

// sealContent replaces the content of a change set.
func (s *Service) sealContent(ctx context.Context, tx *store.Tx, row *store.ChangeSet, b []byte) error {
	var parts []*store.ChangePart
	for chunk := range slices.Chunk(b, keyring.MaxPlaintext) {
		part := &store.ChangePart{ID: domain.NewID[string](), Change: row.ID, Project: row.Project, Part: int64(len(parts) + 1)}
		var err error
		if part.Value, err = s.ring.Seal(changePlace(part), sensitive.New(bytes.Clone(chunk))); err != nil {
			return err
		}
		parts = append(parts, part)
	}
	if err := tx.SetChangeParts(ctx, row.ID, parts); err != nil {
		return err
	}
	return s.keys.Reserve(ctx, tx)
}

// openContent opens the content of a change set and checks that it is the one whose digest stands in its row.
func (s *Service) openContent(ctx context.Context, q store.Queries, p guard.Permit, row *store.ChangeSet) (*content, error) {
	if !p.Valid() {
		return nil, fault.New(fault.Denied, "no permit")
	}
	parts, err := q.ChangeParts(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, fault.New(fault.NotFound, "the content of the change is gone: it is over").WithHint("see the history of the environment: keyturn log")
	}
	var all []byte
	for i := range parts {
		v, err := s.ring.Open(changePlace(&parts[i]), parts[i].Value)
		if err != nil {
			part := parts[i]
			v, err = s.reopen(changePlace(&part), err, func(ctx context.Context) ([]byte, error) {
				fresh, err := s.db.ChangeParts(ctx, row.ID)
				for j := range fresh {
					if fresh[j].ID == part.ID {
						return fresh[j].Value, err
					}
				}
				return nil, err
			})
		}
		if err != nil {
			return nil, err
		}
		all = append(all, v.Reveal()...)
	}
	if sum := sha256.Sum256(all); !bytes.Equal(sum[:], row.Digest) {
		return nil, fault.New(fault.Internal, "the content of the change is not the one that was kept")
	}
	return decodeContent(all)
}

// allowedEverywhere tells whether somebody may do the action in every folder that a change touches.
func allowedEverywhere(p guard.Permit, action policy.Action, pl place, items []store.ChangeItem) bool {
	if len(items) == 0 {
		return p.Can(action, pl.resource(domain.Root))
	}
	return !slices.ContainsFunc(items, func(i store.ChangeItem) bool { return !p.Can(action, itemResource(pl, &i)) })
}

// itemResource is what policy is asked about one thing that a change does: with the tags that it will have.
func itemResource(pl place, i *store.ChangeItem) policy.Resource {
	if i.Name == "" {
		return pl.resource(i.Path)
	}
	var tags []domain.Tag
	if i.Attrs != nil {
		tags = i.Attrs.Tags
	}
	return pl.secret(i.Path, i.Name, tags)
}
