// Package guard is the one door to everything that is worth guarding: it decides, opens the transaction, runs the work and
// records what happened. No service opens a transaction or skips a record, and no answer leaves before its entry is
// durable: when the log cannot be written, the operation fails.
package guard

import (
	"context"
	"maps"
	"time"

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
	// Within asks only that the action is allowed for at least one secret that could be in the folder: the work itself must
	// then ask [Permit.In] for each secret.
	Within bool
	Keys   []string          // full names, as far as they are known before
	Detail map[string]string // small facts for the log, never values
}

// Permit shows that the door let somebody in. Only the door makes one that is good for anything.
type Permit struct {
	door   *Door
	caller *Caller
	entry  *audit.Entry
	op     *Op
	facts  policy.Facts // the same for all questions of one call
}

// Valid tells whether the door made the permit. Functions that touch plaintext refuse the zero Permit.
func (p Permit) Valid() bool { return p.caller != nil }

// Principal is who was let in.
func (p Permit) Principal() *domain.Principal { return p.caller.Principal }

// Org is the tenant: it comes from the permit, never from the request.
func (p Permit) Org() domain.OrgID { return p.caller.Principal.Org }

// Can asks for one more action, for example on the secret that a reference points to.
func (p Permit) Can(action policy.Action, r policy.Resource) bool {
	return p.Valid() && policy.DecideAt(p.caller.Principal, action, r, p.facts).Allowed && p.stopped(action, r) == nil
}

// In looks at a folder once, so that each of its secrets can be asked for quickly.
func (p Permit) In(action policy.Action, r policy.Resource) policy.Folder {
	if !p.Valid() || p.stopped(action, r) != nil {
		return policy.Folder{}
	}
	return policy.In(p.caller.Principal, action, r, p.facts)
}

// Reaches tells whether the action is allowed for some secret that could be somewhere in the environment.
func (p Permit) Reaches(action policy.Action, r policy.Resource) bool {
	return p.Valid() && policy.ReachesAt(p.caller.Principal, action, r, p.facts) && p.stopped(action, r) == nil
}

// Facts are the moment and the address that all questions of this call are decided for.
func (p Permit) Facts() policy.Facts { return p.facts }

// Halted refuses what the caller's roles allow and a freeze stops. To others it says nothing.
func (p Permit) Halted(action policy.Action, r policy.Resource) error {
	if policy.In(p.caller.Principal, action, r, p.facts).Some() {
		return p.stopped(action, r)
	}
	return nil
}

// stopped tells what keeps the caller from an action that his roles allow.
func (p Permit) stopped(action policy.Action, r policy.Resource) error {
	_, err := p.door.stopped(p.caller.Principal, action, r, p.entry.At)
	return err
}

