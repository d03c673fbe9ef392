package login

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Bounds of a JWT (RFC 7519, RFC 8725).
const (
	// MaxJWT is the longest token that is looked at, bytes. Those of the big issuers have one to three thousand; a header field
	// of most servers holds eight.
	MaxJWT    = 16 << 10
	maxKid    = 256
	maxNested = 8 // levels of claims inside claims

	leeway             = 30 * time.Second // clocks differ
	defaultMaxLifetime = 24 * time.Hour
	longestLifetime    = 366 * 24 * time.Hour
)

// Rules are what every JWT must fulfil beside its signature.
type Rules struct {
	Issuer   string   `json:"issuer"`   // the "iss" claim, byte for byte
	Audience []string `json:"audience"` // one of these must be in "aud", byte for byte
	Bound    Bound    `json:"bound"`
	// MaxAge bounds how long ago the token was issued ("iat"), such as "10m"; empty for no bound but its own end.
	MaxAge Duration `json:"max_age,omitzero"`
	// MaxLifetime bounds how far away the end of a token may be when it is shown; default 24h.
	MaxLifetime Duration `json:"max_lifetime,omitzero"`
	// Keep are claims that are noted of every login, as those that are bound are, without being asked for.
	Keep []string `json:"keep,omitempty"`
}

func (r *Rules) check() error {
	if r.MaxLifetime == 0 {
		r.MaxLifetime = Duration(defaultMaxLifetime)
	}
	switch {
	case r.Issuer == "" || len(r.Issuer) > 1024:
		return fault.New(fault.Invalid, "a JWT method needs the issuer").WithField("/settings/issuer", "missing or too long")
	case len(r.Audience) == 0 || len(r.Audience) > 16 || slices.Contains(r.Audience, ""):
		return fault.New(fault.Invalid, "a JWT method needs an audience").WithHint("choose one that names this server, and let clients ask for tokens for it").
			WithField("/settings/audience", "want 1 to 16")
	case len(r.Bound) == 0:
		return fault.New(fault.Invalid, "a JWT method must bind at least one claim").WithHint("otherwise everybody with a token of this issuer could log in: bind \"sub\" or the like").
			WithField("/settings/bound", "missing")
	case r.MaxLifetime < 0 || time.Duration(r.MaxLifetime) > longestLifetime || r.MaxAge < 0 || time.Duration(r.MaxAge) > longestLifetime:
		return fault.New(fault.Invalid, "a lifetime is out of range").WithField("/settings/max_lifetime", "want up to 366 days")
	case len(r.Keep) > maxBound || slices.ContainsFunc(r.Keep, func(name string) bool { return name == "" || len(name) > maxAttribute }):
		return fault.New(fault.Invalid, "the claims to keep are not valid: want up to %d names", maxBound).WithField("/settings/keep", "not valid")
	}
	return r.Bound.check("/settings/bound")
}

// header is what we take from a JOSE header.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
}

// forbidden are header parameters that would let a token bring its own key, or ask for something that is not understood.
// (RFC 8725 sections 3.10, 3.11; RFC 7515 section 4.1.11.)
var forbidden = []string{"jwk", "jku", "x5u", "x5c", "crit", "zip", "enc", "b64"}

// token is a JWT whose form is right and whose signature was not checked yet.
type token struct {
	header header
	text   string
	claims claims
}

// parse reads the compact form (RFC 7515 section 7.1) without trusting anything: three parts, canonical base64url, an algorithm of
// the list, no key of its own.
func parse(v sensitive.Value, algs []jose.SignatureAlgorithm) (token, error) {
	if v.Len() == 0 {
		return token{}, rejected("there is no token")
	}
	if v.Len() > MaxJWT {
		return token{}, rejected("the token is longer than %d bytes", MaxJWT)
	}
	t := token{text: string(v.Reveal())}
	parts := strings.Split(t.text, ".")
	if len(parts) != 3 {
		return token{}, rejected("it is not a JWT: want three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") || len(b) == 0 {
			return token{}, rejected("it is not a JWT: not canonical base64url, or a part is empty")
		}
		raw[i] = b
	}
	var head map[string]any
	if err := json.Unmarshal(raw[0], &head); err != nil { // refuses names that come twice and text that is not UTF-8
		return token{}, rejected("its header is not valid JSON")
	}
	for _, name := range forbidden {
		if _, there := head[name]; there {
			return token{}, rejected("its header holds %s, which is never trusted", name)
		}
	}
	alg, ok := head["alg"].(string)
	if !ok || !slices.Contains(algs, jose.SignatureAlgorithm(alg)) {
		return token{}, rejected("its algorithm is not one that the method allows")
	}
	t.header.Alg = alg
	if kid, there := head["kid"]; there {
		if t.header.Kid, ok = kid.(string); !ok || len(t.header.Kid) > maxKid {
			return token{}, rejected("its key id is not valid")
		}
	}
	if err := json.Unmarshal(raw[1], &t.claims); err != nil || t.claims == nil {
		return token{}, rejected("its claims are not valid JSON, or one comes twice")
	}
	if depth(t.claims) > maxNested {
		return token{}, rejected("its claims are nested too deep")
	}
	return t, nil
}

