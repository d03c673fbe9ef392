package web

import (
	"net/http"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// loginPage is what the login shows.
type loginPage struct {
	Next  string
	Email string // typed before
	Setup bool   // nobody is there yet
	Plain bool   // the browser would not keep the cookie
}

func (v *visit) loginPage(next, email string) loginPage {
	setup, err := v.Access.NeedsSetup(v.ctx)
	return loginPage{Next: local(next), Email: email, Setup: setup && err == nil, Plain: v.secure(v.r) && v.r.TLS == nil && v.Origin == ""}
}

func (p *Pages) loginForm(v *visit) error {
	next := v.r.URL.Query().Get("next")
	if v.who != nil {
		v.redirect(local(next))
		return nil
	}
	return v.show(http.StatusOK, "login", "Log in", v.loginPage(next, ""))
}

func (p *Pages) login(v *visit) error {
	s, err := v.Access.Login(v.ctx, v.form.Get("email"), sensitive.FromString(v.form.Get("password")))
	return v.enter(s, err)
}

// enter begins the session of a login, or shows the login again with what is wrong.
func (v *visit) enter(s access.Session, err error) error {
	next := v.form.Get("next")
	if err != nil {
		f := fault.As(err)
		if status := httpkit.Status(f.Kind); status >= 500 {
			return err
		}
		if f.Hint == "log in with: keyturn login" {
			f.Hint = ""
		}
		v.problem = f
		return v.show(httpkit.Status(f.Kind), "login", "Log in", v.loginPage(next, v.form.Get("email")))
	}
	v.remember(s)
	v.redirect(local(next))
	return nil
}

func (p *Pages) logoutForm(v *visit) error {
	return v.show(http.StatusOK, "logout", "Log out", nil)
}

func (p *Pages) logout(v *visit) error {
	if err := v.Access.Logout(v.ctx); err != nil {
		return err
	}
	v.forget()
	v.w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	v.redirect("/login?done=logged-out")
	return nil
}
