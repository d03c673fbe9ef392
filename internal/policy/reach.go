package policy

import (
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
)

// maxSteps bounds the search for a folder that is allowed. Rules that need more are no rules that people write; the answer is
// then that there may be one, and lists come out empty.
const maxSteps = 4096

// Reaches is [ReachesAt] when nothing is known of the moment.
func Reaches(p *domain.Principal, action Action, r Resource) bool {
	return ReachesAt(p, action, r, Facts{})
}

// ReachesAt tells whether the principal may do the action in at least one folder of the environment, for at least one secret
// that could be there, whatever r.Path is. Lists use it to decide whether to answer at all before they filter row by row.
func ReachesAt(p *domain.Principal, action Action, r Resource, f Facts) bool {
	if p == nil || p.Kind == domain.Anonymous || p.Kind == domain.System || r.Org != p.Org || slices.Contains(self, action) || slices.Contains(asking, action) {
		return DecideAt(p, action, r, f).Allowed
	}
	if p.Method == domain.BreakGlassMethod && !slices.Contains(emergency, action) {
		return false
	}
	r.Path, r.Name, r.Tags = "", "", nil
	if sees(action) && DecideAt(p, action, r, f).Allowed {
		return true // a part of the environment shows that it is there, whatever is denied in that part
	}
	rights := rightsOf(p)
	key := place{action, r.Project, r.Env, r.EnvSlug, ""}
	rights.mu.RLock()
	known, ok := rights.reached[key]
	rights.mu.RUnlock()
	if ok {
		return known
	}
	out, fixed := rights.search(action, &r, &moment{Facts: f})
	if fixed {
		rights.mu.Lock()
		defer rights.mu.Unlock()
		if len(rights.reached) >= maxPlaces {
			clear(rights.reached)
		}
		rights.reached[key] = out
	}
	return out
}

// search looks for a folder, and tells whether the answer is the same at every moment.
func (rights *Rights) search(action Action, r *Resource, f *moment) (found, fixed bool) {
	p := rights.of
	fixed = true
	if !inScope(p, action, *r, true) {
		return false, true
	}
	var allows, denies []*line
	index := indexOf(action)
	for _, lines := range [2][]*line{rights.everywhere, rights.projects[r.Project]} {
		for _, l := range lines {
			if !(l.all || index >= 0 && l.actions.has(index)) || r.Env != "" && !l.coversEnv(r) {
				continue
			}
			if r.Env == "" && !l.covers(action, index, r) {
				continue
			}
			fixed = fixed && l.fixed
			if !l.holds(p, f) {
				continue
			}
			if l.deny {
				if !l.named() && (!l.pathed() || r.Env == "") {
					return false, fixed
				}
				denies = append(denies, l)
			} else {
				allows = append(allows, l)
			}
		}
	}
	for _, l := range allows {
		if r.Env == "" || !l.pathed() && !l.named() && len(denies) == 0 {
			return true, fixed
		}
	}
	scopes := []domain.Pattern{"/"}
	if p.Scopes != nil && action != ProjectRead {
		scopes = nil
		for _, s := range p.Scopes {
			if s.Project == r.Project && (s.Env == "" || s.Env == r.Env) && slices.Contains(s.Verbs, verbs[action]) {
				scopes = append(scopes, s.Path)
			}
		}
	}
	for _, l := range allows {
		paths := l.paths
		if len(paths) == 0 {
			paths = []domain.Pattern{"/"}
		}
		for _, inner := range paths {
			for _, scope := range scopes {
				w := &walk{p: p, f: f, allow: l, denies: denies, must: []domain.Pattern{l.grant.Path, inner, scope}, left: maxSteps}
				if w.run() {
					return true, fixed
				}
			}
		}
	}
	return false, fixed
}

// walk tries folders for one allow, the shortest first. A folder that a rule has not written out is as good as any other, so
// one strange name stands for all of them.
type walk struct {
	p      *domain.Principal
	f      *moment
	allow  *line
	denies []*line
	must   []domain.Pattern
	left   int
}

// strangeFolder stands for all folder names that no rule has written out.
const strangeFolder = "q7-strange-folder-z0"

func (w *walk) run() bool {
	words := []string{strangeFolder}
	for _, m := range w.must {
		for _, s := range segments(m) {
			if s != "*" && s != "**" && s != domain.Alone && !slices.Contains(words, s) {
				words = append(words, s)
			}
		}
	}
	open := []domain.Path{domain.Root}
	for len(open) > 0 {
		path := open[0]
		open = open[1:]
		if w.left--; w.left < 0 {
			return true
		}
		if w.good(path) {
			return true
		}
		if len(path.Segments()) >= domain.MaxDepth {
			continue
		}
		for _, word := range words {
			next := domain.Path(string(path) + "/" + word)
			if path == domain.Root {
				next = domain.Path("/" + word)
			}
			if w.hopeful(next) {
				open = append(open, next)
			}
		}
	}
	return false
}

func (w *walk) good(path domain.Path) bool {
	for _, m := range w.must {
		if !m.Match(path) {
			return false
		}
	}
	var here []*line
	for _, d := range w.denies {
		if d.coversPath(path) {
			if !d.named() {
				return false
			}
			here = append(here, d)
		}
	}
	return w.allow.spares(w.p, here, w.f)
}

// hopeful tells whether a folder below the path could still fit what it must, and is not denied as a whole.
func (w *walk) hopeful(path domain.Path) bool {
	for _, m := range w.must {
		if !pathsMeet(domain.Pattern(path), m) {
			return false
		}
	}
	for _, d := range w.denies {
		if !d.named() && d.coversBelow(path) {
			return false
		}
	}
	return true
}
