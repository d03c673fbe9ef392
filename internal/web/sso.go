package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// A login through an identity provider leaves the console and comes back with a code. The session is given for that code only to
// whoever began the login: the browser keeps a verifier in a cookie, and its hash went along (RFC 7636).

// ssoFor is how long somebody may take at his identity provider.
const ssoFor = 10 * time.Minute

// ssoCookie holds verifier and where to go on to.
func (v *visit) ssoCookie(value string, age int) *http.Cookie {
	c := v.cookie(value, time.Time{})
	c.Name, c.MaxAge = c.Name+"-login", age
	return c
}

// ssoStart begins a login. It is followed as a link, since a form may lead to our own pages only.
func (p *Pages) ssoStart(v *visit) error {
	var random [64]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	verifier, state := base64.RawURLEncoding.EncodeToString(random[:32]), base64.RawURLEncoding.EncodeToString(random[32:])
	next := local(v.r.URL.Query().Get("next"))
	http.SetCookie(v.w, v.ssoCookie(verifier+"."+state+"."+base64.RawURLEncoding.EncodeToString([]byte(next)), int(ssoFor.Seconds())))
	challenge := sha256.Sum256([]byte(verifier))
	q := url.Values{"challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "state": {state}}
	v.redirect(api.Prefix + "/sso/" + url.PathEscape(v.r.PathValue("name")) + "/start?" + q.Encode())
	return nil
}

// ssoFinish takes the session of a login that was finished at an identity provider.
func (p *Pages) ssoFinish(v *visit) error {
	kept, err := v.r.Cookie(v.ssoCookie("", 0).Name)
	if err != nil {
		return v.enter(access.Session{}, ssoLost())
	}
	http.SetCookie(v.w, v.ssoCookie("", -1))
	parts := strings.Split(kept.Value, ".")
	q := v.r.URL.Query()
	if len(parts) != 3 || !sensitive.FromString(parts[1]).Equal(sensitive.FromString(q.Get("state"))) {
		return v.enter(access.Session{}, ssoLost())
	}
	next, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return v.enter(access.Session{}, ssoLost())
	}
	s, err := v.Access.ExchangeSSO(v.ctx, q.Get("code"), parts[0])
	if err != nil {
		return v.enter(s, err)
	}
	v.remember(s)
	v.redirect(local(string(next)))
	return nil
}

func ssoLost() *fault.Error {
	return fault.New(fault.Unauthenticated, "this browser has begun no such login, or too long ago").WithHint("begin again here")
}
