package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/policy"
)

const (
	org    domain.OrgID     = "org-1"
	web    domain.ProjectID = "project-web"
	shop   domain.ProjectID = "project-shop"
	dev    domain.EnvID     = "env-web-dev"
	prod   domain.EnvID     = "env-web-prod"
	shopEn domain.EnvID     = "env-shop-dev"
)

// levels are the kinds of places that an action can be about.
var levels = map[string]policy.Resource{
	"organisation":      {Org: org},
	"project":           {Org: org, Project: web},
	"environment":       {Org: org, Project: web, Env: dev},
	"folder":            {Org: org, Project: web, Env: dev, Path: "/a"},
	"other environment": {Org: org, Project: web, Env: prod, Path: "/a"},
	"other project":     {Org: org, Project: shop},
	"other folder":      {Org: org, Project: shop, Env: shopEn, Path: "/a"},
}

// below says which levels lie inside the place of a grant.
var below = map[string][]string{
	"organisation": {"organisation", "project", "environment", "folder", "other environment", "other project", "other folder"},
	"project":      {"project", "environment", "folder", "other environment"},
	"environment":  {"environment", "folder"},
}

func grantAt(place string, role domain.Role) domain.Grant {
	g := domain.Grant{Role: role}
	if place != "organisation" {
		g.Project = web
	}
	if place == "environment" {
		g.Env = dev
	}
	return g
}

func person(grants ...domain.Grant) *domain.Principal {
	return &domain.Principal{Kind: domain.User, ID: "user-1", Org: org, Token: "token-1", Grants: grants}
}

var (
	own     = []policy.Action{policy.SelfRead, policy.SessionEnd, policy.TokenRevoke, policy.SelfManage, policy.SelfProve, policy.CubbyholeUse}
	asking  = []policy.Action{policy.AccessRequest, policy.BreakBegin, policy.BreakShare, policy.BreakOpen, policy.BreakClose, policy.BreakReport} // without scopes
	secrets = []policy.Action{policy.SecretList, policy.SecretRead, policy.SecretWrite, policy.SecretDelete}
)

func actions(t testing.TB) []policy.Action {
	t.Helper()
	var out []policy.Action
	for _, a := range policy.Actions {
		if a.Means == "" || slices.Contains(out, a.Action) {
			t.Errorf("%s is listed twice or without its meaning", a.Action)
		}
		out = append(out, a.Action)
	}
	return out
}

// The table is written out in full: a role that gains a right must be seen to gain it.
func TestEveryRoleMayDoThisAndNothingElse(t *testing.T) {
	all := actions(t)
	may := map[domain.Role][]policy.Action{
		domain.Admin: {
			policy.SecretList, policy.SecretRead, policy.SecretWrite, policy.SecretDelete, policy.SecretPurge, policy.ProjectRead, policy.ProjectCreate,
			policy.ProjectUpdate, policy.ProjectDelete, policy.ProjectPurge, policy.AccessRead, policy.AccessManage, policy.DirectoryManage, policy.TokenCreate, policy.TokenRevoke,
			policy.AuditRead, policy.InstanceRead, policy.SessionLogin, policy.SessionEnd, policy.SelfRead, policy.SetUp, policy.PasskeyChallenge, policy.InviteAccept,
			policy.KeysManage, policy.KeysUnlock, policy.KeysTurn, policy.BackupManage, policy.AuditIndex,
			policy.AuditManage, policy.AlertRead, policy.AlertManage,
			policy.ProjectFreeze, policy.InstanceFreeze, policy.ChangeReview, policy.BreakPrepare, policy.BreakRead,
			policy.TransitRead, policy.TransitEncrypt, policy.TransitDecrypt, policy.TransitSign, policy.TransitVerify, policy.TransitHMAC, policy.TransitManage,
			policy.TransitExport,
		},
		domain.Developer: {policy.SecretList, policy.SecretRead, policy.SecretWrite, policy.SecretDelete, policy.ChangeReview, policy.ProjectRead, policy.TokenCreate,
			policy.TransitRead, policy.TransitEncrypt, policy.TransitDecrypt, policy.TransitSign, policy.TransitVerify, policy.TransitHMAC},
		domain.Viewer: {policy.SecretList, policy.ChangeReview, policy.ProjectRead, policy.TokenCreate, policy.TransitRead},
		domain.None:   {},
		"":            {},
		"Admin":       {},
		"owner":       {},
	}
	for role, allowed := range may {
		for place, inside := range below {
			p := person(grantAt(place, role))
			for level, r := range levels {
				for _, action := range all {
					want := slices.Contains(own, action) || slices.Contains(asking, action) || slices.Contains(inside, level) && slices.Contains(allowed, action)
					// A role in one environment lets its holder see the project that holds it, and make tokens there.
					if place == "environment" && level == "project" && (action == policy.ProjectRead || action == policy.TokenCreate) {
						want = slices.Contains(allowed, action)
					}
					got := policy.Decide(p, action, r)
					if got.Allowed != want {
						t.Errorf("%s of the %s, %s in the %s: %v (%s), want %v", role, place, action, level, got.Allowed, got.Reason, want)
					}
					if got.Reason == "" {
						t.Errorf("%s of the %s, %s in the %s: no reason", role, place, action, level)
					}
				}
			}
		}
	}
}

