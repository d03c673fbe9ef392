package policy

import (
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// ACLMount is a mount as policies need it: which documents lie below a path of the Vault view. No mount lies below another.
type ACLMount struct {
	Path    string // without slashes at the ends
	Kind    string // kv, transit
	Version int    // of the KV engine: 1 or 2
	Project domain.ProjectID
	Env     domain.Slug // "" when the next segment of a path names it
	Folder  domain.Path // what a path without segments means
}

// The kinds of mounts.
const (
	aclKV      = "kv"
	aclTransit = "transit"
)

// right is what a role gives and what several paths of the API of Vault come to.
type right Action

const (
	toRead   = right(SecretRead)   // values
	toList   = right(SecretList)   // names: of documents, of their keys, and their metadata
	toWrite  = right(SecretWrite)  // new versions, and metadata
	toDelete = right(SecretDelete) // versions and whole documents, and restore
	toPurge  = right(SecretPurge)  // destroy versions for good
)

// class is one family of paths of the KV engine. A request is judged by the paths of its class alone.
type class struct {
	name string // the segment after the mount; "" for the first version of the engine
	// gives tells which right one capability gives. Writing takes create and update together.
	gives map[Capability]right
	// needs tells which capabilities give nothing by themselves, and the right that must be there beside them.
	needs map[Capability]right
	// dirs says that the path is that of a directory: a list.
	dirs bool
}

var (
	kv2Data    = &class{name: "data", gives: map[Capability]right{CanRead: toRead, CanCreate: toWrite, CanUpdate: toWrite, CanDelete: toDelete}, needs: map[Capability]right{CanPatch: toWrite}}
	kv2Meta    = &class{name: "metadata", gives: map[Capability]right{CanRead: toList, CanDelete: toDelete}, needs: map[Capability]right{CanCreate: toWrite, CanUpdate: toWrite, CanPatch: toWrite}}
	kv2List    = &class{name: "metadata", gives: map[Capability]right{CanList: toList}, dirs: true}
	kv2Delete  = &class{name: "delete", gives: map[Capability]right{CanUpdate: toDelete}}
	kv2Restore = &class{name: "undelete", needs: map[Capability]right{CanUpdate: toDelete}}
	kv2Destroy = &class{name: "destroy", gives: map[Capability]right{CanUpdate: toPurge}}
	kv2Subkeys = &class{name: "subkeys", gives: map[Capability]right{CanRead: toList}}
	kv2        = []*class{kv2Data, kv2Meta, kv2List, kv2Delete, kv2Restore, kv2Destroy, kv2Subkeys}

	kv1Data = &class{gives: map[Capability]right{CanRead: toRead, CanCreate: toWrite, CanUpdate: toWrite, CanDelete: toDelete}, needs: map[Capability]right{CanPatch: toWrite}}
	kv1List = &class{gives: map[Capability]right{CanList: toList}, dirs: true}
	kv1     = []*class{kv1Data, kv1List}
)

// region is a set of folders, or of keys.
type region struct {
	project domain.ProjectID
	envs    []string // slugs or patterns of them; none: all
	folders domain.Pattern
	names   []string // of keys, or patterns of them; none: all. Documents have no names of their own.
}

func (a region) meets(b region) bool {
	return a.project == b.project && plainlyMeet(string(a.folders), string(b.folders)) && anyMeet(a.envs, b.envs) && anyMeet(a.names, b.names)
}

// plainlyMeet is pathsMeet of patterns without "**", which regions never have: it takes one look and no memory, since every path of
// a policy is compared with every other.
func plainlyMeet(a, b string) bool {
	a, b = strings.Trim(a, "/"), strings.Trim(b, "/")
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, "/")
		y, b, _ = strings.Cut(b, "/")
		switch {
		case x == domain.Alone || y == domain.Alone:
			return x == y
		case x != y && x != "*" && y != "*":
			return false
		}
	}
	return true // one covers what lies below it
}

// around tells that all of b lies in a.
func (a region) around(b region) bool {
	return a.project == b.project && anyCovers(a.envs, b.envs) && pathCovers(a.folders, b.folders) && anyCovers(a.names, b.names)
}

// The order in which Vault looks for the path that decides a request. A list asks for its directory with a slash at the end, then
// without, then among the patterns without, and with it at last.
const (
	tierExactDir = iota + 1
	tierExact
	tierPattern
	tierPatternDir
)

// entry is what one path of a policy says to requests of one class.
type entry struct {
	of    *ACLPath
	mount string
	class *class
	where region
	tier  int
}

// beats tells that e decides a request for which both stand, as Vault orders them. Entries of different mounts or classes never
// stand for the same request.
func (e *entry) beats(o *entry) bool {
	if e.tier != o.tier {
		return e.tier < o.tier
	}
	return aclBefore(o.of.Path, e.of.Path)
}

func (e *entry) rivals(o *entry) bool { return e.class == o.class && e.mount == o.mount }

