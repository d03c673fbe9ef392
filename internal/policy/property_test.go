package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/policy"
	"pgregory.net/rapid"
)

// The universe is so small that grants, scopes and resources meet. Environments belong to one project, as in the store.
var envsOf = map[domain.ProjectID][]domain.EnvID{web: {dev, prod}, shop: {shopEn}}

var universe = func() []domain.Path {
	all := []domain.Path{"/"}
	for last := all; len(all) < 1+3+9+27; {
		var next []domain.Path
		for _, p := range last {
			for _, name := range []string{"a", "b", "c"} {
				next = append(next, domain.Path(strings.TrimSuffix(string(p), "/")+"/"+name))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}()

var places = rapid.Custom(func(t *rapid.T) policy.Resource {
	r := policy.Resource{Org: rapid.SampledFrom([]domain.OrgID{org, org, org, "org-2"}).Draw(t, "org")}
	r.Project = rapid.SampledFrom([]domain.ProjectID{web, web, shop, ""}).Draw(t, "project")
	if r.Project == "" || rapid.IntRange(0, 3).Draw(t, "level") == 0 {
		return r
	}
	r.Env = rapid.SampledFrom(envsOf[r.Project]).Draw(t, "env")
	r.Path = rapid.SampledFrom(append([]domain.Path{""}, universe...)).Draw(t, "path")
	return r
})

var grants = rapid.Custom(func(t *rapid.T) domain.Grant {
	r := places.Draw(t, "place")
	return domain.Grant{Project: r.Project, Env: r.Env, Role: rapid.SampledFrom([]domain.Role{domain.Admin, domain.Developer, domain.Viewer, domain.None, "other"}).Draw(t, "role")}
})

var scopes = rapid.Custom(func(t *rapid.T) domain.Scope {
	s := domain.Scope{Project: rapid.SampledFrom([]domain.ProjectID{web, web, shop}).Draw(t, "project")}
	if rapid.Bool().Draw(t, "one env") {
		s.Env = rapid.SampledFrom(envsOf[s.Project]).Draw(t, "env")
	}
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", "**"}), 0, 3).Draw(t, "path")
	if rapid.IntRange(0, 2).Draw(t, "alone") == 0 {
		segments = append(segments, domain.Alone)
	}
	var err error
	if s.Path, err = domain.ParsePattern(strings.Join(segments, "/")); err != nil {
		t.Fatal(err)
	}
	s.Verbs = rapid.SliceOfDistinct(rapid.SampledFrom(verbs), rapid.ID).Draw(t, "verbs")
	return s
})

var principals = rapid.Custom(func(t *rapid.T) *domain.Principal {
	p := person(rapid.SliceOfN(grants, 0, 4).Draw(t, "grants")...)
	p.Kind = rapid.SampledFrom([]domain.PrincipalKind{domain.User, domain.User, domain.Identity, domain.Identity, domain.Anonymous}).Draw(t, "kind")
	if rapid.Bool().Draw(t, "scoped") {
		p.Scopes = rapid.SliceOfN(scopes, 0, 3).Draw(t, "scopes")
		if p.Scopes == nil {
			p.Scopes = []domain.Scope{}
		}
	}
	return p
})

// reference says the policy once more, as a set of questions that must all be answered with yes.
func reference(p *domain.Principal, action policy.Action, r policy.Resource) bool {
	if p.Kind == domain.Anonymous {
		return action == policy.SessionLogin || action == policy.SetUp || action == policy.PasskeyChallenge || action == policy.InviteAccept
	}
	if r.Org != p.Org {
		return false
	}
	if action == policy.SelfRead || action == policy.SessionEnd || action == policy.TokenRevoke || action == policy.SelfManage || action == policy.SelfProve || action == policy.CubbyholeUse || p.Scopes == nil && slices.Contains(asking, action) {
		return true
	}
	return withinScopes(p, action, r) && !barred(p, r) && given(p, action, r)
}

func withinScopes(p *domain.Principal, action policy.Action, r policy.Resource) bool {
	if p.Scopes == nil {
		return true
	}
	verb := map[policy.Action]domain.Verb{policy.SecretList: "list", policy.SecretRead: "read", policy.SecretWrite: "write", policy.SecretDelete: "delete"}[action]
	for _, s := range p.Scopes {
		sameEnv := s.Env == "" || s.Env == r.Env
		if s.Project == r.Project && action == policy.ProjectRead && (sameEnv || r.Env == "") {
			return true
		}
		if s.Project == r.Project && verb != "" && slices.Contains(s.Verbs, verb) && r.Env != "" && sameEnv && s.Path.Match(r.Path) {
			return true
		}
	}
	return false
}

// holds tells whether the place of the grant holds the resource.
func holds(g domain.Grant, r policy.Resource) bool {
	switch {
	case g.Project == "":
		return true
	case g.Env == "":
		return g.Project == r.Project
	}
	return g.Project == r.Project && g.Env == r.Env
}

func barred(p *domain.Principal, r policy.Resource) bool {
	return slices.ContainsFunc(p.Grants, func(g domain.Grant) bool { return g.Role == domain.None && holds(g, r) })
}

func given(p *domain.Principal, action policy.Action, r policy.Resource) bool {
	viewer := "secret.list change.review project.read token.create transit.read"
	developer := viewer + " secret.read secret.write secret.delete transit.encrypt transit.decrypt transit.sign transit.verify transit.hmac"
	for _, g := range p.Grants {
		sees := r.Env == "" && g.Env != "" && g.Project == r.Project && (action == policy.ProjectRead || action == policy.TokenCreate)
		if !holds(g, r) && !sees {
			continue
		}
		switch g.Role {
		case domain.Admin:
			return true
		case domain.Developer, domain.Viewer:
			may := viewer
			if g.Role == domain.Developer {
				may = developer
			}
			if slices.Contains(strings.Fields(may), string(action)) {
				return true
			}
		}
	}
	return false
}

func TestDecideAgreesWithThePlainMeaning(t *testing.T) {
	all := actions(t)
	rapid.Check(t, func(t *rapid.T) {
		p, r := principals.Draw(t, "principal"), places.Draw(t, "resource")
		for _, action := range all {
			got := policy.Decide(p, action, r)
			if want := reference(p, action, r); got.Allowed != want {
				t.Fatalf("%s is %v (%s), want %v", action, got.Allowed, got.Reason, want)
			}
			if got != policy.Decide(p, action, r) {
				t.Fatalf("%s is decided in two ways", action)
			}
		}
	})
}

func TestReachesIsTrueWhenSomeFolderIsAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, r := principals.Draw(t, "principal"), places.Draw(t, "resource")
		for _, action := range []policy.Action{policy.SecretList, policy.SecretRead, policy.SecretWrite, policy.SecretDelete, policy.ProjectRead, policy.SelfRead, policy.AccessRead} {
			want := slices.ContainsFunc(universe, func(path domain.Path) bool {
				r.Path = path
				return policy.Decide(p, action, r).Allowed
			})
			if got := policy.Reaches(p, action, r); got != want {
				t.Fatalf("%s reaches a folder: %v, want %v", action, got, want)
			}
		}
	})
}

