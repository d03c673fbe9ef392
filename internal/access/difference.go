package access

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
)

// Difference is what one principal gains or loses in one place by a change.
type Difference struct {
	Kind    domain.PrincipalKind
	ID      string
	Name    string
	Place   string // in the words of the rules: "shop/prod:/backend/DB_*"
	Actions []string
	Gains   bool
	// Conditional is true when it is gained or lost only under conditions: address, time, second factor.
	Conditional bool
}

// maxDifferences bounds an answer; more are no review.
const maxDifferences = 5000

// DiffRole tells who would gain and lose what if a custom role had other rules. Nothing is saved.
func (s *Service) DiffRole(ctx context.Context, places Places, role, text string) ([]Difference, error) {
	rules, _, err := policy.ParseRules([]byte(text))
	if err != nil {
		return nil, err
	}
	var out []Difference
	err = s.ask(ctx, "policy diff", func(org domain.OrgID) error {
		row, err := roleNamed(ctx, s.db.Queries, org, role)
		if err != nil {
			return err
		}
		if rules, err = placed(ctx, s.db.Queries, org, rules); err != nil {
			return err
		}
		all, err := s.everyone(ctx, org)
		if err != nil {
			return err
		}
		id := domain.Role(row.ID)
		for _, before := range all {
			if !slices.ContainsFunc(before.Grants, func(g domain.Grant) bool { return g.Role == id }) {
				continue
			}
			after := *before
			after.Roles = map[domain.Role]domain.CustomRole{}
			for k, v := range before.Roles {
				after.Roles[k] = v
			}
			after.Roles[id] = domain.CustomRole{Name: row.Name, Rules: rules}
			if out, err = s.compare(ctx, places, out, before, &after, slices.Concat(row.Rules, rules)); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// DiffGrant tells what somebody would gain or lose if he were given a role, or with remove the grant of that id were taken
// away. Nothing is saved.
func (s *Service) DiffGrant(ctx context.Context, places Places, in GrantInput, remove string) ([]Difference, error) {
	var out []Difference
	err := s.ask(ctx, "policy diff", func(org domain.OrgID) error {
		var given policy.Given
		holder := ""
		if remove != "" {
			row, err := s.db.Grant(ctx, remove)
			if err != nil || row.Org != org {
				return fault.New(fault.NotFound, "no such grant")
			}
			holder = row.PrincipalID
			if given, err = givenOf(ctx, s.db.Queries, row); err != nil {
				return err
			}
		} else {
			a, err := s.aimOf(ctx, places, in)
			if err != nil {
				return err
			}
			if given, err = s.given(ctx, s.db.Queries, org, a, in.Role); err != nil {
				return err
			}
			if holder, err = s.principalID(ctx, s.db.Queries, org, in.Kind, in.Principal); err != nil {
				return err
			}
		}
		all, err := s.everyone(ctx, org)
		if err != nil {
			return err
		}
		for _, before := range all {
			if before.ID != holder && !slices.Contains(before.Groups, domain.GroupID(holder)) {
				continue
			}
			after := *before
			after.Grants = slices.Clone(before.Grants)
			if remove != "" {
				after.Grants = slices.DeleteFunc(after.Grants, func(g domain.Grant) bool { return g.ID == remove })
			} else {
				g := given.Grant
				after.Grants = slices.DeleteFunc(after.Grants, func(h domain.Grant) bool {
					return before.ID == holder && h.Via == "" && h.Project == g.Project && h.Env == g.Env && h.Path == g.Path && h.Role.IsBuiltIn() && g.Role.IsBuiltIn() && h.ExpiresAt == 0 && in.TTL == 0
				})
				after.Grants = append(after.Grants, g)
			}
			rules := given.Rules
			for _, g := range before.Grants {
				_, own := policy.RulesOf(before, g.Role)
				rules = slices.Concat(rules, own)
			}
			if out, err = s.compare(ctx, places, out, before, &after, rules); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// compare asks both states of a principal the same questions.
func (s *Service) compare(ctx context.Context, places Places, out []Difference, before, after *domain.Principal, rules []domain.Rule) ([]Difference, error) {
	projects, err := places.Map(ctx)
	if err != nil {
		return out, err
	}
	policy.Prepare(before)
	policy.Prepare(after)
	var patterns []domain.Pattern
	for _, g := range append(slices.Clone(before.Grants), after.Grants...) {
		patterns = append(patterns, g.Path)
	}
	slices.Sort(patterns)
	probes := policy.Probes(rules, slices.Compact(patterns)...)
	c := &comparison{before: before, after: after, facts: policy.Facts{At: time.Now().UnixMilli()}}
	c.ask("*", policy.Resource{Org: before.Org}, false)
	for _, project := range projects {
		c.ask(string(project.Slug), policy.Resource{Org: before.Org, Project: project.ID}, false)
		for _, slug := range slices.Sorted(maps.Keys(project.Envs)) {
			place := string(project.Slug) + "/" + string(slug)
			r := policy.Resource{Org: before.Org, Project: project.ID, Env: project.Envs[slug], EnvSlug: slug}
			c.ask(place, r, false)
			for _, probe := range probes {
				r.Path, r.Name, r.Tags = probe.Path, probe.Name, probe.Tags
				c.ask(place+":"+probe.Label, r, true)
			}
		}
	}
	for _, d := range c.list {
		if len(out) >= maxDifferences {
			break
		}
		out = append(out, d)
	}
	return out, nil
}

type comparison struct {
	before, after *domain.Principal
	facts         policy.Facts
	list          []Difference
}

// ask compares every action in one place; secrets are asked about secrets only, and places about everything else.
func (c *comparison) ask(place string, r policy.Resource, secret bool) {
	for _, gains := range []bool{true, false} {
		for _, conditional := range []bool{false, true} {
			d := Difference{Kind: c.before.Kind, ID: c.before.ID, Name: c.before.Name, Place: place, Gains: gains, Conditional: conditional}
			for _, a := range policy.Actions {
				if strings.HasPrefix(string(a.Action), "secret.") != secret || policy.Keyed(a.Action) && r.Env != "" {
					continue
				}
				was, is := c.state(c.before, a.Action, r), c.state(c.after, a.Action, r)
				changed := is > was && gains || is < was && !gains
				if changed && (max(was, is) == 1 || min(was, is) == 1) == conditional {
					d.Actions = append(d.Actions, string(a.Action))
				}
			}
			if len(d.Actions) > 0 {
				c.list = append(c.list, d)
			}
		}
	}
}

// state is 0 for no, 1 for under conditions, 2 for yes.
func (c *comparison) state(p *domain.Principal, a policy.Action, r policy.Resource) int {
	switch {
	case policy.DecideAt(p, a, r, c.facts).Allowed:
		return 2
	case policy.Possibly(p, a, r, c.facts):
		return 1
	}
	return 0
}