func TestAViewerNeverSeesAValue(t *testing.T) {
	for place := range below {
		for level, r := range levels {
			if policy.Decide(person(grantAt(place, domain.Viewer)), policy.SecretRead, r).Allowed {
				t.Errorf("a viewer of the %s reads values in the %s", place, level)
			}
		}
	}
}

func TestTheReasonNamesTheRoleThatDecided(t *testing.T) {
	folder := levels["folder"]
	for _, c := range []struct {
		p      *domain.Principal
		action policy.Action
		r      policy.Resource
		want   string
	}{
		{nil, policy.SecretRead, folder, "no principal"},
		{person(domain.Grant{Role: domain.Developer}), policy.SecretRead, folder, "role developer"},
		{person(domain.Grant{Role: domain.Viewer}), policy.SecretRead, folder, "no role allows it"},
		{person(domain.Grant{Role: domain.Admin}, domain.Grant{Project: web, Role: domain.None}), policy.SecretRead, folder, "role none"},
		{person(domain.Grant{Role: domain.Admin}), policy.SecretRead, policy.Resource{Org: "org-2"}, "another organisation"},
		{person(), policy.SelfRead, folder, "own"},
		{&domain.Principal{Kind: domain.User, Org: org, Scopes: []domain.Scope{}}, policy.SecretRead, folder, "outside the token's scope"},
		{&domain.Principal{Kind: domain.Anonymous}, policy.SecretRead, folder, "anonymous"},
	} {
		if got := policy.Decide(c.p, c.action, c.r); got.Reason != c.want {
			t.Errorf("%s: reason %q, want %q", c.action, got.Reason, c.want)
		}
	}
}

func TestRoleNoneWinsWhateverElseIsGrantedAndInWhatOrder(t *testing.T) {
	for place, inside := range below {
		none := grantAt(place, domain.None)
		for _, others := range [][]domain.Grant{
			{{Role: domain.Admin}},
			{{Project: web, Role: domain.Admin}, {Project: web, Env: dev, Role: domain.Admin}},
			{{Project: web, Env: dev, Role: domain.Developer}, {Role: domain.Viewer}},
		} {
			for at := range len(others) + 1 {
				p := person(slices.Insert(slices.Clone(others), at, none)...)
				for level, r := range levels {
					for _, action := range actions(t) {
						got := policy.Decide(p, action, r).Allowed
						if slices.Contains(inside, level) && got && !slices.Contains(own, action) && !slices.Contains(asking, action) {
							t.Errorf("none in the %s does not stop %s in the %s", place, action, level)
						}
						if !slices.Contains(inside, level) && got != policy.Decide(person(others...), action, r).Allowed {
							t.Errorf("none in the %s changes %s in the %s", place, action, level)
						}
					}
				}
			}
		}
	}
}

