package migrate

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Fitting says how a plan is brought into our model.
type Fitting struct {
	Only   []string // places to keep: PROJECT, PROJECT/ENV, PROJECT/ENV/FOLDER or PROJECT/FOLDER; empty for all
	Into   string   // one project for all; several projects of the source become folders of it
	Prefix string   // a folder that all goes below
	Rename bool     // names that cannot be held get others
}

// Fit makes every name of the plan one that we hold: what cannot be held is left out and noted as [Unfit], or renamed and noted
// as [Renamed]. References and imports follow. What is left says here what it said at the source.
func (p *Plan) Fit(f Fitting) error {
	p.choose(f.Only)
	if len(p.Projects) == 0 {
		return fault.New(fault.NotFound, "%s has nothing that is asked for", p.Source).WithHint("look at --only, and at what the credential may read")
	}
	t := &fitter{plan: p, f: f, raw: p.world(), to: map[spot]spot{}, taken: map[spot]map[string]bool{}}
	if err := t.names(); err != nil {
		return err
	}
	t.rewrite()
	p.Mounts = slices.DeleteFunc(p.Mounts, func(m Mount) bool { return t.to[spot{m.Project, m.Env, m.Path, ""}] == (spot{}) })
	for i := range p.Mounts {
		to := t.to[spot{p.Mounts[i].Project, p.Mounts[i].Env, p.Mounts[i].Path, ""}]
		p.Mounts[i].Project, p.Mounts[i].Env, p.Mounts[i].Path = to.project, to.env, to.path
	}
	p.settleReferences()
	for i := range p.Projects {
		for _, e := range p.Projects[i].Envs {
			e.sort()
		}
	}
	slices.SortStableFunc(p.Notes, func(a, b Note) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Where, b.Where), strings.Compare(a.Text, b.Text))
	})
	p.Notes = slices.Compact(p.Notes)
	return nil
}

// choose drops what --only does not name.
func (p *Plan) choose(only []string) {
	if len(only) == 0 {
		return
	}
	for i := range p.Projects {
		project := &p.Projects[i]
		for _, e := range project.Envs {
			keep := func(path string) bool {
				return wanted(only, project.Slug+"/"+e.Slug+strings.TrimSuffix(path, "/")) || wanted(only, project.Slug+strings.TrimSuffix(path, "/"))
			}
			e.Folders = slices.DeleteFunc(e.Folders, func(f Folder) bool { return !keep(f.Path) })
			for n := range e.Steps {
				st := &e.Steps[n]
				st.Sets = slices.DeleteFunc(st.Sets, func(s Secret) bool { return !keep(s.Path) && !keep(s.Key.String()) })
				st.Gone = slices.DeleteFunc(st.Gone, func(k Key) bool { return !keep(k.Path) && !keep(k.String()) })
			}
			e.Steps = slices.DeleteFunc(e.Steps, func(st Step) bool { return len(st.Sets)+len(st.Gone) == 0 })
		}
		project.Envs = slices.DeleteFunc(project.Envs, func(e *Env) bool { return len(e.Folders)+len(e.Steps) == 0 })
	}
	p.Projects = slices.DeleteFunc(p.Projects, func(q Project) bool { return len(q.Envs) == 0 })
}

// spot is a place of the source or of ours: a project, an environment, a folder or a secret, as far as its parts go.
type spot struct{ project, env, path, name string }

func (s spot) String() string {
	out := s.project
	if s.env != "" {
		out += "/" + s.env
	}
	if s.path != "" {
		out += ":" + s.path
	}
	if s.name != "" {
		out = strings.TrimSuffix(out, "/") + "/" + s.name
	}
	return word(out)
}

type fitter struct {
	plan  *Plan
	f     Fitting
	raw   *world
	to    map[spot]spot            // what the source calls a place → what we call it; absent: left out
	taken map[spot]map[string]bool // names of ours in a place of ours
}

// fits says what a kind of name must be.
type fits struct {
	what  string
	parse func(string) error
	mend  func(string) string
}

func slugs() fits {
	return fits{"slug", func(s string) error { _, err := domain.ParseSlug(s); return err }, func(s string) string { return string(domain.Slugify(s)) }}
}

func folders() fits {
	return fits{"folder name", func(s string) error { _, err := domain.Root.Join(s); return err }, func(s string) string { return mend(s, "_-", '-', 90) }}
}

func secretNames() fits {
	return fits{"secret name", func(s string) error { _, err := domain.ParseSecretName(s); return err }, func(s string) string { return mend(s, "_-.", '_', 240) }}
}

