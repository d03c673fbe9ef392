package policy_test

import (
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/policy"
)

// randomPolicies is how many policies are compared with the plain reading.
const randomPolicies = 100_000

// The world of random policies: small, so that rules and questions meet.
var (
	someActions = []policy.Action{policy.SecretList, policy.SecretRead, policy.SecretWrite, policy.ProjectRead, policy.AccessManage, policy.TokenCreate, policy.TransitEncrypt}
	someGlobs   = []string{"*", "secret.*", "secret.read", "secret.list", "*.read", "project.read", "access.manage", "secret.write", "transit.*"}
	someEnvs    = map[domain.EnvID]domain.Slug{dev: "dev", prod: "prod", shopEn: "dev-shop"}
	someNames   = []domain.SecretName{"", "DB_URL", "DB_KEY", "API", "A"}
	someMoments = []int64{0, at("2026-11-23T09:30:00Z"), at("2026-11-24T23:30:00Z"), at("2026-11-28T05:00:00Z"), at("2026-11-29T12:00:00Z")}
	someClients = []string{"", "10.1.2.3", "::ffff:10.9.9.9", "192.0.2.7", "2001:db8::1", "not an address"}
)

func at(s string) int64 {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UnixMilli()
}

type dice struct{ *rand.Rand }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

// some gives up to three of the choices, mostly none.
func some[T any](d dice, from ...T) []T {
	if d.IntN(3) > 0 {
		return nil
	}
	var out []T
	for range 1 + d.IntN(2) {
		out = append(out, pick(d, from...))
	}
	return out
}

func (d dice) when() *domain.When {
	if d.IntN(4) > 0 {
		return nil
	}
	w := &domain.When{Networks: some(d, "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"), MFAWithin: pick(d, "", "", "15m", "8h")}
	if d.IntN(3) == 0 {
		w.Times = []domain.Window{pick(d, domain.Window{Days: []string{"mon", "tue"}, From: "08:00", To: "18:00"}, domain.Window{From: "22:00", To: "06:00"},
			domain.Window{Days: []string{"fri"}, From: "20:00", To: "08:00"}, domain.Window{Days: []string{"sun"}})}
	}
	if d.IntN(4) == 0 {
		w.Attribute = map[string]string{"repository": pick(d, "shop/*", "shop/web", "*")}
	}
	return w
}

func (d dice) rule() domain.Rule {
	return domain.Rule{Effect: pick(d, domain.Allow, domain.Allow, domain.Allow, domain.Deny), Actions: []string{pick(d, someGlobs...)},
		Projects: some(d, web, shop, ""), Environments: some(d, "dev", "prod", "dev*", "*", "?rod"),
		Paths: some(d, domain.Pattern("/"), "/a", "/a/b", "/*/b", "/**/b", "/b", "/.", "/a/.", "/*/.", "/**/b/."),
		Names: some(d, "*", "DB_*", "API", "?"), Tags: some(d, "pci", "team:*", "*"), When: d.when(), Unless: d.when()}
}

func (d dice) principal() *domain.Principal {
	p := person()
	p.Roles = map[domain.Role]domain.CustomRole{}
	for _, id := range []domain.Role{"role-1", "role-2"} {
		c := domain.CustomRole{Name: domain.Slug(id)}
		for range 1 + d.IntN(4) {
			c.Rules = append(c.Rules, d.rule())
		}
		p.Roles[id] = c
	}
	for range d.IntN(5) {
		g := domain.Grant{Role: pick(d, "role-1", "role-2", "role-1", domain.Developer, domain.Viewer, domain.Admin, domain.None, "gone"), Project: pick(d, "", web, web, shop)}
		if g.Project != "" && d.IntN(3) == 0 {
			g.Env = pick(d, envsOf[g.Project]...)
		}
		if d.IntN(4) == 0 {
			g.Path = pick(d, domain.Pattern("/"), "/a", "/*/b", "/a/.")
		}
		if d.IntN(5) == 0 {
			g.ExpiresAt = pick(d, someMoments[1:]...)
		}
		p.Grants = append(p.Grants, g)
	}
	if d.IntN(4) == 0 {
		p.Scopes = []domain.Scope{{Project: pick(d, web, shop), Env: pick(d, domain.EnvID(""), dev, prod), Path: pick(d, domain.Pattern("/"), "/a", "/*/b"),
			Verbs: []domain.Verb{pick(d, verbs...), domain.VerbRead}}}
	}
	p.Attributes = map[string]string{"repository": pick(d, "shop/web", "shop/api", "other")}
	p.MFAAt = pick(d, 0, someMoments[1]-60_000, someMoments[2]-3_600_000)
	return p
}

