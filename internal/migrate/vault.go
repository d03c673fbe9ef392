package migrate

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// vaultProject stands before the name of a mount where it becomes that of a project: every project is a mount by its own name, and
// so the mount that is laid over it needs another one.
const vaultProject = "vault-"

// maxVaultDepth is how far directories are followed; a source that lists itself below itself ends there.
const maxVaultDepth = 32

// VaultAccess says how to reach a Vault or OpenBao.
type VaultAccess struct {
	Address   string
	Token     sensitive.Value
	Namespace string
	Roots     []byte // PEM, nil for those of the system
}

// vaultReader walks through all KV engines that a token may see.
type vaultReader struct {
	*source
	o    Options
	plan *Plan
	lock sync.Mutex // of plan
	done int
}

// Vault reads the KV engines of a live Vault or OpenBao: mount M becomes project vault-M, its paths become folders of one environment,
// and each document's keys the secrets of its folder. It fails with kinds of package fault.
func Vault(ctx context.Context, access VaultAccess, o Options) (*Plan, error) {
	s, err := newSource("Vault", access.Address, access.Roots)
	if err != nil {
		return nil, err
	}
	s.header.Set("X-Vault-Token", string(access.Token.Reveal()))
	s.header.Set("X-Vault-Request", "true")
	if access.Namespace != "" {
		s.header.Set("X-Vault-Namespace", access.Namespace)
	}
	return readVault(ctx, s, o)
}

func readVault(ctx context.Context, s *source, o Options) (*Plan, error) {
	r := &vaultReader{source: s, o: o, plan: &Plan{Source: "vault", Where: s.base.String()}}
	mounts, err := r.mounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		if m.kv == 0 {
			if m.kind != "system" && m.kind != "identity" && m.kind != "cubbyhole" && m.kind != "ns_system" && m.kind != "ns_identity" && m.kind != "ns_cubbyhole" {
				r.plan.note(Skipped, m.path, "is an engine of type "+word(m.kind)+": what it holds cannot be read out of it")
			}
			continue
		}
		if !selected(o.Only, m.path) || slices.ContainsFunc(strings.Split(m.path, "/"), dots) {
			continue
		}
		if err := r.mount(ctx, m); err != nil {
			return nil, err
		}
	}
	if o.History != 1 { // the second reading, which only compares, does not ask again
		r.identities(ctx)
	}
	return r.plan, nil
}

// vaultMount is an engine; kv is the version of a KV engine, 0 for others.
type vaultMount struct {
	path, kind string // without the slash at the end
	kv         int
}

type vaultMountEntry struct {
	Type    string            `json:"type"`
	Options map[string]string `json:"options"`
}

func (e vaultMountEntry) mount(path string) vaultMount {
	m := vaultMount{path: strings.TrimSuffix(path, "/"), kind: e.Type}
	if e.Type == "kv" || e.Type == "generic" {
		m.kv = 1
		if e.Options["version"] == "2" {
			m.kv = 2
		}
	}
	return m
}

// mounts lists the engines: all, else those that the token may use, else those that --only names.
func (r *vaultReader) mounts(ctx context.Context) ([]vaultMount, error) {
	var list struct {
		Data map[string]vaultMountEntry `json:"data"`
	}
	a, err := r.get(ctx, "/v1/sys/mounts", nil)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusOK {
		if err := r.decode(a, &list); err != nil {
			return nil, err
		}
		return sortedMounts(list.Data), nil
	}
	if a.status != http.StatusForbidden {
		return nil, r.refusal(a, "the list of engines")
	}
	var visible struct {
		Data struct {
			Secret map[string]vaultMountEntry `json:"secret"`
		} `json:"data"`
	}
	if a, err = r.get(ctx, "/v1/sys/internal/ui/mounts", nil); err != nil {
		return nil, err
	}
	if a.status == http.StatusOK {
		if err := r.decode(a, &visible); err != nil {
			return nil, err
		}
	}
	out := visible.Data.Secret
	for _, only := range r.o.Only {
		var one struct {
			Data struct {
				vaultMountEntry
				Path string `json:"path"`
			} `json:"data"`
		}
		a, err := r.get(ctx, "/v1/sys/internal/ui/mounts/"+escapePath(strings.Trim(only, "/")), nil)
		if err != nil {
			return nil, err
		}
		if a.status == http.StatusOK {
			if err := r.decode(a, &one); err != nil {
				return nil, err
			}
			if out == nil {
				out = map[string]vaultMountEntry{}
			}
			out[one.Data.Path] = one.Data.vaultMountEntry
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Denied, "the token may not list the engines of Vault").WithHint("give it read on sys/mounts, or name the engine: --only secret")
	}
	return sortedMounts(out), nil
}

