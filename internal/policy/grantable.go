package policy

import (
	"maps"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// Given is a role that somebody wants to hand out, or whose denies he wants to lift.
type Given struct {
	domain.Grant
	Slug  domain.Slug // of the environment of the grant
	Rules []domain.Rule
}

// MayGive tells whether p may hand out the role: nil when he manages access in the place and has himself everything that the
// rules give there, in the same places, under conditions that are no harder, and for as long. It compares rule with rule and
// refuses when in doubt. A scoped token hands out nothing. The fault says what is lacking.
func MayGive(p *domain.Principal, g Given, f Facts) error {
	if err := mayManage(p, g, f); err != nil {
		return err
	}
	return lacking(p, g, g.Rules)
}

// MayLift tells whether p may take the denies of a role away: he must have himself what they deny.
func MayLift(p *domain.Principal, g Given, f Facts) error {
	if err := mayManage(p, g, f); err != nil {
		return err
	}
	return lacking(p, g, Lifted(g.Rules))
}

// Lifted gives the rules that say what denies keep back: an allow for each deny, whatever its conditions.
func Lifted(rules []domain.Rule) []domain.Rule {
	var out []domain.Rule
	for _, r := range rules {
		if r.Effect == domain.Deny {
			r.Effect, r.When, r.Unless = domain.Allow, nil, nil
			out = append(out, r)
		}
	}
	return out
}

func mayManage(p *domain.Principal, g Given, f Facts) error {
	if p == nil || p.Scopes != nil && p.Kind != domain.System {
		return fault.New(fault.Denied, "a token with scopes cannot hand out roles").WithHint("log in and use the session: keyturn login")
	}
	r := Resource{Org: p.Org, Project: g.Project, Env: g.Env, EnvSlug: g.Slug}
	if !DecideAt(p, AccessManage, r, f).Allowed {
		return fault.New(fault.Denied, "nobody can grant what he lacks: you do not manage access there").WithHint("ask an admin of that place")
	}
	return nil
}

func lacking(p *domain.Principal, g Given, rules []domain.Rule) error {
	if p.Kind == domain.System {
		return nil
	}
	// The same rules as somebody would hold them who has nothing else, compiled with the grantor's attributes left out: a
	// condition on attributes is compared as it is written.
	rights := rightsOf(p)
	grant := g.Grant
	for i := range rules {
		if rules[i].Effect != domain.Allow {
			continue
		}
		given := bare(&grant, &rules[i])
		for at, a := range Actions {
			if !given.all && !given.actions.has(at) || slices.Contains(self, a.Action) || slices.Contains(asking, a.Action) || slices.Contains(anonymous, a.Action) {
				continue
			}
			if !rights.gives(p, given, at, g.Slug, rules) {
				return fault.New(fault.Denied, "nobody can grant what he lacks: rule %d gives %s where you do not have it", i+1, a.Action).
					WithHint("leave that action out, narrow the rule, or ask an admin")
			}
		}
	}
	return nil
}

// bare compiles a rule without a holder: its conditions stay as they are written.
func bare(g *domain.Grant, rule *domain.Rule) *line {
	l := &line{rule: rule, deny: rule.Effect != domain.Allow, grant: g, within: rule.Projects, envs: narrowing(rule.Environments), names: narrowing(rule.Names), tags: narrowing(rule.Tags)}
	if !slices.ContainsFunc(rule.Paths, wide) {
		l.paths = rule.Paths
	}
	l.actions, l.all = actionsOf(rule.Actions)
	return l
}

// gives tells that the principal has an action wherever the given rule would give it.
func (rights *Rights) gives(p *domain.Principal, given *line, action int, slug domain.Slug, rules []domain.Rule) bool {
	covered := false
	for _, l := range rights.lines { // a role for everything meets what is denied in any project
		switch {
		case !l.all && !l.actions.has(action):
		case l.deny && l.meets(given, slug) && !denied(l, given.grant, rules, action, slug):
			return false
		case !l.deny:
			covered = covered || l.takesIn(given, slug)
		}
	}
	return covered
}

// denied tells that the rules which are given hold back themselves what the deny holds back.
func denied(l *line, g *domain.Grant, rules []domain.Rule, action int, slug domain.Slug) bool {
	for i := range rules {
		if rules[i].Effect != domain.Deny || rules[i].When != nil || rules[i].Unless != nil || g.ExpiresAt != 0 {
			continue
		}
		if d := bare(g, &rules[i]); (d.all || d.actions.has(action)) && d.around(l, slug) {
			return true
		}
	}
	return false
}

// takesIn tells that wherever and whenever the given rule holds, this one does for its holder. It says no when in doubt.
func (l *line) takesIn(given *line, slug domain.Slug) bool {
	if ends := l.grant.ExpiresAt; ends != 0 && (given.grant.ExpiresAt == 0 || given.grant.ExpiresAt > ends) {
		return false
	}
	// What the present token proved does not count: others may hold the role without it.
	if l.rule.Unless != nil && !sameWhen(l.rule.Unless, given.rule.Unless) || l.rule.When != nil && !sameWhen(l.rule.When, given.rule.When) {
		return false
	}
	return l.around(given, slug)
}

// around tells that the place of the given rule lies in the place of this one.
func (l *line) around(given *line, slug domain.Slug) bool {
	g, h := l.grant, given.grant
	if !l.aroundProjects(given) || g.Env != "" && g.Env != h.Env {
		return false
	}
	if len(l.envs) > 0 && !anyCovers(l.envs, given.envs) && (h.Env == "" || slug == "" || !fitsAny(l.envs, slug)) {
		return false
	}
	if !wide(g.Path) && !pathCovers(g.Path, h.Path) && !(len(given.paths) > 0 && patternsCover([]domain.Pattern{g.Path}, given.paths)) {
		return false
	}
	if len(l.paths) > 0 && !patternsCover(l.paths, given.paths) && !patternsCover(l.paths, []domain.Pattern{h.Path}) {
		return false
	}
	return anyCovers(l.names, given.names) && anyCovers(l.tags, given.tags)
}

// meets tells whether the two rules could be about the same secret at the same moment.
func (l *line) meets(given *line, slug domain.Slug) bool {
	g, h := l.grant, given.grant
	if !l.meetsProjects(given) || g.Env != "" && h.Env != "" && g.Env != h.Env {
		return false
	}
	if len(l.envs) > 0 && h.Env != "" && slug != "" && !fitsAny(l.envs, slug) || !anyMeet(l.envs, given.envs) {
		return false
	}
	// Pairs of narrowings are compared, not all four at once: it may say yes where nothing is common.
	mine, others := []domain.Pattern{g.Path}, []domain.Pattern{h.Path}
	if !patternsMeet(mine, others) || !patternsMeet(mine, given.paths) || !patternsMeet(l.paths, others) {
		return false
	}
	return patternsMeet(l.paths, given.paths) && anyMeet(l.names, given.names)
}

// projects gives those in which the rule can hold; all tells that it holds in every one.
func (l *line) projects() (ids []domain.ProjectID, all bool) {
	switch g := l.grant.Project; {
	case g == "":
		return l.within, len(l.within) == 0
	case l.inProject(g):
		return []domain.ProjectID{g}, false
	}
	return nil, false
}

func (l *line) aroundProjects(given *line) bool {
	theirs, all := given.projects()
	if _, mine := l.projects(); mine || all {
		return mine
	}
	return !slices.ContainsFunc(theirs, func(id domain.ProjectID) bool { return !l.inProject(id) })
}

func (l *line) meetsProjects(given *line) bool {
	theirs, all := given.projects()
	mine, every := l.projects()
	switch {
	case all:
		return every || len(mine) > 0
	case every:
		return len(theirs) > 0
	}
	return slices.ContainsFunc(theirs, l.inProject)
}

func sameWhen(a, b *domain.When) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.MFAWithin == b.MFAWithin && slices.Equal(a.Networks, b.Networks) && maps.Equal(a.Attribute, b.Attribute) &&
		slices.EqualFunc(a.Times, b.Times, func(x, y domain.Window) bool { return slices.Equal(x.Days, y.Days) && x.From == y.From && x.To == y.To })
}

// CanGrant tells whether p may hand out a built-in role, when nothing is known of the moment.
func CanGrant(p *domain.Principal, g domain.Grant) bool {
	rules, ok := BuiltIn(g.Role)
	return ok && MayGive(p, Given{Grant: g, Rules: rules}, Facts{}) == nil
}
