package login

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"

	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Kubernetes is a method for service account tokens. With the address of the API server they are shown to it (TokenReview),
// which also knows of tokens whose pod or account is gone; with an issuer they are verified by the cluster's published keys.
//
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
type Kubernetes struct {
	Server string `json:"server,omitzero"` // https address of the API server, for TokenReview
	CA     string `json:"ca,omitzero"`     // PEM of its authority, or of the issuer's
	// Issuer and KeySet verify without TokenReview. An empty KeySet is found by discovery.
	Issuer string `json:"issuer,omitzero"`
	KeySet string `json:"jwks_url,omitzero"`
	Static string `json:"jwks,omitzero"` // the key set itself, where the cluster does not show it
	// Audience is what tokens must have been made for.
	Audience []string `json:"audience"`
	// Namespaces and Accounts are who may log in: both must fit.
	Namespaces  []Pattern `json:"namespaces"`
	Accounts    []Pattern `json:"service_accounts"`
	MaxLifetime Duration  `json:"max_lifetime,omitzero"` // of tokens verified by keys; default 24h
}

func (s *Kubernetes) check() error {
	switch {
	case (s.Server == "") == (s.Issuer == ""):
		return fault.New(fault.Invalid, "a kubernetes method needs either the API server or an issuer").WithField("/settings/server", "want one of server and issuer")
	case s.Server != "" && (s.KeySet != "" || s.Static != ""):
		return fault.New(fault.Invalid, "keys are of no use where the API server is asked").WithField("/settings/jwks_url", "not used with server")
	case len(s.Audience) == 0 || len(s.Audience) > 16 || slices.Contains(s.Audience, ""):
		return fault.New(fault.Invalid, "a kubernetes method needs an audience").WithHint("give pods a projected token for it: serviceAccountToken.audience").WithField("/settings/audience", "want 1 to 16")
	case len(s.Namespaces) == 0 || len(s.Accounts) == 0:
		return fault.New(fault.Invalid, "a kubernetes method must say which namespaces and service accounts may log in").WithField("/settings/namespaces", "missing")
	case slices.ContainsFunc(s.Namespaces, Pattern.open) && slices.ContainsFunc(s.Accounts, Pattern.open):
		return fault.New(fault.Invalid, "the method would let every service account in").WithField("/settings/service_accounts", "want names here, or in namespaces")
	}
	for field, patterns := range map[string][]Pattern{"/settings/namespaces": s.Namespaces, "/settings/service_accounts": s.Accounts} {
		if err := checkPatterns(field, patterns); err != nil {
			return err
		}
	}
	if s.Server != "" {
		if _, err := pool(s.CA); err != nil {
			return err
		}
		return checkAddress("/settings/server", s.Server)
	}
	if s.Static == "" && s.KeySet == "" {
		if err := checkAddress("/settings/issuer", s.Issuer); err != nil {
			return err
		}
	}
	return s.published().check()
}

// published is the same method as one of published keys.
func (s *Kubernetes) published() *PublishedJWT {
	at := s.KeySet
	if at == "" && s.Static == "" {
		at = s.Issuer // only to be checked as an address: open asks the issuer
	}
	return &PublishedJWT{URL: at, Keys: s.Static, CA: s.CA, Algorithms: []string{"RS256", "ES256"}, Rules: Rules{Issuer: s.Issuer, Audience: s.Audience, MaxLifetime: s.MaxLifetime,
		Bound: Bound{"/kubernetes.io/namespace": s.Namespaces, "/kubernetes.io/serviceaccount/name": s.Accounts}}}
}

// The reviewer's token is the only secret. Without one the client's token is its own reviewer, which needs the cluster role
// system:auth-delegator.
func (s *Kubernetes) needs() (least, most int) {
	if s.Server == "" {
		return 0, 0
	}
	return 0, 1
}

func (s *Kubernetes) open(a Around) (Verifier, error) {
	if s.Server == "" {
		p := s.published()
		if err := p.check(); err != nil {
			return nil, err
		}
		v, err := p.open(a)
		if err != nil {
			return nil, err
		}
		keyed := v.(*keyedJWT)
		if s.KeySet == "" && s.Static == "" {
			at, err := newIssuerSource(a, s.Issuer, s.CA)
			if err != nil {
				return nil, err
			}
			keyed.keys = at.find
		}
		keyed.also = s.account
		return keyed, nil
	}
	roots, err := pool(s.CA)
	if err != nil {
		return nil, err
	}
	v := &tokenReview{s: s, client: client(a.Calls, roots)}
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if len(a.Secrets) > 0 {
		v.reviewer = a.Secrets[0]
	}
	return v, nil
}

// account holds the two places where a token tells its account against each other.
func (s *Kubernetes) account(c claims, e *Evidence) error {
	namespace, name := c.text("/kubernetes.io/namespace"), c.text("/kubernetes.io/serviceaccount/name")
	if e.Subject != accountPrefix+namespace+":"+name {
		return rejected("its subject is not its service account")
	}
	s.noteAccount(e.Attributes, namespace, name)
	note(e.Attributes, "pod", c.text("/kubernetes.io/pod/name"))
	note(e.Attributes, "node", c.text("/kubernetes.io/node/name"))
	return nil
}