// question gives an action and what it is about. Where there is no environment, only keys have names.
func (d dice) question() (policy.Action, policy.Resource) {
	action, r := pick(d, someActions...), d.resource()
	if r.Env == "" && action != policy.TransitEncrypt {
		r.Name = ""
	}
	return action, r
}

func (d dice) resource() policy.Resource {
	r := policy.Resource{Org: org, Project: pick(d, "", web, web, web, shop)}
	if r.Project == "" || d.IntN(5) == 0 {
		r.Name = pick(d, someNames...) // of a key
		return r
	}
	r.Env = pick(d, envsOf[r.Project]...)
	r.EnvSlug = someEnvs[r.Env]
	if d.IntN(20) == 0 {
		r.EnvSlug = ""
	}
	if d.IntN(6) == 0 {
		return r
	}
	r.Path = pick(d, domain.Path("/"), "/a", "/a/b", "/c/b", "/b/x", "/c")
	r.Name = pick(d, someNames...)
	if r.Name != "" {
		r.Tags = some(d, domain.Tag("pci"), "team:web", "other")
	}
	return r
}

// plainly reads the rules one by one, as the guide describes them, with none of the evaluator's means.
func plainly(p *domain.Principal, action policy.Action, r policy.Resource, f policy.Facts) bool {
	if action == policy.SelfRead || action == policy.SessionEnd || action == policy.TokenRevoke {
		return true
	}
	if !withinScopes(p, action, r) {
		return false
	}
	allowed := false
	for _, g := range p.Grants {
		rules := p.Roles[g.Role].Rules
		switch g.Role {
		case domain.Admin:
			rules = []domain.Rule{{Effect: "allow", Actions: []string{"*"}}}
		case domain.None:
			rules = []domain.Rule{{Effect: "deny", Actions: []string{"*"}}}
		case domain.Developer:
			rules = []domain.Rule{{Effect: "allow", Actions: []string{"secret.list", "secret.read", "secret.write", "secret.delete", "project.read", "token.create", "transit.*"}}}
		case domain.Viewer:
			rules = []domain.Rule{{Effect: "allow", Actions: []string{"secret.list", "project.read", "token.create"}}}
		}
		for _, rule := range rules {
			deny := rule.Effect == domain.Deny
			if !slices.ContainsFunc(rule.Actions, func(a string) bool { return glob(a, string(action)) }) || !plainPlace(g, rule, action, r) || !plainMoment(p, g, rule, f) {
				continue
			}
			if deny {
				return false
			}
			allowed = true
		}
	}
	return allowed
}

// glob matches with the standard library; none of the texts here holds a slash or a bracket.
func glob(pattern, text string) bool {
	ok, err := path.Match(pattern, strings.ReplaceAll(text, "/", ":"))
	return err == nil && ok
}

func globs[S ~string](patterns []string, text S) bool {
	return slices.ContainsFunc(patterns, func(g string) bool { return glob(g, string(text)) })
}

