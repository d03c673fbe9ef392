package web

import (
	"net/http"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// verifyPage asks for a credential once more, before an act that needs a fresh one.
type verifyPage struct {
	Next    string
	Factor  bool // a code is asked for, else the password
	Passkey bool // there is one that will do
}

func (v *visit) showVerify(status int, next string) error {
	keys, err := v.Passkeys.List(v.ctx)
	if err != nil {
		return err
	}
	return v.show(status, "verify", "Confirm that it is you", verifyPage{local(next), v.who.Factor, len(keys) > 0})
}

func (p *Pages) verifyForm(v *visit) error {
	return v.showVerify(http.StatusOK, v.r.URL.Query().Get("next"))
}

func (p *Pages) verify(v *visit) error {
	return v.verified(v.Access.Reprove(v.ctx, sensitive.FromString(v.form.Get("password")), v.form.Get("code")))
}

func (p *Pages) verifyPasskeyBegin(v *visit) error { return v.options(v.Passkeys.BeginVerify(v.ctx)) }

func (p *Pages) verifyPasskey(v *visit) error {
	return v.verified(v.Passkeys.Verify(v.ctx, v.form.Get("credential")))
}

// verified goes on to where the proof was wanted.
func (v *visit) verified(err error) error {
	next := v.form.Get("next")
	if err == nil {
		v.redirect(local(next))
		return nil
	}
	f := fault.As(err)
	if httpkit.Status(f.Kind) >= 500 {
		return err
	}
	v.problem = f
	return v.showVerify(httpkit.Status(f.Kind), next)
}
