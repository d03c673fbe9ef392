package policy_test

import (
	"fmt"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/policy"
)

// BenchmarkDecide stands on the path of every request, and inside lists once for each row: well below a microsecond.
func BenchmarkDecide(b *testing.B) {
	folder := policy.Resource{Org: org, Project: web, Env: prod, Path: "/backend/db"}
	many := func(n int) []domain.Grant {
		var out []domain.Grant
		for i := range n {
			out = append(out, domain.Grant{Project: domain.ProjectID(fmt.Sprintf("project-%d", i)), Role: domain.Developer})
		}
		return append(out, domain.Grant{Project: web, Env: prod, Role: domain.Developer})
	}
	read := []domain.Verb{domain.VerbRead}
	narrow := person(many(3)...)
	narrow.Scopes = []domain.Scope{{Project: web, Env: dev, Path: "/", Verbs: read}, {Project: web, Env: prod, Path: "/*/db", Verbs: read}}
	for name, c := range map[string]struct {
		p      *domain.Principal
		action policy.Action
		want   bool
	}{
		"admin":             {person(domain.Grant{Role: domain.Admin}), policy.SecretRead, true},
		"developer":         {person(many(3)...), policy.SecretRead, true},
		"of 20 projects":    {person(many(20)...), policy.SecretRead, true},
		"scoped by pattern": {narrow, policy.SecretRead, true},
		"refused":           {person(many(3)...), policy.AccessManage, false},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if policy.Decide(c.p, c.action, folder).Allowed != c.want {
					b.Fatal("decided wrongly")
				}
			}
		})
	}
}
