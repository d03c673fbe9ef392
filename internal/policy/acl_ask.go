package policy

import (
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// ACLPlace is where a path of the Vault view lies: what must be known to say which capabilities somebody has there.
type ACLPlace struct {
	Project domain.ProjectID // "" for what lies in none
	Env     domain.Slug
	mount   *ACLMount
	folder  domain.Path
	classes []*class
	dir     bool
	server  []serverPath
	key     domain.SecretName // of the encryption service
}

// serverPath is a capability on a path of the server, and the action that it comes to; "" is open to everybody with a token.
type serverPath struct {
	capability Capability
	action     Action
}

// openTo are the capabilities that open paths have, by their beginning; the longest counts.
var openTo = map[string][]Capability{
	"auth/token/lookup-self": {CanRead}, "auth/token/renew-self": {CanUpdate}, "auth/token/revoke-self": {CanUpdate},
	"cubbyhole/":            {CanCreate, CanDelete, CanList, CanRead, CanUpdate},
	"sys/capabilities-self": {CanUpdate}, "sys/internal/ui/mounts": {CanRead}, "sys/internal/ui/resultant-acl": {CanRead},
	"sys/leases/": {CanUpdate}, "sys/renew": {CanUpdate}, "sys/tools/": {CanUpdate}, "sys/wrapping/": {CanUpdate},
	"sys/health": {CanRead}, "sys/init": {CanRead}, "sys/leader": {CanRead}, "sys/seal-status": {CanRead},
}

// administered are the paths of the server that take a right, by their beginning.
var administered = []struct {
	path string
	may  []serverPath
}{
	{createToken, []serverPath{{CanCreate, TokenCreate}, {CanUpdate, TokenCreate}}},
	{"sys/mounts", []serverPath{{CanCreate, ProjectCreate}, {CanUpdate, ProjectCreate}, {CanDelete, ProjectCreate}, {CanRead, ""}, {CanList, ""}}},
	{"sys/policy", manages}, {"sys/policies", manages}, {"sys/auth", manages}, {"auth/", manages},
	{"sys/key-status", []serverPath{{CanRead, InstanceRead}}},
	{"sys/audit", []serverPath{{CanRead, AuditManage}, {CanList, AuditManage}}},
}

var manages = []serverPath{{CanRead, AccessRead}, {CanList, AccessRead}, {CanCreate, AccessManage}, {CanUpdate, AccessManage}, {CanDelete, AccessManage}, {CanSudo, AccessManage}}

// PlaceOfACL finds where a path lies. A '*' at its end stands for a name that nothing has. It gives false for what is nowhere.
func PlaceOfACL(path string, mounts []ACLMount) (ACLPlace, bool) {
	path = strings.TrimPrefix(path, "/")
	if strings.HasSuffix(path, "*") {
		path = strings.TrimSuffix(path, "*") + strangeFolder
	}
	if isOpen(path) {
		var out ACLPlace
		longest := ""
		for start, may := range openTo {
			if strings.HasPrefix(path+"/", start) && len(start) > len(longest) {
				longest, out.server = start, nil
				for _, c := range may {
					out.server = append(out.server, serverPath{capability: c})
				}
			}
		}
		return out, true
	}
	for _, a := range administered {
		if strings.HasPrefix(path, a.path) {
			return ACLPlace{server: a.may}, true
		}
	}
	m, rest := mountOf(path, mounts)
	if m == nil {
		return ACLPlace{}, false
	}
	if m.Kind == aclTransit {
		return placeOfKey(m.Project, rest)
	}
	if key, ok := strings.CutPrefix(rest, aclTransit+"/"); ok && m.Env == "" {
		return placeOfKey(m.Project, key)
	}
	out := ACLPlace{Project: m.Project, mount: m}
	var classes []*class
	if m.Version == 1 {
		classes = kv1
	} else {
		word, after, _ := strings.Cut(rest, "/")
		if strings.HasSuffix(rest, "/") && after == "" {
			after = "/"
		}
		classes = slices.DeleteFunc(slices.Clone(kv2), func(c *class) bool { return c.name != word })
		rest = after
	}
	a := aclAddress(strings.TrimPrefix(rest, "/"))
	out.dir, out.classes = a.tail == tailDir || len(a.segments) == 0, classes
	if m.Env == "" && len(a.segments) == 0 {
		return out, len(classes) > 0 // the list of environments
	}
	at, _, why := m.placeOf(address{segments: a.segments})
	if why != "" || len(classes) == 0 || slices.Contains(a.segments, "+") {
		return ACLPlace{}, false
	}
	out.Env = domain.Slug(at.envs[0])
	folder := strings.TrimSuffix(string(at.folders), "/"+domain.Alone)
	out.folder = domain.Path(max(folder, "/"))
	return out, true
}

// placeOfKey finds what an operation of the encryption service takes.
func placeOfKey(project domain.ProjectID, path string) (ACLPlace, bool) {
	word, key, _ := strings.Cut(path, "/")
	out := ACLPlace{Project: project}
	switch {
	case slices.Contains(transitOpen, word):
		out.server = []serverPath{{capability: CanUpdate}}
		return out, true
	case word == transitKeys && key == "":
		out.server = []serverPath{{CanList, Action(toReadKeys)}}
		return out, true
	case word == transitKeys:
		out.server = []serverPath{{CanRead, Action(toReadKeys)}, {CanCreate, Action(toManage)}, {CanUpdate, Action(toManage)}, {CanDelete, Action(toManage)}}
	case transitUse[word] == nil:
		return ACLPlace{}, false
	default:
		c := transitUse[word]
		for _, given := range []map[Capability]right{c.gives, c.needs} {
			for capability, a := range given {
				out.server = append(out.server, serverPath{capability, Action(a)})
			}
		}
		if word == "datakey" {
			_, key, _ = strings.Cut(key, "/")
		}
	}
	key, _, _ = strings.Cut(key, "/")
	name, err := domain.ParseSecretName(key)
	out.key = name
	return out, err == nil
}

// ACLCapabilities tells what somebody may do on a path, sorted: "root" alone for who may do everything, "deny" alone for who may
// do nothing. The environment is that of the place, "" when there is none of that name: then nobody may do anything there.
func ACLCapabilities(p *domain.Principal, at ACLPlace, found bool, env domain.EnvID, f Facts) []Capability {
	if all, ok := BuiltIn(domain.Admin); ok && p.Kind != domain.Anonymous && MayGive(p, Given{Grant: domain.Grant{Role: domain.Admin}, Rules: all}, f) == nil {
		return []Capability{"root"}
	}
	var out []Capability
	if found {
		out = at.capabilities(p, env, f)
	}
	if len(out) == 0 {
		return []Capability{CanDeny}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (at *ACLPlace) capabilities(p *domain.Principal, env domain.EnvID, f Facts) (out []Capability) {
	for _, s := range at.server {
		if s.action == "" || DecideAt(p, s.action, Resource{Org: p.Org, Project: at.Project, Name: at.key}, f).Allowed {
			out = append(out, s.capability)
		}
	}
	if at.mount == nil {
		return out
	}
	if at.Env == "" {
		if DecideAt(p, ProjectRead, Resource{Org: p.Org, Project: at.Project}, f).Allowed {
			out = append(out, CanList)
		}
		return out
	}
	if env == "" {
		return nil
	}
	r := Resource{Org: p.Org, Project: at.Project, Env: env, EnvSlug: at.Env, Path: at.folder}
	may := func(a right) bool { return In(p, Action(a), r, f).Some() }
	for _, c := range at.classes {
		if !c.dirs && at.dir {
			continue
		}
		for capability, a := range c.gives {
			if may(a) {
				out = append(out, capability)
			}
		}
		for capability, a := range c.needs {
			if may(a) && (capability != CanPatch || c == kv2Meta || may(toRead)) {
				out = append(out, capability)
			}
		}
	}
	return out
}
