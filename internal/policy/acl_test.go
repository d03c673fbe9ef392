package policy_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
)

func TestAPolicyIsReadInBothLanguages(t *testing.T) {
	want := []policy.ACLPath{
		{Line: 2, Path: "secret/data/app", Capabilities: []policy.Capability{"list", "read"}},
		{Line: 5, Path: "secret/data/team/*", Capabilities: []policy.Capability{"deny"}},
	}
	for name, text := range map[string]string{
		"HCL": `# what the application reads
path "secret/data/app" {
  capabilities = ["read", "list",] // both
}
path "/secret/data/team/*" { capabilities = ["read"], /* said
twice */ comment = "x" }
path "secret/data/team/*" { policy = "deny" }`,
		"HCL with objects": `
path "secret/data/app" = { capabilities = "read" }`,
		"JSON": `{
 "path": {"secret/data/app": {"capabilities": ["read", "list"]},


  "secret\/data\/team\/*": {"policy": "deny"}}}`,
		"JSON with lists": `{"name": "app",
 "path": [{"secret/data/app": [{"capabilities": ["read"]}, {"capabilities": ["list"]}]},


  {"secret/data/team/*": {"capabilities": ["deny", "read"]}}]}`,
	} {
		got, err := policy.ParseACL(text)
		if name == "HCL with objects" {
			if fault.As(err).Message != "failed to parse policy: line 2: a block has no '=' after its name" {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			continue
		}
		if err != nil || !slices.EqualFunc(got, want, func(a, b policy.ACLPath) bool {
			return a.Path == b.Path && slices.Equal(a.Capabilities, b.Capabilities) && a.Line == b.Line
		}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Each text is refused, in the line that is said, with words that tell why. None of the texts is repeated.
func TestWhatAPolicyCannotSayHereIsRefusedWithItsLine(t *testing.T) {
	path := func(p, capabilities string) string {
		return "# nothing\npath \"" + p + "\" { capabilities = [" + capabilities + "] }"
	}
	for _, c := range []struct{ text, want string }{
		// The text itself.
		{`path "secret/data/a" { capabilities = ["read" "list"] }`, `line 1: want ',' or ']'`},
		{`path "secret/data/a" { capabilities = ["read"]`, "line 1: the text ends where '}' belongs"},
		{"path \"secret/data/a\n\" {}", "line 1: a text has no end"},
		{"\n/* for ever", "line 2: a comment has no end"},
		{`path "a" "b" { }`, "line 1: want one path"},
		{`path "secret/data/a"`, "line 1: want '=', or a block"},
		{"\n\nrole \"x\" { }", "line 3: a part that is not known: want path"},
		{`{"path": 7}`, "line 1: want an object of paths"},
		{`{} {}`, "line 1: something follows the end"},
		{"path \"secret/data/a\" { capabilities = [] }\n\x00 path", "line 2: want a name"},
		{strings.Repeat(`path={`, 20), "line 1: blocks lie too deep"},
		{"path \"\xff\" {}", "not UTF-8"},
		{strings.Repeat("#", 1<<20), "too long"},
		{path("secret/data/a", `"write"`), "line 2: no such capability"},
		{path("", `"read"`), "line 2: the path is empty"},
		{path("secret/data/{{identity.entity.id}}", `"read"`), "line 2: templates"},
		{path("secret/*/a", `"read"`), "line 2: '*' may stand only at the end"},
		{path("secret/data/+*", `"read"`), "line 2: '+*' is not allowed"},
		{path("secret/data/a+/b", `"read"`), "line 2: '+' stands for a whole segment"},
		{path("secret/data//b", `"read"`), "line 2: a segment of the path is empty"},
		{"path \"secret/data/a\" {\n capabilities = [\"update\"]\n allowed_parameters = { \"*\" = [] }\n}", "line 3: allowed_parameters cannot be kept"},
		{"path \"secret/data/a\" {\n capabilities = [\"read\"]\n min_wrapping_ttl = \"1s\"\n}", "line 3: min_wrapping_ttl cannot be kept"},
		{"path \"secret/data/a\" {\n capabilities = [\"read\"]\n capabilities = [\"list\"]\n}", "line 3: a part stands there twice"},
		// Mounts, with their case.
		{path("nowhere/data/a", `"read"`), "line 2: there is no mount of that name"},
		{path("Secret/data/a", `"read"`), "line 2: there is no mount of that name; case matters"},
		{path("SECRET/data/a", `"deny"`), "line 2: there is no mount of that name; case matters"},
		{path("secret/DATA/a", `"read"`), "line 2: the mount keeps versions"},
		{path("secret/app", `"read"`), "line 2: the mount keeps versions"},
		{path("secret*", `"read"`), "line 2: the path stands for more than one mount"},
		{path("*", `"read"`), "line 2: the path stands for more than one mount"},
		{path("+/data/a", `"read"`), "line 2: the path stands for more than one mount"},
		{path("web/data", `"read"`), "line 2: the path names no document"},
		{path("web/data/PROD/a", `"read"`), "line 2: no environment can have such a name"},
		{path("secret/data/a b", `"read"`), "line 2: no document can have such a name"},
		{path("secret/data/"+strings.Repeat("a/", 16)+"a", `"read"`), "line 2: the path is too deep"},
		{path("secret/data/app*", `"read"`), "line 2: '*' stands inside a segment"},
		{path("secret/data/a/", `"read"`), "line 2: a path that ends in a slash is a directory"},
		// Capabilities.
		{path("secret/data/a", `"create", "read"`), "line 2: here one right both makes and changes a document"},
		{path("old/a", `"update"`), "line 2: here one right both makes and changes a document"},
		{path("secret/data/a", `"patch", "read"`), "line 2: patch on data is a part of the right secret.write"},
		{path("secret/data/a", `"create", "update", "patch"`), "line 2: patch on data is a part of the right secret.write"},
		{path("secret/metadata/a", `"create", "update"`), "on metadata is a part of the right secret.write"},
		{path("secret/undelete/a", `"update"`), "line 2: update on undelete is a part of the right secret.delete"},
		{path("secret/data/a", `"list"`), "line 2: none of these capabilities means anything"},
		{path("secret/data/a", `"sudo"`), "line 2: sudo alone"},
		// Keys.
		{path("transit/*", `"update"`), "line 2: of all that the service does, a part is given by one path for each operation"},
		{path("transit/keys/orders", `"create", "update"`), "line 2: making, rotating, configuring and deleting keys is one right"},
		{path("transit/keys/*", `"create", "update"`), "line 2: making, rotating, configuring and deleting keys is one right"},
		{path("transit/encrypt/orders", `"create"`), "line 2: keys are used with update"},
		{path("transit/rewrap/orders", `"update"`), "line 2: update on rewrap is a part of the right transit.encrypt"},
		{path("transit/datakey/plaintext/orders", `"update"`), "line 2: update on datakey is a part of the right transit.encrypt"},
		{path("transit/export/encryption-key/orders", `"read"`), "line 2: no path gives this operation"},
		{path("transit/encrypt", `"update"`), "line 2: the path names no key"},
		{path("transit/encrypt/a b", `"update"`), "line 2: the path names no key"},
		{path("transit/random", `"deny"`), "line 2: this is open to everybody"},
		{path("Transit/encrypt/orders", `"update"`), "line 2: there is no mount of that name; case matters"},
		{"path \"transit/encrypt/a*\" { capabilities = [\"deny\"] }\npath \"transit/encrypt/ab\" { capabilities = [\"update\"] }", "line 2 gives what line 1 keeps back"},
		// The server.
		{path("sys/policies/acl/*", `"create", "update"`), "line 2: this is administration"},
		{path("auth/approle/role/x", `"read"`), "line 2: this is administration"},
		{path("sys/raw/*", `"sudo", "read"`), "line 2: this is administration"},
		{path("auth/token/lookup-self", `"deny"`), "line 2: this is open to everybody"},
		{path("auth/token/create", `"deny"`), "line 2: tokens are made with update"},
		// Paths that take back what others give.
		{"path \"secret/data/*\" { capabilities = [\"deny\"] }\npath \"secret/data/a\" { capabilities = [\"read\"] }", "line 2 gives what line 1 keeps back"},
		{"path \"secret/data/*\" { capabilities = [\"read\"] }\npath \"secret/data/a/*\" { capabilities = [] }\npath \"secret/data/a/b\" { capabilities = [\"read\"] }", "line 3 gives what line 2 keeps back"},
		{"path \"web/data/prod/a\" { capabilities = [\"read\"] }\npath \"secret/data/a\" { capabilities = [\"deny\"] }", "line 1 gives what line 2 keeps back"},
		{"path \"secret/delete/*\" { capabilities = [\"update\"] }\npath \"secret/data/a\" { capabilities = [\"deny\"] }", "line 1 gives what line 2 keeps back"},
	} {
		paths, err := policy.ParseACL(c.text)
		if err == nil {
			_, err = policy.ACLRules(paths, aclMounts)
		}
		if f := fault.As(err); err == nil || f.Kind != fault.Invalid || !strings.HasPrefix(f.Message, "failed to parse policy: ") || !strings.Contains(f.Message, c.want) {
			t.Errorf("%.200s\ngives %v, want %s", c.text, err, c.want)
		}
	}
}

func TestRulesOfAPolicyAreFew(t *testing.T) {
	in := []domain.ProjectID{web}
	for _, c := range []struct {
		text string
		want []domain.Rule
	}{
		{`path "secret/data/app" { capabilities = ["read"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"project.read", "secret.read"}, Projects: in, Environments: []string{"prod"}, Paths: []domain.Pattern{"/app/."}}}},
		{`path "secret/data/app/*" { capabilities = ["create", "read", "update", "delete", "list"] }
		  path "secret/metadata/app/*" { capabilities = ["list", "read"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"project.read", "secret.delete", "secret.list", "secret.read", "secret.write"}, Projects: in, Environments: []string{"prod"}, Paths: []domain.Pattern{"/app/*"}},
				{Effect: "allow", Actions: []string{"project.read", "secret.list"}, Projects: in, Environments: []string{"prod"}, Paths: []domain.Pattern{"/app/."}}}},
		{`path "secret/*" { capabilities = ["read", "list"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"project.read", "secret.list", "secret.read"}, Projects: in, Environments: []string{"prod"}}}},
		{`path "web/data/pr*" { capabilities = ["read"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"project.read", "secret.read"}, Projects: in, Environments: []string{"pr*"}}}},
		{`path "web/data/+/app" { capabilities = ["read"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"project.read", "secret.read"}, Projects: in, Paths: []domain.Pattern{"/app/."}}}},
		{`path "secret/data/*" { capabilities = ["read"] }
		  path "secret/data/private/*" { capabilities = ["deny"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"project.read", "secret.read"}, Projects: in, Environments: []string{"prod"}},
				{Effect: "deny", Actions: []string{"secret.delete", "secret.read", "secret.write"}, Projects: in, Environments: []string{"prod"}, Paths: []domain.Pattern{"/private/*"}}}},
		{`path "auth/token/create" { capabilities = ["create", "update", "sudo"] }
		  path "auth/token/lookup-self" { capabilities = ["read"] }
		  path "sys/mounts" { capabilities = ["deny"] }`, []domain.Rule{{Effect: "allow", Actions: []string{"token.create"}}}},
		{`path "transit/encrypt/orders" { capabilities = ["update"] }
		  path "transit/decrypt/orders" { capabilities = ["update"] }
		  path "transit/rewrap/orders"  { capabilities = ["update"] }
		  path "transit/keys"           { capabilities = ["list"] }
		  path "transit/keys/orders"    { capabilities = ["read"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"transit.decrypt", "transit.encrypt", "transit.read"}, Projects: []domain.ProjectID{""}, Names: []string{"orders"}}}},
		{`path "transit/sign/app-*" { capabilities = ["update"] }
		  path "transit/sign/app-old" { capabilities = [] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"transit.sign"}, Projects: []domain.ProjectID{""}, Names: []string{"app-*"}},
				{Effect: "deny", Actions: []string{"transit.sign"}, Projects: []domain.ProjectID{""}, Names: []string{"app-old"}}}},
		{`path "transit/keys/*" { capabilities = ["create", "read", "update", "delete", "list"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"transit.manage", "transit.read"}, Projects: []domain.ProjectID{""}}}},
		{`path "transit/*" { capabilities = ["create", "read", "update", "delete", "list"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"transit.decrypt", "transit.encrypt", "transit.export", "transit.hmac", "transit.manage", "transit.read", "transit.sign", "transit.verify"}, Projects: []domain.ProjectID{""}}}},
		{`path "web/transit/encrypt/+" { capabilities = ["update"] }`,
			[]domain.Rule{{Effect: "allow", Actions: []string{"transit.encrypt"}, Projects: in}}},
		{``, nil},
	} {
		paths, err := policy.ParseACL(c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := policy.ACLRules(paths, aclMounts)
		if err != nil || !slices.EqualFunc(got, c.want, func(a, b domain.Rule) bool {
			return a.Effect == b.Effect && slices.Equal(a.Actions, b.Actions) && slices.Equal(a.Projects, b.Projects) && slices.Equal(a.Environments, b.Environments) && slices.Equal(a.Paths, b.Paths) && slices.Equal(a.Names, b.Names)
		}) {
			t.Errorf("%s\ngives %+v, %v\nwant  %+v", c.text, got, err, c.want)
		}
		if len(got) > 0 {
			if err := policy.CheckRules(got); err != nil && !strings.Contains(err.Error(), "projects") && !strings.Contains(c.text, "transit") {
				t.Errorf("%s\ngives rules that nobody could write: %v", c.text, err)
			}
		}
	}
}