func plainPlace(g domain.Grant, rule domain.Rule, action policy.Action, r policy.Resource) bool {
	deny := rule.Effect == domain.Deny
	if g.Project != "" && g.Project != r.Project || len(rule.Projects) > 0 && !slices.Contains(rule.Projects, r.Project) {
		return false
	}
	all := func(list []string) bool { return len(list) == 0 || slices.Contains(list, "*") }
	byEnv := g.Env != "" || !all(rule.Environments)
	byPath := g.Path != "" && g.Path != "/" || len(rule.Paths) > 0 && !slices.Contains(rule.Paths, "/")
	byName := !all(rule.Names) || !all(rule.Tags)
	above := !deny && (action == policy.ProjectRead || action == policy.TokenCreate)
	if r.Env == "" && action == policy.TransitEncrypt {
		return !byEnv && !byPath && all(rule.Tags) && (all(rule.Names) || r.Name != "" && globs(rule.Names, r.Name))
	}
	if r.Env == "" {
		return !byEnv && !byPath && !byName || above
	}
	if g.Env != "" && g.Env != r.Env {
		return false
	}
	if !all(rule.Environments) {
		if r.EnvSlug == "" {
			if !deny {
				return false
			}
		} else if !globs(rule.Environments, r.EnvSlug) {
			return false
		}
	}
	if byPath {
		if r.Path == "" {
			return above
		}
		if !g.Path.Match(r.Path) || len(rule.Paths) > 0 && !slices.ContainsFunc(rule.Paths, func(p domain.Pattern) bool { return p.Match(r.Path) }) {
			return false
		}
	}
	if byName && r.Name == "" {
		return above
	}
	if !all(rule.Names) && !globs(rule.Names, r.Name) {
		return false
	}
	return all(rule.Tags) || slices.ContainsFunc(r.Tags, func(t domain.Tag) bool { return globs(rule.Tags, t) })
}

// plainMoment answers for the worst case of what is not known.
func plainMoment(p *domain.Principal, g domain.Grant, rule domain.Rule, f policy.Facts) bool {
	deny := rule.Effect == domain.Deny
	if g.ExpiresAt != 0 && (f.At == 0 && !deny || f.At >= g.ExpiresAt && f.At != 0) {
		return false
	}
	return plainWhen(p, rule.When, f, deny) && !(rule.Unless != nil && plainWhen(p, rule.Unless, f, !deny))
}

func plainWhen(p *domain.Principal, w *domain.When, f policy.Facts, unknown bool) bool {
	if w == nil {
		return true
	}
	for name, want := range w.Attribute {
		if have, ok := p.Attributes[name]; !ok || !(want == "*" || glob(strings.ReplaceAll(want, "/", ":"), have)) {
			return false
		}
	}
	holds := true
	if len(w.Networks) > 0 {
		switch f.Address {
		case "10.1.2.3", "::ffff:10.9.9.9":
			holds = slices.Contains(w.Networks, "10.0.0.0/8")
		case "192.0.2.7":
			holds = slices.Contains(w.Networks, "192.0.2.0/24")
		case "2001:db8::1":
			holds = slices.Contains(w.Networks, "2001:db8::/32")
		default:
			holds = unknown
		}
	}
	if w.MFAWithin != "" {
		limit, _ := time.ParseDuration(w.MFAWithin)
		if f.At == 0 {
			holds = holds && unknown
		} else {
			holds = holds && p.MFAAt != 0 && f.At-p.MFAAt <= limit.Milliseconds()
		}
	}
	if len(w.Times) > 0 {
		if f.At == 0 {
			return holds && unknown
		}
		return holds && slices.ContainsFunc(w.Times, func(t domain.Window) bool { return plainTime(t, time.UnixMilli(f.At).UTC()) })
	}
	return holds
}

// plainTime goes through the minutes since the last seven midnights.
func plainTime(w domain.Window, now time.Time) bool {
	from, to := w.From, w.To
	if from == "" {
		from = "00:00"
	}
	for back := range 2 {
		day := now.AddDate(0, 0, -back)
		name := strings.ToLower(day.Weekday().String()[:3])
		if len(w.Days) > 0 && !slices.Contains(w.Days, name) {
			continue
		}
		clock := func(s string) time.Time {
			t, _ := time.Parse("2006-01-02 15:04", day.Format("2006-01-02 ")+s)
			return t
		}
		begin, end := clock(from), clock("00:00").AddDate(0, 0, 1)
		if to != "" {
			end = clock(to)
			if !end.After(begin) {
				end = end.AddDate(0, 0, 1)
			}
		}
		if !now.Before(begin) && now.Before(end) {
			return true
		}
	}
	return false
}

