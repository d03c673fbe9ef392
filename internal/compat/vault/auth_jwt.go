package vault

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	whyPeople = "people log in through the connections of single sign-on, which are made with: keyturn sso create"
	whyLeeway = "clocks may differ by 30 seconds, no more and no less"
)

// jwtKind is how the tokens of other issuers are taken.
var jwtKind = methodKind{
	config: []kept{{"oidc_discovery_url", ""}, {"oidc_discovery_ca_pem", ""}, {"jwks_url", ""}, {"jwks_ca_pem", ""}, {"jwt_validation_pubkeys", []string{}},
		{"jwt_supported_algs", []string{}}, {"bound_issuer", ""}, {"default_role", ""}, {"namespace_in_state", true}, {"oidc_client_id", ""},
		{"oidc_response_mode", ""}, {"oidc_response_types", []string{}}, {"provider_config", map[string]string{}}, {"jwks_pairs", []string{}}},
	role: []kept{{"role_type", "jwt"}, {"user_claim", ""}, {"user_claim_json_pointer", false}, {"bound_audiences", []string{}}, {"bound_subject", ""}, {"bound_claims", map[string]any{}},
		{"bound_claims_type", "string"}, {"claim_mappings", map[string]string{}}, {"groups_claim", ""}, {"allowed_redirect_uris", []string{}}, {"oidc_scopes", []string{}},
		{"expiration_leeway", int64(0)}, {"not_before_leeway", int64(0)}, {"clock_skew_leeway", int64(0)}, {"max_age", int64(0)}, {"verbose_oidc_logging", false}},
	refusedConfig: map[string]string{"oidc_client_id": whyPeople, "oidc_client_secret": whyPeople, "oidc_response_mode": whyPeople, "oidc_response_types": whyPeople,
		"provider_config": "providers are all treated alike", "jwks_pairs": "one place has one key set: make another place"},
	refusedRole: map[string]string{"groups_claim": "groups are of people: " + whyPeople, "allowed_redirect_uris": whyPeople, "oidc_scopes": whyPeople, "max_age": whyPeople,
		"expiration_leeway": whyLeeway, "not_before_leeway": whyLeeway, "clock_skew_leeway": whyLeeway, "verbose_oidc_logging": "claims are not logged"},
	checkConfig: checkJWTConfig,
	checkRole:   checkJWTRole,
	method:      jwtMethod,
}

func checkJWTConfig(f fields) error {
	n := 0
	for _, name := range []string{"oidc_discovery_url", "jwks_url", "jwt_validation_pubkeys"} {
		if !blank(f[name]) {
			n++
		}
	}
	if n == 0 && !blank(f["default_role"]) {
		return nil // of a place for people
	}
	if n != 1 {
		return bad("exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set")
	}
	if blank(f["oidc_discovery_url"]) && blank(f["bound_issuer"]) {
		return fault.New(fault.Invalid, "bound_issuer must be set: tokens are taken of one issuer")
	}
	return nil
}

func checkJWTRole(f fields) error {
	switch kind, err := f.text("role_type"); {
	case err != nil:
		return err
	case kind == "jwt":
	case kind == "oidc" || kind == "":
		return unheld("role_type", "only roles of type jwt are kept; "+whyPeople)
	default:
		return bad("invalid 'role_type': " + named(kind))
	}
	if blank(f["user_claim"]) {
		return bad("a user claim must be defined on the role")
	}
	if kind, err := f.text("bound_claims_type"); err != nil || kind != "" && kind != "string" && kind != "glob" {
		return bad("invalid 'bound_claims_type': " + named(kind))
	}
	return nil
}

// jwtMethod gives the settings of the login method of a role (see [login.PublishedJWT] and [login.Pipeline]).
func jwtMethod(config, role fields) (string, any, error) {
	set := map[string]any{}
	bound, err := boundClaims(role)
	if err != nil {
		return "", nil, err
	}
	audience, err := role.list("bound_audiences")
	if err != nil {
		return "", nil, err
	}
	if len(audience) == 0 {
		return "", nil, fault.New(fault.Invalid, "bound_audiences must be set: a token that was made for another service must not open this one")
	}
	if len(bound) == 0 {
		return "", nil, fault.New(fault.Invalid, "bound_claims or bound_subject must be set: otherwise everybody with a token of the issuer could log in")
	}
	mapped, err := role.texts("claim_mappings")
	if err != nil {
		return "", nil, err
	}
	keep := []string{}
	for claim := range mapped {
		keep = append(keep, claim)
	}
	user, err := role.text("user_claim")
	if err != nil {
		return "", nil, err
	}
	set["bound"], set["audience"], set["keep"] = bound, audience, sorted(append(keep, user))
	algorithms, err := config.list("jwt_supported_algs")
	if err != nil {
		return "", nil, err
	}
	if len(algorithms) > 0 {
		set["algorithms"] = algorithms
	}
	return jwtKeys(config, set)
}

