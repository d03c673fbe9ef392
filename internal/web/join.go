package web

import (
	"net/http"
	"strings"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// joinPage uses a link that works once: an invitation, a new password, another address. The token came behind the # of the link
// or was pasted; it is in the page's forms and in no address.
type joinPage struct {
	Token string
	Link  access.LinkInfo
	Name  string // typed before
}

// linkToken takes a token, or the whole link that somebody pasted.
func linkToken(text string) string {
	text = strings.TrimSpace(text)
	if _, after, found := strings.Cut(text, "#"); found {
		return after
	}
	return text
}

func (p *Pages) joinForm(v *visit) error {
	return v.show(http.StatusOK, "join", "Use a link", joinPage{})
}

func (p *Pages) join(v *visit) error { return v.showLink(nil) }

// showLink shows what a link is for, and what was wrong with an attempt to use it.
func (v *visit) showLink(cause error) error {
	token := linkToken(v.form.Get("token"))
	status := http.StatusOK
	if cause != nil {
		v.problem = fault.As(cause)
		status = httpkit.Status(v.problem.Kind)
		if status >= 500 {
			return cause
		}
	}
	info, err := v.Access.Link(v.ctx, sensitive.FromString(token))
	if err != nil {
		f := fault.As(err)
		if httpkit.Status(f.Kind) >= 500 {
			return err
		}
		v.problem = f
		return v.show(httpkit.Status(f.Kind), "join", "Use a link", joinPage{})
	}
	return v.show(status, "join", "Use a link", joinPage{token, info, v.form.Get("name")})
}

func (p *Pages) joinInvite(v *visit) error {
	s, err := v.Access.AcceptInvite(v.ctx, sensitive.FromString(linkToken(v.form.Get("token"))), v.form.Get("name"), sensitive.FromString(v.form.Get("password")))
	if err != nil {
		return v.showLink(err)
	}
	v.remember(s)
	v.redirect("/account")
	return nil
}

func (p *Pages) joinPassword(v *visit) error {
	err := v.Access.ResetPassword(v.ctx, sensitive.FromString(linkToken(v.form.Get("token"))), sensitive.FromString(v.form.Get("password")))
	return v.joined(err, "password-reset")
}

func (p *Pages) joinAddress(v *visit) error {
	return v.joined(v.Access.ConfirmAddress(v.ctx, sensitive.FromString(linkToken(v.form.Get("token")))), "address-set")
}

func (v *visit) joined(err error, notice string) error {
	if err != nil {
		return v.showLink(err)
	}
	v.redirect("/login?done=" + notice)
	return nil
}
