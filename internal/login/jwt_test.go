package login

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// jwtMethod is a method that takes JWTs, with a token that it takes.
type jwtMethod struct {
	name     string
	kind     Kind
	alg      string
	settings func(*tokenIssuer) any
	claims   func(*tokenIssuer) map[string]any // without times
	secrets  []string
	subject  string
}

const testAudience = "https://keyturn.example.test"

func standard(i *tokenIssuer, sub string) map[string]any {
	return map[string]any{"iss": i.url, "aud": testAudience, "sub": sub}
}

func rulesOf(i *tokenIssuer, more map[string]any) map[string]any {
	out := map[string]any{"issuer": i.url, "audience": []string{testAudience}, "bound": map[string][]string{"sub": {"service:*"}}}
	maps.Copy(out, more)
	return out
}

const testTenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"

// jwtMethods are all that take JWTs; every attack is tried on each.
var jwtMethods = []jwtMethod{
	{name: "shared secret", kind: KindJWT, alg: "HS256", secrets: []string{testSecret}, subject: "service:backend",
		settings: func(i *tokenIssuer) any { return rulesOf(i, nil) },
		claims:   func(i *tokenIssuer) map[string]any { return standard(i, "service:backend") }},
	{name: "key set, RS256", kind: KindJWKS, alg: "RS256", subject: "service:backend",
		settings: func(i *tokenIssuer) any { return rulesOf(i, map[string]any{"jwks_url": i.url + "/keys", "ca": i.ca}) },
		claims:   func(i *tokenIssuer) map[string]any { return standard(i, "service:backend") }},
	{name: "key set, ES256", kind: KindJWKS, alg: "ES256", subject: "service:backend",
		settings: func(i *tokenIssuer) any {
			return rulesOf(i, map[string]any{"jwks_url": i.url + "/keys", "ca": i.ca, "algorithms": []string{"ES256"}})
		},
		claims: func(i *tokenIssuer) map[string]any { return standard(i, "service:backend") }},
	{name: "key set, EdDSA", kind: KindJWKS, alg: "EdDSA", subject: "service:backend",
		settings: func(i *tokenIssuer) any {
			return rulesOf(i, map[string]any{"jwks_url": i.url + "/keys", "ca": i.ca, "algorithms": []string{"EdDSA"}})
		},
		claims: func(i *tokenIssuer) map[string]any { return standard(i, "service:backend") }},
	{name: "key set in the settings", kind: KindJWKS, alg: "RS256", subject: "service:backend",
		settings: func(i *tokenIssuer) any {
			return rulesOf(i, map[string]any{"jwks": textOf(jose.JSONWebKeySet{Keys: i.keys})})
		},
		claims: func(i *tokenIssuer) map[string]any { return standard(i, "service:backend") }},
	{name: "github", kind: KindGitHub, alg: "RS256", subject: "repo:acme/shop:environment:prod",
		settings: func(i *tokenIssuer) any {
			return map[string]any{"issuer": i.url, "ca": i.ca, "audience": []string{testAudience},
				"bound": map[string][]string{"repository": {"acme/*"}, "ref": {"refs/heads/main", "refs/tags/**"}, "environment": {"prod"}}}
		},
		claims: func(i *tokenIssuer) map[string]any {
			c := standard(i, "repo:acme/shop:environment:prod")
			maps.Copy(c, map[string]any{"repository": "acme/shop", "repository_owner": "acme", "ref": "refs/heads/main", "environment": "prod", "actor": "dev", "run_id": "1"})
			return c
		}},
	{name: "gitlab", kind: KindGitLab, alg: "RS256", subject: "project_path:acme/shop:ref_type:branch:ref:main",
		settings: func(i *tokenIssuer) any {
			return map[string]any{"issuer": i.url, "ca": i.ca, "audience": []string{testAudience},
				"bound": map[string][]string{"project_path": {"acme/shop"}, "ref_protected": {"true"}}}
		},
		claims: func(i *tokenIssuer) map[string]any {
			c := standard(i, "project_path:acme/shop:ref_type:branch:ref:main")
			maps.Copy(c, map[string]any{"project_path": "acme/shop", "namespace_path": "acme", "ref": "main", "ref_protected": "true"})
			return c
		}},
	{name: "oidc", kind: KindOIDC, alg: "RS256", subject: "service:backend",
		settings: func(i *tokenIssuer) any { return rulesOf(i, map[string]any{"ca": i.ca}) },
		claims:   func(i *tokenIssuer) map[string]any { return standard(i, "service:backend") }},
	{name: "kubernetes by keys", kind: KindKubernetes, alg: "RS256", subject: "system:serviceaccount:shop:backend",
		settings: func(i *tokenIssuer) any {
			return map[string]any{"issuer": i.url, "ca": i.ca, "audience": []string{testAudience}, "namespaces": []string{"shop"}, "service_accounts": []string{"back*"}}
		},
		claims: func(i *tokenIssuer) map[string]any {
			c := standard(i, "system:serviceaccount:shop:backend")
			c["kubernetes.io"] = map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": "backend", "uid": "u"}, "pod": map[string]any{"name": "backend-1"}}
			return c
		}},
	{name: "gcp", kind: KindGCP, alg: "RS256", subject: "1234567890",
		settings: func(i *tokenIssuer) any {
			return map[string]any{"jwks_url": i.url + "/keys", "ca": i.ca, "audience": []string{testAudience}, "service_accounts": []string{"deploy@shop-prod.iam.gserviceaccount.com"},
				"projects": []string{"shop-prod"}}
		},
		claims: func(i *tokenIssuer) map[string]any {
			return map[string]any{"iss": googleIssuer, "aud": testAudience, "sub": "1234567890", "email": "deploy@shop-prod.iam.gserviceaccount.com", "email_verified": true}
		}},
	{name: "azure", kind: KindAzure, alg: "RS256", subject: "object",
		settings: func(i *tokenIssuer) any {
			return map[string]any{"tenant": testTenant, "login": i.url, "ca": i.ca, "audience": []string{testAudience}, "subscriptions": []string{"SUB-1"}, "resource_groups": []string{"shop"}}
		},
		claims: func(i *tokenIssuer) map[string]any {
			return map[string]any{"iss": "https://sts.windows.net/" + testTenant + "/", "aud": testAudience, "sub": "object", "tid": testTenant, "oid": "11111111-2222-3333-4444-555555555555",
				"xms_mirid": "/subscriptions/sub-1/resourcegroups/Shop/providers/Microsoft.Compute/virtualMachines/web-1"}
		}},
}

