package web

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
)

// The names of the cookie. With the prefix a browser takes it from this host over TLS only, so that no neighbour under the same
// domain can set it (RFC 6265bis, section 4.1.3). In development this machine may do without TLS, under another name.
const (
	cookieName      = "__Host-keyturn"
	plainCookieName = "keyturn-development"
)

// secure tells whether the cookie must travel over TLS: always, but on the same machine in development mode.
func (p *Pages) secure(r *http.Request) bool {
	if !p.Development || r.TLS != nil {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host != "localhost" && !net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}

func (p *Pages) cookieName(r *http.Request) string {
	if p.secure(r) {
		return cookieName
	}
	return plainCookieName
}

// session gives the token in the cookie, "" when there is none or it is no session of a person.
func (v *visit) session() string {
	c, err := v.r.Cookie(v.cookieName(v.r))
	if err != nil {
		return ""
	}
	if kind, err := domain.CheckToken(c.Value); err != nil || kind != domain.SessionToken {
		return ""
	}
	return c.Value
}

// remember gives the browser a session. Whatever it had before is over: a session that somebody else put there is worth nothing.
func (v *visit) remember(s access.Session) {
	v.end()
	http.SetCookie(v.w, v.cookie(string(s.Token.Reveal()), time.UnixMilli(s.Row.ExpiresAt)))
}

// forget takes the cookie away, when the browser has one.
func (v *visit) forget() {
	if _, err := v.r.Cookie(v.cookieName(v.r)); err == nil {
		c := v.cookie("", time.Unix(1, 0))
		c.MaxAge = -1
		http.SetCookie(v.w, c)
	}
}

func (v *visit) cookie(value string, end time.Time) *http.Cookie {
	return &http.Cookie{Name: v.cookieName(v.r), Value: value, Path: "/", Expires: end, Secure: v.secure(v.r), HttpOnly: true, SameSite: http.SameSiteLaxMode}
}
