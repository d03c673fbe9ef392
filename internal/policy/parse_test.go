package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
)

const goodRules = `description: reads database secrets
rules:
- effect: allow
  actions: [secret.list, "secret.r*"]
  environments: prod-*
  paths: [/backend/**, infra]
  names: ["DB_*"]
  tags: ["team:web"]
  when:
    networks: [10.0.0.0/8, "2001:db8::/32"]
    times: {days: [mon, tue], from: "08:00", to: "18:00"}
    mfa_within: 15m
    attributes: {repository: "shop/*"}
  unless: {times: [{from: "22:00", to: "06:00"}]}
- {effect: deny, actions: "*"}
`

func TestRulesAreReadFromYAMLAndJSON(t *testing.T) {
	rules, description, err := policy.ParseRules([]byte(goodRules))
	if err != nil || len(rules) != 2 || description != "reads database secrets" {
		t.Fatalf("%v, %q, %v", rules, description, err)
	}
	r := rules[0]
	if r.Effect != domain.Allow || len(r.Actions) != 2 || r.Paths[0] != "/backend/**" || r.Paths[1] != "/infra" || r.When.Times[0].To != "18:00" || r.When.MFAWithin != "15m" ||
		r.When.Attribute["repository"] != "shop/*" || r.Unless.Times[0].From != "22:00" {
		t.Errorf("%+v", r)
	}
	text, err := json.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := policy.ParseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := json.Marshal(again); string(second) != string(text) {
		t.Errorf("%s\n%s", text, second)
	}
}

func TestWhatIsWrongWithRulesIsToldWithItsLineAndWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "empty",
		"- {effect: allow":                       "neither YAML nor JSON",
		"rules: &x [*x]":                         "want a mapping", // an alias of itself
		"--- []\n--- []":                         "more than one document",
		"[]":                                     "no rule",
		"rules: []\nrule: []":                    "line 2: holds a part that is not known",
		"- effect: allow\n  action: secret.read": "line 2, rule 1: holds a part that is not known",
		"- effect: permit\n  actions: secret.read":                                                 "line 1, rule 1, effect: want allow or deny",
		"- actions: secret.read":                                                                   "rule 1, effect: want allow or deny",
		"- effect: allow":                                                                          "rule 1, actions: missing",
		"- effect: allow\n  actions:\n  - secret.read\n  - secret.red":                             "line 4, rule 1, actions, 2: no such action",
		"- {effect: allow, actions: secret.read, names: []}":                                       "rule 1, names: is an empty list",
		"- {effect: allow, actions: secret.read, names: \"A B\"}":                                  "rule 1, names, 1: want a name",
		"- {effect: allow, actions: secret.read, environments: Prod}":                              "rule 1, environments, 1: want a slug",
		"- {effect: allow, actions: secret.read, tags: \"ä\"}":                                     "rule 1, tags, 1: want a tag",
		"- {effect: allow, actions: secret.read, paths: /a b}":                                     "rule 1, paths, 1: not a path pattern",
		"- {effect: allow, actions: secret.read, when: {}}":                                        "rule 1, when: holds no condition",
		"- {effect: allow, actions: secret.read, when: {networks: 10.0.0.1/8}}":                    "want 10.0.0.0/8",
		"- {effect: allow, actions: secret.read, when: {networks: 10.0.0.1}}":                      "want a network",
		"- {effect: allow, actions: secret.read, when: {networks: \"::ffff:10.0.0.0/104\"}}":       "want an IPv4 network in its own form",
		"- {effect: allow, actions: secret.read, when: {mfa_within: soon}}":                        "want a time such as 15m",
		"- {effect: allow, actions: secret.read, when: {mfa_within: -1h}}":                         "want a time such as 15m",
		"- {effect: allow, actions: secret.read, when: {times: {days: monday}}}":                   "want days",
		"- {effect: allow, actions: secret.read, when: {times: {from: 8am}}}":                      "want a time of day",
		"- {effect: allow, actions: secret.read, when: {times: {from: \"08:00\", to: \"08:00\"}}}": "same minute",
		"- {effect: allow, actions: secret.read, unless: {network: 10.0.0.0/8}}":                   "rule 1, unless: holds a part that is not known",
		"- {effect: allow, effect: deny, actions: secret.read}":                                    "stands there twice",
		"- {effect: allow, actions: {secret: read}}":                                               "want a text or a list of texts",
		"- secret.read": "rule 1: want a mapping",
		"- {effect: allow, actions: " + strings.Repeat("x", 600_000) + "}":          "too long",
		"[" + strings.Repeat("{effect: deny, actions: \"*\"},", 1001) + "]":         "too many rules",
		"- {effect: allow, actions: [" + strings.Repeat("secret.read,", 101) + "]}": "too many: at most 100",
		"\xff": "not UTF-8",
	} {
		_, _, err := policy.ParseRules([]byte(text))
		if err == nil {
			t.Errorf("%.60q is accepted", text)
			continue
		}
		f := fault.As(err)
		said := f.Message
		for _, field := range f.Fields {
			said += "\n" + field.Where + ": " + field.Problem
		}
		if f.Kind != fault.Invalid || !strings.Contains(said, want) {
			t.Errorf("%.60q: %q does not say %q", text, said, want)
		}
	}
}

