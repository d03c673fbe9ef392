package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

// onBothInside is onBoth with servers that may call this machine.
func onBothInside(t *testing.T, scenario func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	inside := keyturntest.WithConfig(func(c *config.Config) { c.OutboundAllow = "127.0.0.0/8" })
	for name, options := range map[string]func(*testing.T) []keyturntest.Option{
		"sqlite": func(*testing.T) []keyturntest.Option { return []keyturntest.Option{inside} },
		"postgres": func(t *testing.T) []keyturntest.Option {
			return []keyturntest.Option{inside, keyturntest.WithPostgres(testpg.Database(t))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, newWorld(keyturntest.Start(t, options(t)...)))
		})
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicPEM(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// es256 signs claims, with changes.
func es256(t testing.TB, key *ecdsa.PrivateKey, change map[string]any) string {
	t.Helper()
	claims := map[string]any{"iss": "https://ci.example.test", "aud": "keyturn", "sub": "job:1", "project": "acme/shop", "env": "prod", "user": "ann", "exp": time.Now().Add(time.Minute).Unix()}
	maps.Copy(claims, change)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(claims)
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := signed.CompactSerialize()
	return out
}

func TestVaultAMachineLogsInWithAJWT(t *testing.T) {
	onBothInside(t, func(t *testing.T, w *world) {
		key := newKey(t)
		nobody := w.admin.with("")
		login := func(mount, role, token string) reply {
			t.Helper()
			return nobody.v1(t, "POST", "auth/"+mount+"/login", map[string]any{"role": role, "jwt": token})
		}
		w.admin.v1(t, "POST", "auth/jwt/role/ci", map[string]any{"role_type": "jwt", "user_claim": "user", "bound_audiences": "keyturn", "bound_subject": "job:1"}).failed(t, 400, "could not load configuration")
		w.admin.v1(t, "GET", "auth/jwt/config", nil).failed(t, 404)
		w.admin.v1(t, "POST", "auth/jwt/config", map[string]any{"bound_issuer": "x"}).failed(t, 400, "exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set")
		w.admin.v1(t, "POST", "auth/jwt/config", map[string]any{"jwt_validation_pubkeys": []string{publicPEM(t, key)}, "bound_issuer": "https://ci.example.test", "default_role": "ci"}).empty(t)
		if d := w.admin.v1(t, "GET", "auth/jwt/config", nil).holds(t); d["bound_issuer"] != "https://ci.example.test" || d["default_role"] != "ci" || d["jwks_url"] != "" || len(d["jwt_validation_pubkeys"].([]any)) != 1 {
			t.Errorf("%v", d)
		}
		send[api.Role](t, w.admin, "POST", "/roles", api.RoleRequest{Name: "deploy", Rules: "- {effect: allow, actions: [secret.list, secret.read]}"})
		role := map[string]any{"role_type": "jwt", "user_claim": "user", "bound_audiences": []string{"keyturn"}, "bound_claims_type": "glob", "bound_claims": map[string]any{"project": "acme/*", "env": []string{"prod", "stage"}},
			"claim_mappings": map[string]string{"user": "who", "env": "stage"}, "token_policies": []string{"deploy"}, "token_ttl": "10m", "token_max_ttl": "1h"}
		w.admin.v1(t, "POST", "auth/jwt/role/CI", role).empty(t)
		w.admin.v1(t, "GET", "auth/jwt/role/ci", nil).shows(t, `{"allowed_redirect_uris":[],"bound_audiences":["keyturn"],"bound_claims":{"env":["prod","stage"],"project":"acme/*"},"bound_claims_type":"glob","bound_subject":"",
			"claim_mappings":{"env":"stage","user":"who"},"clock_skew_leeway":0,"expiration_leeway":0,"groups_claim":"","max_age":0,"not_before_leeway":0,"oidc_scopes":[],"role_type":"jwt","token_bound_cidrs":[],
			"token_explicit_max_ttl":0,"token_max_ttl":3600,"token_no_default_policy":false,"token_num_uses":0,"token_period":0,"token_policies":["deploy"],"token_ttl":600,"token_type":"default","user_claim":"user",
			"user_claim_json_pointer":false,"verbose_oidc_logging":false}`)
		w.admin.v1(t, "LIST", "auth/jwt/role", nil).shows(t, `{"keys":["ci"]}`)
		a := login("jwt", "ci", es256(t, key, nil)).auth(t)
		if a.LeaseDuration != 600 || !a.Renewable || fmt.Sprint(a.Policies) != "[default deploy]" || fmt.Sprint(a.Metadata) != "map[role:ci stage:prod who:ann]" {
			t.Errorf("%+v", a)
		}
		if who := get[api.Principal](t, w.admin.with(a.ClientToken), "/whoami"); who.Kind != "identity" || who.Name != "jwt/ci" {
			t.Errorf("%+v", who)
		}
		login("jwt", "", es256(t, key, map[string]any{"project": "acme/web/front"})).auth(t) // the default role, and a star that takes slashes
		login("jwt", "nobody", es256(t, key, nil)).failed(t, 400, `role "nobody" could not be found`)
		login("jwt", "ci", "").failed(t, 400, "missing token")
		for what, token := range map[string]string{
			"another key": es256(t, newKey(t), nil), "another project": es256(t, key, map[string]any{"project": "evil/shop"}), "another audience": es256(t, key, map[string]any{"aud": "others"}),
			"another issuer": es256(t, key, map[string]any{"iss": "https://evil.example.test"}), "no text": "x", "expired": es256(t, key, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		} {
			if r := login("jwt", "ci", token); r.status != 400 || !strings.Contains(string(r.body), "error validating token: ") || strings.Contains(string(r.body), token+"\"") {
				t.Errorf("%s: %d %s", what, r.status, r.body)
			}
		}

		// What cannot be held is refused by its name.
		for _, f := range []map[string]any{{"role_type": "oidc"}, {"bound_audiences": ""}, {"groups_claim": "groups"}, {"clock_skew_leeway": 60}, {"user_claim": ""}, {"bound_claims_type": "regexp"},
			{"bound_claims": map[string]any{}}, {"bound_claims_type": "string"}, {"oidc_scopes": "profile"}} {
			r := w.admin.v1(t, "POST", "auth/jwt/role/ci", f)
			var name string
			for name = range f {
			}
			if f["bound_claims_type"] == "string" {
				name = "bound_claims" // an asterisk would stand for itself
			}
			if r.status != 400 || !strings.Contains(strings.ReplaceAll(string(r.body), "user claim", "user_claim"), name) {
				t.Errorf("%v: %d %s", f, r.status, r.body)
			}
		}
		login("jwt", "ci", es256(t, key, nil)).auth(t) // and nothing was changed

		// Another key for the place, and so for its roles; published at an address this time.
		next := newKey(t)
		published := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(rw).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: next.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
		}))
		t.Cleanup(published.Close)
		w.admin.v1(t, "POST", "auth/jwt/config", map[string]any{"jwks_url": published.URL, "bound_issuer": "https://ci.example.test", "jwt_supported_algs": "ES256"}).empty(t)
		login("jwt", "ci", es256(t, next, nil)).auth(t)
		if r := login("jwt", "ci", es256(t, key, nil)); r.status != 400 {
			t.Errorf("the old key: %d %s", r.status, r.body)
		}
		login("jwt", "", es256(t, next, nil)).failed(t, 400, "missing role")

		// Whoever could say which keys count could be everybody who logs in here.
		send[api.Role](t, w.admin, "POST", "/roles", api.RoleRequest{Name: "managers", Rules: "- {effect: allow, actions: [access.read, access.manage]}"})
		id := w.vaultRole(t, "manager", map[string]any{"policies": "managers"})
		secret, _ := w.secretID(t, "manager", nil)
		manager := w.admin.with(w.approle(t, id, secret).auth(t).ClientToken)
		if r := manager.v1(t, "POST", "auth/jwt/config", map[string]any{"jwt_validation_pubkeys": publicPEM(t, newKey(t)), "bound_issuer": "https://ci.example.test"}); r.status != 403 {
			t.Errorf("a manager changes the keys: %d %s", r.status, r.body)
		}
		if r := manager.v1(t, "POST", "auth/jwt/role/ci", map[string]any{"bound_claims": map[string]any{"project": "evil/shop"}}); r.status != 403 {
			t.Errorf("a manager changes who may log in: %d %s", r.status, r.body)
		}

		// A place of its own, with a role of the same name that is somebody else.
		w.admin.v1(t, "POST", "sys/auth/team/ci", map[string]any{"type": "jwt"}).empty(t)
		login("team/ci", "ci", es256(t, next, nil)).failed(t, 400, `role "ci" could not be found`)
		w.admin.v1(t, "POST", "auth/team/ci/config", map[string]any{"jwks_url": published.URL, "bound_issuer": "https://ci.example.test", "jwt_supported_algs": "ES256"}).empty(t)
		w.admin.v1(t, "POST", "auth/team/ci/role/ci", map[string]any{"role_type": "jwt", "user_claim": "sub", "bound_audiences": "keyturn", "bound_subject": "job:1"}).empty(t)
		b := login("team/ci", "ci", es256(t, next, nil)).auth(t)
		if fmt.Sprint(b.Policies) != "[default]" || b.LeaseDuration != 2764800 {
			t.Errorf("%+v", b)
		}
		w.admin.v1(t, "POST", "sys/auth/team/ci/tune", map[string]any{"default_lease_ttl": "1h", "max_lease_ttl": "2h"}).empty(t)
		if a := login("team/ci", "ci", es256(t, next, nil)).auth(t); a.LeaseDuration != 3600 {
			t.Errorf("%+v", a)
		}
		w.admin.v1(t, "DELETE", "sys/auth/team/ci", nil).empty(t)
		login("team/ci", "ci", es256(t, next, nil)).failed(t, 403, "permission denied")
		w.admin.with(b.ClientToken).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")

		// The natively made login method of a machine is a role too.
		i, _ := w.withMethod(t)
		if a := login("jwt", i.Name, signJWT(t, sharedSecret, serviceClaims())).auth(t); a.Metadata["role"] != i.Name {
			t.Errorf("%+v", a)
		}
		login("jwt", i.Name+"/app", signJWT(t, sharedSecret, serviceClaims())).auth(t)
		login("jwt", i.Name+"/other", signJWT(t, sharedSecret, serviceClaims())).failed(t, 400, `role "`+i.Name+`/other" could not be found`)
		login("kubernetes", i.Name, signJWT(t, sharedSecret, serviceClaims())).failed(t, 400, `invalid role name "`+i.Name+`"`)
		w.admin.v1(t, "DELETE", "auth/jwt/role/ci", nil).empty(t)
		login("jwt", "ci", es256(t, next, nil)).failed(t, 400, `role "ci" could not be found`)
		w.healthy(t)
	})
}

