package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// maxIDToken bounds an ID token, in bytes, before anything of it is decoded.
	maxIDToken = 64 << 10
	// clockSkew is how far the clocks of provider and server may differ.
	clockSkew = time.Minute
	// maxIDTokenAge bounds the life of an ID token: one that lives for days is no proof that somebody is there now.
	maxIDTokenAge = 24 * time.Hour
	// maxCode bounds an authorization code, in bytes: some providers encrypt a whole state into it.
	maxCode = 8 << 10
)

// oidcAlgorithms are those that are taken unless a connection names some: signatures by a key pair only. "none" and the HMACs,
// by which a public key could be made a shared one, are never taken.
var oidcAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// OIDC says how people log in through an OpenID provider: authorization code with PKCE (OpenID Connect Core 1.0, RFC 7636,
// RFC 9700).
type OIDC struct {
	Issuer       string   `json:"issuer"`                // exactly as the provider writes it
	ClientID     string   `json:"client_id"`             //
	Scopes       []string `json:"scopes,omitzero"`       // beside openid; default email and profile
	Algorithms   []string `json:"algorithms,omitzero"`   // of ID tokens; default all that use a key pair
	GroupsClaim  string   `json:"groups_claim,omitzero"` // name, or a path with dots; "" takes no groups
	MFAValues    []string `json:"mfa_values,omitzero"`   // of amr or acr that show a second factor; default mfa (RFC 8176)
	TrustsEmails bool     `json:"trust_email,omitzero"`  // the provider verifies all addresses and does not say so
}

// Check tells what is wrong with the settings.
func (o *OIDC) Check() error {
	if _, err := checkURL("/settings/issuer", o.Issuer); err != nil {
		return err
	}
	if o.ClientID == "" || len(o.ClientID) > 512 {
		return fault.New(fault.Invalid, "the client id is missing").WithField("/settings/client_id", "what the provider gave this application")
	}
	for _, a := range o.Algorithms {
		if !slices.Contains(oidcAlgorithms, a) {
			return fault.New(fault.Invalid, "an algorithm is not taken: want some of %s", strings.Join(oidcAlgorithms, ", ")).WithField("/settings/algorithms", "not taken")
		}
	}
	for _, s := range o.Scopes {
		if s == "" || len(s) > 256 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return fault.New(fault.Invalid, "a scope is not valid (RFC 6749)").WithField("/settings/scopes", "not valid")
		}
	}
	return nil
}

// Provider is a discovered OpenID provider. It may be used by many at once and keeps the provider's keys; make a new one now
// and then, since the rest of what was discovered stays as it was.
type Provider struct {
	o        OIDC
	secret   sensitive.Value
	client   *http.Client
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	found    discovered
}

// discovered is what of the provider's metadata the library has no use for (OpenID Connect Discovery 1.0, RFC 9207).
type discovered struct {
	Auth    string   `json:"authorization_endpoint"`
	Token   string   `json:"token_endpoint"`
	Keys    string   `json:"jwks_uri"`
	Info    string   `json:"userinfo_endpoint"`
	Methods []string `json:"token_endpoint_auth_methods_supported"`
	Issues  bool     `json:"authorization_response_iss_parameter_supported"`
}

// Discover asks the issuer for its metadata. The secret is empty for a public client.
func (o OIDC) Discover(ctx context.Context, client *http.Client, secret sensitive.Value) (*Provider, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	p := &Provider{o: o, secret: secret, client: bounded(client, maxAnswer)}
	var err error
	if p.provider, err = oidc.NewProvider(oidc.ClientContext(ctx, p.client), o.Issuer); err != nil {
		return nil, unreachable(err, "the OpenID provider")
	}
	if err := p.provider.Claims(&p.found); err != nil {
		return nil, unreachable(err, "the OpenID provider")
	}
	for _, endpoint := range []string{p.found.Auth, p.found.Token, p.found.Keys, p.found.Info} {
		u, err := url.Parse(endpoint)
		if endpoint == "" && err == nil {
			continue
		}
		if err != nil || u.Host == "" || u.Scheme != "https" && !isLoopback(u.Hostname()) || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fault.New(fault.Unavailable, "the OpenID provider names an endpoint that is not https")
		}
	}
	if p.found.Auth == "" || p.found.Token == "" || p.found.Keys == "" {
		return nil, fault.New(fault.Unavailable, "the OpenID provider names no endpoint for codes, tokens or keys")
	}
	algorithms := o.Algorithms
	if len(algorithms) == 0 {
		algorithms = oidcAlgorithms
	}
	p.verifier = p.provider.Verifier(&oidc.Config{ClientID: o.ClientID, SupportedSigningAlgs: algorithms})
	return p, nil
}

