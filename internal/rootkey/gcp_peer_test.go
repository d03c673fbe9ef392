package rootkey

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	gcpTestRing    = "projects/example-1/locations/europe-west3/keyRings/keyturn/cryptoKeys/"
	gcpTestHost    = "cloudkms.googleapis.com"
	gcpTestToken   = "ya29.planted-access-token-9f3c"
	gcpTestAccount = "keyturn@example-1.iam.gserviceaccount.com"
)

// testRSA is one key for all who need one: making it takes a while.
var testRSA = once(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// gcpSchema is a schema of Google Discovery, as far as these bodies need it.
type gcpSchema struct {
	Properties map[string]struct {
		Type, Format string
		Enum         []string
	}
}

type gcpDescription struct {
	RootURL string
	Methods map[string]struct {
		Path, HTTPMethod  string
		Request, Response struct {
			Ref string `json:"$ref"`
		}
		Parameters map[string]struct{ Pattern string }
		Scopes     []string
	}
	Schemas map[string]gcpSchema
}

// validate tells what of a body its schema does not allow.
func (s gcpSchema) validate(o map[string]any) error {
	for name, v := range o {
		p, ok := s.Properties[name]
		if !ok {
			return fmt.Errorf("no property %s", name)
		}
		switch p.Type {
		case "boolean":
			if _, ok := v.(bool); !ok {
				return fmt.Errorf("%s is no boolean", name)
			}
		case "string":
			text, ok := v.(string)
			if !ok {
				return fmt.Errorf("%s is no text", name)
			}
			if p.Format == "byte" {
				if _, err := base64.StdEncoding.DecodeString(text); err != nil {
					return fmt.Errorf("%s is no base64", name)
				}
			}
			if p.Format == "int64" {
				if _, err := strconv.ParseInt(text, 10, 64); err != nil {
					return fmt.Errorf("%s is no int64", name)
				}
			}
			if len(p.Enum) > 0 && !slices.Contains(p.Enum, text) {
				return fmt.Errorf("%s is not in its list of values", name)
			}
		default:
			return fmt.Errorf("%s is of the type %s, which is not known", name, p.Type)
		}
	}
	return nil
}

// gcpFake is Cloud KMS with two keys, and the token endpoint of Google.
type gcpFake struct {
	t    *testing.T
	api  gcpDescription
	keys map[string][]byte
}

func newGCPPeer(t *testing.T) *peer {
	f := gcpFake{t: t, keys: map[string][]byte{gcpTestRing + "root": random(32), gcpTestRing + "other": random(32)}}
	loadJSON(t, "testdata/gcp-kms.json", &f.api)
	der, err := x509.MarshalPKCS8PrivateKey(testRSA())
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	account, _ := json.Marshal(map[string]string{
		"type": "service_account", "client_email": gcpTestAccount, "private_key": private, "private_key_id": "k1",
		"token_uri": "https://oauth2.googleapis.com/token",
	})
	false32 := random(Size)
	plaintext := func(b []byte) func(map[string]any) {
		return both(set("plaintext", base64.StdEncoding.EncodeToString(b)), set("plaintextCrc32c", gcpSum(b)))
	}
	p := &peer{
		uri: "gcpkms://" + gcpTestRing + "root", otherURI: "gcpkms://" + gcpTestRing + "other",
		host: gcpTestHost, perWrap: 1,
		hosts:     map[string]http.Handler{gcpTestHost: f, "oauth2.googleapis.com": http.HandlerFunc(f.grant)},
		variables: map[string]string{gcpFile: "/etc/gcp.json"},
		files:     map[string]string{"/etc/gcp.json": string(account)},
		planted:   []string{gcpTestToken, strings.Split(private, "\n")[3]},
		swapped:   func(k *kept) { k.Key = strings.Replace(k.Key, "/root/", "/other/", 1) },
		wrapLies: map[string]func(map[string]any){
			"another key":           set("name", gcpTestRing+"other/cryptoKeyVersions/1"),
			"no version":            set("name", gcpTestRing+"root"),
			"a wrong checksum":      set("ciphertextCrc32c", "1"),
			"no checksum":           func(o map[string]any) { delete(o, "ciphertextCrc32c") },
			"plaintext unverified":  set("verifiedPlaintextCrc32c", false),
			"data unverified":       func(o map[string]any) { delete(o, "verifiedAdditionalAuthenticatedDataCrc32c") },
			"an altered ciphertext": set("ciphertext", base64.StdEncoding.EncodeToString(random(64))),
			"checksum as a number":  set("ciphertextCrc32c", 1),
		},
		unwrapLies: map[string]func(map[string]any){
			"another plaintext":                   plaintext(false32),
			"a short plaintext":                   plaintext([]byte("short")),
			"no plaintext":                        func(o map[string]any) { clear(o) },
			"a wrong checksum":                    set("plaintextCrc32c", "1"),
			"no checksum":                         func(o map[string]any) { delete(o, "plaintextCrc32c") },
			"another plaintext, the old checksum": set("plaintext", base64.StdEncoding.EncodeToString(false32)),
		},
	}
	p.withoutCredentials = func() { delete(p.files, "/etc/gcp.json") }
	return p
}

// grant answers the JWT bearer grant of RFC 7523 after verifying the assertion.
func (f gcpFake) grant(w http.ResponseWriter, r *http.Request) {
	assertion := strings.Split(r.PostFormValue("assertion"), ".")
	if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(assertion) != 3 {
		f.t.Error("no JWT bearer grant")
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	signature, _ := base64.RawURLEncoding.DecodeString(assertion[2])
	sum := sha256.Sum256([]byte(assertion[0] + "." + assertion[1]))
	var claims struct {
		Issuer   string `json:"iss"`
		Scope    string `json:"scope"`
		Audience string `json:"aud"`
		Expires  int64  `json:"exp"`
	}
	payload, _ := base64.RawURLEncoding.DecodeString(assertion[1])
	_ = json.Unmarshal(payload, &claims)
	if rsa.VerifyPKCS1v15(&testRSA().PublicKey, crypto.SHA256, sum[:], signature) != nil || claims.Issuer != gcpTestAccount ||
		claims.Audience != "https://oauth2.googleapis.com/token" || claims.Expires < time.Now().Unix() {
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": gcpTestToken})
		return
	}
	for _, m := range f.api.Methods {
		if !slices.Contains(m.Scopes, claims.Scope) {
			f.t.Errorf("the scope %s does not suffice", claims.Scope)
		}
	}
	reply(w, http.StatusOK, map[string]any{"access_token": gcpTestToken, "token_type": "Bearer", "expires_in": 3600})
}

func (f gcpFake) refuse(w http.ResponseWriter, code int, status string) {
	reply(w, code, map[string]any{"error": map[string]any{"code": code, "status": status, "message": "no"}})
}

func (f gcpFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, operation, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), ":")
	method, known := f.api.Methods[operation]
	if !known || "https://"+r.Host+"/" != f.api.RootURL || r.Method != method.HTTPMethod || r.URL.Path != strings.NewReplacer("{+name}", name).Replace("/"+method.Path) ||
		!regexp.MustCompile(method.Parameters["name"].Pattern).MatchString(name) || r.URL.RawQuery != "" {
		f.t.Errorf("no method of Cloud KMS: %s %s", r.Method, r.URL)
	}
	if r.Header.Get("Authorization") != "Bearer "+gcpTestToken {
		f.refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED")
		return
	}
	input := decoded(f.t, r)
	if err := f.api.Schemas[method.Request.Ref].validate(input); err != nil {
		f.t.Errorf("%s: %v", operation, err)
	}
	key, ok := f.keys[name]
	if !ok {
		f.refuse(w, http.StatusNotFound, "NOT_FOUND")
		return
	}
	for _, member := range []string{"plaintext", "ciphertext", "additionalAuthenticatedData"} {
		if v, given := input[member]; given && input[member+"Crc32c"] != gcpSum(unbase64(v)) {
			f.t.Errorf("%s has no or a wrong checksum", member)
		}
	}
	data := unbase64(input["additionalAuthenticatedData"])
	output := map[string]any{"protectionLevel": "SOFTWARE"}
	if operation == "encrypt" {
		sealed := append([]byte(name), seal(key, unbase64(input["plaintext"]), data)...)
		output["name"] = name + "/cryptoKeyVersions/1"
		output["ciphertext"] = base64.StdEncoding.EncodeToString(sealed)
		output["ciphertextCrc32c"] = gcpSum(sealed)
		output["verifiedPlaintextCrc32c"], output["verifiedAdditionalAuthenticatedDataCrc32c"] = true, true
	} else {
		sealed, ok := bytes.CutPrefix(unbase64(input["ciphertext"]), []byte(name))
		plain, err := open(key, sealed, data)
		if !ok || err != nil {
			f.refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT")
			return
		}
		output["plaintext"], output["plaintextCrc32c"] = base64.StdEncoding.EncodeToString(plain), gcpSum(plain)
		output["usedPrimary"] = true
	}
	if err := f.api.Schemas[method.Response.Ref].validate(output); err != nil {
		f.t.Errorf("the fake answers what Cloud KMS does not: %v", err)
	}
	reply(w, http.StatusOK, output)
}