func TestVaultAPodLogsIn(t *testing.T) {
	onBothInside(t, func(t *testing.T, w *world) {
		var known atomic.Value
		known.Store("system:serviceaccount:shop:backend")
		cluster := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			var in map[string]any
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Method != "POST" || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || in["kind"] != "TokenReview" ||
				r.Header.Get("Authorization") != "Bearer test-value.reviewer.token" {
				t.Errorf("%s %s %v: %v", r.Method, r.URL, r.Header, in)
			}
			in["status"] = map[string]any{"authenticated": known.Load() != "", "audiences": []string{"vault"}, "user": map[string]any{"username": known.Load(), "uid": "uid-1"}}
			rw.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(rw).Encode(in)
		}))
		t.Cleanup(cluster.Close)
		ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cluster.Certificate().Raw}))
		w.admin.v1(t, "POST", "auth/kubernetes/config", map[string]any{}).failed(t, 400, "no host provided")
		w.admin.v1(t, "POST", "auth/kubernetes/config", map[string]any{"kubernetes_host": cluster.URL, "kubernetes_ca_cert": ca, "token_reviewer_jwt": "test-value.reviewer.token"}).empty(t)
		r := w.admin.v1(t, "GET", "auth/kubernetes/config", nil)
		if d := r.holds(t); d["kubernetes_host"] != cluster.URL || d["token_reviewer_jwt_set"] != true || strings.Contains(string(r.body), "reviewer.token") {
			t.Errorf("%s", r.body)
		}
		role := map[string]any{"bound_service_account_names": "backend", "bound_service_account_namespaces": []string{"shop", "team-*"}, "ttl": "15m"}
		if r := w.admin.v1(t, "POST", "auth/kubernetes/role/app", role); r.status != 400 || !strings.Contains(string(r.body), "audience must be set") {
			t.Errorf("%d %s", r.status, r.body)
		}
		role["audience"] = "vault"
		w.admin.v1(t, "POST", "auth/kubernetes/role/app", role).empty(t)
		w.admin.v1(t, "GET", "auth/kubernetes/role/app", nil).shows(t, `{"alias_name_source":"serviceaccount_uid","audience":"vault","bound_service_account_names":["backend"],"bound_service_account_namespace_selector":"",
			"bound_service_account_namespaces":["shop","team-*"],"token_bound_cidrs":[],"token_explicit_max_ttl":0,"token_max_ttl":0,"token_no_default_policy":false,"token_num_uses":0,"token_period":0,"token_policies":[],
			"token_ttl":900,"token_type":"default"}`)
		login := func(role, token string) reply {
			return w.admin.with("").v1(t, "PUT", "auth/kubernetes/login", map[string]any{"role": role, "jwt": token})
		}
		const pod = "test-value-header.test-value-claims.test-value-signature"
		a := login("app", pod).auth(t)
		want := map[string]string{"role": "app", "service_account_name": "backend", "service_account_namespace": "shop", "service_account_secret_name": "", "service_account_uid": "uid-1"}
		if !maps.Equal(a.Metadata, want) || a.LeaseDuration != 900 {
			t.Errorf("%+v", a)
		}
		login("other", pod).failed(t, 400, `invalid role name "other"`)
		login("app", "").failed(t, 400, "missing jwt")
		login("", pod).failed(t, 400, "missing role")
		for _, user := range []string{"system:serviceaccount:shop:frontend", "system:serviceaccount:default:backend", "system:node:one", ""} {
			known.Store(user)
			login("app", pod).failed(t, 403, "permission denied")
		}
		for _, f := range []map[string]any{{"bound_service_account_names": ""}, {"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}, {"bound_service_account_namespace_selector": "{}x"}, {"alias_name_source": "x"}} {
			if r := w.admin.v1(t, "POST", "auth/kubernetes/role/app", f); r.status != 400 {
				t.Errorf("%v: %d %s", f, r.status, r.body)
			}
		}
		w.admin.v1(t, "DELETE", "sys/auth/kubernetes", nil).empty(t)
		login("app", pod).failed(t, 403, "permission denied")
		w.healthy(t)
	})
}