// Each path is compared with each other one: the most that a policy can hold must not keep a server busy.
func TestTheLongestPolicyIsQuick(t *testing.T) {
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "path \"secret/+/%s/*\" { capabilities = [\"read\", \"list\"] }\npath \"secret/+/%s\" { capabilities = [] }\n", strings.Repeat("+/", 8)+"a"+strconv.Itoa(i), strings.Repeat("+/", 8)+"a"+strconv.Itoa(i))
	}
	paths, err := policy.ParseACL(b.String())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := policy.ACLRules(paths, aclMounts); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	b.WriteString("path \"secret/data/x\" { capabilities = [\"read\"] }")
	if _, err := policy.ParseACL(b.String()); err == nil || !strings.Contains(err.Error(), "too many paths") {
		t.Errorf("one path more gives %v", err)
	}
}

func FuzzParseACL(f *testing.F) {
	for _, s := range []string{"", `path "a/b/*" { capabilities = ["read", "list"] }`, `{"path":{"a/+":{"capabilities":["deny"]}}}`, "path \"a\" {\n# x\npolicy = \"write\" }",
		`path "\u0041" = [1, true, {a=1}]`, "/*", `{"path":[{"a":[{}]}]}`, `path "secret/data/app" { allowed_parameters = { "*" = [] } }`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		paths, err := policy.ParseACL(text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(fault.As(err).Message, "failed to parse policy: ") {
				t.Fatalf("%q gives %v", text, err)
			}
			return
		}
		lines := strings.Count(text, "\n") + 1
		for _, p := range paths {
			if p.Line < 1 || p.Line > lines || p.Path == "" {
				t.Fatalf("%q has %+v in its %d lines", text, p, lines)
			}
		}
		if rules, err := policy.ACLRules(paths, aclMounts); err == nil && len(rules) > 0 {
			for _, r := range rules {
				for _, p := range r.Paths {
					if again, err := domain.ParsePattern(string(p)); err != nil || again != p {
						t.Fatalf("%q gives the pattern %q, %v", text, p, err)
					}
				}
			}
		}
	})
}

// A rule for what lies in no project says nothing of projects, and one for a project nothing of what lies in none.
func TestARuleForNoProjectIsAboutTheOrganisationAlone(t *testing.T) {
	for _, c := range []struct {
		in, at domain.ProjectID
		want   bool
	}{{"", "", true}, {"", web, false}, {web, "", false}, {web, web, true}, {web, shop, false}} {
		p := person(domain.Grant{Role: "policy"})
		p.Roles = map[domain.Role]domain.CustomRole{"policy": {Name: "policy", Rules: []domain.Rule{{Effect: domain.Allow, Actions: []string{"access.read"}, Projects: []domain.ProjectID{c.in}}}}}
		if got := policy.DecideAt(p, policy.AccessRead, policy.Resource{Org: org, Project: c.at}, policy.Facts{}); got.Allowed != c.want {
			t.Errorf("a rule in %q about %q: %v", c.in, c.at, got)
		}
	}
}
