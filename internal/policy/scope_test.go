package policy_test

import (
	"slices"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/policy"
)

var verbs = []domain.Verb{domain.VerbRead, domain.VerbList, domain.VerbWrite, domain.VerbDelete}

func scoped(scopes ...domain.Scope) *domain.Principal {
	p := person(domain.Grant{Role: domain.Admin})
	p.Kind, p.Scopes = domain.Identity, scopes
	return p
}

func TestAScopedTokenReachesItsFoldersWithItsVerbs(t *testing.T) {
	backend := domain.Scope{Project: web, Env: prod, Path: "/backend", Verbs: []domain.Verb{domain.VerbRead}}
	anywhere := domain.Scope{Project: web, Path: "/*/db", Verbs: []domain.Verb{domain.VerbList, domain.VerbWrite}}
	at := func(env domain.EnvID, path domain.Path) policy.Resource {
		return policy.Resource{Org: org, Project: web, Env: env, Path: path}
	}
	for _, c := range []struct {
		name   string
		p      *domain.Principal
		action policy.Action
		r      policy.Resource
		want   bool
	}{
		{"the folder itself", scoped(backend), policy.SecretRead, at(prod, "/backend"), true},
		{"a folder below", scoped(backend), policy.SecretRead, at(prod, "/backend/db"), true},
		{"another verb", scoped(backend), policy.SecretList, at(prod, "/backend"), false},
		{"purging is no verb", scoped(domain.Scope{Project: web, Path: "/", Verbs: verbs}), policy.SecretPurge, at(prod, "/backend"), false},
		{"the folder above", scoped(backend), policy.SecretRead, at(prod, "/"), false},
		{"the environment as a whole", scoped(backend), policy.SecretRead, at(prod, ""), false},
		{"a folder whose name begins alike", scoped(backend), policy.SecretRead, at(prod, "/backend2"), false},
		{"another case", scoped(backend), policy.SecretRead, at(prod, "/Backend"), false},
		{"another environment", scoped(backend), policy.SecretRead, at(dev, "/backend"), false},
		{"no environment", scoped(backend), policy.SecretRead, at("", "/backend"), false},
		{"another project", scoped(backend), policy.SecretRead, policy.Resource{Org: org, Project: shop, Env: prod, Path: "/backend"}, false},
		{"any environment", scoped(anywhere), policy.SecretWrite, at(dev, "/a/db/x"), true},
		{"any environment, another folder", scoped(anywhere), policy.SecretWrite, at(dev, "/a/cache"), false},
		{"any environment, but none named", scoped(anywhere), policy.SecretWrite, at("", "/a/db"), false},
		{"the second scope", scoped(backend, anywhere), policy.SecretList, at(prod, "/backend/db"), true},
		{"verbs of one scope, folder of the other", scoped(backend, anywhere), policy.SecretRead, at(prod, "/x/db"), false},
		{"its project is no secret", scoped(backend), policy.ProjectRead, policy.Resource{Org: org, Project: web}, true},
		{"its environment is no secret", scoped(backend), policy.ProjectRead, at(prod, ""), true},
		{"another environment stays hidden", scoped(backend), policy.ProjectRead, at(dev, ""), false},
		{"another project stays hidden", scoped(backend), policy.ProjectRead, policy.Resource{Org: org, Project: shop}, false},
		{"a token that nothing narrows", scoped(), policy.SecretRead, at(prod, "/backend"), true},
		{"an empty list of scopes", scoped([]domain.Scope{}...), policy.SecretRead, at(prod, "/backend"), false},
	} {
		if got := policy.Decide(c.p, c.action, c.r); got.Allowed != c.want {
			t.Errorf("%s: %v (%s), want %v", c.name, got.Allowed, got.Reason, c.want)
		}
	}
}

func TestAScopeGivesNothingThatTheRolesDoNot(t *testing.T) {
	p := person(domain.Grant{Project: web, Role: domain.Viewer})
	p.Scopes = []domain.Scope{{Project: web, Path: "/", Verbs: verbs}, {Project: shop, Path: "/", Verbs: verbs}}
	for level, r := range levels {
		for _, action := range secrets {
			want := action == policy.SecretList && r.Project == web && r.Env != ""
			if got := policy.Decide(p, action, r).Allowed; got != want {
				t.Errorf("a viewer's token with every verb, %s in the %s: %v, want %v", action, level, got, want)
			}
		}
	}
}

// Whatever is not about secrets is out of reach of a scoped token, but what is its holder's own.
func TestAScopedTokenManagesNothing(t *testing.T) {
	p := scoped(domain.Scope{Project: web, Path: "/", Verbs: verbs})
	for level, r := range levels {
		for _, action := range actions(t) {
			if slices.Contains(own, action) || slices.Contains(secrets, action) || action == policy.ProjectRead {
				continue
			}
			if policy.Decide(p, action, r).Allowed || policy.Reaches(p, action, r) {
				t.Errorf("%s in the %s is allowed", action, level)
			}
		}
	}
}

func TestReachingIsAboutTheEnvironmentAndNotAboutOneFolder(t *testing.T) {
	p := scoped(domain.Scope{Project: web, Env: prod, Path: "/backend/*", Verbs: []domain.Verb{domain.VerbList}})
	for _, path := range []domain.Path{"", "/", "/backend", "/frontend"} {
		r := policy.Resource{Org: org, Project: web, Env: prod, Path: path}
		if policy.Decide(p, policy.SecretList, r).Allowed {
			t.Errorf("%q is decided to be in scope", path)
		}
		if !policy.Reaches(p, policy.SecretList, r) {
			t.Errorf("asked about %q, nothing in the environment is reached", path)
		}
		if policy.Reaches(p, policy.SecretRead, r) {
			t.Errorf("asked about %q, the environment is reached with a verb that the scope lacks", path)
		}
	}
	if policy.Reaches(p, policy.SecretList, policy.Resource{Org: "org-2", Project: web, Env: prod}) {
		t.Error("another organisation's environment is reached")
	}
	if policy.Reaches(scoped(domain.Scope{Project: web, Path: "/", Verbs: verbs}), policy.SecretList, policy.Resource{Org: org, Project: web}) {
		t.Error("a project without an environment has a folder")
	}
}
