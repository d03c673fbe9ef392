package policy_test

import (
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/policy"
	"pgregory.net/rapid"
)

// aclMounts lie over one project in three ways.
var aclMounts = []policy.ACLMount{
	{Path: "secret", Kind: "kv", Version: 2, Project: web, Env: "prod", Folder: "/"},
	{Path: "old", Kind: "kv", Version: 1, Project: web, Env: "dev", Folder: "/a"},
	{Path: "web", Kind: "kv", Version: 2, Project: web, Folder: "/"},
	{Path: "transit", Kind: "transit"},
}

// plainVault reads a policy as Vault does, request by request, with none of the translation's means.
type plainVault []policy.ACLPath

func (v plainVault) can(capability policy.Capability, path string) bool {
	exact := func(p string) *policy.ACLPath {
		for i := range v {
			if v[i].Path == p && !strings.ContainsAny(p, "+*") {
				return &v[i]
			}
		}
		return nil
	}
	if capability != policy.CanList && strings.HasSuffix(path, "/") { // the document of the mount itself: a path with a slash is its list
		best := v.pattern(path)
		return best != nil && slices.Contains(best.Capabilities, capability)
	}
	best := exact(path)
	if capability == policy.CanList && best == nil {
		best = exact(strings.TrimSuffix(path, "/"))
		if best == nil {
			best = v.pattern(strings.TrimSuffix(path, "/"))
		}
	}
	if best == nil {
		best = v.pattern(path)
	}
	return best != nil && slices.Contains(best.Capabilities, capability)
}

func (v plainVault) pattern(path string) *policy.ACLPath {
	var fit []*policy.ACLPath
	for i := range v {
		if p := v[i].Path; strings.ContainsAny(p, "+*") && plainFit(p, path) {
			fit = append(fit, &v[i])
		}
	}
	if len(fit) == 0 {
		return nil
	}
	sort.Slice(fit, func(i, j int) bool { return plainLower(fit[i].Path, fit[j].Path) })
	return fit[len(fit)-1]
}

func plainFit(pattern, path string) bool {
	body, glob := strings.CutSuffix(pattern, "*")
	want, have := strings.Split(body, "/"), strings.Split(path, "/")
	if len(have) < len(want) || !glob && len(have) != len(want) {
		return false
	}
	for i, w := range want {
		last := glob && i == len(want)-1
		if w == "+" && have[i] == "" { // Vault lets '+' stand for nothing, so that "m/+" lists m itself: that much is stricter here
			return false
		}
		if w != "+" && w != have[i] && !(last && strings.HasPrefix(have[i], w)) {
			return false
		}
	}
	return true
}

func plainLower(a, b string) bool {
	first := func(s string) int {
		for i, c := range s {
			if c == '+' || c == '*' {
				return i
			}
		}
		return len(s)
	}
	switch star := func(s string) bool { return s[len(s)-1] == '*' }; {
	case first(a) != first(b):
		return first(a) < first(b)
	case star(a) != star(b):
		return star(a)
	case strings.Count(a, "+") != strings.Count(b, "+"):
		return strings.Count(a, "+") > strings.Count(b, "+")
	case len(a) != len(b):
		return len(a) < len(b)
	}
	return a < b
}

// allows tells whether some request that comes to a right on the folder is allowed.
func (v plainVault) allows(action policy.Action, env domain.Slug, folder domain.Path) bool {
	rel := strings.TrimPrefix(string(folder), "/")
	var roots []string // of addresses in a mount of the second version
	if env == "prod" {
		roots = append(roots, "secret|"+rel)
	}
	roots = append(roots, "web|"+strings.TrimSuffix(string(env)+"/"+rel, "/"))
	for _, r := range roots {
		mount, at, _ := strings.Cut(r, "|")
		path := func(class string) string { return mount + "/" + class + "/" + at }
		dir := path("metadata")
		if !strings.HasSuffix(dir, "/") {
			dir += "/"
		}
		yes := false
		switch action {
		case policy.SecretRead:
			yes = v.can(policy.CanRead, path("data"))
		case policy.SecretList:
			yes = v.can(policy.CanList, dir) || v.can(policy.CanRead, path("metadata")) || v.can(policy.CanRead, path("subkeys"))
		case policy.SecretWrite:
			yes = v.can(policy.CanCreate, path("data")) && v.can(policy.CanUpdate, path("data"))
		case policy.SecretDelete:
			yes = v.can(policy.CanDelete, path("data")) || v.can(policy.CanUpdate, path("delete")) || v.can(policy.CanDelete, path("metadata"))
		case policy.SecretPurge:
			yes = v.can(policy.CanUpdate, path("destroy"))
		}
		if yes {
			return true
		}
	}
	if at, ok := strings.CutPrefix(string(folder)+"/", "/a/"); ok && env == "dev" {
		path := "old/" + strings.TrimSuffix(at, "/")
		switch action {
		case policy.SecretRead:
			return v.can(policy.CanRead, path)
		case policy.SecretList:
			return v.can(policy.CanList, strings.TrimSuffix(path, "/")+"/")
		case policy.SecretWrite:
			return v.can(policy.CanCreate, path) && v.can(policy.CanUpdate, path)
		case policy.SecretDelete:
			return v.can(policy.CanDelete, path)
		}
	}
	return false
}