// dots tells whether a name would be a step in a path, which no escape covers.
func dots(s string) bool { return s == "." || s == ".." }

func sortedMounts(all map[string]vaultMountEntry) []vaultMount {
	var out []vaultMount
	for path, e := range all {
		out = append(out, e.mount(path))
	}
	slices.SortFunc(out, func(a, b vaultMount) int { return strings.Compare(a.path, b.path) })
	return out
}

// mount reads one KV engine.
func (r *vaultReader) mount(ctx context.Context, m vaultMount) error {
	docs, err := r.walk(ctx, m)
	if err != nil {
		return err
	}
	project := Project{Slug: vaultProject + m.path, Name: m.path + " of Vault"}
	e := project.env(r.o.Env)
	states := make([]*document, len(docs))
	err = each(ctx, len(docs), func(ctx context.Context, i int) error {
		d := &document{path: docs[i]}
		if err := r.document(ctx, m, d); err != nil {
			return err
		}
		states[i] = d
		r.lock.Lock()
		defer r.lock.Unlock()
		r.done++
		r.o.tell("reading "+m.path, r.done, len(docs))
		return nil
	})
	r.done = 0
	if err != nil {
		return err
	}
	described := 0
	for _, d := range states {
		if len(d.meta) > 0 {
			described++
		}
		e.Folders = append(e.Folders, Folder{Path: "/" + d.path})
		if err := d.steps(r.plan, e); err != nil {
			return err
		}
	}
	if described > 0 {
		r.plan.note(Changed, m.path, plural(described, "document has", "documents have")+" custom metadata: it comes to each of their secrets")
	}
	r.plan.Projects = append(r.plan.Projects, project)
	r.plan.Mounts = append(r.plan.Mounts, Mount{Name: m.path, KV: m.kv, Project: project.Slug, Env: r.o.Env, Path: "/"})
	return nil
}

// walk lists all documents of an engine, level by level.
func (r *vaultReader) walk(ctx context.Context, m vaultMount) ([]string, error) {
	var docs []string
	level := []string{""} // directories, with a slash at the end
	seen := 0
	for depth := 0; len(level) > 0; depth++ {
		if depth > maxVaultDepth {
			r.plan.note(Unfit, m.path+"/"+level[0], "lies deeper than "+strconv.Itoa(maxVaultDepth)+" directories")
			break
		}
		names := make([][]string, len(level))
		err := each(ctx, len(level), func(ctx context.Context, i int) (err error) {
			names[i], err = r.list(ctx, m, level[i])
			return err
		})
		if err != nil {
			return nil, err
		}
		var next []string
		for i, dir := range level {
			for _, name := range names[i] {
				bare, isDir := strings.CutSuffix(name, "/")
				full := dir + name
				if bare == "" || dots(bare) || strings.Contains(bare, "/") {
					r.plan.note(Unfit, m.path+"/"+full, "has a name that cannot be asked for")
					continue
				}
				if seen++; seen > maxPlaces {
					return nil, fault.New(fault.Exhausted, "%s of Vault has more than %d entries", m.path, maxPlaces).WithHint("move a part at a time: --only %s/DIRECTORY", m.path)
				}
				switch {
				case !selected(r.o.Only, m.path+"/"+strings.TrimSuffix(full, "/")):
				case isDir:
					next = append(next, full)
				default:
					docs = append(docs, full)
				}
			}
		}
		level = next
		r.o.tell("listing "+m.path, seen, 0)
	}
	return docs, nil
}