// jwtKeys adds where the keys come from.
func jwtKeys(config fields, set map[string]any) (string, any, error) {
	texts := map[string]string{}
	for _, name := range []string{"bound_issuer", "oidc_discovery_url", "oidc_discovery_ca_pem", "jwks_url", "jwks_ca_pem"} {
		var err error
		if texts[name], err = config.text(name); err != nil {
			return "", nil, err
		}
	}
	issuer := texts["bound_issuer"]
	if at := texts["oidc_discovery_url"]; at != "" {
		if issuer != "" && issuer != at {
			return "", nil, unheld("bound_issuer", "it must be oidc_discovery_url, which is the issuer")
		}
		set["issuer"], set["ca"] = at, texts["oidc_discovery_ca_pem"]
		return string(login.KindOIDC), set, nil
	}
	set["issuer"] = issuer
	if at := texts["jwks_url"]; at != "" {
		set["jwks_url"], set["ca"] = at, texts["jwks_ca_pem"]
		return string(login.KindJWKS), set, nil
	}
	pems, err := config.list("jwt_validation_pubkeys")
	if err != nil {
		return "", nil, err
	}
	if len(pems) == 0 {
		return "", nil, bad("could not load configuration")
	}
	jwks, algorithms, err := login.KeySetOfPEM(pems)
	if err != nil {
		return "", nil, err
	}
	set["jwks"] = jwks
	if _, chosen := set["algorithms"]; !chosen {
		set["algorithms"] = algorithms
	}
	return string(login.KindJWKS), set, nil
}

// boundClaims gives what claims must be.
func boundClaims(role fields) (map[string][]string, error) {
	out := map[string][]string{}
	kind, err := role.text("bound_claims_type")
	if err != nil {
		return nil, err
	}
	pattern := literal
	if kind == "glob" {
		pattern = glob
	}
	all, err := role.lists("bound_claims")
	if err != nil {
		return nil, err
	}
	for claim, want := range all {
		texts, many := want.([]string)
		if !many {
			texts = []string{want.(string)}
		}
		for _, text := range texts {
			p, err := pattern("bound_claims", text)
			if err != nil {
				return nil, err
			}
			out[claim] = append(out[claim], p)
		}
	}
	subject, err := role.text("bound_subject")
	if err != nil || subject == "" {
		return out, err
	}
	if _, both := out["sub"]; both {
		return nil, unheld("bound_subject", "the claim sub is bound already")
	}
	p, err := literal("bound_subject", subject)
	out["sub"] = []string{p}
	return out, err
}

// jwt answers the calls at a place of tokens of other issuers, and of people who come through an OpenID provider.
func (s *Surface) jwt(ctx context.Context, p *place) (*reply, error) {
	parts := p.parts()
	switch {
	case p.below == "login":
		return s.jwtLogin(ctx, p)
	case p.below == "config":
		return s.configure(ctx, p, jwtKind)
	case p.below == "role":
		return s.methodRoles(ctx, p)
	case parts[0] == "role" && len(parts) == 2:
		return s.methodRole(ctx, p, parts[1], jwtKind)
	case p.below == "oidc/auth_url":
		return s.oidcStart(ctx, p)
	case p.below == "oidc/callback":
		return s.oidcFinish(ctx, p)
	}
	return nil, noPath()
}

func (s *Surface) jwtLogin(ctx context.Context, p *place) (*reply, error) {
	if err := p.only(verbWrite); err != nil {
		return nil, err
	}
	role, err := p.role()
	if err != nil {
		return nil, err
	}
	token, err := p.fields.text("jwt")
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, bad("missing token")
	}
	kinds := []string{string(login.KindJWT), string(login.KindJWKS), string(login.KindGitHub), string(login.KindGitLab), string(login.KindOIDC)}
	out, err := s.Access.LoginRole(ctx, access.RoleLogin{Mount: p.mount, Role: role, Kinds: kinds, Credential: login.Credential{Token: sensitive.FromString(token)}, Meta: jwtMeta})
	if err != nil {
		return nil, authFault(err, role, "role ROLE could not be found", "error validating token: ")
	}
	return s.session(ctx, out)
}

// jwtMeta tells the role and the claims that are mapped.
func jwtMeta(role string, set access.RoleSettings, e login.Evidence) map[string]string {
	out := map[string]string{}
	var mapped map[string]string
	if text, ok := set.Fields["claim_mappings"]; ok {
		if err := json.Unmarshal([]byte(text), &mapped); err != nil {
			mapped = nil // what is stored was checked
		}
	}
	for claim, name := range mapped {
		if text, ok := e.Attributes[claim]; ok {
			out[name] = text
		}
	}
	out["role"] = role
	return out
}

func (s *Surface) oidcStart(ctx context.Context, p *place) (*reply, error) {
	if err := p.only(verbWrite); err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, name := range []string{"role", "redirect_uri", "client_nonce"} {
		var err error
		if texts[name], err = p.fields.text(name); err != nil {
			return nil, err
		}
	}
	if texts["redirect_uri"] == "" {
		return nil, bad("missing redirect_uri")
	}
	address, err := s.Access.StartDirectSSO(ctx, p.mount, texts["role"], texts["redirect_uri"], texts["client_nonce"])
	if noSuchRole(err) {
		return nil, bad("role " + named(texts["role"]) + " could not be found")
	}
	if err != nil {
		return nil, err
	}
	return &reply{data: map[string]any{"auth_url": address}}, nil
}

func (s *Surface) oidcFinish(ctx context.Context, p *place) (*reply, error) {
	if err := p.only(verbRead); err != nil {
		return nil, err
	}
	out, err := s.Access.FinishDirectSSO(ctx, p.mount, p.query.Get("client_nonce"), p.query)
	switch {
	case err == nil:
		return s.session(ctx, out)
	case errors.Is(err, login.ErrClientNonce):
		return nil, bad("invalid client_nonce")
	case access.LostState(err):
		return nil, bad("Expired or missing OAuth state.")
	case fault.KindOf(err) == fault.Unauthenticated || fault.KindOf(err) == fault.Denied:
		return nil, &shaped{status: http.StatusBadRequest, messages: []string{reason(err)}, cause: err}
	}
	return nil, err
}
