package web

import (
	"net/http"

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