// attack changes what an honest client would show. It gives the token and words of the reason for which it must be refused.
type attack struct {
	name  string
	words string
	token func(i *tokenIssuer, m jwtMethod, claims map[string]any) string
}

func tampered(f func(claims map[string]any)) func(*tokenIssuer, jwtMethod, map[string]any) string {
	return func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		f(c)
		return i.sign(m.alg, headerOf(m.alg), textOf(c))
	}
}

func withHeader(header string) func(*tokenIssuer, jwtMethod, map[string]any) string {
	return func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		return i.sign(m.alg, strings.NewReplacer("ALG", m.alg, "KID", kids[m.alg]).Replace(header), textOf(c))
	}
}

func mangled(f func(parts []string) string) func(*tokenIssuer, jwtMethod, map[string]any) string {
	return func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		return f(strings.Split(i.sign(m.alg, headerOf(m.alg), textOf(c)), "."))
	}
}

func publicPEM(key *rsa.PublicKey) string {
	der, _ := x509.MarshalPKIXPublicKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

var attacks = []attack{
	{"alg none", "algorithm", func(_ *tokenIssuer, m jwtMethod, c map[string]any) string {
		return base64url([]byte(`{"alg":"none"}`)) + "." + base64url([]byte(textOf(c))) + "." + base64url([]byte("x"))
	}},
	{"alg none without a signature", "not a JWT", func(_ *tokenIssuer, m jwtMethod, c map[string]any) string {
		return base64url([]byte(`{"alg":"none"}`)) + "." + base64url([]byte(textOf(c))) + "."
	}},
	{"alg None in other letters", "algorithm", withHeader(`{"alg":"nOnE","kid":"KID"}`)},
	{"alg of another method", "algorithm", func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		other := map[bool]string{true: "RS256", false: "HS256"}[m.alg == "HS256"]
		return i.sign(other, headerOf(other), textOf(c))
	}},
	{"public key as HMAC secret", "algorithm", func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		if m.alg == "HS256" { // the other way round: an RSA signature where a secret is expected
			return i.sign("RS256", headerOf("RS256"), textOf(c))
		}
		text := base64url([]byte(headerOf("HS256"))) + "." + base64url([]byte(textOf(c)))
		return text + "." + base64url(mac(publicPEM(&i.rsa.PublicKey), text))
	}},
	{"alg is a list", "algorithm", withHeader(`{"alg":["ALG"],"kid":"KID"}`)},
	{"no alg", "algorithm", withHeader(`{"kid":"KID"}`)},
	{"key in the header", "jwk", func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		key := textOf(jose.JSONWebKey{Key: i.rsa.Public(), KeyID: "mine"})
		return i.sign(m.alg, `{"alg":"`+m.alg+`","kid":"mine","jwk":`+key+`}`, textOf(c))
	}},
	{"address of keys in the header", "jku", withHeader(`{"alg":"ALG","kid":"KID","jku":"https://evil.example.test/keys"}`)},
	{"address of a certificate in the header", "x5u", withHeader(`{"alg":"ALG","kid":"KID","x5u":"https://evil.example.test/cert"}`)},
	{"certificate in the header", "x5c", withHeader(`{"alg":"ALG","kid":"KID","x5c":["AAAA"]}`)},
	{"critical extension", "crit", withHeader(`{"alg":"ALG","kid":"KID","crit":["exp"],"exp":1}`)},
	{"compressed", "zip", withHeader(`{"alg":"ALG","kid":"KID","zip":"DEF"}`)},
	{"unencoded payload", "b64", withHeader(`{"alg":"ALG","kid":"KID","b64":false}`)},
	{"kid is a number", "key id", withHeader(`{"alg":"ALG","kid":7}`)},
	{"kid is huge", "key id", withHeader(`{"alg":"ALG","kid":"` + strings.Repeat("k", 300) + `"}`)},
	{"alg twice in the header", "header", withHeader(`{"alg":"none","alg":"ALG","kid":"KID"}`)},
	{"header is no object", "header", withHeader(`["ALG"]`)},
	{"wrong audience", "", tampered(func(c map[string]any) { c["aud"] = "https://other.example.test" })},
	{"audience with a slash more", "", tampered(func(c map[string]any) { c["aud"] = testAudience + "/" })},
	{"audience missing", "", tampered(func(c map[string]any) { delete(c, "aud") })},
	{"audience is an object", "", tampered(func(c map[string]any) { c["aud"] = map[string]any{testAudience: 1} })},
	{"audience list with a number", "", tampered(func(c map[string]any) { c["aud"] = []any{testAudience, 7} })},
	{"wrong issuer", "issuer", tampered(func(c map[string]any) { c["iss"] = "https://evil.example.test" })},
	{"issuer with a slash more", "issuer", tampered(func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" })},
	{"issuer missing", "issuer", tampered(func(c map[string]any) { delete(c, "iss") })},
	{"issuer is a list", "issuer", tampered(func(c map[string]any) { c["iss"] = []any{c["iss"]} })},
	{"expired", "expired", tampered(func(c map[string]any) { c["exp"] = unix(-time.Minute) })},
	{"no end", "when it ends", tampered(func(c map[string]any) { delete(c, "exp") })},
	{"end is a text", "when it ends", tampered(func(c map[string]any) { c["exp"] = "9999999999" })},
	{"end is null", "when it ends", tampered(func(c map[string]any) { c["exp"] = nil })},
	{"far future", "longer", tampered(func(c map[string]any) { c["exp"] = unix(10 * 365 * 24 * time.Hour) })},
	{"end beyond all calendars", "when it ends", tampered(func(c map[string]any) { c["exp"] = 1e300 })},
	{"not valid yet", "not valid yet", tampered(func(c map[string]any) { c["nbf"] = unix(5 * time.Minute) })},
	{"not before is a text", "not valid yet", tampered(func(c map[string]any) { c["nbf"] = "0" })},
	{"issued in the future", "future", tampered(func(c map[string]any) { c["iat"] = unix(5 * time.Minute) })},
	{"1 MB", "longer than", tampered(func(c map[string]any) { c["pad"] = strings.Repeat("x", 1<<20) })},
	{"claims twice", "twice", func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		text := textOf(c)
		return i.sign(m.alg, headerOf(m.alg), `{"aud":"https://other.example.test",`+text[1:])
	}},
	{"nested very deep", "", tampered(func(c map[string]any) {
		var deep any = "x"
		for range 200 {
			deep = []any{deep}
		}
		c["deep"] = deep
	})},
	{"claims are a list", "claims", func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		return i.sign(m.alg, headerOf(m.alg), "["+textOf(c)+"]")
	}},
	{"something after the claims", "claims", func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		return i.sign(m.alg, headerOf(m.alg), textOf(c)+"{}")
	}},
	{"claims not UTF-8", "claims", func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		return i.sign(m.alg, headerOf(m.alg), strings.Replace(textOf(c), `"iss"`, "\"\xff\":1,\"iss\"", 1))
	}},
	{"padded base64", "base64url", mangled(func(p []string) string { return p[0] + "=." + p[1] + "." + p[2] })},
	{"base64 with a line break", "base64url", mangled(func(p []string) string { return p[0] + "." + p[1][:4] + "\n" + p[1][4:] + "." + p[2] })},
	{"base64 with other bits at the end", "", mangled(func(p []string) string { return p[0] + "." + p[1] + "." + trailing(p[2]) })},
	{"standard base64", "", mangled(func(p []string) string { return p[0] + "." + p[1] + "." + p[2][:len(p[2])-2] + "+/" })},
	{"four parts", "three parts", mangled(func(p []string) string { return strings.Join(p, ".") + ".x" })},
	{"JSON serialisation", "three parts", mangled(func(p []string) string {
		return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`
	})},
	{"other claims under the signature", "", func(i *tokenIssuer, m jwtMethod, c map[string]any) string {
		p := strings.Split(i.sign(m.alg, headerOf(m.alg), textOf(c)), ".")
		c["sub"] = "service:admin"
		return p[0] + "." + base64url([]byte(textOf(c))) + "." + p[2]
	}},
	{"signature cut short", "", mangled(func(p []string) string { return p[0] + "." + p[1] + "." + p[2][:len(p[2])-8] })},
	{"empty", "no token", func(*tokenIssuer, jwtMethod, map[string]any) string { return "" }},
	{"not a token", "three parts", func(*tokenIssuer, jwtMethod, map[string]any) string { return "eyJ" }},
}

// trailing sets bits at the end of a base64 text that decode to nothing; a text without such bits it breaks.
func trailing(s string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(digits, s[len(s)-1])
	return s[:len(s)-1] + string(digits[at^1])
}

func TestEveryJWTMethodRefusesEveryAttack(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	for _, m := range jwtMethods {
		t.Run(m.name, func(t *testing.T) {
			v := opened(t, m.kind, m.settings(i), around(t, m.secrets...))
			honest := func() map[string]any {
				c := m.claims(i)
				c["exp"], c["iat"], c["nbf"] = unix(5*time.Minute), unix(-time.Second), unix(-time.Second)
				return c
			}
			e, err := shows(v, i.sign(m.alg, headerOf(m.alg), textOf(honest())))
			if err != nil {
				t.Fatalf("an honest token is refused: %v", err)
			}
			if e.Subject != m.subject || e.ExpiresAt.IsZero() || len(e.Attributes) == 0 {
				t.Errorf("proved %+v", e)
			}
			for _, a := range attacks {
				t.Run(a.name, func(t *testing.T) { refuses(t, v, a.token(i, m, honest()), a.words) })
			}
			for _, name := range []string{"../../../../dev/null", "rsa-1\x00", "' OR 1=1", "https://evil.example.test/keys"} {
				if m.alg == "HS256" {
					break // a shared secret has no key id, and what stands there chooses nothing
				}
				header, _ := json.Marshal(map[string]string{"alg": m.alg, "kid": name})
				refuses(t, v, i.sign(m.alg, string(header), textOf(honest())), "")
			}
		})
	}
}

func TestOneSharedSecretFollowsTheOther(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	m := jwtMethods[0]
	c := m.claims(i)
	c["exp"] = unix(time.Minute)
	old := i.sign("HS256", headerOf("HS256"), textOf(c))
	text := base64url([]byte(headerOf("HS256"))) + "." + base64url([]byte(textOf(c)))
	const next = "test-value-another-shared-secret-that-follows"
	fresh := text + "." + base64url(mac(next, text))

	both := opened(t, KindJWT, m.settings(i), around(t, next, testSecret))
	for _, token := range []string{old, fresh} {
		if _, err := shows(both, token); err != nil {
			t.Errorf("in the overlap: %v", err)
		}
	}
	after := opened(t, KindJWT, m.settings(i), around(t, next))
	if _, err := shows(after, fresh); err != nil {
		t.Error(err)
	}
	refuses(t, after, old, "signature")
	for _, n := range []int{0, 3} {
		if _, err := Check(KindJWT, []byte(textOf(m.settings(i))), n); err == nil {
			t.Errorf("%d secrets are taken", n)
		}
	}
	if _, err := Open(KindJWT, []byte(textOf(m.settings(i))), around(t, "test-value short")); err == nil {
		t.Error("a short secret is taken")
	}
}

func TestClaimsMustMatchWhatIsBound(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	for _, x := range []struct {
		method string
		change func(map[string]any)
	}{
		{"github", func(c map[string]any) { c["repository"] = "evil/shop" }},
		{"github", func(c map[string]any) { c["repository"] = "acme/a/b" }},
		{"github", func(c map[string]any) { c["repository"] = "ACME/shop" }},
		{"github", func(c map[string]any) { c["ref"] = "refs/heads/main2" }},
		{"github", func(c map[string]any) { c["ref"] = "refs/pull/1/merge" }},
		{"github", func(c map[string]any) { delete(c, "environment") }},
		{"github", func(c map[string]any) { c["environment"] = nil }},
		{"github", func(c map[string]any) { c["environment"] = map[string]any{"prod": true} }},
		{"gitlab", func(c map[string]any) { c["ref_protected"] = "false" }},
		{"gitlab", func(c map[string]any) { c["project_path"] = "acme/shop-copy" }},
		{"shared secret", func(c map[string]any) { c["sub"] = "person:backend" }},
		{"oidc", func(c map[string]any) { c["sub"] = "service:a/b" }},
		{"kubernetes by keys", func(c map[string]any) { c["kubernetes.io"] = map[string]any{} }},
		{"kubernetes by keys", func(c map[string]any) { c["sub"] = "system:serviceaccount:other:backend" }},
		{"kubernetes by keys", func(c map[string]any) { c["sub"] = "system:node:backend" }},
		{"gcp", func(c map[string]any) { c["email_verified"] = false }},
		{"gcp", func(c map[string]any) { c["email"] = "deploy@evil.iam.gserviceaccount.com" }},
		{"gcp", func(c map[string]any) {
			c["google"] = map[string]any{"compute_engine": map[string]any{"project_id": "other"}}
		}},
		{"azure", func(c map[string]any) { c["tid"] = "00000000-0000-0000-0000-000000000000" }},
		{"azure", func(c map[string]any) { delete(c, "xms_mirid") }},
		{"azure", func(c map[string]any) {
			c["xms_mirid"] = "/subscriptions/sub-2/resourcegroups/shop/providers/Microsoft.Compute/virtualMachines/web-1"
		}},
		{"azure", func(c map[string]any) {
			c["xms_mirid"] = "/subscriptions/sub-1/resourcegroups/other/providers/Microsoft.Compute/virtualMachines/shop"
		}},
		{"azure", func(c map[string]any) { c["xms_mirid"] = "/x/subscriptions/sub-1/resourcegroups/shop/providers/a/b/c" }},
	} {
		for _, m := range jwtMethods {
			if m.name != x.method {
				continue
			}
			v := opened(t, m.kind, m.settings(i), around(t, m.secrets...))
			c := m.claims(i)
			c["exp"] = unix(time.Minute)
			x.change(c)
			refuses(t, v, i.sign(m.alg, headerOf(m.alg), textOf(c)), "")
		}
	}
}

func TestAzureTokensOfBothVersionsAreTaken(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	m := jwtMethods[len(jwtMethods)-1]
	v := opened(t, m.kind, m.settings(i), around(t))
	c := m.claims(i)
	c["exp"], c["iss"] = unix(time.Minute), i.url+"/"+testTenant+"/v2.0"
	if _, err := shows(v, i.sign("RS256", headerOf("RS256"), textOf(c))); err != nil {
		t.Fatal(err)
	}
	c["iss"] = i.url + "/00000000-0000-0000-0000-000000000000/v2.0"
	refuses(t, v, i.sign("RS256", headerOf("RS256"), textOf(c)), "issuer")
}

func TestAgeIsBoundedWhereTheMethodSaysSo(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	v := opened(t, KindJWT, rulesOf(i, map[string]any{"max_age": "5m"}), around(t, testSecret))
	c := standard(i, "service:backend")
	c["exp"], c["iat"] = unix(time.Hour), unix(-time.Minute)
	if _, err := shows(v, i.sign("HS256", headerOf("HS256"), textOf(c))); err != nil {
		t.Fatal(err)
	}
	c["iat"] = unix(-10 * time.Minute)
	refuses(t, v, i.sign("HS256", headerOf("HS256"), textOf(c)), "older")
	delete(c, "iat")
	refuses(t, v, i.sign("HS256", headerOf("HS256"), textOf(c)), "older")
}

func TestSettingsThatWouldLetAnybodyInAreRefused(t *testing.T) {
	t.Parallel()
	aud := map[string]any{"audience": []string{"a"}}
	with := func(more map[string]any) map[string]any { out := maps.Clone(aud); maps.Copy(out, more); return out }
	for _, x := range []struct {
		kind     Kind
		settings map[string]any
		secrets  int
	}{
		{KindJWT, map[string]any{"issuer": "i", "audience": []string{"a"}}, 1},
		{KindJWT, map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"x"}}}, 1},
		{KindJWT, with(map[string]any{"bound": map[string][]string{"sub": {"x"}}}), 1},
		{KindJWT, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {}}}), 1},
		{KindJWT, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"***"}}}), 1},
		{KindJWT, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"x"}}, "algorithms": []string{"none"}}), 1},
		{KindJWT, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"x"}}, "max_lifetime": "90000h"}), 1},
		{KindJWKS, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"x"}}}), 0},
		{KindJWKS, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"x"}}, "jwks_url": "http://keys.example.test"}), 0},
		{KindJWKS, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"x"}}, "jwks_url": "file:///etc/passwd"}), 0},
		{KindJWKS, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"x"}}, "jwks_url": "https://a@keys.example.test/"}), 0},
		{KindJWKS, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"x"}}, "jwks_url": "https://keys.example.test", "algorithms": []string{"HS256"}}), 0},
		{KindJWKS, with(map[string]any{"issuer": "i", "bound": map[string][]string{"sub": {"x"}}, "jwks": `{"keys":[{"kty":"oct","k":"AAAA"}]}`}), 0},
		{KindGitHub, with(map[string]any{"bound": map[string][]string{"ref": {"refs/heads/main"}}}), 0},
		{KindGitHub, with(map[string]any{"bound": map[string][]string{"repository": {"acme/shop", "*"}}}), 0},
		{KindGitHub, with(map[string]any{"bound": map[string][]string{"repository": {"**"}}}), 0},
		{KindGitLab, with(map[string]any{"bound": map[string][]string{"ref": {"main"}}}), 0},
		{KindKubernetes, with(map[string]any{"server": "https://k.example.test", "namespaces": []string{"*"}, "service_accounts": []string{"*"}}), 0},
		{KindKubernetes, with(map[string]any{"server": "https://k.example.test", "issuer": "x", "namespaces": []string{"a"}, "service_accounts": []string{"b"}}), 0},
		{KindKubernetes, map[string]any{"server": "https://k.example.test", "namespaces": []string{"a"}, "service_accounts": []string{"b"}}, 0},
		{KindAWS, map[string]any{"server_id": "x"}, 0},
		{KindAWS, map[string]any{"accounts": []string{"123456789012"}}, 0},
		{KindAWS, map[string]any{"server_id": "x", "accounts": []string{"*"}}, 0},
		{KindAWS, map[string]any{"server_id": "x", "accounts": []string{"123456789012"}, "endpoints": []string{"a/b"}}, 0},
		{KindGCP, aud, 0},
		{KindGCP, with(map[string]any{"service_accounts": []string{"*"}}), 0},
		{KindAzure, with(map[string]any{"tenant": "common", "objects": []string{"x"}}), 0},
		{KindAzure, with(map[string]any{"tenant": testTenant}), 0},
		{KindTLS, map[string]any{"ca": "x", "dns": []string{"a"}}, 0},
		{KindTLS, map[string]any{"dns": []string{"a"}}, 0},
		{"unknown", nil, 0},
	} {
		if out, err := Check(x.kind, []byte(textOf(x.settings)), x.secrets); err == nil {
			t.Errorf("%s takes %s", x.kind, out)
		}
	}
}

func FuzzJWT(f *testing.F) {
	i := &tokenIssuer{url: "https://issuer.example.test"}
	m := jwtMethods[0]
	c := m.claims(i)
	c["exp"] = int64(4_000_000_000)
	f.Add(i.sign("HS256", headerOf("HS256"), textOf(c)))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := (&SharedJWT{Rules{Issuer: i.url, Audience: []string{testAudience}, Bound: Bound{"sub": {"**"}}}}).open(around(t, "test-value-that-nothing-here-was-signed-with"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := shows(v, text); err == nil {
			t.Fatal("something that was never signed is taken")
		}
	})
}
