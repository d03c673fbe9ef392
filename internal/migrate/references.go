package migrate

import (
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// hasReference tells whether a value would be read as one with references, or with the escape of one.
func hasReference(v sensitive.Value) bool {
	s := string(v.Reveal())
	return strings.Contains(s, "${") && (strings.Contains(s, "$${") || len(domain.References(s)) > 0)
}

// world looks up what references of a plan point to.
type world struct {
	projects map[string]map[string]*Env
	names    map[*Env]map[Key]bool
	imports  map[*Env]map[string][]Place
}

func (p *Plan) world() *world {
	w := &world{projects: map[string]map[string]*Env{}, names: map[*Env]map[Key]bool{}, imports: map[*Env]map[string][]Place{}}
	for i := range p.Projects {
		envs := map[string]*Env{}
		for _, e := range p.Projects[i].Envs {
			envs[e.Slug] = e
			w.names[e], w.imports[e] = map[Key]bool{}, map[string][]Place{}
			for _, s := range e.Now() {
				w.names[e][s.Key] = true
			}
			for _, f := range e.Folders {
				w.imports[e][f.Path] = f.Imports
			}
		}
		w.projects[p.Projects[i].Slug] = envs
	}
	return w
}

// maxImportDepth is how far imports of imports are followed, as the server does.
const maxImportDepth = 16

// shows tells which environment has a name that a folder shows, by itself or by its imports.
func (w *world) shows(project string, e *Env, k Key, depth int) (string, *Env, Key, bool) {
	if e == nil || depth > maxImportDepth {
		return "", nil, Key{}, false
	}
	if w.names[e][k] {
		return project, e, k, true
	}
	imports := w.imports[e][k.Path]
	for i := len(imports) - 1; i >= 0; i-- {
		to, toProject := imports[i], project
		if to.Project != "" {
			toProject = to.Project
		}
		env := e
		if to.Env != "" || to.Project != "" {
			env = w.projects[toProject][to.Env]
		}
		if p, found, key, ok := w.shows(toProject, env, Key{to.Path, k.Name}, depth+1); ok {
			return p, found, key, true
		}
	}
	return "", nil, Key{}, false
}

// resolve finds what a reference in a secret points to.
func (w *world) resolve(project string, e *Env, at Key, r domain.Reference) (string, *Env, Key, bool) {
	if r.Local() {
		return w.shows(project, e, Key{at.Path, string(r.Name)}, 0)
	}
	if r.Project != "" {
		project = string(r.Project)
	}
	return w.shows(project, w.projects[project][string(r.Env)], Key{string(r.Folder), string(r.Name)}, 0)
}

// settleReferences makes the values of now say here what they say at the source: text that looks like a reference becomes
// literal where the source has none, and references that point to nothing stay as text, as they do at the source.
//
// Old states are literal always: what they pointed to may be gone.
func (p *Plan) settleReferences() {
	w := p.world()
	cyclic := w.cycles(p)
	for i := range p.Projects {
		project := p.Projects[i].Slug
		for _, e := range p.Projects[i].Envs {
			last := map[Key]int{}
			for n, st := range e.Steps {
				for _, s := range st.Sets {
					last[s.Key] = n
				}
			}
			for n := range e.Steps {
				for m := range e.Steps[n].Sets {
					s := &e.Steps[n].Sets[m]
					switch {
					case !hasReference(s.Value):
					case !p.References || last[s.Key] != n:
						s.Literal = true
					case cyclic[node{project, e.Slug, s.Key}]:
						s.Literal = true
						p.note(Changed, place(project, e.Slug, s.Key), "points to itself in a circle: the references stay as text")
					default:
						p.settle(w, project, e, s)
					}
				}
			}
		}
	}
}

// settle looks at the references of one value.
func (p *Plan) settle(w *world, project string, e *Env, s *Secret) {
	text := string(s.Value.Reveal())
	var lost []domain.Reference
	all := domain.References(text)
	for _, r := range all {
		if _, _, _, ok := w.resolve(project, e, s.Key, r); !ok {
			lost = append(lost, r)
		}
	}
	switch {
	case strings.Contains(text, "$${"):
		s.Literal = true
		p.note(Changed, place(project, e.Slug, s.Key), "holds $${, which would be read in another way here: it stays as text")
	case len(lost) == 0:
	case len(lost) == len(all):
		s.Literal = true
		p.note(Changed, place(project, e.Slug, s.Key), "points to ${"+lost[0].String()+"}, which is not moved or does not exist: it stays as text")
	default:
		for _, r := range lost {
			ref := "${" + r.String() + "}"
			text = strings.ReplaceAll(text, ref, "$"+ref)
		}
		s.Value = sensitive.FromString(text)
		p.note(Changed, place(project, e.Slug, s.Key), "points to ${"+lost[0].String()+"}, which is not moved or does not exist: written $${, which stays as text")
	}
}

// node is a secret in all of a plan.
type node struct {
	project, env string
	Key
}

// cycles finds the secrets that lie on a circle of references.
func (w *world) cycles(p *Plan) map[node]bool {
	if !p.References {
		return nil
	}
	edges := map[node][]node{}
	for i := range p.Projects {
		for _, e := range p.Projects[i].Envs {
			for _, s := range e.Now() {
				if s.Literal || !hasReference(s.Value) {
					continue
				}
				from := node{p.Projects[i].Slug, e.Slug, s.Key}
				for _, r := range domain.References(string(s.Value.Reveal())) {
					if project, env, k, ok := w.resolve(from.project, e, s.Key, r); ok {
						edges[from] = append(edges[from], node{project, env.Slug, k})
					}
				}
			}
		}
	}
	return onCircle(edges)
}

// onCircle takes away what points nowhere until only circles, and what leads into them from another circle, are left.
func onCircle(edges map[node][]node) map[node]bool {
	for changed := true; changed; {
		changed = false
		for from, to := range edges {
			to = slices.DeleteFunc(to, func(n node) bool { _, ok := edges[n]; return !ok })
			edges[from] = to
			if len(to) == 0 {
				delete(edges, from)
				changed = true
			}
		}
	}
	out := map[node]bool{}
	for n := range edges {
		if reaches(edges, n, n) {
			out[n] = true
		}
	}
	return out
}

func reaches(edges map[node][]node, from, to node) bool {
	seen := map[node]bool{}
	stack := slices.Clone(edges[from])
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n == to {
			return true
		}
		if !seen[n] {
			seen[n] = true
			stack = append(stack, edges[n]...)
		}
	}
	return false
}

func place(project, env string, k Key) string { return project + "/" + env + ":" + k.String() }
