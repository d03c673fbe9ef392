package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/keyturn/keyturn/internal/fault"
)

// idClaims are the claims of an ID token that decide something, and all of them by name.
type idClaims struct {
	Subject    string   `json:"sub"`
	IssuedAt   *float64 `json:"iat"`
	Expiry     *float64 `json:"exp"`
	Authorized string   `json:"azp"`
	ACR        string   `json:"acr"`
	AMR        []string `json:"amr"`

	all map[string]any
}

// verify checks an ID token by OpenID Connect Core 1.0, 3.1.3.7, and the rules that its "SHOULD"s leave open, strictly.
func (p *Provider) verify(ctx context.Context, raw, access, nonce string) (*idClaims, error) {
	if len(raw) > maxIDToken {
		return nil, refused("its ID token is too long")
	}
	token, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		if late, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
			return nil, refusedFor(late, "its ID token has expired").WithHint("compare the clocks of server and provider")
		}
		return nil, refusedFor(err, "its ID token is not valid: signature, algorithm, issuer, audience or times are wrong")
	}
	var c idClaims
	if err := errors.Join(token.Claims(&c), token.Claims(&c.all)); err != nil {
		return nil, refusedFor(err, "its ID token is malformed")
	}
	now := time.Now()
	switch {
	case nonce == "" || token.Nonce != nonce:
		return nil, refused("its ID token belongs to another login")
	case len(token.Audience) != 1 || token.Audience[0] != p.o.ClientID:
		return nil, refused("its ID token is for others as well")
	case c.Authorized != "" && c.Authorized != p.o.ClientID:
		return nil, refused("its ID token was given to another application")
	case c.Expiry == nil || c.IssuedAt == nil:
		return nil, refused("its ID token does not say when it was made and when it ends")
	case token.IssuedAt.After(now.Add(clockSkew)):
		return nil, refused("its ID token comes from the future").WithHint("compare the clocks of server and provider")
	case token.Expiry.After(now.Add(maxIDTokenAge)) || token.IssuedAt.Before(now.Add(-maxIDTokenAge)):
		return nil, refused("its ID token lives for too long")
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(access); err != nil {
			return nil, refusedFor(err, "its ID token belongs to another access token")
		}
	}
	return &c, nil
}

// complete asks the userinfo endpoint for what the ID token left out. Its answer is good only for the same subject
// (OpenID Connect Core 1.0, 5.3.2), and it never replaces what was signed.
func (p *Provider) complete(ctx context.Context, token *oauth2.Token, c *idClaims) error {
	_, email := c.all["email"]
	groups := p.o.GroupsClaim == ""
	if !groups {
		groups = claim(c.all, p.o.GroupsClaim) != nil
	}
	if email && groups || p.found.Info == "" {
		return nil
	}
	info, err := p.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return unreachable(err, "the userinfo endpoint of the OpenID provider")
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return refusedFor(err, "its userinfo is malformed")
	}
	if sub, _ := more["sub"].(string); sub != c.Subject || sub == "" {
		return refused("its userinfo is about somebody else")
	}
	if email {
		delete(more, "email_verified") // which belongs to the other address
	}
	for name, value := range more {
		if _, ok := c.all[name]; !ok {
			c.all[name] = value
		}
	}
	return nil
}

// person reads the claims that are facts about somebody.
func (p *Provider) person(c *idClaims) (Person, error) {
	email, _ := c.all["email"].(string)
	verified := c.all["email_verified"] == true || c.all["email_verified"] == "true" // some providers send a string
	if email != "" && !verified && !p.o.TrustsEmails {
		return Person{}, refused("its e-mail address is not verified").
			WithHint("let the person verify it at the provider; if the provider verifies all and does not say so, an admin can set trust_email")
	}
	groups, err := p.groups(c.all)
	if err != nil {
		return Person{}, err
	}
	name, _ := c.all["name"].(string)
	values := p.o.MFAValues
	if len(values) == 0 {
		values = []string{"mfa"}
	}
	mfa := slices.ContainsFunc(append([]string{c.ACR}, c.AMR...), func(v string) bool { return v != "" && slices.Contains(values, v) })
	return person(c.Subject, email, name, groups, mfa)
}

// groups reads the groups claim. None are none; a claim that the provider took out because it grew too long is a failure, since
// the person would lose what his groups were given.
func (p *Provider) groups(all map[string]any) ([]string, error) {
	if p.o.GroupsClaim == "" {
		return nil, nil
	}
	if names, ok := all["_claim_names"].(map[string]any); ok && names[p.o.GroupsClaim] != nil {
		return nil, refused("the provider left out the groups because there are too many").WithHint("let it send only the groups that are assigned to this application")
	}
	switch v := claim(all, p.o.GroupsClaim).(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		out := make([]string, 0, len(v))
		for _, x := range v {
			s, ok := x.(string)
			if !ok {
				return nil, refused("its groups are not a list of names")
			}
			out = append(out, s)
		}
		return out, nil
	}
	return nil, refused("its groups are not a list of names")
}

// claim finds a claim by its name, or by a path with dots when no claim has this name.
func claim(all map[string]any, path string) any {
	if v, ok := all[path]; ok {
		return v
	}
	head, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	inner, ok := all[head].(map[string]any)
	if !ok {
		return nil
	}
	return claim(inner, rest)
}

// readKeys tells whether an answer is a key set with a key.
func readKeys(resp *http.Response) error {
	var set jose.JSONWebKeySet
	if resp.StatusCode != http.StatusOK {
		return unreachable(fmt.Errorf("status %d", resp.StatusCode), "the key set of the OpenID provider")
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return unreachable(err, "the key set of the OpenID provider")
	}
	for _, k := range set.Keys {
		if k.Valid() && k.IsPublic() {
			return nil
		}
	}
	return fault.New(fault.Unavailable, "the key set of the OpenID provider holds no public key")
}

// withoutBody keeps the body of a token endpoint's answer out of logs: a provider may repeat the code or the secret in it.
func withoutBody(e *oauth2.RetrieveError) error {
	return fmt.Errorf("the token endpoint answered %d", e.Response.StatusCode)
}