func TestAScopeOnlyTakesAway(t *testing.T) {
	all := actions(t)
	rapid.Check(t, func(t *rapid.T) {
		p, r := principals.Draw(t, "principal"), places.Draw(t, "resource")
		whole, fewer := *p, *p
		whole.Scopes = nil
		if len(p.Scopes) > 0 {
			fewer.Scopes = p.Scopes[1:]
		}
		for _, action := range all {
			if policy.Decide(p, action, r).Allowed && !policy.Decide(&whole, action, r).Allowed {
				t.Fatalf("%s is allowed with a scope and refused without", action)
			}
			if policy.Reaches(p, action, r) && !policy.Reaches(&whole, action, r) {
				t.Fatalf("%s reaches further with a scope than without", action)
			}
			if len(p.Scopes) > 0 && policy.Decide(&fewer, action, r).Allowed && !policy.Decide(p, action, r).Allowed {
				t.Fatalf("%s is lost by one more scope", action)
			}
		}
	})
}

func TestAnotherOrganisationIsAlwaysRefused(t *testing.T) {
	all := actions(t)
	rapid.Check(t, func(t *rapid.T) {
		p, r := principals.Draw(t, "principal"), places.Draw(t, "resource")
		r.Org = "org-2"
		for _, action := range all {
			login := p.Kind == domain.Anonymous && (action == policy.SessionLogin || action == policy.SetUp || action == policy.PasskeyChallenge || action == policy.InviteAccept)
			if !login && (policy.Decide(p, action, r).Allowed || policy.Reaches(p, action, r)) {
				t.Fatalf("%s crosses into another organisation", action)
			}
		}
	})
}

func TestDecidingChangesNobody(t *testing.T) {
	p := scoped(domain.Scope{Project: web, Path: "/a", Verbs: slices.Clone(verbs)})
	for _, action := range actions(t) {
		policy.Decide(p, action, levels["folder"])
		policy.Reaches(p, action, levels["folder"])
	}
	if len(p.Grants) != 1 || len(p.Scopes) != 1 || !slices.Equal(p.Scopes[0].Verbs, verbs) {
		t.Error("the principal was changed")
	}
}
