package policy

import (
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
)

// verdict is what holds in a place: a decision that nothing can change, or the rules that are left to ask.
type verdict struct {
	settled  bool
	decision Decision
	denies   []*line // left to ask, before the allows
	allows   []*line // those that ask nothing come first
}

var nothing = Decision{false, "no role allows it"}

// DecideAt answers for one principal at a moment. It is a pure function of its arguments.
func DecideAt(p *domain.Principal, action Action, r Resource, f Facts) Decision {
	switch {
	case p == nil:
		return Decision{false, "no principal"}
	case p.Kind == domain.Anonymous:
		return Decision{slices.Contains(anonymous, action), "anonymous"}
	case p.Kind == domain.System:
		return Decision{true, "system"}
	case r.Org != p.Org:
		return Decision{false, "another organisation"}
	case p.Kind == domain.Directory:
		return Decision{action == DirectoryManage, "directory"}
	}
	rights := rightsOf(p)
	v := rights.at(action, &r)
	if v.settled {
		return v.decision
	}
	m := moment{Facts: f}
	return v.ask(p, action, r.Name, r.Tags, &m)
}

// at finds what holds in a place.
func (rights *Rights) at(action Action, r *Resource) *verdict {
	key := place{action, r.Project, r.Env, r.EnvSlug, r.Path}
	rights.mu.RLock()
	v := rights.places[key]
	rights.mu.RUnlock()
	if v != nil {
		return v
	}
	v = rights.judge(action, r)
	rights.mu.Lock()
	defer rights.mu.Unlock()
	if len(rights.places) >= maxPlaces {
		clear(rights.places)
	}
	rights.places[key] = v
	return v
}

func (rights *Rights) judge(action Action, r *Resource) *verdict {
	p := rights.of
	switch {
	case p.Method == domain.BreakGlassMethod && !slices.Contains(emergency, action):
		return &verdict{settled: true, decision: Decision{false, "not in a break-glass session"}}
	case !inScope(p, action, *r, false):
		return &verdict{settled: true, decision: Decision{false, "outside the token's scope"}}
	case slices.Contains(self, action), slices.Contains(asking, action) && p.Policies == nil:
		return &verdict{settled: true, decision: Decision{true, "own"}}
	}
	v := &verdict{decision: nothing}
	index := indexOf(action)
	var firm *line // an allow that asks nothing
	for _, lines := range [2][]*line{rights.everywhere, rights.projects[r.Project]} {
		for _, l := range lines {
			if !l.covers(action, index, r) {
				continue
			}
			open := !l.fixed || l.named()
			switch {
			case l.deny && !open:
				return &verdict{settled: true, decision: Decision{false, l.reason}}
			case l.deny:
				v.denies = append(v.denies, l)
			case !open && firm == nil:
				firm = l
			case open:
				v.allows = append(v.allows, l)
			}
		}
	}
	if firm != nil {
		v.allows = []*line{firm}
		if len(v.denies) == 0 {
			return &verdict{settled: true, decision: Decision{true, firm.reason}}
		}
	}
	v.settled = len(v.allows) == 0 && len(v.denies) == 0
	return v
}

// ask goes through the rules that are left. Without a name the question is about the folder itself: a rule on names or tags
// says nothing about that, but that an allow lets its holder see what holds his secrets.
func (v *verdict) ask(p *domain.Principal, action Action, name domain.SecretName, tags []domain.Tag, f *moment) Decision {
	for _, l := range v.denies {
		if l.asks(p, name, tags, f) {
			return Decision{false, l.reason}
		}
	}
	for _, l := range v.allows {
		if l.asks(p, name, tags, f) || name == "" && l.named() && sees(action) && l.holds(p, f) {
			return Decision{true, l.reason}
		}
	}
	return nothing
}

// some tells whether a secret could be in the place for which the answer is yes.
func (v *verdict) some(p *domain.Principal, f *moment) bool {
	if v.settled {
		return v.decision.Allowed
	}
	for _, l := range v.allows {
		if l.holds(p, f) && l.spares(p, v.denies, f) {
			return true
		}
	}
	return false
}

// Folder is what a principal may do with the secrets of one folder. It is good for the moment that it was made for.
type Folder struct {
	p      *domain.Principal
	action Action
	v      *verdict
	facts  *moment
	always *Decision // for principals that no rule is about
}

// In looks at a folder once, so that each of its secrets can be asked for quickly.
func In(p *domain.Principal, action Action, r Resource, f Facts) Folder {
	r.Name, r.Tags = "", nil
	if p == nil || p.Kind == domain.Anonymous || p.Kind == domain.System || r.Org != p.Org {
		d := DecideAt(p, action, r, f)
		return Folder{always: &d}
	}
	return Folder{p: p, action: action, v: rightsOf(p).at(action, &r), facts: &moment{Facts: f}}
}

// May tells whether the action is allowed on a secret of the folder.
func (d Folder) May(name domain.SecretName, tags []domain.Tag) bool {
	switch {
	case d.always != nil:
		return d.always.Allowed
	case d.v == nil:
		return false
	case d.v.settled:
		return d.v.decision.Allowed
	}
	return d.v.ask(d.p, d.action, name, tags, d.facts).Allowed
}

// Some tells whether there could be a secret in the folder for which the action is allowed.
func (d Folder) Some() bool {
	if d.always != nil {
		return d.always.Allowed
	}
	return d.v != nil && d.v.some(d.p, d.facts)
}

// AsksTags tells whether some rule of the principal looks at tags, so that they must be known before the question.
func AsksTags(p *domain.Principal) bool {
	return p != nil && p.Kind != domain.Anonymous && p.Kind != domain.System && rightsOf(p).tags
}

// AsksSecrets tells whether some rule of the principal is about some secrets of a folder only.
func AsksSecrets(p *domain.Principal) bool {
	return p != nil && p.Kind != domain.Anonymous && p.Kind != domain.System && rightsOf(p).secrets
}

// Stamp changes when the principal's rights do, also by a condition that holds no more. Equal stamps mean equal rights.
func Stamp(p *domain.Principal, f Facts) uint64 {
	if p == nil || p.Kind == domain.Anonymous || p.Kind == domain.System {
		return 0
	}
	rights := rightsOf(p)
	sum, m := rights.print, moment{Facts: f}
	for i, l := range rights.lines {
		if !l.fixed && l.holds(p, &m) {
			sum = sum*1099511628211 ^ uint64(i+1)
		}
	}
	return sum
}