func TestAnonymousOnlyLogsInOrSetsUp(t *testing.T) {
	everything := []domain.Grant{{Role: domain.Admin}, {Project: web, Role: domain.Admin}}
	for _, p := range []*domain.Principal{
		{Kind: domain.Anonymous},
		{Kind: domain.Anonymous, Org: org, Grants: everything},
		{Kind: domain.Anonymous, Org: org, Grants: everything, Scopes: []domain.Scope{{Project: web, Path: "/", Verbs: verbs}}},
	} {
		for level, r := range levels {
			for _, action := range actions(t) {
				want := action == policy.SessionLogin || action == policy.SetUp || action == policy.PasskeyChallenge || action == policy.InviteAccept
				if policy.Decide(p, action, r).Allowed != want || policy.Reaches(p, action, r) != want {
					t.Errorf("anonymous, %s in the %s: want %v", action, level, want)
				}
			}
		}
		if policy.CanGrant(p, domain.Grant{Role: domain.Viewer}) {
			t.Error("anonymous hands out roles")
		}
	}
}

func TestWhoeverStandsForNobodyIsRefused(t *testing.T) {
	for level, r := range levels {
		for _, action := range actions(t) {
			if policy.Decide(nil, action, r).Allowed || policy.Reaches(nil, action, r) {
				t.Errorf("no principal, %s in the %s is allowed", action, level)
			}
			if got := policy.Decide(&domain.Principal{}, action, r); got.Allowed {
				t.Errorf("the zero principal, %s in the %s is allowed", action, level)
			}
		}
	}
	if policy.CanGrant(nil, domain.Grant{Role: domain.Viewer}) {
		t.Error("no principal hands out roles")
	}
}

func TestOnlyAdminsHandOutRolesAndOnlyWhereTheyAreAdmins(t *testing.T) {
	targets := map[string]domain.Grant{
		"organisation": {}, "project": {Project: web}, "environment": {Project: web, Env: dev},
		"other environment": {Project: web, Env: prod}, "other project": {Project: shop}, "other folder": {Project: shop, Env: shopEn},
	}
	for _, role := range []domain.Role{domain.Admin, domain.Developer, domain.Viewer, domain.None} {
		for place, inside := range below {
			for target, g := range targets {
				for _, given := range []domain.Role{domain.Admin, domain.Developer, domain.Viewer, domain.None} {
					g.Role = given
					want := role == domain.Admin && slices.Contains(inside, target)
					p := person(grantAt(place, role))
					if got := policy.CanGrant(p, g); got != want {
						t.Errorf("%s of the %s grants %s in the %s: %v, want %v", role, place, given, target, got, want)
					}
					p.Scopes = []domain.Scope{{Project: web, Path: "/", Verbs: verbs}}
					if policy.CanGrant(p, g) {
						t.Errorf("a scoped token of the %s of the %s grants %s in the %s", role, place, given, target)
					}
				}
			}
		}
	}
}

func TestActionsAreNamedAlike(t *testing.T) {
	all := actions(t)
	for _, action := range all {
		noun, verb, ok := strings.Cut(string(action), ".")
		if !ok || noun == "" || verb == "" || strings.ToLower(string(action)) != string(action) || strings.Contains(verb, ".") {
			t.Errorf("%q is not noun.verb", action)
		}
	}
	for _, action := range append(slices.Clone(own), secrets...) {
		if !slices.Contains(all, action) {
			t.Errorf("%s is not listed", action)
		}
	}
}

// Whatever role was prepared, a break-glass session reaches values and nothing that would outlive it.
func TestABreakGlassSessionMayDoThisAndNothingElse(t *testing.T) {
	p := person(domain.Grant{Role: domain.Admin})
	p.Method = domain.BreakGlassMethod
	may := []policy.Action{policy.SecretList, policy.SecretRead, policy.SecretWrite, policy.SecretDelete, policy.ProjectRead, policy.SelfRead, policy.SessionEnd}
	for level, r := range levels {
		for _, action := range actions(t) {
			if got := policy.Decide(p, action, r).Allowed; got && !slices.Contains(may, action) {
				t.Errorf("%s in the %s is allowed", action, level)
			}
			if policy.Reaches(p, action, r) && !slices.Contains(may, action) {
				t.Errorf("%s is allowed somewhere in the %s", action, level)
			}
		}
	}
	if !policy.Decide(p, policy.SecretRead, levels["folder"]).Allowed {
		t.Error("it reads nothing")
	}
	if policy.CanGrant(p, domain.Grant{Role: domain.Viewer}) {
		t.Error("it grants roles")
	}
}
