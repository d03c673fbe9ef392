package web

import (
	"net/http"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// accountPage is what somebody sees of himself.
type accountPage struct {
	Profile  access.Profile
	Factors  access.FactorStatus
	Passkeys []access.Passkey
	Off      *fault.Error // why there are no passkeys here
	Sessions []access.Token
	This     domain.TokenID // the session that looks
}

func (p *Pages) account(v *visit) error { return v.showAccount(http.StatusOK) }

func (v *visit) showAccount(status int) error {
	out := accountPage{This: v.who.Token}
	var err error
	if out.Profile, err = v.Access.Profile(v.ctx); err != nil {
		return err
	}
	if out.Factors, err = v.Access.Factors(v.ctx); err != nil {
		return err
	}
	if v.Passkeys.Origin() == "" {
		out.Off = fault.New(fault.Unsupported, "passkeys are off: the server does not know the host name that people open").WithHint("set KEYTURN_PUBLIC_URL")
	}
	if out.Passkeys, err = v.Passkeys.List(v.ctx); err != nil {
		return err
	}
	if out.Sessions, err = v.Access.Sessions(v.ctx, ""); err != nil {
		return err
	}
	return v.show(status, "account", "Your account", out)
}

// changed goes back to the account with a notice, or shows the account with what is wrong. A session that was proved too long
// ago is sent to prove itself first.
func (v *visit) changed(err error, notice string) error {
	if err == nil {
		v.redirect("/account?done=" + notice)
		return nil
	}
	f := fault.As(err)
	if f.Reason == fault.ReasonReprove || httpkit.Status(f.Kind) >= 500 {
		return err
	}
	v.problem = f
	return v.showAccount(httpkit.Status(f.Kind))
}

func (p *Pages) rename(v *visit) error {
	return v.changed(v.Access.Rename(v.ctx, v.form.Get("name")), "renamed")
}

func (p *Pages) password(v *visit) error {
	err := v.Access.ChangePassword(v.ctx, sensitive.FromString(v.form.Get("old")), sensitive.FromString(v.form.Get("new")), v.form.Get("tokens") != "")
	return v.changed(err, "password-set")
}

func (p *Pages) sessionsEnd(v *visit) error {
	return v.changed(v.Access.EndOtherSessions(v.ctx), "sessions-ended")
}

// sessionEnd ends another session of the same person, or this one.
func (p *Pages) sessionEnd(v *visit) error {
	id := domain.TokenID(v.form.Get("id"))
	err := v.Access.RevokeToken(v.ctx, id)
	if err == nil && id == v.who.Token {
		v.forget()
		v.redirect("/login?done=logged-out")
		return nil
	}
	return v.changed(err, "session-ended")
}
