package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// A direct flow is one whose answer comes to the client itself, which hands it on: no cookie of ours can hold it. Its state
// carries what a cookie would, authenticated by a key of the server; the secret that everything else is derived from is made
// anew from both, so that the state is no use to whoever sees it on its way through browser and provider.

const (
	minClientNonce = 8   // characters; the clients take 20
	maxClientNonce = 128 // characters
	maxState       = 2 << 10
	maxRedirect    = 512 // bytes
)

// DirectFlow is a [Flow] with the address that the provider sends the browser back to.
type DirectFlow struct {
	Flow
	Redirect string
}

type directText struct {
	Connection string `json:"c"`
	Redirect   string `json:"r"`
	Client     []byte `json:"n"` // what only the client that began can show
	IssuedAt   int64  `json:"t"`
	Random     []byte `json:"k"`
}

func directTag(key sensitive.Value, purpose, text string) []byte {
	h := hmac.New(sha256.New, key.Reveal())
	h.Write([]byte("keyturn direct login v1\x00" + purpose + "\x00" + text))
	return h.Sum(nil)
}

// NewDirectFlow begins a login. The nonce is the client's, and is asked for at the end.
func NewDirectFlow(key sensitive.Value, connection, redirect, nonce string, now time.Time) (DirectFlow, error) {
	if len(nonce) < minClientNonce || len(nonce) > maxClientNonce {
		return DirectFlow{}, fault.New(fault.Invalid, "the client nonce must have %d to %d characters", minClientNonce, maxClientNonce).WithField("/client_nonce", "wrong length")
	}
	if redirect == "" || len(redirect) > maxRedirect {
		return DirectFlow{}, fault.New(fault.Invalid, "the redirect address is missing or too long").WithField("/redirect_uri", "not valid")
	}
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	body, err := json.Marshal(directText{connection, redirect, directTag(key, "nonce", nonce), now.UnixMilli(), random})
	if err != nil {
		return DirectFlow{}, fault.Wrap(fault.Internal, err, "the login cannot be kept")
	}
	text := base64.RawURLEncoding.EncodeToString(body)
	f := Flow{Connection: connection, IssuedAt: now.UnixMilli(), secret: directTag(key, "secret", text),
		state: text + "." + base64.RawURLEncoding.EncodeToString(directTag(key, "state", text))}
	return DirectFlow{f, redirect}, nil
}

// ErrClientNonce is in the fault of an answer that comes from another client than the one that began.
var ErrClientNonce = errors.New("another client nonce")

// OpenDirectFlow reads the state that came back for a connection.
func OpenDirectFlow(key sensitive.Value, state, nonce, connection string, now time.Time) (DirectFlow, error) {
	text, tag, ok := strings.Cut(state, ".")
	if !ok || len(state) > maxState {
		return DirectFlow{}, lost()
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(tag)
	if err != nil || !hmac.Equal(given, directTag(key, "state", text)) {
		return DirectFlow{}, lost()
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return DirectFlow{}, lost()
	}
	var t directText
	if err := json.Unmarshal(body, &t); err != nil {
		return DirectFlow{}, lost()
	}
	f := Flow{Connection: t.Connection, IssuedAt: t.IssuedAt, secret: directTag(key, "secret", text), state: state}
	if f.Connection != connection || now.UnixMilli() >= f.ExpiresAt() || now.UnixMilli() < f.IssuedAt-time.Minute.Milliseconds() {
		return DirectFlow{}, lost()
	}
	if subtle.ConstantTimeCompare(t.Client, directTag(key, "nonce", nonce)) != 1 {
		return DirectFlow{}, fault.Wrap(fault.Unauthenticated, ErrClientNonce, "this login was begun by another client")
	}
	return DirectFlow{f, t.Redirect}, nil
}
