// Package web is the console: pages for people in a browser. Templates and static files are part of the program; pages work
// without scripts, but for passkeys. It holds no rules: what may be done is asked of the same services that the API asks.
package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Services are what the pages ask.
type Services struct {
	Access   *access.Service
	Secrets  *secrets.Service
	Passkeys *access.Passkeys
	// Origin is the address that people open, as https://keyturn.example.com; "" when nobody said.
	Origin string
	// Development lets the cookie travel without TLS on this machine.
	Development bool
	Version     string
	// Dress gives a session the form in which programs of the Infisical dialect hold it; nil when that is not served.
	Dress func(access.Session) (sensitive.Value, error)
}

// Pages serves the console.
type Pages struct {
	Services
	views   views
	static  static
	cross   *http.CrossOriginProtection
	pending httpkit.Pending
}

// New reads templates and static files, which are part of the program.
func New(s Services) (*Pages, error) {
	out := &Pages{Services: s, cross: http.NewCrossOriginProtection()}
	if s.Origin != "" { // a proxy in front may send another Host than the browser shows
		if err := out.cross.AddTrustedOrigin(s.Origin); err != nil {
			return nil, fmt.Errorf("the public address: %w", err)
		}
	}
	var err error
	if out.static, err = readStatic(); err != nil {
		return nil, err
	}
	out.pending = httpkit.NewPending("keyturn console login v1")
	out.views, err = readViews(out.static)
	return out, err
}

// page is one address of the console. A page that lacks a session sends its reader to the login.
type page struct {
	pattern string
	session bool
	serve   func(*visit) error
}

func (p *Pages) pages() []page {
	return []page{
		{"GET /{$}", true, p.home},
		{"GET /login", false, p.loginForm},
		{"POST /login", false, p.login},
		{"GET " + programPath, true, p.programForm},
		{"POST " + programPath, true, p.program},
		{"POST /login/passkey/begin", false, p.passkeyLoginBegin},
		{"POST /login/passkey", false, p.passkeyLogin},
		{"GET /login/sso/{name}", false, p.ssoStart},
		{"GET " + access.ConsoleCallback, false, p.ssoFinish},
		{"GET /logout", true, p.logoutForm},
		{"POST /logout", true, p.logout},
		{"GET /account", true, p.account},
		{"POST /account/passkeys/begin", true, p.passkeyBegin},
		{"POST /account/passkeys", true, p.passkeyAdd},
		{"POST /account/passkeys/rename", true, p.passkeyRename},
		{"POST /account/passkeys/remove", true, p.passkeyRemove},
		{"POST /account/name", true, p.rename},
		{"POST /account/password", true, p.password},
		{"POST /account/sessions/end-others", true, p.sessionsEnd},
		{"GET /changes", true, p.changes},
		{"GET /changes/{id}", true, p.change},
		{"POST /changes/{id}/values", true, p.changeReveal},
		{"POST /changes/{id}/review", true, p.changeReview},
		{"POST /changes/{id}/withdraw", true, p.changeWithdraw},
		{"GET /approve", false, p.approveForm},
		{"POST /approve", false, p.approve},
		{"POST /approve/confirm", false, p.approveConfirm},
		{"GET /join", false, p.joinForm},
		{"POST /join", false, p.join},
		{"POST /join/invite", false, p.joinInvite},
		{"POST /join/password", false, p.joinPassword},
		{"POST /join/address", false, p.joinAddress},
		{"POST /account/factors", true, p.factorBegin},
		{"POST /account/factors/confirm", true, p.factorConfirm},
		{"POST /account/factors/remove", true, p.factorRemove},
		{"POST /account/recovery-codes", true, p.recoveryRenew},
		{"POST /account/sessions/end", true, p.sessionEnd},
		{"GET /verify", true, p.verifyForm},
		{"POST /verify", true, p.verify},
		{"POST /verify/passkey/begin", true, p.verifyPasskeyBegin},
		{"POST /verify/passkey", true, p.verifyPasskey},
	}
}

// Register puts all pages into a mux. What nobody else serves is answered here too: as a page to browsers, as a problem to
// programs.
func (p *Pages) Register(mux *http.ServeMux) {
	for _, one := range p.pages() {
		mux.Handle(one.pattern, p.protect(p.handler(one)))
	}
	mux.Handle("GET "+staticPrefix, p.protect(p.static))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		err := fault.New(fault.NotFound, "nothing is served here").WithHint("the API lives below %s, health at /healthz", api.Prefix)
		if !wantsPage(r) {
			httpkit.WriteError(w, r, err)
			return
		}
		p.protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := p.visit(w, r)
			_ = v.identify()
			v.fail(fault.New(fault.NotFound, "there is no such page").WithHint("begin at the first page"))
		})).ServeHTTP(w, r)
	})
}

// wantsPage tells a browser that goes somewhere from a program that calls something.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html") && !strings.HasPrefix(r.URL.Path, "/keyturn/")
}

// policyHeaders say what a browser may do with a page. Nothing comes from elsewhere, nothing runs that is not a file of ours, no
// other page may frame it. Scripts may not write markup (Trusted Types).
var policyHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
	"X-Frame-Options":              "DENY", // for what does not know frame-ancestors
	"Referrer-Policy":              "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), microphone=(), geolocation=(), payment=(), usb=(), publickey-credentials-get=(self), publickey-credentials-create=(self)",
}

// maxForm bounds what a form may send; the answer of an authenticator is the largest.
const maxForm = 128 << 10

// protect sets the headers and refuses changes that another site's page asks for.
func (p *Pages) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range policyHeaders {
			w.Header().Set(name, value)
		}
		if p.secure(r) {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		if err := p.cross.Check(r); err != nil {
			p.visit(w, r).fail(fault.Wrap(fault.Denied, err, "this came from another site's page and was not done").WithHint("open the console yourself and do it there"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// local takes an address to go on to only when it leads to a page of ours: a path, never another host.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > 1024 || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\x00\r\n\t") ||
		u.Scheme != "" || u.Host != "" || u.User != nil || strings.Contains(u.Path, "//") {
		return "/"
	}
	return u.String()
}