// list reads the names in a directory.
func (r *vaultReader) list(ctx context.Context, m vaultMount, dir string) ([]string, error) {
	path := "/v1/" + escapePath(m.path) + "/"
	if m.kv == 2 {
		path += "metadata/"
	}
	a, err := r.get(ctx, path+escapePath(dir), url.Values{"list": {"true"}})
	if err != nil {
		return nil, err
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, nil
	case http.StatusForbidden:
		r.lock.Lock()
		defer r.lock.Unlock()
		r.plan.note(Unread, m.path+"/"+dir, "may not be listed by this token")
		return nil, nil
	default:
		return nil, r.refusal(a, "a list in "+m.path)
	}
	var list struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	if err := r.decode(a, &list); err != nil {
		return nil, err
	}
	slices.Sort(list.Data.Keys)
	return slices.Compact(list.Data.Keys), nil
}

// document is a document of a KV engine with its states, oldest first.
type document struct {
	path   string
	states []documentState
	meta   map[string]string
	gone   time.Time // when the present state was deleted, zero for a live one
}

type documentState struct {
	at   time.Time
	data map[string]jsontext.Value
}

// vaultVersion is what Vault tells of one version. Empty times are none.
type vaultVersion struct {
	CreatedTime    string            `json:"created_time"`
	DeletionTime   string            `json:"deletion_time"`
	Destroyed      bool              `json:"destroyed"`
	Version        int               `json:"version"`
	CustomMetadata map[string]string `json:"custom_metadata"`
}

func (v vaultVersion) dead(now time.Time) bool {
	t := moment(v.DeletionTime)
	return v.Destroyed || !t.IsZero() && !t.After(now)
}

func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

type vaultDocument struct {
	Data struct {
		Data     map[string]jsontext.Value `json:"data"`
		Metadata vaultVersion              `json:"metadata"`
	} `json:"data"`
}

// document reads the states of a document.
func (r *vaultReader) document(ctx context.Context, m vaultMount, d *document) error {
	if m.kv == 1 {
		var v1 struct {
			Data map[string]jsontext.Value `json:"data"`
		}
		a, err := r.get(ctx, "/v1/"+escapePath(m.path)+"/"+escapePath(d.path), nil)
		if err != nil || r.unread(m, d, a) {
			return err
		}
		if a.status != http.StatusOK {
			return r.refusal(a, m.path+"/"+d.path)
		}
		if err := r.decode(a, &v1); err != nil {
			return err
		}
		d.states = []documentState{{data: v1.Data}}
		return nil
	}
	current, there, err := r.version(ctx, m, d, 0)
	if err != nil || !there {
		return err
	}
	now, meta := time.Now(), current.Data.Metadata
	d.meta = meta.CustomMetadata
	dead := meta.dead(now)
	if meta.Version > 1 && r.o.History != 1 {
		if err := r.older(ctx, m, d, meta.Version, now); err != nil {
			return err
		}
	}
	if dead {
		d.gone = moment(meta.DeletionTime)
		if d.gone.IsZero() {
			d.gone = moment(meta.CreatedTime)
		}
		if d.gone.IsZero() {
			d.gone = now
		}
		return nil
	}
	if end := moment(meta.DeletionTime); !end.IsZero() {
		r.tell(Changed, m.path+"/"+d.path, "ends at "+end.UTC().Format(time.RFC3339)+" at the source; here it stays")
	}
	d.states = append(d.states, documentState{moment(meta.CreatedTime), current.Data.Data})
	return nil
}

func (r *vaultReader) tell(kind Kind, where, text string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.plan.note(kind, where, text)
}

// unread notes a document that the token may list but not read.
func (r *vaultReader) unread(m vaultMount, d *document, a answered) bool {
	if a.status == http.StatusForbidden {
		r.tell(Unread, m.path+"/"+d.path, "may not be read by this token")
	}
	return a.status == http.StatusForbidden
}