// mend replaces what a name may not hold.
func mend(s, extra string, by byte, most int) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r < utf8.RuneSelf && strings.ContainsRune(extra, r):
			b.WriteRune(r)
		case b.Len() > 0 && b.String()[b.Len()-1] != by:
			b.WriteByte(by)
		}
		if b.Len() >= most {
			break
		}
	}
	out := strings.Trim(b.String(), string(by))
	if strings.Trim(out, ".") == "" {
		return ""
	}
	return out
}

// name gives our name of something in a place of ours, and whether there is one. At tells where it is at the source.
func (t *fitter) name(in spot, s string, k fits, at spot) (string, bool) {
	taken := t.taken[in]
	if taken == nil {
		taken = map[string]bool{}
		t.taken[in] = taken
	}
	err := k.parse(s)
	if err == nil && !taken[s] {
		taken[s] = true
		return s, true
	}
	reason := "another one has that " + k.what
	if err != nil {
		reason = fault.As(err).Message
	}
	if !t.f.Rename {
		t.plan.note(Unfit, at.String(), reason)
		return "", false
	}
	base := first(k.mend(s), "unnamed")
	out := base
	for n := 2; taken[out] || k.parse(out) != nil; n++ {
		out = base + "-" + itoa(n)
		if n > maxPlaces {
			t.plan.note(Unfit, at.String(), reason)
			return "", false
		}
	}
	taken[out] = true
	t.plan.note(Renamed, at.String(), "becomes "+out)
	return out, true
}

// good tells whether a name needs nothing; such names are given first, so that a mended one never takes theirs.
func goodFirst[T any](all []T, name func(T) string, k fits) []T {
	out := slices.Clone(all)
	slices.SortStableFunc(out, func(a, b T) int {
		okA, okB := k.parse(name(a)) == nil, k.parse(name(b)) == nil
		switch {
		case okA && !okB:
			return -1
		case okB && !okA:
			return 1
		}
		return strings.Compare(name(a), name(b))
	})
	return out
}

// names finds our name for all that the plan holds.
func (t *fitter) names() error {
	prefix, err := domain.ParsePath(t.f.Prefix)
	if err != nil {
		return err
	}
	into := t.f.Into
	if into != "" {
		if _, err := domain.ParseSlug(into); err != nil {
			return err
		}
	}
	several := len(t.plan.Projects) > 1
	projects := make([]*Project, len(t.plan.Projects))
	for i := range t.plan.Projects {
		projects[i] = &t.plan.Projects[i]
	}
	for _, p := range goodFirst(projects, func(p *Project) string { return p.Slug }, slugs()) {
		at, below := spot{project: p.Slug}, prefix
		var slug string
		ok := true
		switch {
		case into != "" && several:
			slug = into
			var own string
			if own, ok = t.name(spot{into, "*", string(prefix), ""}, p.Slug, folders(), at); ok {
				if below, err = prefix.Join(own); err != nil {
					return err
				}
			}
		case into != "":
			slug = into
		default:
			slug, ok = t.name(spot{}, p.Slug, slugs(), at)
		}
		if !ok {
			continue
		}
		t.to[at] = spot{project: slug}
		for _, e := range goodFirst(p.Envs, func(e *Env) string { return e.Slug }, slugs()) {
			at := spot{project: p.Slug, env: e.Slug}
			env := e.Slug
			if into == "" || !several || slugs().parse(env) != nil { // environments of one name come together in one project
				if env, ok = t.name(spot{project: slug + "\x00" + p.Slug}, e.Slug, slugs(), at); !ok {
					continue
				}
			}
			t.to[at] = spot{project: slug, env: env}
			t.tree(p, e, slug, env, below)
		}
	}
	return nil
}

// tree names folders and secrets of an environment.
func (t *fitter) tree(p *Project, e *Env, project, env string, below domain.Path) {
	paths := map[string]bool{"/": true}
	for _, f := range e.Folders {
		paths[f.Path] = true
	}
	secrets := map[string]map[string]bool{}
	add := func(k Key) {
		paths[k.Path] = true
		if secrets[k.Path] == nil {
			secrets[k.Path] = map[string]bool{}
		}
		secrets[k.Path][k.Name] = true
	}
	for _, st := range e.Steps {
		for _, s := range st.Sets {
			add(s.Key)
		}
	}
	t.to[spot{p.Slug, e.Slug, "/", ""}] = spot{project, env, string(below), ""}
	for path := range maps.Clone(paths) { // also the folders in between
		for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
			paths[path[:i]] = true
		}
	}
	// Parents come before children, and names that fit before those that do not.
	sorted := slices.SortedFunc(maps.Keys(paths), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(unfit(a), unfit(b)), strings.Compare(a, b))
	})
	for _, path := range sorted {
		if path != "/" && !t.folder(p, e, path) {
			continue
		}
		to, ok := t.to[spot{p.Slug, e.Slug, path, ""}]
		if !ok {
			continue
		}
		names := slices.Collect(maps.Keys(secrets[path]))
		for _, name := range goodFirst(names, func(s string) string { return s }, secretNames()) {
			at := spot{p.Slug, e.Slug, path, name}
			if own, ok := t.name(spot{to.project, to.env, to.path, "*"}, name, secretNames(), at); ok {
				to := to
				to.name = own
				t.to[at] = to
			}
		}
	}
}

