package httpapi

import (
	"time"

	"github.com/keyturn/keyturn/api"
)

// policySamples are answers about roles, groups, decisions and freezes.
func policySamples() []any {
	day := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	role := api.CustomRole{ID: sampleGrant, Name: "deployer", Description: "reads what a deployment needs", CreatedAt: &day,
		Rules: []api.Rule{{Effect: "allow", Actions: []string{"secret.list", "secret.read"}, Environments: []string{"prod"}, Paths: []string{"/deploy"}, When: &api.When{Networks: []string{"10.1.0.0/16"}}}}}
	group := api.Group{ID: sampleOrg, Name: "backend", CreatedAt: day}
	freeze := api.Freeze{ProjectID: sampleProject, By: "admin@example.test", Reason: "incident 4711", At: day}
	return []any{
		role, api.CustomRoles{Roles: []api.CustomRole{role}},
		group, api.Groups{Groups: []api.Group{group}},
		api.Members{Members: []api.Member{{Kind: "user", ID: sampleUser, Name: sampleMail, Cause: "hand"}}},
		api.Explanation{Kind: "user", ID: sampleUser, Name: sampleMail, Allowed: true, Reason: "role deployer, rule 1",
			Rules: []api.RuleSaid{{GrantID: sampleGrant, GroupID: sampleOrg, ProjectID: sampleProject, Role: "deployer", Rule: 1, Effect: "allow", Holds: true}}},
		api.Holders{Holders: []api.Holder{{Kind: "user", ID: sampleUser, Name: sampleMail, Reason: "role deployer, rule 1", Conditional: true}}},
		api.PolicyDifferences{Differences: []api.PolicyDifference{{Kind: "user", ID: sampleUser, Name: sampleMail, Place: "shop/prod:/deploy", Actions: []string{"secret.read"}, Gains: true}}},
		api.PolicyTests{Tests: []api.PolicyTested{{Line: 2, Principal: "user:dev@example.test", Action: "secret.read", Resource: "shop/prod:/deploy/TOKEN", Expect: "allow", Got: "allow", Passed: true}}},
		freeze, api.Freezes{Freezes: []api.Freeze{freeze}},
	}
}
