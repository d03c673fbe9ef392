package policy

import (
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
)

// Because is one rule of one grant and what it says to a question.
type Because struct {
	Grant  domain.Grant
	Role   string // its name
	Rule   int    // its number in the role, from 1
	Effect domain.Effect
	Holds  bool
	// Why says what keeps the rule from holding: "place", "secret" (its name or tags), "condition", "ended"; "" when it holds.
	Why string
}

// Explanation is a decision with every rule that is about its action.
type Explanation struct {
	Decision
	Rules []Because
}

// Explain answers like [DecideAt] and tells of each rule that is about the action whether it holds. What decided comes first:
// the denies that hold, then the allows that hold, then those that do not, in the order of grants and rules.
func Explain(p *domain.Principal, action Action, r Resource, f Facts) Explanation {
	out := Explanation{Decision: DecideAt(p, action, r, f)}
	if p == nil {
		return out
	}
	m := &moment{Facts: f}
	index := indexOf(action)
	for i := range p.Grants {
		g := &p.Grants[i]
		name, rules := RulesOf(p, g.Role)
		if name == "" {
			name = string(g.Role)
		}
		for n := range rules {
			b := Because{Grant: *g, Role: name, Rule: n + 1, Effect: rules[n].Effect}
			set, all := actionsOf(rules[n].Actions)
			if !all && (index < 0 || !set.has(index)) {
				continue
			}
			switch l := lineOf(p, g, name, &rules[n], n+1); {
			case l == nil:
				b.Why = "condition"
			case !l.inProject(r.Project), !l.covers(action, index, &r):
				b.Why = "place"
			case !l.fits(r.Name, r.Tags) && !(r.Name == "" && l.named() && !l.deny && sees(action)):
				b.Why = "secret"
			case g.ExpiresAt != 0 && f.At >= g.ExpiresAt:
				b.Why = "ended"
			case !l.holds(p, m):
				b.Why = "condition"
			default:
				b.Holds = true
			}
			out.Rules = append(out.Rules, b)
		}
	}
	rank := func(b Because) int {
		switch {
		case b.Holds && b.Effect == domain.Deny:
			return 0
		case b.Holds:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out.Rules, func(a, b Because) int { return rank(a) - rank(b) })
	return out
}

// Possibly tells whether the action is allowed when every condition turns out in the principal's favour.
func Possibly(p *domain.Principal, action Action, r Resource, f Facts) bool {
	if DecideAt(p, action, r, f).Allowed {
		return true
	}
	if p == nil || r.Org != p.Org || !inScope(p, action, r, false) {
		return false
	}
	index, may := indexOf(action), false
	rights := rightsOf(p)
	for _, lines := range [2][]*line{rights.everywhere, rights.projects[r.Project]} {
		for _, l := range lines {
			if !l.covers(action, index, &r) || l.grant.ExpiresAt != 0 && f.At >= l.grant.ExpiresAt {
				continue
			}
			if !l.fits(r.Name, r.Tags) && !(r.Name == "" && !l.deny && sees(action)) {
				continue
			}
			if l.deny && l.when == nil && l.unless == nil {
				return false
			}
			may = may || !l.deny
		}
	}
	return may
}

// Probe is one question with which two states of a policy are compared.
type Probe struct {
	Path  domain.Path
	Name  domain.SecretName
	Tags  []domain.Tag
	Label string // what it stands for, in the words of the rules: "/backend/**/DB_*"
}

// maxProbes bounds how many questions a comparison asks of one environment.
const maxProbes = 2000

// Probes gives questions that tell rules apart: for each of their paths, names and tags a secret that fits, and one that none
// has written out. The patterns are those of grants.
func Probes(rules []domain.Rule, patterns ...domain.Pattern) []Probe {
	paths := []struct {
		label string
		path  domain.Path
	}{{"/", domain.Root}}
	addPath := func(p domain.Pattern) {
		if wide(p) || slices.ContainsFunc(paths, func(x struct {
			label string
			path  domain.Path
		}) bool {
			return x.label == string(p)
		}) {
			return
		}
		path := ""
		for _, s := range segments(p) {
			switch s {
			case "**", domain.Alone:
			case "*":
				path += "/" + strangeFolder
			default:
				path += "/" + s
			}
		}
		paths = append(paths, struct {
			label string
			path  domain.Path
		}{string(p), domain.Path(max(path, "/"))})
	}
	for _, p := range patterns {
		addPath(p)
	}
	type secret struct {
		label string
		name  domain.SecretName
		tags  []domain.Tag
	}
	secrets := []secret{{label: "*", name: strange}}
	for _, r := range rules {
		for _, p := range r.Paths {
			addPath(p)
		}
		for _, n := range narrowing(r.Names) {
			for _, text := range instances([]string{n})[:1] {
				if s := (secret{label: n, name: domain.SecretName(text)}); text != "" && !slices.ContainsFunc(secrets, func(o secret) bool { return o.label == n }) {
					secrets = append(secrets, s)
				}
			}
		}
		for _, t := range narrowing(r.Tags) {
			label := "* tagged " + t
			if text := instances([]string{t})[0]; text != "" && !slices.ContainsFunc(secrets, func(o secret) bool { return o.label == label }) {
				secrets = append(secrets, secret{label, strange, []domain.Tag{domain.Tag(text)}})
			}
		}
	}
	var out []Probe
	for _, p := range paths {
		for _, s := range secrets {
			if len(out) >= maxProbes {
				return out
			}
			label := p.label
			if label != "/" {
				label += "/"
			}
			out = append(out, Probe{p.path, s.name, s.tags, label + s.label})
		}
	}
	return out
}