// unfit is 1 for a path whose last name does not fit.
func unfit(path string) int {
	if folders().parse(path[strings.LastIndexByte(path, '/')+1:]) != nil {
		return 1
	}
	return 0
}

// folder names one folder below its parent.
func (t *fitter) folder(p *Project, e *Env, path string) bool {
	cut := strings.LastIndexByte(path, '/')
	parent := path[:cut]
	if parent == "" {
		parent = "/"
	}
	at := spot{p.Slug, e.Slug, path, ""}
	in, ok := t.to[spot{p.Slug, e.Slug, parent, ""}]
	if !ok {
		t.plan.note(Unfit, at.String(), "lies in a folder that is left out")
		return false
	}
	own, ok := t.name(in, path[cut+1:], folders(), at)
	if !ok {
		return false
	}
	full, err := domain.Path(in.path).Join(own)
	if err != nil {
		t.plan.note(Unfit, at.String(), fault.As(err).Message)
		return false
	}
	t.to[at] = spot{in.project, in.env, string(full), ""}
	return true
}

// rewrite gives everything its name of ours, and drops what has none.
func (t *fitter) rewrite() {
	var out []Project
	index := map[string]int{}
	for _, p := range t.plan.Projects {
		to, ok := t.to[spot{project: p.Slug}]
		if !ok {
			continue
		}
		i, merged := index[to.project]
		if !merged {
			i = len(out)
			index[to.project] = i
			q := Project{ID: p.ID, Slug: to.project, Name: label(p.Name, to.project)}
			if t.f.Into != "" {
				q.ID, q.Name = "", to.project
				if len(t.plan.Projects) == 1 {
					q.ID = p.ID
				}
			}
			if p.Slug != to.project {
				q.From = p.Slug
			}
			out = append(out, q)
		}
		for _, e := range p.Envs {
			to, ok := t.to[spot{project: p.Slug, env: e.Slug}]
			if !ok {
				continue
			}
			fitted := out[i].env(to.env)
			if !merged {
				fitted.ID, fitted.Name = e.ID, label(e.Name, to.env)
			}
			t.env(p, e, fitted)
		}
	}
	t.plan.Projects = out
}

// label gives a display name that we hold.
func label(name, fallback string) string {
	if l, err := domain.ParseLabel(strings.TrimSpace(name)); err == nil {
		return string(l)
	}
	return fallback
}

func (t *fitter) env(p Project, e, fitted *Env) {
	for _, f := range e.Folders {
		to, ok := t.to[spot{p.Slug, e.Slug, f.Path, ""}]
		if !ok {
			continue
		}
		folder := Folder{Path: to.path}
		for _, im := range f.Imports {
			if place, ok := t.place(p.Slug, e.Slug, im, to); ok {
				folder.Imports = append(folder.Imports, place)
			} else {
				t.plan.note(Changed, spot{p.Slug, e.Slug, f.Path, ""}.String(), "imports a folder that is not moved: the import is left out")
			}
		}
		fitted.Folders = append(fitted.Folders, folder)
	}
	t.refuseLarge(p, e)
	for _, st := range e.Steps {
		step := Step{At: st.At, Author: clean(st.Author)}
		for _, s := range st.Sets {
			at := spot{p.Slug, e.Slug, s.Path, s.Name}
			to, ok := t.to[at]
			if !ok {
				continue
			}
			if t.secret(&s, at, e) {
				s.Key = Key{to.path, to.name}
				step.Sets = append(step.Sets, s)
			}
		}
		for _, k := range st.Gone {
			if to, ok := t.to[spot{p.Slug, e.Slug, k.Path, k.Name}]; ok {
				step.Gone = append(step.Gone, Key{to.path, to.name})
			}
		}
		if len(step.Sets)+len(step.Gone) > 0 {
			fitted.Steps = append(fitted.Steps, step)
		}
	}
}

// refuseLarge drops the secrets whose present value is too large, with all their states: an older value in its place would be
// a lie.
func (t *fitter) refuseLarge(p Project, e *Env) {
	size := map[Key]int{}
	for _, st := range e.Steps {
		for _, s := range st.Sets {
			size[s.Key] = s.Value.Len()
		}
		for _, k := range st.Gone {
			delete(size, k)
		}
	}
	for k, n := range size {
		if at := (spot{p.Slug, e.Slug, k.Path, k.Name}); n > domain.MaxValue && t.to[at] != (spot{}) {
			t.plan.note(Unfit, at.String(), "has a value of more than "+itoa(domain.MaxValue>>10)+" KiB")
			delete(t.to, at)
		}
	}
}