func TestTheEvaluatorAgreesWithAPlainReadingOfRandomPolicies(t *testing.T) {
	seed := rand.Uint64()
	d := dice{rand.New(rand.NewPCG(seed, 1))}
	allowed := 0
	for n := range randomPolicies {
		p := d.principal()
		policy.Prepare(p)
		for range 2 {
			action, r := d.question()
			f := policy.Facts{At: pick(d, someMoments...), Address: pick(d, someClients...)}
			want := plainly(p, action, r, f)
			for _, time := range []string{"cold", "cached"} {
				if got := policy.DecideAt(p, action, r, f); got.Allowed != want {
					t.Fatalf("seed %d, policy %d, %s: %s on %+v at %+v is %v (%s), want %v\ngrants %+v\nroles %+v\nscopes %+v, mfa %d, %v", seed, n, time, action, r, f,
						got.Allowed, got.Reason, want, p.Grants, p.Roles, p.Scopes, p.MFAAt, p.Attributes)
				}
			}
			if want {
				allowed++
			}
			if r.Name != "" && policy.In(p, action, r, f).May(r.Name, r.Tags) != want {
				t.Fatalf("seed %d, policy %d: a folder answers otherwise for %s on %+v", seed, n, action, r)
			}
			if r.Name != "" && want && !policy.In(p, action, r, f).Some() {
				t.Fatalf("seed %d, policy %d: %s on %+v is allowed in a folder in which nothing is", seed, n, action, r)
			}
			if r.Env != "" && want && !policy.ReachesAt(p, action, r, f) {
				t.Fatalf("seed %d, policy %d: %s on %+v is allowed in an environment in which nothing is\ngrants %+v\nroles %+v", seed, n, action, r, p.Grants, p.Roles)
			}
		}
	}
	if allowed < randomPolicies/8 {
		t.Errorf("only %d questions of %d were answered with yes: the world is too strict to show much", allowed, 4*randomPolicies)
	}
}

// What somebody was given by somebody who may give it, never reaches further than the giver does.
func TestWhatIsGrantedIsNeverMoreThanTheGiverHas(t *testing.T) {
	seed := rand.Uint64()
	d := dice{rand.New(rand.NewPCG(seed, 2))}
	given := 0
	for n := range randomPolicies / 5 {
		giver := d.principal()
		giver.Scopes = nil
		policy.Prepare(giver)
		g := domain.Grant{Role: "given", Project: pick(d, "", web, web, shop)}
		if g.Project != "" && d.IntN(3) == 0 {
			g.Env = pick(d, envsOf[g.Project]...)
		}
		if d.IntN(4) == 0 {
			g.Path = pick(d, domain.Pattern("/a"), "/*/b", "/a/.")
		}
		rules := []domain.Rule{d.rule(), d.rule()}
		now := policy.Facts{At: pick(d, someMoments[1:]...), Address: pick(d, someClients...)}
		if policy.MayGive(giver, policy.Given{Grant: g, Slug: someEnvs[g.Env], Rules: rules}, now) != nil {
			continue
		}
		given++
		taker := person(g)
		taker.Roles = map[domain.Role]domain.CustomRole{"given": {Name: "given", Rules: rules}}
		taker.Attributes, taker.MFAAt = giver.Attributes, giver.MFAAt
		policy.Prepare(taker)
		for range 10 {
			action, r := d.question()
			if r.Env != "" {
				r.EnvSlug = someEnvs[r.Env]
			}
			f := policy.Facts{At: pick(d, someMoments[1:]...), Address: pick(d, "10.1.2.3", "192.0.2.7", "2001:db8::1")}
			if policy.DecideAt(taker, action, r, f).Allowed && !policy.DecideAt(giver, action, r, f).Allowed {
				t.Fatalf("seed %d, policy %d: %s on %+v at %+v was given by somebody who lacks it\ngiver %+v\nroles %+v\ngiven %+v\nrules %+v", seed, n, action, r, f, giver.Grants, giver.Roles, g, rules)
			}
		}
	}
	if given < randomPolicies/2000 {
		t.Errorf("only %d roles were given: the test shows little", given)
	}
}
