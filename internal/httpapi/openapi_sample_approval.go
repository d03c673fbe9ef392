package httpapi

import (
	"time"

	"github.com/keyturn/keyturn/api"
)

// approvalSamples are the examples of what waits for others, is asked for, and is opened in emergencies.
func approvalSamples() []any {
	day := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	later := day.AddDate(0, 0, 7)
	change := api.ChangeSet{ID: sampleGrant, Project: "shop", Env: "prod", Kind: "commit", State: "open", Base: 7, AuthorKind: "user", AuthorID: sampleUser, Author: sampleMail,
		Message: "new password", Digest: sampleHex, Need: 1, CreatedAt: day, ExpiresAt: later, MayReview: true,
		Items:   []api.ChangeItem{{Path: "/backend", Name: "DATABASE_URL", Outcome: "changed", Value: true, Attributes: &api.Attributes{Owner: "backend"}, Changed: []string{"owner"}}},
		Reviews: []api.Review{{Reviewer: "lead@example.test", ReviewerID: sampleIdentity, Verdict: "comment", Comment: "why now?", Digest: sampleHex, At: day}}}
	request := api.AccessRequest{ID: sampleGrant, PrincipalKind: "user", PrincipalID: sampleUser, Principal: sampleMail, Role: "developer", Project: "shop", Env: "prod", Path: "/backend",
		For: "2h0m0s", Reason: "incident 4711", State: "open", CreatedAt: day, ExpiresAt: later, MayDecide: true}
	opening := api.BreakGlassOpening{ID: sampleRequest, Opener: sampleMail, Reason: "payments are down", State: "closed", Entered: []string{sampleMail, "lead@example.test"},
		BegunAt: day, ExpiresAt: day.Add(time.Hour), OpenedAt: &day, ClosedAt: &day}
	glass := api.BreakGlass{Name: "prod-down", Role: "admin", ProjectID: sampleProject, EnvID: sampleEnv, For: "1h0m0s", Need: 2, State: "ready",
		Custodians: []string{sampleMail, "lead@example.test", "ops@example.test"}, CreatedAt: day, CreatedBy: "admin@example.test"}
	task := api.BreakGlassTask{ID: sampleGrant, Cause: "break-glass prod-down", ProjectID: sampleProject, EnvID: sampleEnv, Path: "/backend", Name: "DATABASE_URL", SecretID: sampleSecret, ReadAt: day, DueAt: day}
	return []any{
		api.Approval{Need: 1, Approvers: []api.Approver{{Kind: "role", ID: "admin"}}, Expiry: "168h0m0s"},
		change, api.ChangeSets{Changes: []api.ChangeSet{change}},
		api.Waiting{ChangeSet: &change, Effects: []api.Effect{{Path: "/backend", Name: "DATABASE_URL", Outcome: "changed", Version: 4}}},
		api.ReviewLink{Token: "ktv_test-value", Digest: sampleHex, ExpiresAt: later},
		request, api.AccessRequests{Requests: []api.AccessRequest{request}},
		glass, api.BreakGlassList{BreakGlass: []api.BreakGlass{glass}},
		api.BreakGlassMade{BreakGlass: glass, Shares: []api.BreakGlassShare{{Custodian: sampleMail, Share: "ktg_test-value"}}},
		api.BreakGlassReport{Name: glass.Name, Role: glass.Role, Opening: opening, ClosedBy: sampleMail, LogFrom: 412, Final: true, FiledAt: day, OpenTasks: 1, Tasks: []api.BreakGlassTask{task},
			Acts: []api.BreakGlassAct{{At: day, Action: "breakglass.read", Outcome: "allowed", ProjectID: sampleProject, EnvID: sampleEnv, Keys: []string{"/backend/DATABASE_URL"}}}},
		api.BreakGlassTasks{Tasks: []api.BreakGlassTask{task}},
	}
}