func TestPolicyTestsAreRead(t *testing.T) {
	tests, err := policy.ParseExpectations([]byte(`tests:
- {principal: dev@example.test, action: secret.read, resource: "shop/prod:/a/NAME", expect: allow, address: 10.0.0.1, at: "2026-11-25T09:00:00Z", mfa: 5m, attributes: {repository: shop}}
- {principal: "group:ops", action: access.manage, resource: "*", expect: deny}
`))
	if err != nil || len(tests) != 2 || tests[0].Line != 2 || tests[0].Kind != domain.User || !tests[0].Allow || tests[0].MFA.Minutes() != 5 || tests[0].Attributes["repository"] != "shop" ||
		tests[1].Kind != domain.Group || tests[1].Allow {
		t.Fatalf("%+v, %v", tests, err)
	}
	for text, want := range map[string]string{
		"tests: 1": "want a list of tests",
		"- {principal: a, action: secret.read, resource: x}":                          "line 1, test 1: lacks a part",
		"- {principal: a, action: secret.red, resource: x, expect: allow}":            "no such action",
		"- {principal: \"robot:a\", action: secret.read, expect: allow}":              "not a principal",
		"- {principal: a, action: secret.read, resource: \"a:b:c\", expect: allow}":   "not a resource",
		"- {principal: a, action: secret.read, resource: x, expect: perhaps}":         "want allow or deny",
		"- {principal: a, action: secret.read, resource: x, expect: allow, at: noon}": "want a time such as",
	} {
		if _, err := policy.ParseExpectations([]byte(text)); err == nil || !strings.Contains(fault.As(err).Message, want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestResourcesAreWrittenInWords(t *testing.T) {
	for text, want := range map[string]policy.Where{
		"": {}, "*": {}, "shop": {Project: "shop"}, "shop/prod": {Project: "shop", Env: "prod"}, "shop/prod:/": {Project: "shop", Env: "prod", Path: "/"},
		"shop/prod:/a/b/": {Project: "shop", Env: "prod", Path: "/a/b"}, "shop/prod:/a/NAME": {Project: "shop", Env: "prod", Path: "/a", Name: "NAME"},
		"shop/prod:NAME": {Project: "shop", Env: "prod", Path: "/", Name: "NAME"},
	} {
		if got, err := policy.ParseWhere(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"Shop", "shop/", "/prod", "shop:/a", "shop/prod/x", "shop/prod:/../x", "shop/prod:/a b/X", "shop/prod:/%2f/X", "shop/prod:/a/N M"} {
		if got, err := policy.ParseWhere(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte(goodRules))
	f.Add([]byte(`[{"effect":"deny","actions":["*"],"when":{"times":[{"days":["sun"]}]}}]`))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, _, err := policy.ParseRules(text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := policy.CheckRules(rules); err != nil {
			t.Fatalf("what was read does not pass the check: %v", err)
		}
		// Whatever it says, it compiles, and is decided alike before and after it was stored.
		stored, err := json.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		var loaded []domain.Rule
		if err := json.Unmarshal(stored, &loaded); err != nil {
			t.Fatal(err)
		}
		r := policy.Resource{Org: org, Project: web, Env: prod, EnvSlug: "prod", Path: "/a/b", Name: "DB_URL", Tags: []domain.Tag{"pci"}}
		facts := policy.Facts{At: 1, Address: "10.0.0.1"}
		if heldBy(rules) == nil || policy.DecideAt(heldBy(rules), policy.SecretRead, r, facts) != policy.DecideAt(heldBy(loaded), policy.SecretRead, r, facts) {
			t.Fatal("decided in two ways")
		}
		policy.ReachesAt(heldBy(rules), policy.SecretRead, r, facts)
		_ = policy.MayGive(heldBy(rules), policy.Given{Grant: domain.Grant{Project: web}, Rules: rules}, facts)
	})
}

func FuzzExpectations(f *testing.F) {
	f.Add([]byte("- {principal: a@b, action: secret.read, resource: shop/prod:/x/Y, expect: allow, mfa: 5m, attributes: {a: b}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tests, err := policy.ParseExpectations(text)
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("%v", err)
		}
		for _, e := range tests {
			if _, err := policy.ParseWhere(e.Resource); err != nil || e.Principal == "" {
				t.Fatalf("%+v, %v", e, err)
			}
		}
	})
}
