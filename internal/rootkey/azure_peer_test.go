package rootkey

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	azureTestHost    = "example.vault.azure.net"
	azureTestVersion = "0123456789abcdef0123456789abcdef"
	azureOldVersion  = "fedcba9876543210fedcba9876543210"
	azureTestSecret  = "planted~client.secret-9f3c"
	azureTestToken   = "eyJ0.planted-azure-token-9f3c.sig"
	azureTestTenant  = "72f988bf-86f1-41af-91ab-2d7cd011db47"
	azureTestClient  = "11111111-2222-3333-4444-555555555555"
)

// azureFake is a vault with two RSA keys, of which "root" has an older version, and the token endpoint of Entra ID.
type azureFake struct {
	t    *testing.T
	api  *openapi3.T
	keys map[string]*rsa.PrivateKey // by name and version
}

var otherRSA = once(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newAzurePeer(t *testing.T) *peer {
	api, err := openapi3.NewLoader().LoadFromFile("testdata/azure-keyvault.json")
	if err != nil {
		t.Fatal(err)
	}
	if api.Info.Version != azureAPI {
		t.Fatalf("the description is of version %s", api.Info.Version)
	}
	f := azureFake{t, api, map[string]*rsa.PrivateKey{
		"root/" + azureTestVersion: testRSA(), "root/" + azureOldVersion: otherRSA(), "other/" + azureTestVersion: otherRSA(),
	}}
	value := func(b []byte) func(map[string]any) { return set("value", base64.RawURLEncoding.EncodeToString(b)) }
	otherKid := "https://" + azureTestHost + "/keys/other/" + azureTestVersion
	p := &peer{
		uri: "azurekv://" + azureTestHost + "/keys/root", otherURI: "azurekv://" + azureTestHost + "/keys/other/" + azureTestVersion,
		host: azureTestHost, perWrap: 1,
		hosts: map[string]http.Handler{azureTestHost: f, "login.microsoftonline.com": http.HandlerFunc(f.grant)},
		variables: map[string]string{
			"AZURE_TENANT_ID": azureTestTenant, "AZURE_CLIENT_ID": azureTestClient, "AZURE_CLIENT_SECRET": azureTestSecret,
		},
		planted: []string{azureTestSecret, azureTestToken},
		swapped: func(k *kept) { k.Key = otherKid },
		wrapLies: map[string]func(map[string]any){
			"another key":        set("kid", otherKid),
			"no version":         set("kid", "https://"+azureTestHost+"/keys/root"),
			"another vault":      set("kid", "https://evil.vault.azure.net/keys/root/"+azureTestVersion),
			"a short ciphertext": value([]byte("short")),
			"not base64url":      set("value", "a+b/"),
		},
		unwrapLies: map[string]func(map[string]any){
			"another plaintext": value(random(Size)),
			"a short plaintext": value([]byte("short")),
			"no plaintext":      func(o map[string]any) { delete(o, "value") },
			"another key":       set("kid", otherKid),
			"another version":   set("kid", "https://"+azureTestHost+"/keys/root/"+azureOldVersion),
			"padding":           set("value", base64.URLEncoding.EncodeToString(random(Size))),
		},
	}
	p.withoutCredentials = func() {
		delete(p.variables, "AZURE_CLIENT_SECRET")
		p.hosts["169.254.169.254"] = http.NotFoundHandler()
	}
	return p
}

// grant answers the client credentials grant.
func (f azureFake) grant(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/"+azureTestTenant+"/oauth2/v2.0/token" ||
		r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "https://vault.azure.net/.default" {
		f.t.Errorf("no grant of Entra ID: %s %s", r.Method, r.URL)
	}
	secret := r.PostFormValue("client_secret") == azureTestSecret
	assertion := r.PostFormValue("client_assertion") == "planted-assertion-9f3c" && r.PostFormValue("client_assertion_type") == azureAssertion
	if r.PostFormValue("client_id") != azureTestClient || secret == assertion {
		reply(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": r.PostForm.Encode()})
		return
	}
	reply(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": azureTestToken})
}

func (f azureFake) refuse(w http.ResponseWriter, code int, name string) {
	reply(w, code, map[string]any{"error": map[string]string{"code": name, "message": "no"}})
}

func (f azureFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	part := strings.Split(r.URL.Path, "/")
	if len(part) != 5 || part[1] != "keys" || r.URL.RawQuery != "api-version="+f.api.Info.Version {
		f.t.Fatalf("no operation of Key Vault: %s %s", r.Method, r.URL)
	}
	path := f.api.Paths.Value("/keys/{key-name}/{key-version}/" + part[4])
	operation := path.GetOperation(r.Method)
	if operation == nil {
		f.t.Fatalf("no operation of Key Vault: %s %s", r.Method, r.URL)
	}
	if r.Header.Get("Authorization") != "Bearer "+azureTestToken {
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/x", resource="https://vault.azure.net"`)
		f.refuse(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	input := decoded(f.t, r)
	f.fits(operation.RequestBody.Value.Content, input)
	if input["alg"] != "RSA-OAEP-256" {
		f.refuse(w, http.StatusBadRequest, "BadParameter")
		return
	}
	version := part[3]
	if version == "" && part[4] == "wrapkey" { // the newest
		version = azureTestVersion
	}
	key, ok := f.keys[part[2]+"/"+version]
	value, err := base64.RawURLEncoding.DecodeString(fmt.Sprint(input["value"]))
	if !ok || err != nil {
		f.refuse(w, http.StatusNotFound, "KeyNotFound")
		return
	}
	if part[4] == "wrapkey" {
		value, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, value, nil)
	} else {
		value, err = rsa.DecryptOAEP(sha256.New(), nil, key, value, nil)
	}
	if err != nil {
		f.refuse(w, http.StatusBadRequest, "BadParameter")
		return
	}
	output := map[string]any{"kid": "https://" + azureTestHost + "/keys/" + part[2] + "/" + version, "value": base64.RawURLEncoding.EncodeToString(value)}
	f.fits(operation.Responses.Value("200").Value.Content, output)
	reply(w, http.StatusOK, output)
}

// fits checks a body against its schema, and that it has no member that the schema does not name.
func (f azureFake) fits(content openapi3.Content, body map[string]any) {
	schema := content.Get("application/json").Schema.Value
	if err := schema.VisitJSON(body); err != nil {
		f.t.Error(err)
	}
	for name := range body {
		if _, ok := schema.Properties[name]; !ok {
			b, _ := json.Marshal(schema)
			f.t.Errorf("%s is no member of %s", name, b)
		}
	}
}
