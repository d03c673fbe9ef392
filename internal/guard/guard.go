// Package guard is the one door to everything that is worth guarding: it decides, opens the transaction, runs the work and
// records what happened. No service opens a transaction or skips a record, and no answer leaves before its entry is
// durable: when the log cannot be written, the operation fails.
package guard

import (
	"context"
	"maps"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Door combines policy, store and log.
type Door struct{ db *store.DB }

// New makes the door of a database.
func New(db *store.DB) *Door { return &Door{db} }

// Caller is who asks and from where. Surfaces put it into the context.
type Caller struct {
	Principal *domain.Principal
	Address   string // of the client
	Agent     string // what the client calls itself
	Request   string // id that ties answer, log entry and server log together
	Dialect   string // "native", later "infisical", "vault"; "cli" for work on the server's own machine
}

type callerKey struct{}

// WithCaller gives a context that carries the caller.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

var nobody = &Caller{Principal: &domain.Principal{Kind: domain.Anonymous}}

// CallerOf gives the caller, an anonymous one when there is none.
func CallerOf(ctx context.Context) *Caller {
	if c, ok := ctx.Value(callerKey{}).(*Caller); ok && c.Principal != nil {
		return c
	}
	return nobody
}

// Op is what somebody wants to do.
type Op struct {
	Action   policy.Action
	Resource policy.Resource
	// Somewhere asks only that the action is allowed in at least one folder of the environment: the work itself must
	// then ask [Permit.Can] for each folder.
	Somewhere bool
	Keys      []string          // full names, as far as they are known before
	Detail    map[string]string // small facts for the log, never values
}

// Permit shows that the door let somebody in. Only the door makes one that is good for anything.
type Permit struct {
	caller *Caller
	entry  *audit.Entry
	op     *Op
}

// Valid tells whether the door made the permit. Functions that touch plaintext refuse the zero Permit.
func (p Permit) Valid() bool { return p.caller != nil }

// Principal is who was let in.
func (p Permit) Principal() *domain.Principal { return p.caller.Principal }

// Org is the tenant: it comes from the permit, never from the request.
func (p Permit) Org() domain.OrgID { return p.caller.Principal.Org }

// Can asks for one more action, for example on the secret that a reference points to.
func (p Permit) Can(action policy.Action, r policy.Resource) bool {
	return p.Valid() && policy.Decide(p.caller.Principal, action, r).Allowed
}

// Names adds full names of secrets to the record.
func (p Permit) Names(keys ...string) { p.entry.Keys = append(p.entry.Keys, keys...) }

// Revision notes which revision was read or made.
func (p Permit) Revision(n int64) { p.entry.Revision = n }

// Place notes where it happened, when that was found out only during the work.
func (p Permit) Place(project domain.ProjectID, env domain.EnvID) {
	p.entry.Project, p.entry.Env = string(project), string(env)
}

// Note adds a small fact to the record, never a value.
func (p Permit) Note(name, fact string) {
	detail := maps.Clone(p.entry.Detail)
	if detail == nil {
		detail = map[string]string{}
	}
	detail[name] = fact
	p.entry.Detail = detail
}

// As notes who it turned out to be, after a login.
func (p Permit) As(who *domain.Principal) { p.entry.Actor = actor(who) }

func actor(p *domain.Principal) audit.Actor {
	return audit.Actor{Kind: string(p.Kind), ID: p.ID, Name: p.Name, Token: string(p.Token)}
}

func (d *Door) entry(c *Caller, op *Op) *audit.Entry {
	action, detail := breakGlass(c.Principal, op)
	return &audit.Entry{
		At: now(), Action: string(action), Outcome: audit.Allowed, Actor: actor(c.Principal),
		Org: string(c.Principal.Org), Project: string(op.Resource.Project), Env: string(op.Resource.Env), Path: string(op.Resource.Path),
		Keys: op.Keys, Detail: detail, Address: c.Address, Agent: c.Agent, Request: c.Request, Dialect: c.Dialect,
	}
}

// admit decides. A refusal is recorded before it is told.
func (d *Door) admit(c *Caller, op *Op, entry *audit.Entry) error {
	decision := policy.Decide(c.Principal, op.Action, op.Resource)
	if op.Somewhere && !decision.Allowed && policy.Reaches(c.Principal, op.Action, op.Resource) {
		decision = policy.Decision{Allowed: true, Reason: "somewhere in the environment"}
	}
	entry.Reason = decision.Reason
	if decision.Allowed {
		return nil
	}
	entry.Outcome = audit.Refused
	if err := d.db.Record(entry); err != nil {
		return err
	}
	return refusal(c.Principal, op)
}

// refusal hides what the caller may not know of: without the right to see, refused and missing look the same.
func refusal(p *domain.Principal, op *Op) error {
	if p.Kind == domain.Anonymous {
		return fault.New(fault.Unauthenticated, "this needs a credential").WithHint("log in with: keyturn login")
	}
	r := op.Resource
	switch {
	case r.Project == "":
		return fault.New(fault.Denied, "you may not do this: %s", op.Action).WithHint("ask an admin for a role that allows it")
	case r.Env == "" && policy.Decide(p, policy.ProjectRead, r).Allowed,
		r.Env != "" && (policy.Decide(p, policy.SecretList, r).Allowed || r.Path == "" && policy.Reaches(p, policy.SecretList, r)):
		return fault.New(fault.Denied, "you may see this but not do it: %s", op.Action).WithHint("ask an admin of the project for a role that allows it")
	}
	return Missing()
}

// Missing is the one answer for "not there" and "not yours to know".
func Missing() *fault.Error {
	return fault.New(fault.NotFound, "no such thing, or no right to see it").
		WithHint("check project, environment, path and name, and that your token reaches them")
}

// Do lets a change through: decided, run and recorded in one transaction.
func (d *Door) Do(ctx context.Context, op Op, work func(*store.Tx, Permit) error) error {
	c := CallerOf(ctx)
	entry := d.entry(c, &op)
	if err := d.admit(c, &op, entry); err != nil {
		return err
	}
	p := Permit{c, entry, &op}
	return d.db.Write(ctx, entry, func(tx *store.Tx) error {
		if err := idempotent(ctx, tx, c, &op); err != nil {
			return err
		}
		return work(tx, p)
	})
}

// Read lets a question through. The work may use memory and the readers; its answer is good only when Read returns nil.
func (d *Door) Read(ctx context.Context, op Op, work func(Permit) error) error {
	c := CallerOf(ctx)
	entry := d.entry(c, &op)
	if err := d.admit(c, &op, entry); err != nil {
		return err
	}
	err := work(Permit{c, entry, &op})
	if err != nil {
		entry.Outcome, entry.Reason = audit.Failed, string(fault.KindOf(err))
	}
	if unrecorded := d.db.Record(entry); unrecorded != nil {
		return unrecorded
	}
	return err
}

// Check decides without a record, for answers that tell nothing but "unchanged" and for filters of lists.
func (d *Door) Check(ctx context.Context, action policy.Action, r policy.Resource) bool {
	return policy.Decide(CallerOf(ctx).Principal, action, r).Allowed
}

// Miss records that somebody asked for what is not there, and gives the answer that hides it.
func (d *Door) Miss(ctx context.Context, op Op, cause error) error {
	c := CallerOf(ctx)
	if c.Principal.Kind == domain.Anonymous {
		return refusal(c.Principal, &op)
	}
	entry := d.entry(c, &op)
	entry.Outcome, entry.Reason = audit.Failed, string(fault.KindOf(cause))
	if err := d.db.Record(entry); err != nil {
		return err
	}
	if fault.KindOf(cause) == fault.NotFound {
		return Missing()
	}
	return cause
}

// Fail records that something was tried and failed before it came to the door, such as a wrong password, and gives the
// cause back.
func (d *Door) Fail(ctx context.Context, op Op, cause error) error {
	entry := d.entry(CallerOf(ctx), &op)
	entry.Outcome, entry.Reason = audit.Failed, string(fault.KindOf(cause))
	if err := d.db.Record(entry); err != nil {
		return err
	}
	return cause
}