func (p *Provider) config(redirect string) *oauth2.Config {
	scopes := p.o.Scopes
	if len(scopes) == 0 {
		scopes = []string{"email", "profile"}
	}
	endpoint := oauth2.Endpoint{AuthURL: p.found.Auth, TokenURL: p.found.Token, AuthStyle: oauth2.AuthStyleInParams}
	// One way, chosen by the metadata: trying both would show the secret and spend the code twice.
	if !p.secret.Empty() && (len(p.found.Methods) == 0 || slices.Contains(p.found.Methods, "client_secret_basic")) {
		endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	return &oauth2.Config{ClientID: p.o.ClientID, ClientSecret: string(p.secret.Reveal()), Endpoint: endpoint, RedirectURL: redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == oidc.ScopeOpenID })...)}
}

// Start gives the address to send the browser to. redirect is our own callback.
func (p *Provider) Start(f Flow, redirect string) string {
	return p.config(redirect).AuthCodeURL(f.State(), oidc.Nonce(f.Nonce()), oauth2.S256ChallengeOption(f.Verifier()))
}

// errorCode is what RFC 6749 allows an error code to be made of; what comes from outside is shown only in this form.
var errorCode = regexp.MustCompile(`^[a-z_]{1,64}$`)

// Finish takes the parameters that the browser brought to the callback and gives who it is. The caller has compared state with
// the flow and lets each flow be answered once.
func (p *Provider) Finish(ctx context.Context, f Flow, params url.Values, redirect string) (Person, error) {
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(params[name]) > 1 {
			return Person{}, refused("a parameter stands there twice")
		}
	}
	// A provider that was mixed up with another one is noticed before its code goes anywhere (RFC 9207).
	if iss := params.Get("iss"); iss != "" && iss != p.o.Issuer || iss == "" && p.found.Issues {
		return Person{}, refused("it comes from another issuer than the one that was asked")
	}
	if params.Has("error") {
		why := "it reports an error"
		if code := params.Get("error"); errorCode.MatchString(code) {
			why = "it reports " + code
		}
		return Person{}, refused(why)
	}
	code := params.Get("code")
	if code == "" || len(code) > maxCode {
		return Person{}, refused("it has no code")
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := p.config(redirect).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier()))
	if err != nil {
		if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok && answer.Response != nil && answer.Response.StatusCode < 500 {
			why := "the provider did not take the code"
			if errorCode.MatchString(answer.ErrorCode) {
				why += ": " + answer.ErrorCode
			}
			return Person{}, refusedFor(withoutBody(answer), why)
		}
		return Person{}, unreachable(err, "the token endpoint of the OpenID provider")
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return Person{}, refused("it has no ID token")
	}
	claims, err := p.verify(ctx, raw, token.AccessToken, f.Nonce())
	if err != nil {
		return Person{}, err
	}
	if err := p.complete(ctx, token, claims); err != nil {
		return Person{}, err
	}
	return p.person(claims)
}

// Keys asks for the provider's keys and tells whether there is one: for tests of a connection.
func (p *Provider) Keys(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.found.Keys, nil)
	if err != nil {
		return unreachable(err, "the key set of the OpenID provider")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return unreachable(err, "the key set of the OpenID provider")
	}
	defer resp.Body.Close()
	return readKeys(resp)
}
