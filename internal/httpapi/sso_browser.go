package httpapi

import (
	"crypto/rand"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/login"
)

// What a browser visits on its way through single sign-on. These are no routes of the API: they take what providers send,
// parameters that we do not know included, and answer with redirects and pages.

const (
	// maxPosted bounds the form that an identity provider has the browser post: an answer of SAML in base64, and its state.
	maxPosted = 512 << 10
	// The cookie of a login under way. With the prefix a browser takes it from us alone and sends it by https alone (RFC 6265bis).
	ssoCookie       = "keyturn-sso"
	secureSSOCookie = "__Host-" + ssoCookie
)

func (a *API) registerSSO(mux *http.ServeMux) {
	at := api.Prefix + "/sso/{name}"
	mux.HandleFunc("GET "+at+"/start", a.browser(a.startSSO))
	mux.HandleFunc("GET "+at+"/callback", a.browser(a.finishSSO))
	mux.HandleFunc("POST "+at+"/acs", a.browser(a.finishSAML))
	mux.HandleFunc("GET "+at+"/metadata", a.browser(a.metadataSSO))
}

// browser runs a step; its failure is a page, since a person looks at it.
func (a *API) browser(step func(*call) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{API: a, w: w, r: r}
		h := w.Header()
		h.Set("Referrer-Policy", "no-referrer") // codes stand in addresses
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		err := c.identify(Anyone)
		if err == nil {
			err = step(c)
		}
		if err != nil {
			c.explain(err)
		}
	}
}

var failurePage = template.Must(template.New("failure").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>The login failed</title>
<h1>The login failed</h1><p>{{.Message}}.</p>{{with .Hint}}<p>{{.}}.</p>{{end}}<p>Request {{.Request}}</p>
`))

func (c *call) explain(err error) {
	f := fault.As(err)
	id := httpkit.RequestID(c.r.Context())
	if f.Kind == fault.Unavailable || f.Kind == fault.Internal {
		slog.Error("single sign-on failed", "request", id, "kind", f.Kind, "error", err)
	}
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if f.RetryAfter > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds()+0.999)))
	}
	c.w.WriteHeader(httpkit.Status(f.Kind))
	_ = failurePage.Execute(c.w, map[string]string{"Message": f.Message, "Hint": f.Hint, "Request": id})
}

func (c *call) redirect(to string) error {
	c.w.Header().Set("Location", to)
	c.w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (a *API) startSSO(c *call) error {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Invalid, "the query string is not well formed")
	}
	// The cookie belongs to the host name that the provider sends the browser back to. Once: a proxy may change the name.
	if base, err := url.Parse(c.access.PublicURL()); err == nil && base.Host != "" && base.Host != c.r.Host && !q.Has("again") {
		q.Set("again", "1")
		return c.redirect(c.access.PublicURL() + c.r.URL.EscapedPath() + "?" + q.Encode())
	}
	in := access.SSOStart{Challenge: q.Get("challenge"), State: q.Get("state"), Nonce: rand.Text()}
	if text := q.Get("port"); text != "" {
		if in.Port, err = strconv.Atoi(text); err != nil || in.Port == 0 {
			return fault.New(fault.Invalid, "the port is not a number")
		}
	}
	out, err := c.access.StartSSO(c.ctx, c.r.PathValue("name"), in)
	if err != nil {
		return err
	}
	cookie := &http.Cookie{Name: ssoCookie, Value: out.Cookie, Path: "/", MaxAge: int(login.FlowTTL.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode}
	switch {
	case out.Secure:
		cookie.Name, cookie.Secure = secureSSOCookie, true
		if out.Posts { // a form that another site posts brings no stricter cookie
			cookie.SameSite = http.SameSiteNoneMode
		}
	case out.Posts:
		cookie.SameSite = http.SameSiteDefaultMode // browsers send a fresh one with such a form for two minutes
	}
	http.SetCookie(c.w, cookie)
	if out.Address != "" {
		return c.redirect(out.Address)
	}
	h := c.w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+in.Nonce+"'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = c.w.Write(out.Page)
	return nil
}

// cookie takes the cookie of the login and has the browser forget it: it is good for one answer.
func (c *call) cookie() string {
	for _, name := range []string{secureSSOCookie, ssoCookie} {
		found, err := c.r.Cookie(name)
		if err != nil {
			continue
		}
		http.SetCookie(c.w, &http.Cookie{Name: name, Path: "/", MaxAge: -1, HttpOnly: true, Secure: name == secureSSOCookie})
		return found.Value
	}
	return ""
}

func (a *API) finishSSO(c *call) error {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Invalid, "the query string is not well formed")
	}
	to, err := c.access.FinishSSO(c.ctx, c.r.PathValue("name"), c.cookie(), q)
	if err != nil {
		return err
	}
	return c.redirect(to)
}

func (a *API) finishSAML(c *call) error {
	if c.r.ContentLength > maxPosted {
		return fault.New(fault.Invalid, "the answer is too large: at most %d bytes", maxPosted)
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxPosted)
	if err := c.r.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "the answer is not a form")
	}
	form := c.r.PostForm
	if len(form["SAMLResponse"]) != 1 || len(form["RelayState"]) != 1 {
		return fault.New(fault.Invalid, "the answer has no SAMLResponse or no RelayState, or several").WithHint("begin the login here, not at the identity provider")
	}
	to, err := c.access.FinishSAML(c.ctx, c.r.PathValue("name"), c.cookie(), form.Get("RelayState"), form.Get("SAMLResponse"))
	if err != nil {
		return err
	}
	return c.redirect(to)
}

func (a *API) metadataSSO(c *call) error {
	text, err := c.access.SSOMetadata(c.ctx, c.r.PathValue("name"))
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/samlmetadata+xml")
	_, _ = c.w.Write(text)
	return nil
}