// place finds our name of a folder that is imported.
func (t *fitter) place(project, env string, im Place, importer spot) (Place, bool) {
	at := spot{first(im.Project, project), first(im.Env, env), im.Path, ""}
	to, ok := t.to[at]
	if !ok {
		return Place{}, false
	}
	out := Place{Project: to.project, Env: to.env, Path: to.path}
	if to.project == importer.project {
		out.Project = ""
		if to.env == importer.env {
			out.Env = ""
		}
	}
	return out, true
}

// clean makes one line of what a source says, for messages of commits.
func clean(s string) string {
	if l, err := domain.ParseLabel(strings.TrimSpace(s)); err == nil {
		return string(l)
	}
	return ""
}

// secret brings value and attributes within our bounds. It tells whether the state can be held at all.
func (t *fitter) secret(s *Secret, at spot, e *Env) bool {
	if s.Value.Len() > domain.MaxValue {
		t.plan.note(Skipped, at.String(), "has an older value of more than "+itoa(domain.MaxValue>>10)+" KiB, which is left out")
		return false
	}
	if len(s.Comment) > domain.MaxComment || !utf8.ValidString(s.Comment) {
		t.plan.note(Changed, at.String(), "has a comment of more than "+itoa(domain.MaxComment)+" bytes, or one that is no text: it is left out")
		s.Comment = ""
	}
	attrs := domain.Attributes{Cadence: domain.Cadence(s.RotateEvery)}
	if attrs.Check() != nil {
		s.RotateEvery = ""
	}
	s.Tags = t.tags(s.Tags, at)
	s.Meta = t.meta(s.Meta, at)
	if t.plan.References && !s.Literal && hasDollar(s.Value) {
		s.Value = t.respell(s, at, e)
	}
	return true
}

// tags keeps the tags that we hold, and makes others of those that we do not where names may be changed.
func (t *fitter) tags(tags []string, at spot) []string {
	var out []string
	for _, tag := range tags {
		if _, err := domain.ParseTag(tag); err != nil {
			mended := string(domain.Slugify(tag))
			if !t.f.Rename || mended == "" {
				t.plan.note(Changed, at.String(), "has the tag "+word(tag)+", which is none here: it is left out")
				continue
			}
			t.plan.note(Renamed, at.String(), "its tag "+word(tag)+" becomes "+mended)
			tag = mended
		}
		if !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	slices.Sort(out)
	if a := (domain.Attributes{Tags: asTags(out)}); a.Check() != nil {
		t.plan.note(Changed, at.String(), "has more tags than are held here: all are left out")
		return nil
	}
	return out
}

func asTags(s []string) []domain.Tag {
	out := make([]domain.Tag, len(s))
	for i := range s {
		out[i] = domain.Tag(s[i])
	}
	return out
}

// meta keeps the metadata that we hold.
func (t *fitter) meta(meta map[string]string, at spot) map[string]string {
	out := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		a := domain.Attributes{Meta: map[string]string{k: meta[k]}}
		if a.Check() != nil {
			t.plan.note(Changed, at.String(), "has metadata of the name "+word(k)+", which is too long or no text here: it is left out")
			continue
		}
		out[k] = meta[k]
		if a := (domain.Attributes{Meta: out}); a.Check() != nil {
			t.plan.note(Changed, at.String(), "has more metadata than is held here: "+word(k)+" is left out")
			delete(out, k)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func hasDollar(v sensitive.Value) bool { return strings.Contains(string(v.Reveal()), "${") }

// sort puts the steps into the order of time. Steps without one come first, in their own order; they are what a source says
// that keeps no history.
//
// The states of one secret keep their order, whatever the clocks of the source said.
func (e *Env) sort() {
	latest := map[Key]time.Time{}
	for i := range e.Steps {
		st := &e.Steps[i]
		for _, k := range st.keys() {
			if latest[k].After(st.At) {
				st.At = latest[k]
			}
		}
		for _, k := range st.keys() {
			latest[k] = st.At
		}
	}
	slices.SortStableFunc(e.Steps, func(a, b Step) int { return a.At.Compare(b.At) })
	for i := range e.Steps {
		slices.SortStableFunc(e.Steps[i].Sets, func(a, b Secret) int { return compareKeys(a.Key, b.Key) })
		slices.SortFunc(e.Steps[i].Gone, compareKeys)
	}
	slices.SortStableFunc(e.Folders, func(a, b Folder) int { return strings.Compare(a.Path, b.Path) })
	e.Folders = slices.CompactFunc(e.Folders, func(a, b Folder) bool {
		return a.Path == b.Path && len(b.Imports) == 0
	})
}
