package web

import (
	"net/http"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// options answers our own script with what the browser's authenticator needs.
func (v *visit) options(text string, err error) error {
	if err != nil {
		return err
	}
	httpkit.WriteBody(v.w, http.StatusOK, []byte(text))
	return nil
}

func (p *Pages) passkeyLoginBegin(v *visit) error { return v.options(v.Passkeys.BeginLogin(v.ctx)) }

func (p *Pages) passkeyLogin(v *visit) error {
	return v.enter(v.Passkeys.Login(v.ctx, v.form.Get("credential")))
}

func (p *Pages) passkeyBegin(v *visit) error { return v.options(v.Passkeys.BeginRegister(v.ctx)) }

func (p *Pages) passkeyAdd(v *visit) error {
	_, err := v.Passkeys.Register(v.ctx, v.form.Get("name"), v.form.Get("credential"))
	return v.changed(err, "passkey-added")
}

func (p *Pages) passkeyRename(v *visit) error {
	return v.changed(v.Passkeys.Rename(v.ctx, v.form.Get("id"), v.form.Get("name")), "passkey-renamed")
}

func (p *Pages) passkeyRemove(v *visit) error {
	return v.changed(v.Passkeys.Remove(v.ctx, v.form.Get("id")), "passkey-removed")
}

// changed goes back to the account with a notice, or shows the account with what is wrong.
func (v *visit) changed(err error, notice string) error {
	if err == nil {
		v.redirect("/account?done=" + notice)
		return nil
	}
	f := fault.As(err)
	if status := httpkit.Status(f.Kind); status >= 500 && f.Kind != fault.Unsupported {
		return err
	}
	v.problem = f
	return v.showAccount(httpkit.Status(f.Kind))
}

func (p *Pages) verifyForm(v *visit) error {
	return v.show(http.StatusOK, "verify", "Confirm that it is you", verifyPage{Next: local(v.r.URL.Query().Get("next"))})
}

// verifyPage asks for a credential once more.
type verifyPage struct{ Next string }

func (p *Pages) verifyPasskeyBegin(v *visit) error { return v.options(v.Passkeys.BeginVerify(v.ctx)) }

func (p *Pages) verifyPasskey(v *visit) error {
	next := local(v.form.Get("next"))
	if err := v.Passkeys.Verify(v.ctx, v.form.Get("credential")); err != nil {
		f := fault.As(err)
		if httpkit.Status(f.Kind) >= 500 {
			return err
		}
		v.problem = f
		return v.show(httpkit.Status(f.Kind), "verify", "Confirm that it is you", verifyPage{Next: next})
	}
	v.redirect(next)
	return nil
}
