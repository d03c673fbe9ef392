package httpapi

import (
	"net/http"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// ruleBody bounds a body that holds a file of rules or of policy tests, escaped.
const ruleBody = 2 << 20

type memberParams struct {
	Name   string `path:"name" doc:"id or name of the group"`
	Kind   string `path:"kind" doc:"user, identity or group"`
	Member string `path:"member" doc:"id, address of a user, name of an identity or group"`
}

type frozenParam struct {
	Project string `path:"project" doc:"slug or id"`
}

func policyRoutes() []Route {
	rules := "- effect: allow\n  actions: [secret.list, secret.read]\n  environments: [prod]\n  names: [\"DB_*\"]\n"
	return []Route{
		with(Route{Method: "POST", Path: "/roles", Auth: Token, Action: "access.manage", Summary: "Make a custom role; it does nothing until it is granted.", MaxBody: ruleBody, Status: http.StatusCreated,
			Example: api.RoleRequest{Name: "database-reader", Rules: rules}},
			func(c *call, _ *none, b *api.RoleRequest) (api.CustomRole, error) {
				row, err := c.access.CreateRole(c.ctx, access.RoleInput{Name: b.Name, Description: b.Description, Rules: b.Rules})
				return roleOf(row), err
			}),
		with(Route{Method: "GET", Path: "/roles", Auth: Token, Action: "access.read", Summary: "List all roles with their rules, the built-in ones first.", Example: api.CustomRoles{}},
			func(c *call, _ *none, _ *none) (api.CustomRoles, error) {
				rows, err := c.access.Roles(c.ctx)
				return api.CustomRoles{Roles: each(rows, roleOf)}, err
			}),
		with(Route{Method: "GET", Path: "/roles/{name}", Auth: Token, Action: "access.read", Summary: "Show one role.", Example: api.CustomRole{Name: "database-reader"}},
			func(c *call, p *nameParam, _ *none) (api.CustomRole, error) {
				row, err := c.access.Role(c.ctx, p.Name)
				return roleOf(row), err
			}),
		with(Route{Method: "PATCH", Path: "/roles/{name}", Auth: Token, Action: "access.manage", Summary: "Change a custom role for everybody who holds it.", MaxBody: ruleBody,
			Example: api.RoleRequest{Rules: rules}},
			func(c *call, p *nameParam, b *api.RoleRequest) (api.CustomRole, error) {
				if b.Name != "" {
					return api.CustomRole{}, fault.New(fault.Invalid, "a role keeps its name").WithField("/name", "leave it out")
				}
				row, err := c.access.UpdateRole(c.ctx, p.Name, access.RoleInput{Description: b.Description, Rules: b.Rules})
				return roleOf(row), err
			}),
		with(Route{Method: "DELETE", Path: "/roles/{name}", Auth: Token, Action: "access.manage", Summary: "Delete a custom role with all of its grants.", Example: api.Done{Done: true}},
			func(c *call, p *nameParam, _ *none) (api.Done, error) {
				return done(c.access.DeleteRole(c.ctx, p.Name))
			}),
		with(Route{Method: "POST", Path: "/groups", Auth: Token, Action: "access.manage", Summary: "Make a group; what it is given, its members have.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.GroupRequest{Name: "operators"}},
			func(c *call, _ *none, b *api.GroupRequest) (api.Group, error) {
				row, err := c.access.CreateGroup(c.ctx, b.Name)
				return groupOf(row), err
			}),
		with(Route{Method: "GET", Path: "/groups", Auth: Token, Action: "access.read", Summary: "List groups.", Example: api.Groups{}},
			func(c *call, _ *none, _ *none) (api.Groups, error) {
				rows, err := c.access.Groups(c.ctx)
				return api.Groups{Groups: each(rows, groupOf)}, err
			}),
		with(Route{Method: "DELETE", Path: "/groups/{name}", Auth: Token, Action: "access.manage", Summary: "Delete a group with its grants.", Example: api.Done{Done: true}},
			func(c *call, p *nameParam, _ *none) (api.Done, error) {
				return done(c.access.DeleteGroup(c.ctx, p.Name))
			}),
		with(Route{Method: "GET", Path: "/groups/{name}/members", Auth: Token, Action: "access.read", Summary: "List the direct members of a group.", Example: api.Members{}},
			func(c *call, p *nameParam, _ *none) (api.Members, error) {
				rows, err := c.access.Members(c.ctx, p.Name)
				return api.Members{Members: each(rows, func(m access.Member) api.Member {
					return api.Member{Kind: string(m.Kind), ID: m.ID, Name: m.Name, Cause: m.Cause}
				})}, err
			}),
		with(Route{Method: "POST", Path: "/groups/{name}/members", Auth: Token, Action: "access.manage", Summary: "Put a user, a machine or a group into a group.", MaxBody: smallBody,
			Example: api.MemberRequest{Kind: "user", Member: "dev@example.test"}},
			func(c *call, p *nameParam, b *api.MemberRequest) (api.Done, error) {
				return done(c.access.AddMember(c.ctx, p.Name, domain.PrincipalKind(b.Kind), b.Member))
			}),
		with(Route{Method: "DELETE", Path: "/groups/{name}/members/{kind}/{member}", Auth: Token, Action: "access.manage", Summary: "Take somebody out of a group.", Example: api.Done{Done: true}},
			func(c *call, p *memberParams, _ *none) (api.Done, error) {
				return done(c.access.RemoveMember(c.ctx, p.Name, domain.PrincipalKind(p.Kind), p.Member))
			}),
		with(Route{Method: "POST", Path: "/policy/explain", Auth: Token, Action: "access.read", Summary: "Tell what the policy says to somebody, and which rule says so.", MaxBody: smallBody,
			Example: api.ExplainRequest{Principal: "identity:backend", Action: "secret.read", Resource: "shop/prod:/DATABASE_URL"}},
			func(c *call, _ *none, b *api.ExplainRequest) (api.Explanation, error) {
				about, err := circumstancesIn(b.Circumstances)
				if err != nil {
					return api.Explanation{}, err
				}
				out, err := c.access.Explain(c.ctx, c.secrets, access.Question{Principal: b.Principal, Action: b.Action, Resource: b.Resource, Circumstances: about})
				return explanationOf(out), err
			}),
		with(Route{Method: "POST", Path: "/policy/who-can", Auth: Token, Action: "access.read", Summary: "List who may do something somewhere.", MaxBody: smallBody,
			Example: api.WhoCanRequest{Action: "secret.read", Resource: "shop/prod:/DATABASE_URL"}},
			func(c *call, _ *none, b *api.WhoCanRequest) (api.Holders, error) {
				about, err := circumstancesIn(b.Circumstances)
				if err != nil {
					return api.Holders{}, err
				}
				rows, err := c.access.WhoCan(c.ctx, c.secrets, b.Action, b.Resource, about)
				return api.Holders{Holders: each(rows, func(h access.Holder) api.Holder {
					return api.Holder{Kind: string(h.Kind), ID: h.ID, Name: h.Name, Reason: h.Reason, Conditional: h.Conditional}
				})}, err
			}),
		with(Route{Method: "POST", Path: "/policy/diff", Auth: Token, Action: "access.read", Summary: "Tell who would gain and lose what by a change; nothing is saved.", MaxBody: ruleBody,
			Example: api.PolicyDiffRequest{Role: "database-reader", Rules: rules}},
			func(c *call, _ *none, b *api.PolicyDiffRequest) (api.PolicyDifferences, error) {
				rows, err := c.difference(b)
				return api.PolicyDifferences{Differences: each(rows, func(d access.Difference) api.PolicyDifference {
					return api.PolicyDifference{Kind: string(d.Kind), ID: d.ID, Name: d.Name, Place: d.Place, Actions: d.Actions, Gains: d.Gains, Conditional: d.Conditional}
				})}, err
			}),
		with(Route{Method: "POST", Path: "/policy/test", Auth: Token, Action: "access.read", Summary: "Compare a file of expectations with the policy.", MaxBody: ruleBody,
			Example: api.PolicyTestRequest{Tests: "- principal: identity:backend\n  action: secret.read\n  resource: shop/prod:/DATABASE_URL\n  expect: allow\n"}},
			func(c *call, _ *none, b *api.PolicyTestRequest) (api.PolicyTests, error) {
				rows, err := c.access.TestPolicy(c.ctx, c.secrets, b.Tests)
				return testsOf(rows), err
			}),
		with(Route{Method: "GET", Path: "/freezes", Auth: Token, Action: "self.read", Summary: "List what is frozen, by whom and why.", Example: api.Freezes{}},
			func(c *call, _ *none, _ *none) (api.Freezes, error) {
				rows, err := c.access.Freezes(c.ctx)
				return api.Freezes{Freezes: each(rows, freezeOf)}, err
			}),
		with(Route{Method: "POST", Path: "/projects/{project}/freeze", Auth: Token, Action: "project.freeze", Summary: "Freeze a project, or with kill refuse its reads too.", MaxBody: smallBody,
			Example: api.FreezeRequest{Reason: "incident 42"}},
			func(c *call, p *frozenParam, b *api.FreezeRequest) (api.Freeze, error) {
				row, err := c.access.Freeze(c.ctx, c.secrets, p.Project, b.Kill, b.Reason)
				return freezeOf(row), err
			}),
		with(Route{Method: "DELETE", Path: "/projects/{project}/freeze", Auth: Token, Action: "project.freeze", Summary: "Lift the freeze or kill switch of a project.", Example: api.Done{Done: true}},
			func(c *call, p *frozenParam, _ *none) (api.Done, error) {
				return done(c.access.Thaw(c.ctx, c.secrets, p.Project))
			}),
		with(Route{Method: "POST", Path: "/instance/freeze", Auth: Token, Action: "instance.freeze", Summary: "Freeze everything on the server, or with kill refuse reads too.", MaxBody: smallBody,
			Example: api.FreezeRequest{Kill: true, Reason: "incident 42"}},
			func(c *call, _ *none, b *api.FreezeRequest) (api.Freeze, error) {
				row, err := c.access.Freeze(c.ctx, c.secrets, "", b.Kill, b.Reason)
				return freezeOf(row), err
			}),
		with(Route{Method: "DELETE", Path: "/instance/freeze", Auth: Token, Action: "instance.freeze", Summary: "Lift the freeze or kill switch of everything.", Example: api.Done{Done: true}},
			func(c *call, _ *none, _ *none) (api.Done, error) { return done(c.access.Thaw(c.ctx, c.secrets, "")) }),
	}
}

func (c *call) difference(b *api.PolicyDiffRequest) ([]access.Difference, error) {
	switch {
	case b.Role != "" && b.Grant == nil && b.Remove == "":
		return c.access.DiffRole(c.ctx, c.secrets, b.Role, b.Rules)
	case b.Role == "" && b.Grant != nil && b.Remove == "":
		in, err := grantIn(b.Grant)
		if err != nil {
			return nil, err
		}
		return c.access.DiffGrant(c.ctx, c.secrets, in, "")
	case b.Role == "" && b.Grant == nil && b.Remove != "":
		return c.access.DiffGrant(c.ctx, c.secrets, access.GrantInput{}, b.Remove)
	}
	return nil, fault.New(fault.Invalid, "a comparison is of one change: want role with rules, grant, or remove")
}

func grantIn(b *api.GrantRequest) (access.GrantInput, error) {
	in := access.GrantInput{Kind: domain.PrincipalKind(b.Kind), Principal: b.Principal, Project: b.Project, Env: b.Env, Path: b.Path, Role: b.Role, Reason: b.Reason}
	var err error
	in.TTL, err = parseDuration("/ttl", b.TTL)
	return in, err
}

func circumstancesIn(b api.Circumstances) (access.Circumstances, error) {
	out := access.Circumstances{Address: b.Address, Attributes: b.Attributes}
	if b.At != nil {
		out.At = b.At.UnixMilli()
	}
	var err error
	if b.MFA != "" {
		out.MFA, err = parseDuration("/mfa", b.MFA)
		out.MFA = max(out.MFA, time.Millisecond)
	}
	return out, err
}

func roleOf(r access.CustomRole) api.CustomRole {
	return api.CustomRole{ID: string(r.ID), Name: string(r.Name), Description: r.Description, CreatedAt: maybe(r.CreatedAt), Rules: each(r.Rules, func(r domain.Rule) api.Rule {
		return api.Rule{Effect: string(r.Effect), Actions: r.Actions, Projects: projectsOf(r.Projects), Environments: r.Environments, Paths: patternsOf(r.Paths), Names: r.Names, Tags: r.Tags, When: whenOf(r.When), Unless: whenOf(r.Unless)}
	})}
}

func projectsOf(in []domain.ProjectID) []string {
	if in == nil {
		return nil
	}
	return texts(in)
}

func patternsOf(in []domain.Pattern) []string {
	if in == nil {
		return nil
	}
	return texts(in)
}

func whenOf(w *domain.When) *api.When {
	if w == nil {
		return nil
	}
	out := &api.When{Networks: w.Networks, MFAWithin: w.MFAWithin, Attributes: w.Attribute}
	for _, t := range w.Times {
		out.Times = append(out.Times, api.Window{Days: t.Days, From: t.From, To: t.To})
	}
	return out
}

func groupOf(g access.Group) api.Group {
	return api.Group{ID: string(g.ID), Name: g.Name, ExternalID: g.ExternalID, CreatedAt: at(g.CreatedAt)}
}

func freezeOf(f access.Freeze) api.Freeze {
	return api.Freeze{ProjectID: string(f.Project), Kill: f.Kill, By: f.ActorName, Reason: f.Reason, At: at(f.At)}
}

func explanationOf(e access.Explained) api.Explanation {
	return api.Explanation{Kind: string(e.Kind), ID: e.ID, Name: e.Name, Allowed: e.Allowed, Reason: e.Reason, Halted: e.Halted, Rules: each(e.Rules, func(b access.Because) api.RuleSaid {
		return api.RuleSaid{GrantID: b.Grant.ID, GroupID: string(b.Grant.Via), ProjectID: string(b.Grant.Project), EnvID: string(b.Grant.Env), Path: string(b.Grant.Path),
			ExpiresAt: maybe(b.Grant.ExpiresAt), Role: b.Role, Rule: b.Rule, Effect: string(b.Effect), Holds: b.Holds, Why: b.Why}
	})}
}

func testsOf(rows []access.Tested) api.PolicyTests {
	word := map[bool]string{true: "allow", false: "deny"}
	out := api.PolicyTests{Tests: []api.PolicyTested{}}
	for _, t := range rows {
		row := api.PolicyTested{Line: t.Line, Principal: string(t.Kind) + ":" + t.Principal, Action: string(t.Action), Resource: t.Resource, Expect: word[t.Allow],
			Got: word[t.Allowed], Reason: t.Reason, Problem: t.Problem, Passed: t.Passed()}
		if t.Problem != "" {
			row.Got = ""
		}
		if !row.Passed {
			out.Failed++
		}
		out.Tests = append(out.Tests, row)
	}
	return out
}