var aclCapabilities = []string{`"read"`, `"list"`, `"read", "list"`, `"create", "update"`, `"create", "read", "update", "delete", "list"`, `"deny"`, `"update"`, `"delete"`,
	`"create", "read", "update", "patch"`, `"read", "delete"`, ``, `"create", "read", "update", "patch", "delete", "list", "sudo"`}

var aclTexts = rapid.Custom(func(t *rapid.T) string {
	var b strings.Builder
	for range rapid.IntRange(1, 4).Draw(t, "paths") {
		mount := rapid.SampledFrom([]string{"secret", "secret", "old", "web"}).Draw(t, "mount")
		parts := []string{mount}
		if mount != "old" && rapid.IntRange(0, 9).Draw(t, "whole") > 0 {
			parts = append(parts, rapid.SampledFrom([]string{"data", "data", "data", "metadata", "metadata", "delete", "undelete", "destroy", "subkeys", "+"}).Draw(t, "class"))
		}
		if mount == "web" && len(parts) > 1 {
			parts = append(parts, rapid.SampledFrom([]string{"prod", "dev", "+"}).Draw(t, "env"))
		}
		if len(parts) > 1 || mount == "old" {
			parts = append(parts, rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "+"}), 0, 3).Draw(t, "segments")...)
		}
		tail := rapid.SampledFrom([]string{"", "", "/*", "/*", "/*", "*", "/"}).Draw(t, "tail")
		if len(parts) == 1 && mount != "old" {
			tail = "/*"
		}
		b.WriteString(`path "` + strings.Join(parts, "/") + tail + `" { capabilities = [` + rapid.SampledFrom(aclCapabilities).Draw(t, "capabilities") + "] }\n")
	}
	return b.String()
})

func TestAPolicyIsKeptAsItIsOrRefused(t *testing.T) {
	kept, allowed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := aclTexts.Draw(t, "policy")
		paths, err := policy.ParseACL(text)
		if err != nil {
			return // such as '+*'
		}
		rules, err := policy.ACLRules(paths, aclMounts)
		if err != nil {
			return
		}
		kept++
		p := person(domain.Grant{Role: "policy"})
		p.Roles = map[domain.Role]domain.CustomRole{"policy": {Name: "policy", Rules: rules}}
		policy.Prepare(p)
		for env, slug := range map[domain.EnvID]domain.Slug{dev: "dev", prod: "prod"} {
			for _, folder := range universe {
				for _, action := range []policy.Action{policy.SecretRead, policy.SecretList, policy.SecretWrite, policy.SecretDelete, policy.SecretPurge} {
					want := plainVault(paths).allows(action, slug, folder)
					r := policy.Resource{Org: org, Project: web, Env: env, EnvSlug: slug, Path: folder, Name: "KEY"}
					if got := policy.DecideAt(p, action, r, policy.Facts{}); got.Allowed != want {
						t.Fatalf("%s in %s:%s is %v (%s), want %v\n%s%+v", action, slug, folder, got.Allowed, got.Reason, want, text, rules)
					}
					if want {
						allowed++
					}
					r.Project, r.Env, r.EnvSlug = shop, shopEn, slug
					if policy.DecideAt(p, action, r, policy.Facts{}).Allowed {
						t.Fatalf("%s is allowed in another project\n%s", action, text)
					}
				}
			}
		}
	})
	if kept == 0 || allowed == 0 {
		t.Errorf("%d policies were kept, %d questions answered with yes: the test shows nothing", kept, allowed)
	}
	t.Logf("kept %d, allowed %d", kept, allowed)
}
