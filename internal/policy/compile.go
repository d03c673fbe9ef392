package policy

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/keyturn/keyturn/internal/domain"
)

// maxPlaces bounds the places of which one principal's rights remember what holds there. A program asks for a few folders;
// whoever asks for thousands starts anew now and then.
const maxPlaces = 256

// Rights are a principal's grants and roles in the form that is quick to ask. They are made once, when the principal is
// loaded, and live as long as it does.
type Rights struct {
	of         *domain.Principal
	lines      []*line // all of them, in the order of grants and rules
	everywhere []*line // those of the whole organisation
	projects   map[domain.ProjectID][]*line
	print      uint64 // of grants and rules
	tags       bool   // some rule asks for tags
	secrets    bool   // some rule asks for names or tags

	mu      sync.RWMutex
	places  map[place]*verdict
	reached map[place]bool
}

// place is an action in a folder; names, tags and moments are asked afterwards.
type place struct {
	action  Action
	project domain.ProjectID
	env     domain.EnvID
	slug    domain.Slug
	path    domain.Path
}

// line is one rule of one grant.
type line struct {
	rule    *domain.Rule
	deny    bool
	actions actionSet
	all     bool // of actions, also those that this program does not know
	grant   *domain.Grant
	number  int // of the rule in its role, from 1

	// Narrowing of grant and rule together; what takes in everything is left out.
	within      []domain.ProjectID // none: wherever the grant holds
	envs        []string
	paths       []domain.Pattern
	hints       []string // of each path, a folder name that must be there, "" for none
	names, tags []string
	when        *clause
	unless      *clause
	fixed       bool // asks nothing of the moment
	reason      string
	// Texts that fit names and tags: each pattern in a short and in a long form.
	sampleNames []string
	sampleTags  []string
}

// Prepare makes the rights of a principal that will be asked often. The principal must not be changed afterwards.
func Prepare(p *domain.Principal) { p.Rights = compile(p) }

// rightsOf gives the prepared rights, or makes them for this one question.
func rightsOf(p *domain.Principal) *Rights {
	if r, ok := p.Rights.(*Rights); ok && r.of == p {
		return r
	}
	return compile(p)
}

func compile(p *domain.Principal) *Rights {
	r := &Rights{of: p, projects: map[domain.ProjectID][]*line{}, places: map[place]*verdict{}, reached: map[place]bool{}}
	h := fnv.New64a()
	for i := range p.Grants {
		g := &p.Grants[i]
		name, rules := RulesOf(p, g.Role)
		stamp, _ := json.Marshal(struct { // strings and numbers only: it cannot fail
			G *domain.Grant
			R []domain.Rule
		}{g, rules})
		_, _ = h.Write(stamp)
		for n := range rules {
			l := lineOf(p, g, name, &rules[n], n+1)
			if l == nil {
				continue
			}
			r.tags = r.tags || len(l.tags) > 0
			r.secrets = r.secrets || l.named()
			r.lines = append(r.lines, l)
			switch {
			case g.Project != "" && l.inProject(g.Project):
				r.projects[g.Project] = append(r.projects[g.Project], l)
			case g.Project == "" && len(l.within) == 0:
				r.everywhere = append(r.everywhere, l)
			case g.Project == "":
				for _, id := range l.within {
					r.projects[id] = append(r.projects[id], l)
				}
			}
		}
	}
	// A token narrows, and conditions look at what its login proved: two tokens of one holder may see different things.
	own, _ := json.Marshal(struct {
		S []domain.Scope
		A map[string]string
		P []domain.Role
	}{p.Scopes, p.Attributes, p.Policies})
	_, _ = h.Write(own)
	r.print = h.Sum64()
	return r
}

// lineOf compiles a rule of a grant; nil when it can never hold for this principal.
func lineOf(p *domain.Principal, g *domain.Grant, name string, rule *domain.Rule, number int) *line {
	l := &line{rule: rule, deny: rule.Effect != domain.Allow, grant: g, number: number, within: rule.Projects, envs: narrowing(rule.Environments),
		names: narrowing(rule.Names), tags: narrowing(rule.Tags), when: clauseOf(rule.When, p), unless: clauseOf(rule.Unless, p)}
	if !slices.ContainsFunc(rule.Paths, wide) {
		l.paths = rule.Paths
	}
	for _, path := range l.paths {
		hint := ""
		for _, s := range segments(path) {
			if s != "*" && s != "**" && s != domain.Alone && len(s) > len(hint) {
				hint = s
			}
		}
		l.hints = append(l.hints, hint)
	}
	if holds, settled := l.when.settled(); settled {
		if !holds {
			return nil
		}
		l.when = nil
	}
	if l.unless != nil {
		if holds, settled := l.unless.settled(); settled {
			if holds {
				return nil
			}
			l.unless = nil
		}
	}
	l.actions, l.all = actionsOf(rule.Actions)
	l.fixed = l.when == nil && l.unless == nil && g.ExpiresAt == 0
	l.reason = "role " + name
	if !g.Role.IsBuiltIn() {
		l.reason += ", rule " + strconv.Itoa(number)
	}
	l.sampleNames, l.sampleTags = []string{string(strange)}, []string{""}
	if len(l.names) > 0 {
		l.sampleNames = instances(l.names)
	}
	if len(l.tags) > 0 {
		l.sampleTags = instances(l.tags)
	}
	return l
}

