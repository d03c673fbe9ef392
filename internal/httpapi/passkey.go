package httpapi

import (
	"net/http"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
)

// passkeyBody holds what an authenticator answers, escaped once more as a text in JSON.
const passkeyBody = 64 << 10

// passkeyExample is cut short: a real one has signature and client data.
const passkeyExample = `{"id":"AAEC","rawId":"AAEC","type":"public-key","response":{}}`

func passkeyRoutes() []Route {
	options := func(text string, err error) (api.PasskeyOptions, error) {
		return api.PasskeyOptions{Options: text}, err
	}
	return []Route{
		with(Route{Method: "POST", Path: "/login/passkey/begin", Auth: Anyone, Action: "passkey.challenge", Summary: "Ask for a challenge to log in with a passkey.",
			Example: api.PasskeyOptions{Options: `{"challenge":"AAEC","rpId":"keyturn.example.test","userVerification":"required"}`}},
			func(c *call, _ *none, _ *none) (api.PasskeyOptions, error) {
				return options(c.Passkeys.BeginLogin(c.ctx))
			}),
		with(Route{Method: "POST", Path: "/login/passkey", Auth: Anyone, Action: "session.login", Summary: "Log in with a passkey, which counts as both factors.", MaxBody: passkeyBody,
			Example: api.PasskeyAnswer{Credential: passkeyExample}},
			func(c *call, _ *none, b *api.PasskeyAnswer) (api.Session, error) {
				return sessionOf(c.Passkeys.Login(c.ctx, b.Credential))
			}),
		with(Route{Method: "GET", Path: "/passkeys", Auth: Token, Action: "self.read", Summary: "List one's own passkeys.", Example: api.Passkeys{}},
			func(c *call, _ *none, _ *none) (api.Passkeys, error) {
				rows, err := c.Passkeys.List(c.ctx)
				return api.Passkeys{Passkeys: each(rows, passkeyOf)}, err
			}),
		with(Route{Method: "POST", Path: "/passkeys/begin", Auth: Token, Action: "self.manage", Summary: "Ask for a challenge to add a passkey; needs a fresh session of a person.",
			Example: api.PasskeyOptions{Options: `{"challenge":"AAEC","rp":{"id":"keyturn.example.test","name":"Keyturn"}}`}},
			func(c *call, _ *none, _ *none) (api.PasskeyOptions, error) {
				return options(c.Passkeys.BeginRegister(c.ctx))
			}),
		with(Route{Method: "POST", Path: "/passkeys", Auth: Token, Action: "self.manage", Summary: "Add the passkey that signed the challenge.", MaxBody: passkeyBody, Status: http.StatusCreated,
			Example: api.PasskeyRequest{Name: "laptop", Credential: passkeyExample}},
			func(c *call, _ *none, b *api.PasskeyRequest) (api.Passkey, error) {
				row, err := c.Passkeys.Register(c.ctx, b.Name, b.Credential)
				return passkeyOf(row), err
			}),
		with(Route{Method: "PATCH", Path: "/passkeys/{id}", Auth: Token, Action: "self.manage", Summary: "Give one's own passkey another name.", MaxBody: smallBody, Example: api.PasskeyRename{Name: "laptop"}},
			func(c *call, p *idParam, b *api.PasskeyRename) (api.Done, error) {
				return done(c.Passkeys.Rename(c.ctx, p.ID, b.Name))
			}),
		with(Route{Method: "DELETE", Path: "/passkeys/{id}", Auth: Token, Action: "self.manage", Summary: "Forget one's own passkey; needs a fresh session.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) { return done(c.Passkeys.Remove(c.ctx, p.ID)) }),
		with(Route{Method: "POST", Path: "/passkeys/verify/begin", Auth: Token, Action: "self.prove", Summary: "Ask for a challenge to confirm one's session with a passkey.",
			Example: api.PasskeyOptions{Options: `{"challenge":"AAEC","rpId":"keyturn.example.test","userVerification":"required"}`}},
			func(c *call, _ *none, _ *none) (api.PasskeyOptions, error) {
				return options(c.Passkeys.BeginVerify(c.ctx))
			}),
		with(Route{Method: "POST", Path: "/passkeys/verify", Auth: Token, Action: "self.prove", Summary: "Make one's session fresh with a passkey.", MaxBody: passkeyBody,
			Example: api.PasskeyAnswer{Credential: passkeyExample}},
			func(c *call, _ *none, b *api.PasskeyAnswer) (api.Done, error) {
				return done(c.Passkeys.Verify(c.ctx, b.Credential))
			}),
	}
}

func passkeyOf(p access.Passkey) api.Passkey {
	return api.Passkey{ID: p.ID, Name: string(p.Name), Synced: p.BackupEligible, Transports: texts(p.Transports), CreatedAt: at(p.CreatedAt),
		LastUsedAt: maybe(p.LastUsedAt), ClonedAt: maybe(p.ClonedAt)}
}
