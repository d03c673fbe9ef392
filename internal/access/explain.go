package access

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Question asks what the policy would say to somebody, without his token.
type Question struct {
	Principal string // "user:ADDRESS", "identity:NAME", "group:NAME"
	Action    string
	Resource  string // as policy.ParseWhere takes it
	Circumstances
}

// Circumstances are what a decision may depend on beside who asks for what.
type Circumstances struct {
	Address    string
	At         int64         // unix milliseconds, zero for now
	MFA        time.Duration // how long ago a second factor was shown, zero for never
	Attributes map[string]string
}

func (c Circumstances) facts(now int64) policy.Facts {
	if c.At != 0 {
		now = c.At
	}
	return policy.Facts{At: now, Address: c.Address}
}

// Explained is what the policy says and why.
type Explained struct {
	Kind     domain.PrincipalKind
	ID       string
	Name     string
	Resource string
	policy.Explanation
	// Halted says what a freeze stops although the roles allow it; "" when nothing.
	Halted string
}

// loaded gives a principal as it would be with a token that narrows nothing.
func (s *Service) loaded(ctx context.Context, q store.Queries, org domain.OrgID, kind domain.PrincipalKind, name string, c Circumstances, now int64) (*domain.Principal, error) {
	id, err := s.principalID(ctx, q, org, kind, name)
	if err != nil {
		return nil, err
	}
	p := &domain.Principal{Kind: kind, ID: id, Name: name, Org: org, Attributes: c.Attributes}
	if c.MFA > 0 {
		p.MFAAt = c.facts(now).At - c.MFA.Milliseconds()
	}
	if p.Name, err = s.anyName(ctx, kind, id); err != nil {
		return nil, err
	}
	if p.Groups, err = groupsOf(ctx, q, id); err != nil {
		return nil, err
	}
	return p, rightsOf(ctx, q, p)
}

// located finds a resource that is written in words, with the tags of the secret that is there.
func (s *Service) located(ctx context.Context, places Places, org domain.OrgID, text string) (policy.Resource, error) {
	w, err := policy.ParseWhere(text)
	r := policy.Resource{Org: org, Path: w.Path, Name: w.Name, EnvSlug: domain.Slug(w.Env)}
	if err != nil || w.Project == "" {
		return r, err
	}
	project, envs, err := places.Place(ctx, w.Project)
	if err != nil {
		return r, err
	}
	r.Project = project
	if w.Env == "" {
		return r, nil
	}
	env, ok := envs[domain.Slug(w.Env)]
	if !ok {
		return r, fault.New(fault.NotFound, "no environment %s in that project", w.Env)
	}
	r.Env = env
	if w.Name != "" {
		r.Tags, err = places.Tags(ctx, project, env, w.Path, w.Name)
	}
	return r, err
}

// Explain tells what the policy says to a principal and which rule says so.
func (s *Service) Explain(ctx context.Context, places Places, in Question) (Explained, error) {
	kind, name, err := policy.ParsePrincipal(in.Principal)
	if err != nil {
		return Explained{}, err
	}
	action, err := policy.ParseAction(in.Action)
	if err != nil {
		return Explained{}, err
	}
	var out Explained
	err = s.ask(ctx, "explain", func(org domain.OrgID) error {
		now := time.Now().UnixMilli()
		p, err := s.loaded(ctx, s.db.Queries, org, kind, name, in.Circumstances, now)
		if err != nil {
			return err
		}
		r, err := s.located(ctx, places, org, in.Resource)
		if err != nil {
			return err
		}
		out = Explained{Kind: kind, ID: p.ID, Name: p.Name, Resource: in.Resource, Explanation: policy.Explain(p, action, r, in.facts(now))}
		if disabled, err := s.disabled(ctx, kind, p.ID); err != nil {
			return err
		} else if disabled {
			out.Decision = policy.Decision{Reason: "disabled"}
		}
		out.Halted, err = s.halted(ctx, action, r.Project)
		return err
	})
	return out, err
}

func (s *Service) disabled(ctx context.Context, kind domain.PrincipalKind, id string) (bool, error) {
	if kind == domain.Group {
		return false, nil
	}
	_, disabled, err := s.nameOf(ctx, s.db.Queries, kind, id)
	return disabled, err
}

func (s *Service) halted(ctx context.Context, action policy.Action, project domain.ProjectID) (string, error) {
	f, ok, err := s.db.Frozen(ctx, project)
	if err != nil || !ok {
		return "", err
	}
	switch {
	case f.Kill && (policy.Reveals(action) || policy.Changes(action)):
		return "switched off by " + f.ActorName + ": " + f.Reason, nil
	case policy.Changes(action):
		return "frozen by " + f.ActorName + ": " + f.Reason, nil
	}
	return "", nil
}