// narrowing leaves out a list that takes in everything.
func narrowing(globs []string) []string {
	if slices.Contains(globs, "*") {
		return nil
	}
	return globs
}

// named tells whether the rule is about some secrets of a folder only.
func (l *line) named() bool { return len(l.names)+len(l.tags) > 0 }

// inProject tells whether the rule can hold somewhere in a project.
func (l *line) inProject(id domain.ProjectID) bool {
	return (l.grant.Project == "" || l.grant.Project == id) && (len(l.within) == 0 || slices.Contains(l.within, id))
}

// narrowed tells whether the rule is about a part of the project.
func (l *line) narrowed() bool {
	return l.grant.Env != "" || len(l.envs) > 0 || l.pathed() || l.named()
}

// pathed tells whether the rule is about some folders only.
func (l *line) pathed() bool { return !wide(l.grant.Path) || len(l.paths) > 0 }

// sees are the actions that an allow in a part of a project gives for the whole: to know that it is there, and to make
// tokens for that part.
func sees(a Action) bool { return a == ProjectRead || a == TokenCreate }

// Keyed are the actions on keys of the encryption service. A key lies in no environment and has a name: rules on names are about
// it, those on environments, folders and tags are not.
func Keyed(a Action) bool { return strings.HasPrefix(string(a), "transit.") }

// covers tells whether the place lies where the rule holds; names, tags and the moment are not asked.
func (l *line) covers(action Action, index int, r *Resource) bool {
	if !(l.all || index >= 0 && l.actions.has(index)) {
		return false
	}
	if r.Env == "" && Keyed(action) {
		return l.grant.Env == "" && len(l.envs) == 0 && !l.pathed() && len(l.tags) == 0
	}
	if r.Env == "" {
		return !l.narrowed() || !l.deny && sees(action)
	}
	if !l.coversEnv(r) {
		return false
	}
	if !l.pathed() {
		return true
	}
	if r.Path == "" {
		return !l.deny && sees(action)
	}
	return l.coversPath(r.Path)
}

func (l *line) coversEnv(r *Resource) bool {
	if l.grant.Env != "" && l.grant.Env != r.Env {
		return false
	}
	if len(l.envs) > 0 {
		if r.EnvSlug == "" {
			return l.deny // nobody said what it is called: a deny holds, an allow does not
		}
		return fitsAny(l.envs, r.EnvSlug)
	}
	return true
}

func (l *line) coversPath(path domain.Path) bool {
	if !wide(l.grant.Path) && !l.grant.Path.Match(path) {
		return false
	}
	for i, p := range l.paths {
		// A look for one word leaves most patterns out at a fifth of the price.
		if (i >= len(l.hints) || strings.Contains(string(path), l.hints[i])) && p.Match(path) {
			return true
		}
	}
	return len(l.paths) == 0
}

// coversBelow tells whether the rule covers a folder and everything below it.
func (l *line) coversBelow(path domain.Path) bool {
	return l.coversPath(path) && pathCovers(l.grant.Path, domain.Pattern(path)) && patternsCover(l.paths, []domain.Pattern{domain.Pattern(path)})
}

// asks tells whether the rule holds for a secret of the place, at the moment.
func (l *line) asks(p *domain.Principal, name domain.SecretName, tags []domain.Tag, f *moment) bool {
	return l.fits(name, tags) && l.holds(p, f)
}

func (l *line) fits(name domain.SecretName, tags []domain.Tag) bool {
	if len(l.names) > 0 && (name == "" || !fitsAny(l.names, name)) {
		return false
	}
	return len(l.tags) == 0 || slices.ContainsFunc(tags, func(t domain.Tag) bool { return fitsAny(l.tags, t) })
}

// holds tells whether grant and conditions hold at the moment. What is not known lets no allow hold and no deny fall.
func (l *line) holds(p *domain.Principal, f *moment) bool {
	if l.fixed {
		return true
	}
	if ends := l.grant.ExpiresAt; ends != 0 {
		if f.At == 0 && !l.deny || f.At != 0 && f.At >= ends {
			return false
		}
	}
	when, unless := yes, no
	if l.when != nil {
		when = l.when.ask(p, f)
	}
	if l.unless != nil {
		unless = l.unless.ask(p, f)
	}
	if l.deny {
		return when != no && unless != yes
	}
	return when == yes && unless == no
}

// spares tells whether some secret that the rule is about is not one that a deny is about.
func (l *line) spares(p *domain.Principal, denies []*line, f *moment) bool {
	for _, name := range l.sampleNames {
		for _, tag := range l.sampleTags {
			n := domain.SecretName(name)
			tags := []domain.Tag{domain.Tag(tag)}[:min(1, len(tag))]
			if l.fits(n, tags) && !slices.ContainsFunc(denies, func(d *line) bool { return d.asks(p, n, tags, f) }) {
				return true
			}
		}
	}
	return false
}

// strange is a name that no rule has written out: it stands for all those that only a '*' takes in.
const strange domain.SecretName = "q7.strange-name.z0"

// instances gives texts that fit the patterns.
func instances(patterns []string) []string {
	var out []string
	for _, p := range patterns {
		for _, fill := range []string{"", string(strange)} {
			var b []byte
			for i := range len(p) {
				switch p[i] {
				case '*':
					b = append(b, fill...)
				case '?':
					b = append(b, 'q')
				default:
					b = append(b, p[i])
				}
			}
			if text := string(b); !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	return out
}
