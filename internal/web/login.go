package web

import (
	"log/slog"
	"net/http"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// loginPage is what the login shows.
type loginPage struct {
	Next    string
	Email   string // typed before
	Pending string // sealed: the password was right, and a code is wanted
	Setup   bool   // nobody is there yet
	Plain   bool   // the browser would not keep the cookie
	// Providers are where one can log in instead, Directories those whose password is typed here.
	Providers, Directories []string
	Directory              string // that was chosen before
}

func (v *visit) loginPage(next, email string) loginPage {
	setup, err := v.Access.NeedsSetup(v.ctx)
	out := loginPage{Next: local(next), Email: email, Setup: setup && err == nil, Plain: v.secure(v.r) && v.r.TLS == nil && v.Origin == "", Directory: v.form.Get("directory")}
	choices, err := v.Access.SSOChoices(v.ctx)
	if err != nil { // the password is another way in
		slog.Warn("the ways to log in cannot be listed", "request", httpkit.RequestID(v.r.Context()), "error", err)
	}
	for _, c := range choices {
		if c.Kind == "ldap" {
			out.Directories = append(out.Directories, c.Name)
		} else {
			out.Providers = append(out.Providers, c.Name)
		}
	}
	return out
}

func (p *Pages) loginForm(v *visit) error {
	next := v.r.URL.Query().Get("next")
	to, err := p.toProgram(v.r.URL.Query())
	if err != nil {
		return err
	}
	if to != "" {
		next = to
	}
	if v.who != nil {
		v.redirect(local(next))
		return nil
	}
	return v.show(http.StatusOK, "login", "Log in", v.loginPage(next, ""))
}

// login takes the password, and then the code of a second factor where there is one.
func (p *Pages) login(v *visit) error {
	if name := v.form.Get("directory"); name != "" {
		return v.enter(v.Access.LoginLDAP(v.ctx, name, v.form.Get("email"), sensitive.FromString(v.form.Get("password"))))
	}
	in := access.LoginInput{Email: v.form.Get("email"), Password: sensitive.FromString(v.form.Get("password"))}
	if sealed := v.form.Get("pending"); sealed != "" {
		b, _, ok := v.pending.Open(sealed)
		if in.Email, in.Password = b.Email, b.Password; !ok {
			return v.enter(access.Session{}, fault.New(fault.Unauthenticated, "that took too long").WithHint("begin with the password again"))
		}
		if in.Code = v.form.Get("code"); in.Code == "" {
			in.Code = "-" // an empty code is no try
		}
	}
	s, err := v.Access.Login(v.ctx, in)
	f := fault.As(err)
	if err == nil || f.Reason != fault.ReasonSecondFactor {
		return v.enter(s, err)
	}
	page := v.loginPage(v.form.Get("next"), in.Email)
	if page.Pending = v.form.Get("pending"); page.Pending != "" {
		v.problem = f // the code was wrong
	} else if page.Pending, err = v.sealed(in); err != nil {
		return err
	}
	return v.show(httpkit.Status(f.Kind), "login", "Log in", page)
}

func (v *visit) sealed(in access.LoginInput) (string, error) {
	out, err := v.pending.Seal(httpkit.Begun{Email: in.Email, Password: in.Password})
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the login could not go on")
	}
	return out, nil
}

// enter begins the session of a login, or shows the login again with what is wrong.
func (v *visit) enter(s access.Session, err error) error {
	next := v.form.Get("next")
	if err != nil {
		f := fault.As(err)
		if httpkit.Status(f.Kind) >= 500 {
			return err
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
