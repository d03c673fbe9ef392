package httpapi

import (
	"net/http"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// peopleRoutes are about one's own account and what the organisation asks of its people.
func peopleRoutes() []Route {
	return []Route{
		with(Route{Method: "POST", Path: "/reauth", Auth: Token, Action: "self.prove", Summary: "Show again who the holder of a session is, so that it may do dangerous things for a while.", MaxBody: smallBody,
			Example: api.Reproof{Code: "123456"}},
			func(c *call, _ *none, b *api.Reproof) (api.Done, error) {
				return done(c.access.Reprove(c.ctx, sensitive.FromString(b.Password), b.Code))
			}),
		with(Route{Method: "GET", Path: "/self/factors", Auth: Token, Action: "self.read", Summary: "Tell how the caller stands with second factors.", Example: api.Factors{Factors: []api.Factor{}, RecoveryCodes: 10}},
			func(c *call, _ *none, _ *none) (api.Factors, error) {
				st, err := c.access.Factors(c.ctx)
				return api.Factors{Factors: each(st.Factors, factorOf), RecoveryCodes: st.RecoveryLeft, Required: st.Required, EnrolBy: maybe(st.EnrolBy)}, err
			}),
		with(Route{Method: "POST", Path: "/self/factors", Auth: Token, Action: "self.manage", Summary: "Begin a second factor of time-based codes; its secret is shown this once.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.FactorRequest{Name: "phone"}},
			func(c *call, _ *none, b *api.FactorRequest) (api.NewFactor, error) {
				row, seed, address, err := c.access.EnrolTOTP(c.ctx, b.Name)
				return api.NewFactor{Factor: factorOf(row), Secret: string(seed.Reveal()), URL: address}, err
			}),
		with(Route{Method: "POST", Path: "/self/factors/{id}/confirm", Auth: Token, Action: "self.manage", Summary: "Put a second factor in force by a code of it; with the first come the recovery codes, shown this once.", MaxBody: smallBody,
			Example: api.CodeRequest{Code: "123456"}},
			func(c *call, p *idParam, b *api.CodeRequest) (api.RecoveryCodes, error) {
				return recoveryOf(c.access.ConfirmFactor(c.ctx, p.ID, b.Code))
			}),
		with(Route{Method: "DELETE", Path: "/self/factors/{id}", Auth: Token, Action: "self.manage", Summary: "Take a second factor out of force.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) { return done(c.access.RemoveFactor(c.ctx, p.ID)) }),
		with(Route{Method: "POST", Path: "/self/recovery-codes", Auth: Token, Action: "self.manage", Summary: "Make new recovery codes in place of the old ones; they are shown this once.", Example: api.RecoveryCodes{RecoveryCodes: []string{"0000-test-va1e-0000"}}},
			func(c *call, _ *none, _ *none) (api.RecoveryCodes, error) {
				return recoveryOf(c.access.RenewRecoveryCodes(c.ctx))
			}),
		with(Route{Method: "DELETE", Path: "/users/{id}/factors", Auth: Token, Action: "access.manage", Summary: "Take all second factors of a person out of force and end his sessions and tokens: he has lost them.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) {
				return done(c.access.ResetFactors(c.ctx, domain.UserID(p.ID)))
			}),
		with(Route{Method: "GET", Path: "/settings", Auth: Token, Action: "access.read", Summary: "Tell what the organisation has decided for its people.", Example: api.Settings{MFA: "optional", ReauthAfter: "15m0s"}},
			func(c *call, _ *none, _ *none) (api.Settings, error) { return settingsOf(c.access.Settings(c.ctx)) }),
		with(Route{Method: "PATCH", Path: "/settings", Auth: Token, Action: "access.manage", Summary: "Decide about second factors, proofs and sessions of the organisation's people; what is absent stays.", MaxBody: smallBody,
			Example: api.Settings{MFA: "required", MFAGrace: "7d", SessionIdle: "12h"}},
			func(c *call, _ *none, b *api.Settings) (api.Settings, error) {
				change, err := settingsChange(b)
				if err != nil {
					return api.Settings{}, err
				}
				return settingsOf(c.access.ChangeSettings(c.ctx, change))
			}),
	}
}

func factorOf(f access.Factor) api.Factor {
	return api.Factor{ID: f.ID, Kind: f.Kind, Name: string(f.Name), CreatedAt: at(f.CreatedAt), ConfirmedAt: maybe(f.ConfirmedAt)}
}

func recoveryOf(codes []sensitive.Value, err error) (api.RecoveryCodes, error) {
	return api.RecoveryCodes{RecoveryCodes: each(codes, func(v sensitive.Value) string { return string(v.Reveal()) })}, err
}

func settingsOf(s access.Settings, err error) (api.Settings, error) {
	out := api.Settings{MFA: "optional", MFAGrace: s.MFAGrace.String(), ReauthAfter: s.Fresh.String(), SessionIdle: s.Idle.String(), SessionMax: s.SessionMax.String()}
	if s.MFARequired {
		out.MFA, out.MFASince = "required", maybe(s.MFASince)
	}
	return out, err
}

func settingsChange(b *api.Settings) (access.SettingsChange, error) {
	var out access.SettingsChange
	switch b.MFA {
	case "":
	case "optional", "required":
		required := b.MFA == "required"
		out.MFARequired = &required
	default:
		return out, fault.New(fault.Invalid, "no such decision").WithField("/mfa", "want optional or required")
	}
	for _, d := range []struct {
		where, text string
		into        **time.Duration
	}{{"/mfa_grace", b.MFAGrace, &out.MFAGrace}, {"/reauth_after", b.ReauthAfter, &out.Fresh}, {"/session_idle", b.SessionIdle, &out.Idle}, {"/session_max", b.SessionMax, &out.SessionMax}} {
		if d.text == "" {
			continue
		}
		v, err := parseDuration(d.where, d.text)
		if err != nil {
			return out, err
		}
		*d.into = &v
	}
	return out, nil
}
