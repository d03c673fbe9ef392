package secrets

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds of approval rules.
const (
	// defaultExpiry is how long a change waits: long enough for a week with holidays, short enough that nobody approves what
	// everybody has forgotten.
	defaultExpiry = 7 * 24 * time.Hour
	minExpiry     = time.Second // shorter is a mistake
	maxExpiry     = 90 * 24 * time.Hour
	maxNeed       = 20 // others that one change can need: more never come together
	maxApprovers  = 100
	maxBypass     = 50
)

// ApprovalRule says whose approval changes of an environment need. No approvers means whoever may write what changes.
type ApprovalRule struct {
	Need      int64               `json:"need"` // 0 lets changes apply at once
	Approvers []store.Approver    `json:"approvers,omitzero"`
	Expiry    time.Duration       `json:"expiry"`
	Bypass    []domain.IdentityID `json:"bypass,omitzero"` // machines whose changes apply at once
}

// People finds who somebody is inside a transaction, with the rights of that moment. Somebody who is gone or disabled is
// fault.Denied.
type People interface {
	Principal(ctx context.Context, q store.Queries, kind domain.PrincipalKind, id string) (*domain.Principal, error)
}

// SetPeople says who knows people. Call it before the service is used.
func (s *Service) SetPeople(p People) { s.people = p }

func (r *ApprovalRule) check() error {
	if r.Expiry == 0 {
		r.Expiry = defaultExpiry
	}
	switch {
	case r.Need < 0 || r.Need > maxNeed:
		return fault.New(fault.Invalid, "a change needs 0 to %d approvals", maxNeed).WithField("/need", "out of range")
	case r.Expiry < minExpiry || r.Expiry > maxExpiry:
		return fault.New(fault.Invalid, "a change waits between %v and 90 days", minExpiry).WithField("/expiry", "out of range")
	case len(r.Approvers) > maxApprovers:
		return fault.New(fault.Invalid, "too many approvers: at most %d; name a group", maxApprovers)
	case len(r.Bypass) > maxBypass:
		return fault.New(fault.Invalid, "too many machines that wait for nobody: at most %d", maxBypass)
	}
	for _, a := range r.Approvers {
		if !slices.Contains([]string{"role", "group", "user"}, a.Kind) || a.ID == "" {
			return fault.New(fault.Invalid, "not an approver: want a role, a group or a user").WithHint("machines approve nothing")
		}
	}
	return nil
}

func ruleOf(row *store.EnvApproval) ApprovalRule {
	out := ApprovalRule{Need: row.Need, Approvers: row.Approvers, Expiry: time.Duration(row.Expiry) * time.Millisecond, Bypass: row.Bypass}
	if out.Expiry == 0 {
		out.Expiry = defaultExpiry
	}
	return out
}

// rule gives the rule of an environment; one that needs nobody where none was set.
func rule(ctx context.Context, q store.Queries, env domain.EnvID) (ApprovalRule, error) {
	row, err := q.EnvApproval(ctx, env)
	if missing(err) {
		return ruleOf(&store.EnvApproval{}), nil
	}
	return ruleOf(&row), err
}

// waits tells whether what the holder of the permit does must wait. The server's own engines and the machines that the rule
// names go on, everybody else waits, admins as well.
func (r *ApprovalRule) waits(p guard.Permit) bool {
	who := p.Principal()
	return r.Need > 0 && who.Kind != domain.System && !(who.Kind == domain.Identity && slices.Contains(r.Bypass, domain.IdentityID(who.ID)))
}