// authority is one that signs certificates of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{parsed, key}
}

func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

func (a authority) client(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// freeAddress gives an address on loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestVaultAClientCertificateLogsIn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := newWorld(keyturntest.Start(t, keyturntest.WithData(folder)))
	ours, theirs := newAuthority(t), newAuthority(t)
	w.admin.v1(t, "POST", "auth/cert/certs/web", map[string]any{"certificate": ours.pem(), "allowed_common_names": "web-*.example.test", "token_ttl": "30m"}).empty(t)
	w.admin.v1(t, "POST", "auth/cert/certs/all", map[string]any{"certificate": ours.pem(), "allowed_common_names": "*"}).empty(t)
	for _, f := range []map[string]any{{}, {"certificate": "x", "allowed_common_names": "a"}, {"certificate": ours.pem()}, {"certificate": ours.pem(), "allowed_names": "a"}, {"certificate": ours.pem(), "allowed_common_names": "a", "ocsp_enabled": true}} {
		if r := w.admin.v1(t, "POST", "auth/cert/certs/wrong", f); r.status != 400 {
			t.Errorf("%v: %d %s", f, r.status, r.body)
		}
	}
	w.admin.v1(t, "LIST", "auth/cert/certs", nil).shows(t, `{"keys":["all","web"]}`)
	w.admin.v1(t, "DELETE", "auth/cert/certs/all", nil).empty(t)
	w.admin.with("").v1(t, "POST", "auth/cert/login", map[string]any{"name": "web"}).failed(t, 400, "invalid certificate or no client certificate supplied")
	w.server.Stop()

	certificate(t, folder, 1)
	address := freeAddress(t)
	o := bareOptions(folder)
	o.Config.Dialects, o.Config.Listen = []string{"vault"}, address
	o.Config.TLSCert, o.Config.TLSKey = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	eventually(t, 20*time.Second, "it serves", func() bool {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	login := func(body string, certificates ...tls.Certificate) reply {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certificates}}}
		defer client.CloseIdleConnections()
		resp, err := client.Post("https://"+address+"/v1/auth/cert/login", "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return reply{"cert login", resp.StatusCode, resp.Header, raw}
	}
	const no = "invalid certificate or no client certificate supplied"
	a := login(`{"name":"web"}`, ours.client(t, "web-1.example.test")).auth(t)
	if a.Metadata["cert_name"] != "web" || a.Metadata["common_name"] != "web-1.example.test" || a.Metadata["serial_number"] != "4711" || a.LeaseDuration != 1800 {
		t.Errorf("%+v", a)
	}
	login("", ours.client(t, "web-1.example.test")).auth(t) // every certificate role of the place is tried
	login("").failed(t, 400, no)
	login(`{"name":"web"}`, theirs.client(t, "web-1.example.test")).failed(t, 400, no)
	login(`{"name":"web"}`, ours.client(t, "db-1.example.test")).failed(t, 400, no)
	login(`{"name":"all"}`, ours.client(t, "web-1.example.test")).failed(t, 400, no)
}