// Holder is somebody who may do something.
type Holder struct {
	Kind   domain.PrincipalKind
	ID     string
	Name   string
	Reason string
	// Conditional is true when he may only if conditions turn out in his favour: address, time, second factor.
	Conditional bool
}

// WhoCan lists the live users and machines that may do an action somewhere.
func (s *Service) WhoCan(ctx context.Context, places Places, actionText, resource string, c Circumstances) ([]Holder, error) {
	action, err := policy.ParseAction(actionText)
	if err != nil {
		return nil, err
	}
	var out []Holder
	err = s.ask(ctx, "who can", func(org domain.OrgID) error {
		r, err := s.located(ctx, places, org, resource)
		if err != nil {
			return err
		}
		all, err := s.everyone(ctx, org)
		if err != nil {
			return err
		}
		f := c.facts(time.Now().UnixMilli())
		for _, p := range all {
			d := policy.DecideAt(p, action, r, f)
			if d.Allowed || policy.Possibly(p, action, r, f) {
				out = append(out, Holder{p.Kind, p.ID, p.Name, d.Reason, !d.Allowed})
			}
		}
		return nil
	})
	return out, err
}

// everyone loads all live users and machines with what they hold, in few questions.
func (s *Service) everyone(ctx context.Context, org domain.OrgID) ([]*domain.Principal, error) {
	persons, err := s.db.Persons(ctx, org)
	if err != nil {
		return nil, err
	}
	machines, err := s.db.Identities(ctx, org)
	if err != nil {
		return nil, err
	}
	grants, err := s.db.Grants(ctx, org)
	if err != nil {
		return nil, err
	}
	members, err := s.db.MembersOfAll(ctx, org)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.Roles(ctx, org)
	if err != nil {
		return nil, err
	}
	roles := map[domain.Role]domain.CustomRole{}
	for _, r := range rows {
		roles[domain.Role(r.ID)] = domain.CustomRole{Name: r.Name, Rules: r.Rules}
	}
	held := map[string][]store.Grant{}
	for _, g := range grants {
		held[g.PrincipalID] = append(held[g.PrincipalID], g)
	}
	in := map[string][]domain.GroupID{}
	for _, m := range members {
		in[m.ID] = append(in[m.ID], m.Group)
	}
	var out []*domain.Principal
	add := func(kind domain.PrincipalKind, id, name string) {
		p := &domain.Principal{Kind: kind, ID: id, Name: name, Org: org, Roles: roles}
		seen := map[domain.GroupID]bool{}
		for open := []string{id}; len(open) > 0; open = open[1:] {
			for _, g := range in[open[0]] {
				if !seen[g] {
					seen[g] = true
					p.Groups = append(p.Groups, g)
					open = append(open, string(g))
				}
			}
		}
		take := func(holder string, via domain.GroupID) {
			for _, g := range held[holder] {
				p.Grants = append(p.Grants, domain.Grant{ID: g.ID, Project: g.Project, Env: g.Env, Path: g.Path, Role: g.Role, ExpiresAt: g.ExpiresAt, Via: via})
			}
		}
		take(id, "")
		for _, g := range p.Groups {
			take(string(g), g)
		}
		out = append(out, p)
	}
	for _, u := range persons {
		if !u.Disabled {
			add(domain.User, string(u.ID), string(u.Email))
		}
	}
	for _, i := range machines {
		if !i.Disabled {
			add(domain.Identity, string(i.ID), string(i.Name))
		}
	}
	return out, nil
}

// Tested is one expectation and what came of it.
type Tested struct {
	policy.Expectation
	Allowed bool
	Reason  string
	// Problem says why the question could not be asked: no such principal or place. The test has failed then.
	Problem string
}

// Passed tells whether the policy says what was expected.
func (t Tested) Passed() bool { return t.Problem == "" && t.Allowed == t.Allow }

// TestPolicy compares expectations, YAML or JSON, with the policy as it stands.
func (s *Service) TestPolicy(ctx context.Context, places Places, text string) ([]Tested, error) {
	tests, err := policy.ParseExpectations([]byte(text))
	if err != nil {
		return nil, err
	}
	var out []Tested
	err = s.ask(ctx, "policy test", func(org domain.OrgID) error {
		now := time.Now().UnixMilli()
		for _, e := range tests {
			t := Tested{Expectation: e}
			c := Circumstances{e.Address, e.At, e.MFA, e.Attributes}
			p, err := s.loaded(ctx, s.db.Queries, org, e.Kind, e.Principal, c, now)
			var r policy.Resource
			if err == nil {
				r, err = s.located(ctx, places, org, e.Resource)
			}
			switch {
			case err == nil:
				d := policy.DecideAt(p, e.Action, r, c.facts(now))
				t.Allowed, t.Reason = d.Allowed, d.Reason
			case fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Invalid:
				t.Problem = fault.As(err).Message
			default:
				return err
			}
			out = append(out, t)
		}
		return nil
	})
	return out, err
}
