package web

import (
	"context"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// visit is one request for a page on its way.
type visit struct {
	*Pages
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context
	caller  *guard.Caller
	who     *domain.Principal // nil when nobody is logged in
	form    url.Values
	notice  string
	problem *fault.Error
}

func (p *Pages) visit(w http.ResponseWriter, r *http.Request) *visit {
	caller := &guard.Caller{Principal: &domain.Principal{Kind: domain.Anonymous}, Address: httpkit.Address(r), Agent: httpkit.Agent(r),
		Request: httpkit.RequestID(r.Context()), Dialect: "console"}
	return &visit{Pages: p, w: w, r: r, caller: caller, ctx: guard.WithCaller(r.Context(), caller), notice: notices[r.URL.Query().Get("done")]}
}

// notices are told after a change, by a word in the address: no text of an address is shown.
var notices = map[string]string{
	"change-approved":  "Your approval counts.",
	"change-applied":   "Your approval was the last that was needed: the change is applied.",
	"change-rejected":  "The change was rejected. That ends it.",
	"change-commented": "Your comment stands below.",
	"change-withdrawn": "The change was withdrawn.",
	"renamed":          "You have your new name.",
	"password-set":     "The new password is set. Everything else that you were logged in with has ended.",
	"password-reset":   "The new password is set. Log in with it.",
	"address-set":      "The address is yours from now on. Log in with it.",
	"sessions-ended":   "All other sessions were ended.",
	"factor-added":     "The authenticator is set up.",
	"factor-removed":   "The authenticator was removed. Its codes are good for nothing any more.",
	"session-ended":    "The session was ended, on every server.",
	"passkey-added":    "The passkey was added. You can log in with it from now on.",
	"passkey-renamed":  "The passkey has its new name.",
	"passkey-removed":  "The passkey was removed. It logs nobody in any more.",
	"logged-out":       "You are logged out.",
}

// identify finds out who shows the cookie. Without a session it gives fault.Unauthenticated.
func (v *visit) identify() error {
	token := v.session()
	if token == "" {
		return fault.New(fault.Unauthenticated, "log in first")
	}
	who, err := v.Access.Authenticate(v.ctx, token, v.caller.Address)
	if err != nil {
		return v.Access.Refused(v.ctx, err)
	}
	v.who, v.caller.Principal = who, who
	return nil
}

// handler makes the http.Handler of a page.
func (p *Pages) handler(one page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := p.visit(w, r)
		if err := v.identify(); err != nil {
			if fault.KindOf(err) != fault.Unauthenticated {
				v.fail(err)
				return
			}
			if one.session && v.scripted() {
				v.fail(fault.New(fault.Unauthenticated, "your session is over").WithHint("log in again"))
				return
			}
			if one.session {
				v.toLogin()
				return
			}
		}
		if r.Method == http.MethodPost {
			if err := v.readForm(); err != nil {
				v.fail(err)
				return
			}
		}
		if err := one.serve(v); err != nil {
			v.failed(err)
		}
	})
}

// failed sends a session that was proved too long ago to prove itself, and shows everything else.
func (v *visit) failed(err error) {
	if fault.As(err).Reason != fault.ReasonReprove || v.scripted() {
		v.fail(err)
		return
	}
	next := "/account" // a form that was sent is not sent again
	if v.r.Method == http.MethodGet {
		next = v.r.URL.RequestURI()
	}
	v.redirect("/verify?next=" + url.QueryEscape(local(next)))
}

// scripted tells a call of our own script from a reader who goes somewhere.
func (v *visit) scripted() bool {
	return strings.HasPrefix(v.r.Header.Get("Accept"), "application/json")
}

// toLogin sends a reader to the login and remembers where he wanted to go. A form that was sent is not sent again.
func (v *visit) toLogin() {
	next := "/"
	if v.r.Method == http.MethodGet {
		next = v.r.URL.RequestURI()
	}
	v.forget()
	v.redirect("/login?next=" + url.QueryEscape(local(next)))
}

func (v *visit) redirect(to string) {
	h := v.w.Header()
	h.Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

// readForm takes what a form of ours sends: no multipart bodies, nothing from the address.
func (v *visit) readForm() error {
	if kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type")); v.r.ContentLength > 0 && (err != nil || kind != "application/x-www-form-urlencoded") {
		return fault.New(fault.Invalid, "this is not what a form of ours sends")
	}
	if err := v.r.ParseForm(); err != nil {
		return fault.Wrap(fault.Invalid, err, "the form could not be read, or is too large")
	}
	v.form = v.r.PostForm
	return nil
}

// end revokes the session that the cookie holds, when there is one.
func (v *visit) end() {
	if v.who == nil {
		return
	}
	if err := v.Access.Logout(v.ctx); err != nil {
		slog.Warn("a session could not be ended", "request", httpkit.RequestID(v.r.Context()), "error", err)
	}
}