// signedBy tells whether one key made the signature.
func (t token) signedBy(key any, algs []jose.SignatureAlgorithm) bool {
	sig, err := jose.ParseSignedCompact(t.text, algs)
	if err != nil {
		return false
	}
	_, err = sig.Verify(key)
	return err == nil
}

// accept checks what a token with a good signature says.
func (r *Rules) accept(c claims, now time.Time) (Evidence, error) {
	if err := r.times(c, now); err != nil {
		return Evidence{}, err
	}
	if iss, ok := c["iss"].(string); !ok || iss != r.Issuer {
		return Evidence{}, rejected("it is not of the issuer that the method trusts")
	}
	if !anyOf(c.list("aud"), r.Audience) {
		return Evidence{}, rejected("it was made for another audience")
	}
	facts, err := r.Bound.match(c)
	if err != nil {
		return Evidence{}, err
	}
	for _, name := range r.Keep {
		if _, bound := facts[name]; !bound {
			note(facts, name, c.text(name))
		}
	}
	exp, _ := c.time("exp")
	sub, _ := c["sub"].(string)
	note(facts, "iss", r.Issuer)
	note(facts, "sub", sub)
	return Evidence{Subject: sub, Attributes: facts, ExpiresAt: exp}, nil
}

func (r *Rules) times(c claims, now time.Time) error {
	exp, ok := c.time("exp")
	if !ok {
		return rejected("it does not say when it ends")
	}
	if !now.Before(exp.Add(leeway)) {
		return rejected("it has expired")
	}
	if exp.Sub(now) > time.Duration(r.MaxLifetime)+leeway {
		return rejected("it lives longer than the method allows")
	}
	if _, there := c["nbf"]; there {
		if nbf, ok := c.time("nbf"); !ok || now.Add(leeway).Before(nbf) {
			return rejected("it is not valid yet")
		}
	}
	iat, ok := c.time("iat")
	if _, there := c["iat"]; there && (!ok || now.Add(leeway).Before(iat)) {
		return rejected("it was issued in the future")
	}
	if r.MaxAge > 0 && (!ok || now.Sub(iat) > time.Duration(r.MaxAge)+leeway) {
		return rejected("it is older than the method allows")
	}
	return nil
}

// claims is the claim set of a JWT.
type claims map[string]any

// time reads a NumericDate (RFC 7519 section 2).
func (c claims) time(name string) (time.Time, bool) {
	f, ok := c[name].(float64)
	if !ok || math.IsNaN(f) || f < 0 || f > 1<<40 { // the year 36,812
		return time.Time{}, false
	}
	return time.UnixMilli(int64(f * 1000)), true
}

// list reads a claim that is one text or several; anything else in it makes it empty.
func (c claims) list(name string) []string {
	switch v := c[name].(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, 0, len(v))
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil
			}
			out = append(out, s)
		}
		return out
	}
	return nil
}

// texts gives a claim, or what a JSON pointer leads to, as texts; nil when there is none.
func (c claims) texts(name string) []string {
	var at any = map[string]any(c)
	path := []string{name}
	if strings.HasPrefix(name, "/") {
		path = strings.Split(name[1:], "/")
	}
	for _, step := range path {
		if name[0] == '/' {
			step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		}
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		if at, ok = object[step]; !ok {
			return nil
		}
	}
	list, ok := at.([]any)
	if !ok {
		list = []any{at}
	}
	var out []string
	for _, item := range list {
		switch v := item.(type) {
		case string:
			out = append(out, v)
		case bool:
			out = append(out, strconv.FormatBool(v))
		case float64:
			if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
				out = append(out, strconv.FormatInt(int64(v), 10))
			}
		}
	}
	return out
}

func (c claims) text(name string) string {
	if all := c.texts(name); len(all) == 1 {
		return all[0]
	}
	return ""
}

func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case claims:
		return depth(map[string]any(v))
	case map[string]any:
		for _, item := range v {
			deepest = max(deepest, depth(item))
		}
		return deepest + 1
	case []any:
		for _, item := range v {
			deepest = max(deepest, depth(item))
		}
		return deepest + 1
	}
	return 0
}

// Duration is a time.Duration that settings write as "10m" or "24h".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}