// aclBefore tells that pattern a gives way to pattern b: its first wildcard comes earlier, or it ends in '*' and b does not, or it
// has more segments of '+', or it is shorter, or it comes first in the alphabet.
func aclBefore(a, b string) bool {
	first := func(p string) int { return strings.IndexAny(p+"*", "+*") }
	if x, y := first(a), first(b); x != y {
		return x < y
	}
	if x, y := strings.HasSuffix(a, "*"), strings.HasSuffix(b, "*"); x != y {
		return x
	}
	if x, y := strings.Count(a, "+"), strings.Count(b, "+"); x != y {
		return x > y
	}
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// tail is how a path ends.
type tail int

const (
	tailExact tail = iota // at a document
	tailDir               // in a slash: at a directory
	tailBelow             // in "/*": at whatever lies below
	tailPart              // in "x*": inside a segment
)

// address is what follows the mount and the word of the class in a path.
type address struct {
	segments []string
	tail     tail
}

// aclAddress takes a path apart.
func aclAddress(path string) address {
	var a address
	switch {
	case strings.HasSuffix(path, "/*"), path == "*":
		a.tail, path = tailBelow, strings.TrimSuffix(strings.TrimSuffix(path, "*"), "/")
	case strings.HasSuffix(path, "*"):
		a.tail, path = tailPart, strings.TrimSuffix(path, "*")
	case strings.HasSuffix(path, "/"):
		a.tail, path = tailDir, strings.TrimSuffix(path, "/")
	}
	if path != "" {
		a.segments = strings.Split(path, "/")
	}
	return a
}

// placeOf gives the folders that an address of a mount stands for, the folder of the address alone and those below it apart. A
// text says why there are none.
func (m *ACLMount) placeOf(a address) (at, below *region, why string) {
	base := region{project: m.Project}
	rest := a.segments
	switch {
	case m.Env != "":
		base.envs = []string{string(m.Env)}
	case len(rest) == 0 && a.tail == tailBelow:
		base.folders = "/"
		return nil, &base, ""
	case len(rest) == 0:
		return nil, nil, "the path names no environment: want " + m.Path + "/.../ENVIRONMENT/..."
	case len(rest) == 1 && a.tail == tailPart:
		if !globOf(rest[0]+"*", "-", false) {
			return nil, nil, "no environment can have such a name: they are of a-z, 0-9 and '-'"
		}
		base.envs, base.folders = []string{rest[0] + "*"}, "/"
		return nil, &base, ""
	default:
		if rest[0] != "+" {
			if _, err := domain.ParseSlug(rest[0]); err != nil {
				return nil, nil, "no environment can have such a name: they are of a-z, 0-9 and '-', and case matters"
			}
			base.envs = []string{rest[0]}
		}
		rest = rest[1:]
	}
	if a.tail == tailPart {
		return nil, nil, "'*' stands inside a segment, and a rule knows whole folders only: write '/*' after a segment, or each document by itself"
	}
	path := strings.Trim(string(m.Folder), "/")
	for _, s := range rest {
		if s == "+" {
			s = "*"
		} else if _, err := domain.Root.Join(s); err != nil {
			return nil, nil, "no document can have such a name: they are of letters, digits, '_' and '-'"
		}
		path += "/" + s
	}
	alone, err := domain.ParsePattern(path + "/" + domain.Alone)
	if err != nil {
		return nil, nil, "the path is too deep"
	}
	exact := base
	exact.folders = alone
	if a.tail != tailBelow {
		return &exact, nil, ""
	}
	base.folders, err = domain.ParsePattern(path + "/*")
	if err != nil {
		return nil, nil, "the path is too deep"
	}
	return &exact, &base, ""
}

// entriesOf gives what a path says to requests of a class.
func (m *ACLMount) entriesOf(p *ACLPath, c *class, a address) (out []entry, why string) {
	at, below, why := m.placeOf(a)
	if why != "" {
		return nil, why
	}
	add := func(r *region, tier int) {
		if r != nil {
			out = append(out, entry{p, m.Path, c, *r, tier})
		}
	}
	wild := strings.ContainsAny(p.Path, "+*")
	switch {
	case !c.dirs && a.tail == tailDir: // no document ends in a slash
	case !c.dirs && a.tail == tailBelow && len(a.segments) == 0: // the document of the mount itself has the path DATA/
		add(at, tierPattern)
		add(below, tierPattern)
	case !c.dirs && a.tail == tailBelow:
		add(below, tierPattern)
	case !c.dirs && wild:
		add(cmpRegion(at, below), tierPattern)
	case !c.dirs:
		add(at, tierExact)
	case a.tail == tailDir && wild:
		add(at, tierPatternDir)
	case a.tail == tailDir:
		add(at, tierExactDir)
	case a.tail == tailBelow:
		add(below, tierPattern)
		if p.Path == m.Path+"/*" && c.name != "" { // it fits M/metadata as well as M/metadata/
			add(at, tierPattern)
		} else {
			add(at, tierPatternDir)
		}
	case wild:
		add(cmpRegion(at, below), tierPattern)
	default:
		add(at, tierExact)
	}
	return out, ""
}

func cmpRegion(a, b *region) *region {
	if a != nil {
		return a
	}
	return b
}