// Standing refuses an action of the server itself that follows from the call, where a freeze stops it: to spell references
// anew in another project, for example.
func (p Permit) Standing(action policy.Action, r policy.Resource) error {
	return p.door.standing(action, r)
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

// NoteMore adds to a small fact of the record what belongs to it too, after a comma.
func (p Permit) NoteMore(name, fact string) {
	if before := p.entry.Detail[name]; before != "" {
		fact = before + "," + fact
	}
	p.Note(name, fact)
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

// factsOf gives what a decision may depend on beside who asks for what.
func factsOf(c *Caller) policy.Facts { return policy.Facts{At: now(), Address: c.Address} }

// decide asks the policy in the width that the question has.
func decide(c *Caller, op *Op, f policy.Facts) policy.Decision {
	decision := policy.DecideAt(c.Principal, op.Action, op.Resource, f)
	switch {
	case decision.Allowed:
	case op.Somewhere && policy.ReachesAt(c.Principal, op.Action, op.Resource, f):
		decision = policy.Decision{Allowed: true, Reason: "somewhere in the environment"}
	case op.Within && policy.In(c.Principal, op.Action, op.Resource, f).Some():
		decision = policy.Decision{Allowed: true, Reason: "some secrets of the folder"}
	}
	return decision
}

// admit decides. A refusal is recorded before it is told.
func (d *Door) admit(c *Caller, op *Op, entry *audit.Entry) (Permit, error) {
	facts := factsOf(c)
	decision := decide(c, op, facts)
	entry.Reason = decision.Reason
	var halted error
	if decision.Allowed {
		reason, err := d.stopped(c.Principal, op.Action, op.Resource, entry.At)
		if err == nil {
			return Permit{d, c, entry, op, facts}, nil
		}
		entry.Reason, halted = reason, err
	}
	entry.Outcome = audit.Refused
	if err := d.db.Record(entry); err != nil {
		return Permit{}, err
	}
	if halted != nil {
		return Permit{}, halted
	}
	return Permit{}, refusal(c.Principal, op, facts)
}

// stopped tells what keeps a caller from an action that his roles allow, for the log and for him: how he proved who he is, or a
// freeze.
func (d *Door) stopped(p *domain.Principal, action policy.Action, r policy.Resource, nowMS int64) (reason string, err error) {
	if reason := held(p, action, nowMS); reason != "" {
		return reason, heldFault(p, reason)
	}
	if err := d.standing(action, r); err != nil {
		return fault.As(err).Message, err
	}
	return "", nil
}

// standing refuses what a freeze or a kill switch stops, whoever asks.
func (d *Door) standing(action policy.Action, r policy.Resource) error {
	changes, reveals := policy.Changes(action), policy.Reveals(action)
	if !changes && !reveals {
		return nil
	}
	f, ok, err := d.db.Frozen(context.Background(), r.Project)
	if err != nil {
		return err
	}
	if !ok || !changes && !f.Kill {
		return nil
	}
	what, lift := "this project", "an admin of the project lifts it with: keyturn thaw PROJECT"
	if f.Project == "" {
		what, lift = "everything on this server", "an admin lifts it with: keyturn thaw --instance"
	}
	how := "frozen: nothing changes"
	if f.Kill {
		how = "switched off: nothing changes and no value is read"
	}
	return fault.New(fault.Denied, "%s is %s, since %s, by %s: %s", what, how, time.UnixMilli(f.At).UTC().Format("2006-01-02 15:04 UTC"), f.ActorName, f.Reason).
		WithHint("%s", lift)
}

// refusal hides what the caller may not know of: without the right to see, refused and missing look the same.
func refusal(p *domain.Principal, op *Op, f policy.Facts) error {
	if p.Kind == domain.Anonymous {
		return fault.New(fault.Unauthenticated, "this needs a credential").WithHint("log in with: keyturn login")
	}
	r := op.Resource
	switch {
	case r.Project == "":
		return fault.New(fault.Denied, "you may not do this: %s", op.Action).WithHint("ask an admin for a role that allows it")
	case r.Env == "" && policy.DecideAt(p, policy.ProjectRead, r, f).Allowed,
		r.Env != "" && (policy.DecideAt(p, policy.SecretList, r, f).Allowed || r.Path == "" && policy.ReachesAt(p, policy.SecretList, r, f) ||
			r.Path != "" && r.Name == "" && policy.In(p, policy.SecretList, r, f).Some()):
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
	p, err := d.admit(c, &op, entry)
	if err != nil {
		return err
	}
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
	p, err := d.admit(c, &op, entry)
	if err != nil {
		return err
	}
	err = work(p)
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
	c := CallerOf(ctx)
	return policy.DecideAt(c.Principal, action, r, factsOf(c)).Allowed && d.free(c.Principal, action, r)
}

// Reaches is [Door.Check] for some secret that could be somewhere in the environment.
func (d *Door) Reaches(ctx context.Context, action policy.Action, r policy.Resource) bool {
	c := CallerOf(ctx)
	return policy.ReachesAt(c.Principal, action, r, factsOf(c)) && d.free(c.Principal, action, r)
}

// free tells whether nothing stops an action that the caller's roles allow.
func (d *Door) free(p *domain.Principal, action policy.Action, r policy.Resource) bool {
	_, err := d.stopped(p, action, r, now())
	return err == nil
}

// Stamp changes with the caller's rights: equal stamps mean that he may do the same as before.
func (d *Door) Stamp(ctx context.Context) uint64 {
	c := CallerOf(ctx)
	return policy.Stamp(c.Principal, factsOf(c))
}

// Miss records that somebody asked for what is not there, and gives the answer that hides it.
func (d *Door) Miss(ctx context.Context, op Op, cause error) error {
	c := CallerOf(ctx)
	if c.Principal.Kind == domain.Anonymous {
		return refusal(c.Principal, &op, factsOf(c))
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

// Notice records what the server itself noticed about a caller, with the change that belongs to it. Nobody is asked: the caller
// did not want it done.
func (d *Door) Notice(ctx context.Context, op Op, work func(*store.Tx) error) error {
	entry := d.entry(CallerOf(ctx), &op)
	entry.Reason = "noticed"
	return d.db.Write(ctx, entry, work)
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

// Allows tells whether the caller's roles let him in, without a record and whatever a freeze says. It is for surfaces that show
// less to those who may do less, and then ask the door for that.
func (d *Door) Allows(ctx context.Context, op Op) bool {
	c := CallerOf(ctx)
	return decide(c, &op, factsOf(c)).Allowed
}

// Passes tells whether the caller would be let in now. Like [Door.Check] it is for answers that tell nothing but "unchanged".
func (d *Door) Passes(ctx context.Context, op Op) bool {
	return d.Allows(ctx, op) && d.free(CallerOf(ctx).Principal, op.Action, op.Resource)
}
