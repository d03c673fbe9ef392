package proof

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/api"
)

// model is one environment as a naive person would write it down: plain maps, whole copies, no cleverness.
type model struct {
	revision int64
	next     int
	secrets  map[int]modelSecret
	folders  map[int]modelFolder
	past     []view // by revision
	// loose says that a roll back has made the identity of folders unknown: what depends on it is no longer foretold.
	loose bool
}

type modelSecret struct {
	id       string // the server's, once it is known
	folder   int
	name     string
	versions []string // values
	deleted  int64    // revision
	fresh    bool     // got its value in the commit that is being made
}

type modelFolder struct {
	path    string
	deleted int64
}

// view is what can be seen at a revision.
type view struct {
	secrets map[string]sight // by full name
	folders map[string]int
}

type sight struct {
	key     int // in the model
	id      string
	value   string
	version int64
}

func newModel() *model {
	m := &model{secrets: map[int]modelSecret{}, folders: map[int]modelFolder{}}
	m.folders[m.key()] = modelFolder{path: "/"}
	m.past = []view{m.view()}
	return m
}

func (m *model) key() int { m.next++; return m.next }

func (m *model) clone() *model {
	out := *m
	out.secrets, out.folders, out.past = maps.Clone(m.secrets), maps.Clone(m.folders), slices.Clone(m.past)
	for k, s := range out.secrets {
		s.versions, s.fresh = slices.Clone(s.versions), false
		out.secrets[k] = s
	}
	return &out
}

func fullName(folder, name string) string { return path.Join(folder, name) }

// inside tells whether p is the folder or lies below it.
func inside(folder, p string) bool {
	return folder == "/" || p == folder || strings.HasPrefix(p, folder+"/")
}

func (m *model) view() view {
	out := view{map[string]sight{}, map[string]int{}}
	for k, f := range m.folders {
		if f.deleted == 0 {
			out.folders[f.path] = k
		}
	}
	for k, s := range m.secrets {
		if s.deleted == 0 {
			out.secrets[fullName(m.folders[s.folder].path, s.name)] = sight{k, s.id, s.versions[len(s.versions)-1], int64(len(s.versions))}
		}
	}
	return out
}

// names lists the full names of what is there, or of what is deleted.
func (m *model) names(deleted bool) []string {
	var out []string
	for _, s := range m.secrets {
		if (s.deleted != 0) == deleted {
			out = append(out, fullName(m.folders[s.folder].path, s.name))
		}
	}
	slices.Sort(out) // draws must not hang on the order of a map
	return slices.Compact(out)
}

// close ends a commit: the revision moves on when something changed.
func (m *model) close(changed bool) {
	if changed {
		m.revision++
		m.past = append(m.past, m.view())
	}
}

func (m *model) folder(p string, create bool) (int, bool) {
	for k, f := range m.folders {
		if f.path == p && f.deleted == 0 {
			return k, true
		}
	}
	if !create {
		return 0, false
	}
	m.folder(path.Dir(p), true)
	k := m.key()
	m.folders[k] = modelFolder{path: p}
	return k, true
}

func (m *model) find(folder int, name string) (int, bool) {
	for k, s := range m.secrets {
		if s.folder == folder && s.name == name && s.deleted == 0 {
			return k, true
		}
	}
	return 0, false
}

// apply does one change and tells whether it changed something, or the kind of the refusal.
func (m *model) apply(c api.Change) (changed bool, kind string) {
	before := m.next
	folder, known := m.folder(c.Path, c.Op == "set" || c.Op == "folder.create")
	switch c.Op {
	case "folder.create":
		return m.next != before, ""
	case "set":
		return m.set(folder, c.Name, *c.Value), ""
	case "folder.restore":
		if known {
			return false, "exists"
		}
		return m.restoreFolder(c.Path)
	}
	if !known {
		return false, "not_found"
	}
	switch c.Op {
	case "folder.move":
		return m.moveFolder(c.Path, c.ToPath)
	case "folder.delete":
		return m.deleteFolder(c.Path)
	case "restore":
		return m.restore(folder, c.Name)
	}
	k, there := m.find(folder, c.Name)
	if !there {
		return false, "not_found"
	}
	s := m.secrets[k]
	switch c.Op {
	case "delete":
		s.deleted = m.revision + 1
	case "rename", "move":
		to, name := folder, c.To
		if c.Op == "move" {
			to, _ = m.folder(c.ToPath, true)
			name = c.Name
		}
		if taken, is := m.find(to, name); is {
			if taken == k {
				return false, ""
			}
			return false, "exists"
		}
		s.folder, s.name = to, name
	}
	m.secrets[k] = s
	return true, ""
}

func (m *model) set(folder int, name, value string) bool {
	k, there := m.find(folder, name)
	if !there {
		m.secrets[m.key()] = modelSecret{folder: folder, name: name, versions: []string{value}, fresh: true}
		return true
	}
	s := m.secrets[k]
	last := len(s.versions) - 1
	switch {
	case s.versions[last] == value:
		return false
	case s.fresh:
		s.versions[last] = value
	default:
		s.versions, s.fresh = append(s.versions, value), true
	}
	m.secrets[k] = s
	return true
}

func (m *model) restore(folder int, name string) (bool, string) {
	if _, there := m.find(folder, name); there {
		return false, "exists"
	}
	best := 0
	for k, s := range m.secrets {
		if s.folder == folder && s.name == name && s.deleted > m.secrets[best].deleted {
			best = k
		}
	}
	if best == 0 {
		return false, "not_found"
	}
	s := m.secrets[best]
	s.deleted = 0
	m.secrets[best] = s
	return true, ""
}

func (m *model) moveFolder(from, to string) (bool, string) {
	switch _, taken := m.folder(to, false); {
	case from == "/" || to == "/":
		return false, "invalid"
	case from == to:
		return false, ""
	case inside(from, to):
		return false, "invalid"
	case taken:
		return false, "exists"
	}
	m.folder(path.Dir(to), true)
	for k, f := range m.folders {
		if f.deleted == 0 && inside(from, f.path) {
			f.path = to + strings.TrimPrefix(f.path, from)
			m.folders[k] = f
		}
	}
	return true, ""
}

func (m *model) deleteFolder(p string) (bool, string) {
	if p == "/" {
		return false, "invalid"
	}
	for k, f := range m.folders {
		if f.deleted != 0 || !inside(p, f.path) {
			continue
		}
		f.deleted = m.revision + 1
		m.folders[k] = f
		for sk, s := range m.secrets {
			if s.folder == k && s.deleted == 0 {
				s.deleted = m.revision + 1
				m.secrets[sk] = s
			}
		}
	}
	return true, ""
}

func (m *model) restoreFolder(p string) (bool, string) {
	when := int64(0)
	for _, f := range m.folders {
		if f.path == p {
			when = max(when, f.deleted)
		}
	}
	if when == 0 {
		return false, "not_found"
	}
	m.folder(path.Dir(p), true)
	for k, f := range m.folders {
		if _, taken := m.folder(f.path, false); taken || f.deleted != when || !inside(p, f.path) {
			continue
		}
		f.deleted = 0
		m.folders[k] = f
		for sk, s := range m.secrets {
			if s.folder == k && s.deleted == when {
				s.deleted = 0
				m.secrets[sk] = s
			}
		}
	}
	return true, ""
}
