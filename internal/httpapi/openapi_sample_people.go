package httpapi

import (
	"time"

	"github.com/keyturn/keyturn/api"
)

// peopleSamples are answers about people: links, accounts, second factors, sessions and what leavers leave.
func peopleSamples() []any {
	day := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	later := day.AddDate(0, 0, 3)
	user := api.User{ID: sampleUser, Email: sampleMail, Name: "Developer", CreatedAt: day}
	invite := api.Invite{ID: sampleGrant, Purpose: "invite", Email: sampleMail, Roles: []api.Role{{ProjectID: sampleProject, Role: "developer"}}, InvitedBy: sampleIdentity, CreatedAt: day, ExpiresAt: later}
	factor := api.Factor{ID: sampleGrant, Kind: "totp", Name: "phone", CreatedAt: day}
	task := api.Task{ID: sampleGrant, Leaver: sampleMail, Place: "shop/prod", Key: "/backend/DATABASE_URL", Owner: "backend", Version: 3, ReadAt: day, CreatedAt: later}
	return []any{
		api.NewInvite{Invite: invite, Token: "kti_test-value", Link: "https://keyturn.example.test/join#kti_test-value"},
		api.Invites{Invites: []api.Invite{invite}},
		api.Link{Purpose: "invite", Email: sampleMail, Organization: "Main", ExpiresAt: later},
		api.Profile{User: user, PasswordAt: &day, Groups: []api.Named{{ID: sampleOrg, Name: "backend"}}},
		api.Sessions{Sessions: []api.SessionInfo{{ID: sampleToken, Method: "password", Address: "192.0.2.7", Agent: "keyturn", Current: true, CreatedAt: day, LastUsedAt: day, ExpiresAt: later, IdleLimit: "12h0m0s", ProvedAt: &day}}},
		api.Tasks{Tasks: []api.Task{task}},
		api.Factors{Factors: []api.Factor{factor}, RecoveryCodes: 9, Required: true},
		api.NewFactor{Factor: factor, Secret: "TESTVALUE", URL: "otpauth://totp/Keyturn:dev@example.test?secret=TESTVALUE"},
		api.RecoveryCodes{RecoveryCodes: []string{"test-value-1", "test-value-2"}},
		api.Settings{MFA: "required", MFAGrace: "168h0m0s", MFASince: &day, ReauthAfter: "15m0s", SessionIdle: "12h0m0s", SessionMax: "168h0m0s"},
	}
}
