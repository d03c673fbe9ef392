package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// FlowTTL is how long a person may take at the identity provider: a password reset and a second factor included.
	FlowTTL = 15 * time.Minute
	// maxCookie bounds a cookie that comes back; browsers keep no more than 4 KiB.
	maxCookie = 4 << 10
	// maxClientState bounds what a client wants to see again, in bytes.
	maxClientState = 128
	// challengeLen is the length of an S256 code challenge (RFC 7636).
	challengeLen = 43
	// lowestPort keeps loopback redirects away from the ports of system services.
	lowestPort = 1024
)

// Flow is one login in a browser, from the moment it leaves for the identity provider until it comes back. The browser keeps it
// in a cookie, authenticated by a key of the server; everything that must be unguessable is derived from its secret, so that
// the server stores nothing for strangers and a copy of the database holds nothing of a login under way.
type Flow struct {
	Connection string // id
	Challenge  string // S256 of the verifier of whoever takes the session at the end (RFC 7636)
	Port       int    // of the client's loopback listener (RFC 8252); 0 when the console waits
	Client     string // what the client wants to see again
	IssuedAt   int64  // unix milliseconds

	secret []byte
	state  string // of a [DirectFlow]; "" = derived
}

type flowText struct {
	Connection string `json:"c"`
	Challenge  string `json:"p"`
	Port       int    `json:"l,omitempty"`
	Client     string `json:"s,omitempty"`
	IssuedAt   int64  `json:"t"`
	Secret     []byte `json:"k"`
}

// NewFlow begins a login. challenge is the S256 code challenge of whoever takes the session, client comes back to it unchanged.
func NewFlow(connection, challenge string, port int, client string, now time.Time) (Flow, error) {
	if !isChallenge(challenge) {
		return Flow{}, fault.New(fault.Invalid, "the code challenge is not one: want 43 characters of base64url, S256 of a verifier").WithField("/challenge", "not valid")
	}
	if port != 0 && (port < lowestPort || port > 65535) {
		return Flow{}, fault.New(fault.Invalid, "the port is out of range: want %d to 65535", lowestPort).WithField("/port", "out of range")
	}
	if len(client) > maxClientState || strings.ContainsFunc(client, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Flow{}, fault.New(fault.Invalid, "the state is not valid: at most %d printable characters", maxClientState).WithField("/state", "not valid")
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return Flow{connection, challenge, port, client, now.UnixMilli(), secret, ""}, nil
}

func isChallenge(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(s) == challengeLen && len(b) == sha256.Size
}

// Fits tells whether a verifier belongs to a code challenge (RFC 7636, S256).
func Fits(challenge, verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// derive gives 43 unguessable characters for one purpose.
func (f Flow) derive(purpose string) string {
	h := hmac.New(sha256.New, f.secret)
	h.Write([]byte("keyturn sso v1\x00" + purpose))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// State ties the answer to this browser; it travels through the identity provider as state or RelayState.
func (f Flow) State() string {
	if f.state != "" {
		return f.state
	}
	return f.derive("state")
}

// Nonce ties the ID token to this login.
func (f Flow) Nonce() string { return f.derive("nonce") }

// Verifier is that of the code exchange with the provider (RFC 7636).
func (f Flow) Verifier() string { return f.derive("verifier") }

// RequestID is the ID of a SAML request: an XML name, which may not begin with a digit or a hyphen.
func (f Flow) RequestID() string { return "id" + f.derive("request") }

// Key is under what a server remembers that the login was answered, so that it is answered once.
func (f Flow) Key() []byte {
	sum := sha256.Sum256([]byte("keyturn sso state v1\x00" + f.State()))
	return sum[:]
}

// ExpiresAt is when the answer comes too late, unix milliseconds.
func (f Flow) ExpiresAt() int64 { return f.IssuedAt + FlowTTL.Milliseconds() }

// Cookie gives what the browser keeps. It is good under the same key only.
func (f Flow) Cookie(key sensitive.Value) (string, error) {
	body, err := json.Marshal(flowText{f.Connection, f.Challenge, f.Port, f.Client, f.IssuedAt, f.secret})
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the login cannot be kept")
	}
	text := base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(cookieTag(key, text)), nil
}

func cookieTag(key sensitive.Value, text string) []byte {
	h := hmac.New(sha256.New, key.Reveal())
	h.Write([]byte("keyturn sso cookie v1\x00" + text))
	return h.Sum(nil)
}

// lost is the failure of a browser that comes back without its login: it kept no cookie, took too long, was sent here by
// somebody else.
func lost() *fault.Error {
	return fault.New(fault.Unauthenticated, "this login was not begun in this browser, or took too long").WithHint("begin again; cookies must be allowed")
}

// OpenFlow reads a cookie that [Flow.Cookie] made for the connection, and compares the state that came back with it.
func OpenFlow(key sensitive.Value, cookie, connection, state string, now time.Time) (Flow, error) {
	text, tag, ok := strings.Cut(cookie, ".")
	if !ok || len(cookie) > maxCookie {
		return Flow{}, lost()
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(tag)
	if err != nil || !hmac.Equal(given, cookieTag(key, text)) {
		return Flow{}, lost()
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return Flow{}, lost()
	}
	var t flowText
	if err := json.Unmarshal(body, &t); err != nil {
		return Flow{}, lost()
	}
	f := Flow{t.Connection, t.Challenge, t.Port, t.Client, t.IssuedAt, t.Secret, ""}
	if f.Connection != connection || len(f.secret) != 32 || now.UnixMilli() >= f.ExpiresAt() || now.UnixMilli() < f.IssuedAt-time.Minute.Milliseconds() {
		return Flow{}, lost()
	}
	if subtle.ConstantTimeCompare([]byte(state), []byte(f.State())) != 1 {
		return Flow{}, lost()
	}
	return f, nil
}
