package web

import (
	"net/http"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
)

// accountPage is what somebody sees of himself.
type accountPage struct {
	Name     string
	Passkeys []access.Passkey
	Off      *fault.Error // why there are no passkeys here
}

func (p *Pages) account(v *visit) error { return v.showAccount(http.StatusOK) }

func (v *visit) showAccount(status int) error {
	if _, err := v.Access.WhoAmI(v.ctx); err != nil {
		return err
	}
	out := accountPage{Name: v.who.Name}
	var err error
	if out.Passkeys, err = v.Passkeys.List(v.ctx); err != nil {
		if fault.KindOf(err) != fault.Unsupported {
			return err
		}
		out.Off = fault.As(err)
	}
	return v.show(status, "account", "Your account", out)
}