// older reads the states before the present one, as far as they still can be read.
func (r *vaultReader) older(ctx context.Context, m vaultMount, d *document, current int, now time.Time) error {
	a, err := r.get(ctx, "/v1/"+escapePath(m.path)+"/metadata/"+escapePath(d.path), nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		if a.status == http.StatusForbidden {
			r.tell(Unread, m.path+"/"+d.path, "has older versions, whose list may not be read by this token")
			return nil
		}
		return r.refusal(a, "the versions of "+m.path+"/"+d.path)
	}
	var meta struct {
		Data struct {
			Versions map[string]vaultVersion `json:"versions"`
		} `json:"data"`
	}
	if err := r.decode(a, &meta); err != nil {
		return err
	}
	var alive []int
	for text, v := range meta.Data.Versions {
		if n, err := strconv.Atoi(text); err == nil && n > 0 && n < current && !v.dead(now) {
			alive = append(alive, n)
		}
	}
	slices.Sort(alive)
	if keep := r.o.History - 1; keep >= 0 && len(alive) > keep {
		alive = alive[len(alive)-keep:]
	}
	for _, n := range alive {
		v, there, err := r.version(ctx, m, d, n)
		if err != nil {
			return err
		}
		if there && v.Data.Data != nil {
			d.states = append(d.states, documentState{moment(v.Data.Metadata.CreatedTime), v.Data.Data})
		}
	}
	return nil
}

// version reads one version, 0 for the present one. A deleted one is there without data.
func (r *vaultReader) version(ctx context.Context, m vaultMount, d *document, n int) (v vaultDocument, there bool, err error) {
	var query url.Values
	if n > 0 {
		query = url.Values{"version": {strconv.Itoa(n)}}
	}
	a, err := r.get(ctx, "/v1/"+escapePath(m.path)+"/data/"+escapePath(d.path), query)
	if err != nil || r.unread(m, d, a) {
		return v, false, err
	}
	if a.status != http.StatusOK && a.status != http.StatusNotFound {
		return v, false, r.refusal(a, m.path+"/"+d.path)
	}
	if err := r.decode(a, &v); err != nil {
		return v, false, err
	}
	return v, a.status == http.StatusOK || v.Data.Metadata.Version > 0, nil
}

// steps appends what each state changed. Numbers, lists and objects keep their JSON.
func (d *document) steps(p *Plan, e *Env) error {
	folder := "/" + d.path
	before := map[string]jsontext.Value{}
	for i, st := range d.states {
		step := Step{At: st.at}
		last := i == len(d.states)-1 && d.gone.IsZero()
		names := make([]string, 0, len(st.data))
		for name := range st.data {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			raw := st.data[name]
			old, had := before[name]
			if had && string(old) == string(raw) && (!last || len(d.meta) == 0) {
				continue
			}
			s := Secret{Key: Key{folder, name}, JSON: raw.Kind() != '"'}
			if last {
				s.Meta = d.meta
			}
			if s.JSON {
				s.Value = sensitive.New(slices.Clone([]byte(raw)))
			} else {
				text, err := jsontext.AppendUnquote(nil, raw)
				if err != nil {
					return fault.New(fault.Unavailable, "a value of %s is not text that can be read", d.path)
				}
				s.Value = sensitive.New(text)
			}
			if err := p.count(s.Value.Len()); err != nil {
				return err
			}
			step.Sets = append(step.Sets, s)
		}
		for name := range before {
			if _, still := st.data[name]; !still {
				step.Gone = append(step.Gone, Key{folder, name})
			}
		}
		before = st.data
		if len(step.Sets)+len(step.Gone) > 0 {
			e.Steps = append(e.Steps, step)
		}
	}
	if !d.gone.IsZero() && len(before) > 0 {
		step := Step{At: d.gone}
		for name := range before {
			step.Gone = append(step.Gone, Key{folder, name})
		}
		e.Steps = append(e.Steps, step)
	}
	return nil
}

// identities notes what gives access, which is made anew here. What the token may not list is left out.
func (r *vaultReader) identities(ctx context.Context) {
	for _, name := range r.keys(ctx, "/v1/sys/policies/acl") {
		if name != "root" && name != "default" {
			r.plan.note(Identity, "policy "+word(name), "write it again once VAULT_ADDR points here: vault policy read from the old one, vault policy write here")
		}
	}
	for _, name := range r.keys(ctx, "/v1/auth/approle/role") {
		r.plan.note(Identity, "approle "+word(name), "make it again here with the same role id, and give its applications a new secret id")
	}
}

func (r *vaultReader) keys(ctx context.Context, path string) []string {
	a, err := r.get(ctx, path, url.Values{"list": {"true"}})
	if err != nil || a.status != http.StatusOK {
		return nil
	}
	var list struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	if r.decode(a, &list) != nil {
		return nil
	}
	return list.Data.Keys
}