func (s *Kubernetes) noteAccount(to map[string]string, namespace, name string) {
	note(to, "namespace", namespace)
	note(to, "service_account", name)
}

const (
	accountPrefix = "system:serviceaccount:"
	maxReview     = 256 << 10 // bytes of the API server's answer
	reviewPath    = "/apis/authentication.k8s.io/v1/tokenreviews"
)

// tokenReview asks the API server.
type tokenReview struct {
	s        *Kubernetes
	client   *http.Client
	reviewer sensitive.Value
}

// The parts of authentication.k8s.io/v1 TokenReview that are used.
type (
	review struct {
		APIVersion string       `json:"apiVersion"`
		Kind       string       `json:"kind"`
		Spec       reviewSpec   `json:"spec"`
		Status     reviewStatus `json:"status,omitzero"`
	}
	reviewSpec struct {
		Token     string   `json:"token"`
		Audiences []string `json:"audiences"`
	}
	reviewStatus struct {
		Authenticated bool       `json:"authenticated,omitzero"`
		Audiences     []string   `json:"audiences,omitempty"`
		Error         string     `json:"error,omitzero"`
		User          reviewUser `json:"user,omitzero"`
	}
	reviewUser struct {
		Username string              `json:"username,omitzero"`
		UID      string              `json:"uid,omitzero"`
		Groups   []string            `json:"groups,omitempty"`
		Extra    map[string][]string `json:"extra,omitempty"`
	}
)

// Verify implements [Verifier].
func (v *tokenReview) Verify(ctx context.Context, c Credential) (Evidence, error) {
	switch n := c.Token.Len(); {
	case n == 0:
		return Evidence{}, rejected("there is no token")
	case n > MaxJWT:
		return Evidence{}, rejected("the token is longer than %d bytes", MaxJWT)
	}
	text := string(c.Token.Reveal())
	if strings.Count(text, ".") != 2 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Evidence{}, rejected("it is not a service account token")
	}
	status, err := v.ask(ctx, text)
	if err != nil {
		return Evidence{}, err
	}
	if !status.Authenticated || status.Error != "" {
		return Evidence{}, rejected("the API server does not know the token")
	}
	// An API server that knows nothing of audiences answers without them, and would take tokens made for others.
	if !anyOf(status.Audiences, v.s.Audience) {
		return Evidence{}, rejected("it was made for another audience")
	}
	rest, ok := strings.CutPrefix(status.User.Username, accountPrefix)
	namespace, name, both := strings.Cut(rest, ":")
	if !ok || !both || namespace == "" || name == "" || strings.Contains(name, ":") {
		return Evidence{}, rejected("it is not of a service account")
	}
	if !matchesAny(v.s.Namespaces, namespace) || !matchesAny(v.s.Accounts, name) {
		return Evidence{}, rejected("the method does not allow this service account")
	}
	e := Evidence{Subject: status.User.Username, Attributes: map[string]string{}}
	v.s.noteAccount(e.Attributes, namespace, name)
	note(e.Attributes, "uid", status.User.UID)
	for attribute, extra := range map[string]string{"pod": "authentication.kubernetes.io/pod-name", "node": "authentication.kubernetes.io/node-name"} {
		if all := status.User.Extra[extra]; len(all) == 1 {
			note(e.Attributes, attribute, all[0])
		}
	}
	return e, nil
}

func (v *tokenReview) ask(ctx context.Context, token string) (reviewStatus, error) {
	body, err := json.Marshal(review{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview", Spec: reviewSpec{token, v.s.Audience}})
	if err != nil {
		return reviewStatus{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, trimSlash(v.s.Server)+reviewPath, bytes.NewReader(body))
	if err != nil {
		return reviewStatus{}, err
	}
	bearer := token
	if !v.reviewer.Empty() {
		bearer = strings.TrimSpace(string(v.reviewer.Reveal()))
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := v.client.Do(req)
	if err != nil {
		return reviewStatus{}, unanswered("the API server of the cluster", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted:
	case http.StatusUnauthorized, http.StatusForbidden:
		if v.reviewer.Empty() { // the client's own token was refused
			return reviewStatus{}, rejected("the API server does not know the token, or it may not review itself")
		}
		return reviewStatus{}, fault.New(fault.Unavailable, "the API server refuses the reviewer's token").WithHint("it needs the cluster role system:auth-delegator, and may have expired")
	default:
		return reviewStatus{}, fault.New(fault.Unavailable, "the API server answers with status %d", resp.StatusCode)
	}
	text, err := outbound.ReadAll(resp.Body, maxReview)
	if err != nil {
		return reviewStatus{}, err
	}
	var out review
	if err := json.Unmarshal(text, &out); err != nil || out.Kind != "TokenReview" {
		return reviewStatus{}, fault.Wrap(fault.Unavailable, err, "the API server's answer is no TokenReview")
	}
	return out.Status, nil
}

// unanswered is the failure of a call that came to nothing.
func unanswered(who string, cause error) error {
	if f, ok := asDenied(cause); ok {
		return f
	}
	return fault.Wrap(fault.Unavailable, cause, "%s does not answer", who).WithHint("the server must reach the address in the settings of the method; try again")
}
