// Package jwtsecret signs and verifies JWTs (HS256) under a signing secret that Keyturn changes: it signs with the present value and
// accepts the one before as well, for as long as Keyturn keeps that beside it, so that a change logs nobody out.
//
// It has the rules of RFC 8725: one algorithm, a mandatory end, and nothing in a token chooses how it is verified.
package jwtsecret

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyturn/keyturn/client"
)

// PreviousSuffix is added to the name of a secret for the value before.
const PreviousSuffix = "_PREVIOUS"

const (
	maxToken = 16 << 10 // bytes; longer ones are not looked at
	minKey   = 32       // bytes (RFC 7518 section 3.2)
	leeway   = 30 * time.Second
)

// Secret is a signing secret as it is now. It is safe for concurrent use; make a new one when Keyturn tells of a change.
type Secret struct {
	keys [2][]byte // current and previous
}

// The names of the two values.
const (
	Current  = "current"
	Previous = "previous"
)

// New makes one from the two values; previous may be empty. A value of less than 32 bytes is an error.
func New(current, previous []byte) (*Secret, error) {
	if len(current) < minKey || len(previous) > 0 && len(previous) < minKey {
		return nil, fmt.Errorf("jwtsecret: a signing secret has %d bytes or more", minKey)
	}
	return &Secret{[2][]byte{bytes.Clone(current), bytes.Clone(previous)}}, nil
}

// FromEnviron makes one from environment variables, as "keyturn run" sets them: NAME, and NAME_PREVIOUS while it is there.
func FromEnviron(lookup func(string) (string, bool), name string) (*Secret, error) {
	current, ok := lookup(name)
	if !ok {
		return nil, fmt.Errorf("jwtsecret: there is no %s", name)
	}
	previous, _ := lookup(name + PreviousSuffix)
	return New([]byte(current), []byte(previous))
}

// Fetch reads both values from the server.
func Fetch(ctx context.Context, c *client.Client, at client.Place, name string) (*Secret, error) {
	current, err := read(ctx, c, at, name)
	if err != nil {
		return nil, err
	}
	previous, err := read(ctx, c, at, name+PreviousSuffix)
	if err != nil && !errors.Is(err, client.NotFound) {
		return nil, err
	}
	return New(current, previous)
}

func read(ctx context.Context, c *client.Client, at client.Place, name string) ([]byte, error) {
	s, err := c.Get(ctx, at, name, client.GetOptions{})
	if err != nil {
		return nil, err
	}
	if s.Value == nil {
		return nil, fmt.Errorf("jwtsecret: %s has no value that may be read", name)
	}
	return s.Value.Bytes()
}

const head = `{"alg":"HS256","typ":"JWT"}`

// Sign makes a token of claims under the current value. It must have an end: "exp" in seconds since 1970.
func (s *Secret) Sign(claims map[string]any) (string, error) {
	if _, ok := claims["exp"]; !ok {
		return "", errors.New("jwtsecret: a token needs an end, exp")
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("jwtsecret: the claims are not JSON: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(mac(s.keys[0], text)), nil
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// Rules are what a token must say; what is empty is not asked.
type Rules struct {
	Issuer   string
	Audience string
}

var errRefused = errors.New("jwtsecret: the token is refused")

// Refused tells whether an error of [Secret.Verify] means that the token is not good.
func Refused(err error) bool { return errors.Is(err, errRefused) }

func refuse(why string) error { return fmt.Errorf("%w: %s", errRefused, why) }

// Verify gives the claims of a token that is good now, and by which value: [Current] or [Previous].
func (s *Secret) Verify(token string, r Rules) (claims map[string]any, by string, err error) {
	if len(token) > maxToken {
		return nil, "", refuse("it is too long")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, "", refuse("it is not a JWT")
	}
	var raw [3][]byte
	for i, part := range parts {
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return nil, "", refuse("it is not canonical base64url")
		}
	}
	var h map[string]any
	if json.Unmarshal(raw[0], &h) != nil || h["alg"] != "HS256" || h["crit"] != nil {
		return nil, "", refuse("its algorithm is not HS256")
	}
	good := [2]bool{}
	for i, key := range s.keys {
		good[i] = len(key) > 0 && hmac.Equal(mac(key, parts[0]+"."+parts[1]), raw[2])
	}
	switch {
	case good[0]:
		by = Current
	case good[1]:
		by = Previous
	default:
		return nil, "", refuse("its signature is not right")
	}
	if err := json.Unmarshal(raw[1], &claims); err != nil || claims == nil {
		return nil, "", refuse("its claims are not JSON")
	}
	return claims, by, r.check(claims, time.Now())
}

func (r Rules) check(c map[string]any, now time.Time) error {
	exp, ok := c["exp"].(float64)
	if !ok || now.Add(-leeway).Unix() >= int64(exp) {
		return refuse("it has ended, or does not say when it ends")
	}
	if nbf, there := c["nbf"]; there {
		if at, ok := nbf.(float64); !ok || now.Add(leeway).Unix() < int64(at) {
			return refuse("it is not valid yet")
		}
	}
	if r.Issuer != "" && c["iss"] != r.Issuer {
		return refuse("it is of another issuer")
	}
	if r.Audience != "" && !hasAudience(c["aud"], r.Audience) {
		return refuse("it is for another audience")
	}
	return nil
}

func hasAudience(aud any, want string) bool {
	switch aud := aud.(type) {
	case string:
		return aud == want
	case []any:
		for _, a := range aud {
			if a == want {
				return true
			}
		}
	}
	return false
}