// mayReview tells whether somebody may approve or reject a change. The author never may, machines and tokens that somebody gave to a program never may, and nobody
// approves names that he may not see.
func (r *ApprovalRule) mayReview(p guard.Permit, pl place, row *store.ChangeSet) bool {
	who := p.Principal()
	if who.Kind != domain.User || who.ID == row.AuthorID || who.Token != "" && !who.Session || who.Method == domain.BreakGlassMethod {
		return false
	}
	if !p.Can(policy.ChangeReview, pl.resource(domain.Root)) && !p.Reaches(policy.ChangeReview, pl.resource("")) ||
		!allowedEverywhere(p, policy.SecretList, pl, row.Summary) {
		return false
	}
	if len(r.Approvers) == 0 {
		return allowedEverywhere(p, policy.SecretWrite, pl, row.Summary)
	}
	return slices.ContainsFunc(r.Approvers, func(a store.Approver) bool {
		switch a.Kind {
		case "user":
			return a.ID == who.ID
		case "group":
			return slices.Contains(who.Groups, domain.GroupID(a.ID))
		}
		return slices.ContainsFunc(who.Grants, func(g domain.Grant) bool {
			return string(g.Role) == a.ID && (g.Project == "" || g.Project == row.Project) && (g.Env == "" || g.Env == row.Env) &&
				(g.ExpiresAt == 0 || g.ExpiresAt > nowMS()) && !slices.ContainsFunc(row.Summary, func(i store.ChangeItem) bool { return !g.Path.Match(i.Path) })
		})
	})
}

// Approval shows whose approval changes of an environment need.
func (s *Service) Approval(ctx context.Context, ref EnvRef) (ApprovalRule, error) {
	pl, err := s.where(ctx, policy.ProjectRead, ref)
	if err != nil {
		return ApprovalRule{}, err
	}
	var out ApprovalRule
	err = s.door.Read(ctx, guard.Op{Action: policy.ProjectRead, Resource: pl.resource("")}, func(guard.Permit) (err error) {
		out, err = rule(ctx, s.db.Queries, pl.env.ID)
		return err
	})
	return out, err
}

// SetApproval changes whose approval an environment needs. While it needs some, this waits for them like every other change.
func (s *Service) SetApproval(ctx context.Context, ref EnvRef, r ApprovalRule) error {
	if err := r.check(); err != nil {
		return err
	}
	return s.changeEnv(ctx, policy.ProjectUpdate, ref, &request{Rule: &r})
}

func (s *Service) prepareRule(ctx context.Context, tx *store.Tx, pl place, r *ApprovalRule) (*plan, error) {
	for _, a := range r.Approvers {
		if err := s.knownApprover(ctx, tx, pl, a); err != nil {
			return nil, err
		}
	}
	for _, id := range r.Bypass {
		row, err := tx.Identity(ctx, id)
		if err != nil || row.Org != pl.env.Org {
			return nil, fault.New(fault.NotFound, "no machine of that id may go on without approval: it is not there").WithField("/bypass", "unknown")
		}
	}
	now, err := rule(ctx, tx.Queries, pl.env.ID)
	if err != nil {
		return nil, err
	}
	trace, err := json.Marshal([]ApprovalRule{now, *r})
	if err != nil {
		return nil, err
	}
	out := &plan{trace: trace, items: []store.ChangeItem{{Path: domain.Root, Outcome: "approval rule"}}}
	out.save = func(string) (domain.CommitID, int64, error) {
		return "", 0, tx.PutEnvApproval(ctx, &store.EnvApproval{Env: pl.env.ID, Org: pl.env.Org, Project: pl.env.Project, Need: r.Need, Approvers: r.Approvers,
			Expiry: r.Expiry.Milliseconds(), Bypass: r.Bypass, UpdatedAt: tx.Now()})
	}
	return out, nil
}

func (s *Service) knownApprover(ctx context.Context, tx *store.Tx, pl place, a store.Approver) error {
	var org domain.OrgID
	var err error
	switch a.Kind {
	case "user":
		var row store.Person
		row, err = tx.Person(ctx, domain.UserID(a.ID))
		org = row.Org
	case "group":
		var row store.Group
		row, err = tx.Group(ctx, domain.GroupID(a.ID))
		org = row.Org
	default:
		return nil
	}
	if err == nil && org == pl.env.Org {
		return nil
	}
	if err != nil && !missing(err) {
		return err
	}
	return fault.New(fault.NotFound, "no such approver: a %s is named that is not there", a.Kind).WithField("/approvers", "unknown")
}
