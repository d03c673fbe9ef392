package server_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// vaultKeys is the encryption service as a client of the Vault dialect sees it.
type vaultKeys struct {
	person
	namespace string
}

type jobj = map[string]any

func in64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func (v vaultKeys) call(t tb, method, path string, body any) reply {
	t.Helper()
	header := []string{"X-Vault-Token", v.token, "X-Vault-Request", "true"}
	if v.namespace != "" {
		header = append(header, "X-Vault-Namespace", v.namespace)
	}
	p := v.person
	p.token = ""
	return p.do(t, method, v.url+"/v1/transit/"+path, body, header...)
}

// data gives what a call that succeeds answers.
func (v vaultKeys) data(t tb, method, path string, body any) jobj {
	t.Helper()
	r := v.call(t, method, path, body)
	if r.status != 200 {
		t.Fatalf("%s: %d %s", r.what, r.status, r.body)
	}
	return r.transitData(t)
}

func (r reply) transitData(t tb) jobj {
	t.Helper()
	var out struct {
		Data jobj `json:"data"`
	}
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%s: %v in %s", r.what, err, r.body)
	}
	return out.Data
}

func (v vaultKeys) write(t tb, path string, body jobj) jobj {
	t.Helper()
	return v.data(t, "PUT", path, body)
}

// fails checks status and the one message of a call.
func (v vaultKeys) fails(t tb, method, path string, body any, status int, message string) {
	t.Helper()
	r := v.call(t, method, path, body)
	want := `{"errors":[]}`
	if message != "" {
		raw, err := json.Marshal(jobj{"errors": []string{message}})
		if err != nil {
			t.Fatal(err)
		}
		want = string(raw)
	}
	if r.status != status || !transitSameJSON(t, r.body, want) {
		t.Errorf("%s %v: %d %s, want %d %s", r.what, body, r.status, r.body, status, want)
	}
}

func transitSameJSON(t tb, got []byte, want string) bool {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		return false
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func transitOf(w *world) vaultKeys { return vaultKeys{person: w.admin} }

func TestTransitKeysAreMadeRotatedConfiguredAndDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		v.fails(t, "LIST", "keys", nil, 404, "")
		v.fails(t, "GET", "keys/app", nil, 404, "")
		made := v.write(t, "keys/app", nil)
		created := made["keys"].(jobj)["1"]
		if _, ok := created.(json.Number); !ok {
			t.Errorf("the version is %v", created)
		}
		want := jobj{"name": "app", "type": "aes256-gcm96", "latest_version": json.Number("1"), "min_available_version": json.Number("0"), "min_decryption_version": json.Number("1"),
			"min_encryption_version": json.Number("0"), "deletion_allowed": false, "derived": false, "exportable": false, "allow_plaintext_backup": false,
			"auto_rotate_period": json.Number("0"), "imported_key": false, "supports_encryption": true, "supports_decryption": true, "supports_derivation": true, "supports_signing": false,
			"keys": jobj{"1": created}}
		if !maps.EqualFunc(made, want, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("made %v", made)
		}
		again := v.call(t, "POST", "keys/app", jobj{"type": "ed25519"})
		if again.status != 200 || !strings.Contains(string(again.body), `"warnings":["key app already existed"]`) || !strings.Contains(string(again.body), `"type":"aes256-gcm96"`) {
			t.Errorf("made again: %d %s", again.status, again.body)
		}
		for _, list := range []reply{v.call(t, "LIST", "keys", nil), v.call(t, "GET", "keys?list=true", nil), v.call(t, "LIST", "keys/", nil)} {
			if got := fmt.Sprint(list.transitData(t)); got != "map[keys:[app]]" {
				t.Errorf("%s: %s", list.what, got)
			}
		}
		if got := v.write(t, "keys/app/rotate", nil); fmt.Sprint(got["latest_version"]) != "2" || len(got["keys"].(jobj)) != 2 {
			t.Errorf("rotated %v", got)
		}
		v.write(t, "keys/app/rotate", jobj{})
		if got := v.write(t, "keys/app/config", jobj{"min_decryption_version": "2", "auto_rotate_period": "24h", "exportable": true}); fmt.Sprintf("%v %v %v %d", got["min_decryption_version"], got["auto_rotate_period"], got["exportable"], len(got["keys"].(jobj))) != "2 86400 true 2" {
			t.Errorf("configured %v", got)
		}
		for _, bad := range []struct {
			body    jobj
			message string
		}{
			{jobj{"min_decryption_version": 4}, "cannot set min decryption version of 4, latest key version is 3"},
			{jobj{"min_decryption_version": -1}, "min decryption version cannot be negative"},
			{jobj{"min_encryption_version": -1}, "min encryption version cannot be negative"},
			{jobj{"min_encryption_version": 9}, "cannot set min encryption version of 9, latest key version is 3"},
			{jobj{"min_encryption_version": 1}, "cannot set min encryption/decryption values; min encryption version of 1 must be greater than or equal to min decryption version of 2"},
			{jobj{"auto_rotate_period": "10m"}, "auto rotate period must be 0 to disable or at least an hour"},
		} {
			v.fails(t, "POST", "keys/app/config", bad.body, 400, bad.message)
		}
		v.fails(t, "POST", "keys/none/config", jobj{"exportable": true}, 400, "no existing key named none could be found")
		v.fails(t, "POST", "keys/none/rotate", nil, 400, "key not found")
		v.fails(t, "POST", "keys/app/trim", jobj{"min_available_version": 2}, 400, "minimum available version cannot be set when minimum encryption version is not set")
		v.write(t, "keys/app/config", jobj{"min_encryption_version": 2})
		v.fails(t, "POST", "keys/app/trim", jobj{"min_available_version": 3}, 400, "minimum available version cannot be higher than minimum encryption version")
		v.fails(t, "POST", "keys/app/trim", nil, 400, "missing min_available_version")
		if got := v.write(t, "keys/app/trim", jobj{"min_available_version": 2}); fmt.Sprint(got["min_available_version"]) != "2" {
			t.Errorf("trimmed %v", got)
		}
		v.fails(t, "POST", "keys/app/config", jobj{"min_decryption_version": 1}, 400, "cannot set min decryption version of 1, versions below 2 were trimmed")
		v.fails(t, "DELETE", "keys/app", nil, 400, "deletion is not allowed for this key")
		v.write(t, "keys/app/config", jobj{"deletion_allowed": true})
		if r := v.call(t, "DELETE", "keys/app", nil); r.status != 204 || len(r.body) != 0 {
			t.Errorf("deleted: %d %s", r.status, r.body)
		}
		v.fails(t, "DELETE", "keys/app", nil, 400, "could not delete key; not found")
		for _, bad := range []struct {
			body    jobj
			message string
		}{
			{jobj{"type": "aes512"}, "unknown key type"},
			{jobj{"convergent_encryption": true}, "convergent encryption requires derivation to be enabled"},
			{jobj{"type": "ecdsa-p256", "derived": true}, "key derivation and convergent encryption not supported for keys of type ecdsa-p256"},
		} {
			v.fails(t, "POST", "keys/other", bad.body, 400, bad.message)
		}
		v.fails(t, "PATCH", "keys/app", jobj{}, 415, "PATCH requires Content-Type of application/merge-patch+json, provided application/json")
		v.fails(t, "GET", "nothing", nil, 404, "")
		v.fails(t, "GET", "encrypt/app", nil, 405, "1 error occurred:\n\t* unsupported operation\n\n")
		wholeLogFits(t, w)
	})
}

func TestTransitEncryptsDecryptsAndRewraps(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		for _, kind := range []string{"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "rsa-2048"} {
			v.write(t, "keys/"+kind, jobj{"type": kind})
			one := v.write(t, "encrypt/"+kind, jobj{"plaintext": in64("test-value")})
			text := one["ciphertext"].(string)
			if !strings.HasPrefix(text, "vault:v1:") || fmt.Sprint(one["key_version"]) != "1" || len(one) != 2 {
				t.Errorf("%s: %v", kind, one)
			}
			if got := v.write(t, "decrypt/"+kind, jobj{"ciphertext": text}); fmt.Sprint(got) != fmt.Sprint(jobj{"plaintext": in64("test-value")}) {
				t.Errorf("%s: %v", kind, got)
			}
			if kind == "rsa-2048" {
				continue // a second pair takes its time
			}
			v.write(t, "keys/"+kind+"/rotate", nil)
			two := v.write(t, "rewrap/"+kind, jobj{"ciphertext": text})
			if fmt.Sprint(two["key_version"]) != "2" || !strings.HasPrefix(two["ciphertext"].(string), "vault:v2:") {
				t.Errorf("%s rewrapped: %v", kind, two)
			}
			if got := v.write(t, "decrypt/"+kind, jobj{"ciphertext": two["ciphertext"]}); got["plaintext"] != in64("test-value") {
				t.Errorf("%s after a rewrap: %v", kind, got)
			}
			if got := v.write(t, "encrypt/"+kind, jobj{"plaintext": "", "key_version": "1"}); fmt.Sprint(got["key_version"]) != "1" {
				t.Errorf("%s with an older version: %v", kind, got)
			}
			v.write(t, "keys/"+kind+"/config", jobj{"min_decryption_version": 2})
			v.fails(t, "PUT", "decrypt/"+kind, jobj{"ciphertext": text}, 400, "ciphertext or signature version is disallowed by policy (too old)")
			v.fails(t, "PUT", "encrypt/"+kind, jobj{"plaintext": "", "key_version": 1}, 400, "requested version for encryption is less than the minimum encryption key version")
			v.fails(t, "PUT", "encrypt/"+kind, jobj{"plaintext": "", "key_version": 3}, 400, "requested version for encryption is higher than the latest key version")
			v.fails(t, "PUT", "encrypt/"+kind, jobj{"plaintext": "", "key_version": -1}, 400, "requested version for encryption is negative")
		}
		const k = "aes256-gcm96"
		bound := v.write(t, "encrypt/"+k, jobj{"plaintext": in64("x"), "associated_data": in64("a")})["ciphertext"].(string)
		if got := v.write(t, "decrypt/"+k, jobj{"ciphertext": bound, "associated_data": in64("a"), "nonce": in64("ignored nonce")}); got["plaintext"] != in64("x") {
			t.Errorf("with associated data: %v", got)
		}
		good := v.write(t, "encrypt/"+k, jobj{"plaintext": in64("x")})["ciphertext"].(string)
		for name, bad := range map[string]struct {
			op      string
			body    jobj
			message string
		}{
			"other associated data":  {"decrypt/" + k, jobj{"ciphertext": bound, "associated_data": in64("b")}, "cipher: message authentication failed"},
			"no associated data":     {"decrypt/" + k, jobj{"ciphertext": bound}, "cipher: message authentication failed"},
			"another key":            {"decrypt/chacha20-poly1305", jobj{"ciphertext": good}, "cipher: message authentication failed"},
			"no prefix":              {"decrypt/" + k, jobj{"ciphertext": "AAAA"}, "invalid ciphertext: no prefix"},
			"no fields":              {"decrypt/" + k, jobj{"ciphertext": "vault:v1"}, "invalid ciphertext: wrong number of fields"},
			"no number":              {"decrypt/" + k, jobj{"ciphertext": "vault:vx:AAAA"}, "invalid ciphertext: version number could not be decoded"},
			"version 0":              {"decrypt/" + k, jobj{"ciphertext": "vault:v0:AAAA"}, "invalid ciphertext: version number could not be decoded"},
			"a later version":        {"decrypt/" + k, jobj{"ciphertext": "vault:v7:AAAA"}, "invalid ciphertext: version is too new"},
			"no base64":              {"decrypt/" + k, jobj{"ciphertext": "vault:v2:?"}, "invalid ciphertext: could not decode base64"},
			"too short":              {"decrypt/" + k, jobj{"ciphertext": "vault:v2:AAAA"}, "invalid ciphertext length"},
			"nothing to decrypt":     {"decrypt/" + k, jobj{}, "missing ciphertext to decrypt"},
			"nothing to encrypt":     {"encrypt/" + k, jobj{}, "missing plaintext to encrypt"},
			"plaintext no base64":    {"encrypt/" + k, jobj{"plaintext": "?"}, "illegal base64 data at input byte 0"},
			"a nonce":                {"encrypt/" + k, jobj{"plaintext": "", "nonce": in64("123456789012")}, "provided nonce not allowed for this key"},
			"a padding":              {"encrypt/rsa-2048", jobj{"plaintext": "", "padding_scheme": "pkcs1v15"}, "unsupported padding scheme: RSA keys encrypt with oaep only"},
			"bound to an RSA key":    {"encrypt/rsa-2048", jobj{"plaintext": "", "associated_data": in64("a")}, "associated_data is not supported by keys of this type"},
			"too long for RSA":       {"encrypt/rsa-2048", jobj{"plaintext": in64(strings.Repeat("x", 191))}, "the plaintext is too long for an RSA key: encrypt it with a data key, and that with the RSA key"},
			"a key that is not":      {"decrypt/none", jobj{"ciphertext": good}, "encryption key not found"},
			"a rewrap of nothing":    {"rewrap/none", jobj{"ciphertext": good}, "encryption key not found"},
			"a data key of nothing":  {"datakey/plaintext/none", jobj{}, "encryption key not found"},
			"a wrong sort of key":    {"datakey/open/" + k, jobj{}, "Invalid path, must be 'plaintext' or 'wrapped'"},
			"a wrong length of key":  {"datakey/plaintext/" + k, jobj{"bits": 384}, "invalid bit length"},
			"a name that is none":    {"encrypt/%C3%A4", jobj{"plaintext": ""}, "not a name of a key: want 1 to 255 letters, digits, '_', '-' or '.'"},
			"a key of another kind":  {"sign/" + k, jobj{"input": ""}, "key type aes256-gcm96 does not support signing"},
			"a signature of nothing": {"sign/none", jobj{"input": ""}, "signing key not found"},
		} {
			t.Run(name, func(t *testing.T) { v.fails(t, "POST", bad.op, bad.body, 400, bad.message) })
		}
		for _, bits := range []int{0, 128, 256, 512} {
			body := jobj{"bits": bits}
			if bits == 0 {
				body, bits = nil, 256
			}
			got := v.write(t, "datakey/plaintext/"+k, body)
			raw, err := base64.StdEncoding.DecodeString(got["plaintext"].(string))
			if err != nil || len(raw) != bits/8 || v.write(t, "decrypt/"+k, jobj{"ciphertext": got["ciphertext"]})["plaintext"] != got["plaintext"] {
				t.Errorf("a data key of %d bits: %v", bits, got)
			}
			if wrapped := v.write(t, "datakey/wrapped/"+k, body); len(wrapped) != 2 || wrapped["plaintext"] != nil {
				t.Errorf("a wrapped data key: %v", wrapped)
			}
		}
		// What is encrypted with a key that is not there makes one; a context makes it a derived one.
		v.write(t, "encrypt/upserted", jobj{"plaintext": "", "context": in64("c")})
		if got := v.data(t, "GET", "keys/upserted", nil); got["derived"] != true || got["kdf"] != "hkdf_sha256" {
			t.Errorf("made on the way: %v", got)
		}
	})
}

func TestTransitDerivesKeysAndConverges(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		v.write(t, "keys/derived", jobj{"derived": true})
		v.write(t, "keys/same", jobj{"derived": "true", "convergent_encryption": true, "type": "aes128-gcm96"})
		const lacking = "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key"
		v.fails(t, "PUT", "encrypt/derived", jobj{"plaintext": ""}, 400, lacking)
		v.fails(t, "PUT", "encrypt/derived", jobj{"plaintext": "", "context": "?"}, 400, "failed to base64-decode context")
		encrypt := func(key, text, context, associated string) string {
			t.Helper()
			return v.write(t, "encrypt/"+key, jobj{"plaintext": in64(text), "context": in64(context), "associated_data": in64(associated)})["ciphertext"].(string)
		}
		if a, b := encrypt("derived", "x", "c", ""), encrypt("derived", "x", "c", ""); a == b {
			t.Error("a key that does not converge gives equal ciphertexts")
		}
		first := encrypt("same", "x", "c", "a")
		if first != encrypt("same", "x", "c", "a") {
			t.Error("a convergent key gives unequal ciphertexts")
		}
		nonce := func(text string) string {
			b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "vault:v1:"))
			if err != nil {
				t.Fatal(err)
			}
			return string(b[:12])
		}
		for _, other := range []string{encrypt("same", "y", "c", "a"), encrypt("same", "x", "d", "a"), encrypt("same", "x", "c", "b")} {
			if nonce(first) == nonce(other) {
				t.Error("a nonce comes twice")
			}
		}
		if got := v.write(t, "decrypt/same", jobj{"ciphertext": first, "context": in64("c"), "associated_data": in64("a")}); got["plaintext"] != in64("x") {
			t.Errorf("got %v", got)
		}
		v.fails(t, "PUT", "decrypt/same", jobj{"ciphertext": first, "context": in64("d"), "associated_data": in64("a")}, 400, "cipher: message authentication failed")
		v.write(t, "keys/per-user", jobj{"type": "ed25519", "derived": true})
		signed := v.write(t, "sign/per-user", jobj{"input": in64("m"), "context": in64("u1")})
		public, err := base64.StdEncoding.DecodeString(signed["public_key"].(string))
		raw, err2 := base64.StdEncoding.DecodeString(strings.TrimPrefix(signed["signature"].(string), "vault:v1:"))
		if err != nil || err2 != nil || !ed25519.Verify(public, []byte("m"), raw) {
			t.Errorf("the public half that comes with the signature does not verify it: %v", signed)
		}
		for context, want := range map[string]bool{"u1": true, "u2": false} {
			if got := v.write(t, "verify/per-user", jobj{"input": in64("m"), "context": in64(context), "signature": signed["signature"]}); got["valid"] != want {
				t.Errorf("context %s: %v", context, got)
			}
		}
	})
}

func TestTransitAnswersBatchesItemByItem(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		v.write(t, "keys/app", nil)
		got := v.write(t, "encrypt/app", jobj{"batch_input": []jobj{{"plaintext": in64("a"), "reference": "r1"}, {"plaintext": in64("b")}}})
		results := got["batch_results"].([]any)
		if len(results) != 2 || results[0].(jobj)["reference"] != "r1" || results[1].(jobj)["reference"] != "" {
			t.Fatalf("got %v", got)
		}
		var sealed []jobj
		for _, r := range results {
			sealed = append(sealed, jobj{"ciphertext": r.(jobj)["ciphertext"]})
		}
		opened := v.write(t, "decrypt/app", jobj{"batch_input": append(sealed, jobj{"ciphertext": sealed[0]["ciphertext"], "reference": "x"})})
		want := []any{jobj{"plaintext": in64("a"), "reference": ""}, jobj{"plaintext": in64("b"), "reference": ""}, jobj{"plaintext": in64("a"), "reference": "x"}}
		if fmt.Sprint(opened["batch_results"]) != fmt.Sprint(want) {
			t.Errorf("opened %v", opened)
		}
		mixed := jobj{"batch_input": []jobj{{"ciphertext": "vault:v1:AAAA", "reference": "bad"}, sealed[1], {"ciphertext": ""}}}
		r := v.call(t, "POST", "decrypt/app", mixed)
		failed := []any{jobj{"error": "invalid ciphertext length", "reference": "bad"}, jobj{"plaintext": in64("b"), "reference": ""},
			jobj{"error": "missing ciphertext to decrypt", "reference": ""}}
		if r.status != 400 || fmt.Sprint(r.transitData(t)["batch_results"]) != fmt.Sprint(failed) || !strings.Contains(string(r.body), `"request_id":"`) {
			t.Errorf("mixed: %d %s", r.status, r.body)
		}
		mixed["partial_failure_response_code"] = 207
		if r := v.call(t, "POST", "decrypt/app", mixed); r.status != 207 {
			t.Errorf("with a code of its own: %d", r.status)
		}
		// When all fail it is no partial failure; one alone that fails is told in its place too.
		all := jobj{"batch_input": []jobj{{"ciphertext": "vault:v1:AAAA"}}, "partial_failure_response_code": 207}
		if r := v.call(t, "POST", "decrypt/app", all); r.status != 400 || fmt.Sprint(r.transitData(t)["batch_results"]) != "[map[error:invalid ciphertext length reference:]]" {
			t.Errorf("all failed: %d %s", r.status, r.body)
		}
		v.fails(t, "POST", "decrypt/none", jobj{"batch_input": []jobj{{"ciphertext": "vault:v1:AAAA"}}}, 400, "encryption key not found")
		v.fails(t, "POST", "decrypt/app", jobj{"batch_input": []jobj{}}, 400, "missing batch input to process")
		v.fails(t, "POST", "decrypt/app", jobj{"batch_input": "x"}, 400, "failed to parse batch input: want a list of objects")
		v.fails(t, "POST", "decrypt/app", jobj{"batch_input": []int{1}}, 400, "failed to parse batch input: want a list of objects")
		macs := v.write(t, "hmac/app", jobj{"batch_input": []jobj{{"input": in64("a"), "reference": "1"}, {"input": in64("b")}}})["batch_results"].([]any)
		verify := []jobj{{"input": in64("a"), "hmac": macs[0].(jobj)["hmac"]}, {"input": in64("a"), "hmac": macs[1].(jobj)["hmac"]}}
		if got := v.write(t, "verify/app", jobj{"batch_input": verify})["batch_results"]; fmt.Sprint(got) != "[map[reference: valid:true] map[reference: valid:false]]" {
			t.Errorf("verified %v", got)
		}
		// The log has one entry for a batch, with the count and nothing of the content.
		list := get[api.Entries](t, w.admin, "/audit/entries?what=transit.decrypt&limit=100")
		counted := 0
		for _, e := range list.Entries {
			raw, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(raw), "vault:v") || strings.Contains(string(raw), in64("a")) {
				t.Errorf("the log holds content: %s", raw)
			}
			if strings.Contains(string(raw), `"items":"3"`) || strings.Contains(string(raw), `"failed":"1"`) && strings.Contains(string(raw), `"items":"2"`) {
				counted++
			}
			if !strings.Contains(string(raw), `"dialect":"vault"`) {
				t.Errorf("no dialect: %s", raw)
			}
		}
		if counted != 3 {
			t.Errorf("%d entries of batches, want 3", counted)
		}
	})
}

func TestTransitSignsAndVerifies(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		kinds := []string{"ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"}
		publics := map[string]string{}
		for _, kind := range kinds {
			made := v.write(t, "keys/"+kind, jobj{"type": kind})["keys"].(jobj)["1"].(jobj)
			publics[kind] = made["public_key"].(string)
			if made["name"] == "" || !strings.HasSuffix(made["creation_time"].(string), "Z") || made["certificate_chain"] != "" {
				t.Errorf("%s: %v", kind, made)
			}
		}
		digest := sha256.Sum256([]byte("m"))
		for _, kind := range kinds {
			bodies := []jobj{{}, {"marshaling_algorithm": "jws"}, {"hash_algorithm": "sha2-512"}, {"hash_algorithm": "sha3-256"}}
			if kind == "rsa-2048" {
				bodies = append(bodies, jobj{"signature_algorithm": "pkcs1v15"}, jobj{"salt_length": "hash"}, jobj{"salt_length": "20", "signature_algorithm": "pss"})
			}
			for _, body := range bodies {
				body["input"] = in64("m")
				signed := v.write(t, "sign/"+kind, body)
				text := signed["signature"].(string)
				if fmt.Sprint(signed["key_version"]) != "1" || !strings.HasPrefix(text, "vault:v1:") || body["marshaling_algorithm"] == "jws" && strings.ContainsAny(text[9:], "+/=") {
					t.Errorf("%s %v: %v", kind, body, signed)
				}
				check := maps.Clone(body)
				check["signature"] = text
				if got := v.write(t, "verify/"+kind, check); fmt.Sprint(got) != "map[valid:true]" {
					t.Errorf("%s %v: %v", kind, body, got)
				}
				check["input"] = in64("n")
				if got := v.write(t, "verify/"+kind, check); got["valid"] != false {
					t.Errorf("%s %v: another input is signed: %v", kind, body, got)
				}
			}
			if kind != "ed25519" {
				pre := v.write(t, "sign/"+kind+"/sha2-256", jobj{"input": base64.StdEncoding.EncodeToString(digest[:]), "prehashed": true})
				if got := v.write(t, "verify/"+kind, jobj{"input": in64("m"), "signature": pre["signature"]}); got["valid"] != true {
					t.Errorf("%s: a digest of the caller: %v", kind, got)
				}
			}
		}
		// Others verify with the public half alone.
		raw := func(text string) []byte {
			b, err := base64.StdEncoding.DecodeString(text[len("vault:v1:"):])
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		public := func(kind string) any {
			block, _ := pem.Decode([]byte(publics[kind]))
			p, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p256 := raw(v.write(t, "sign/ecdsa-p256", jobj{"input": in64("m")})["signature"].(string))
		if !ecdsa.VerifyASN1(public("ecdsa-p256").(*ecdsa.PublicKey), digest[:], p256) {
			t.Error("an ECDSA signature does not verify outside")
		}
		bare := raw(v.write(t, "sign/rsa-2048", jobj{"input": in64("m"), "signature_algorithm": "pkcs1v15"})["signature"].(string))
		if err := rsa.VerifyPKCS1v15(public("rsa-2048").(*rsa.PublicKey), crypto.SHA256, digest[:], bare); err != nil {
			t.Error(err)
		}
		none := raw(v.write(t, "sign/rsa-2048/none", jobj{"input": in64("anything"), "signature_algorithm": "pkcs1v15", "prehashed": true})["signature"].(string))
		if err := rsa.VerifyPKCS1v15(public("rsa-2048").(*rsa.PublicKey), 0, []byte("anything"), none); err != nil {
			t.Error(err)
		}
		for name, bad := range map[string]struct {
			op      string
			body    jobj
			message string
		}{
			"no hash unprepared":  {"sign/rsa-2048/none", jobj{"input": ""}, "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15"},
			"SHA-1":               {"sign/rsa-2048/sha1", jobj{"input": ""}, "invalid hash algorithm"},
			"no padding":          {"sign/rsa-2048", jobj{"input": "", "signature_algorithm": "raw"}, "unsupported signature algorithm"},
			"no form":             {"sign/ed25519", jobj{"input": "", "marshaling_algorithm": "xml"}, "unsupported marshaling algorithm"},
			"salt":                {"sign/rsa-2048", jobj{"input": "", "salt_length": "-3"}, "salt length is invalid"},
			"no digest":           {"sign/rsa-2048", jobj{"input": in64("short"), "prehashed": true}, "the prehashed input is not as long as a digest of the hash algorithm"},
			"no input":            {"sign/ed25519", jobj{}, "missing input"},
			"no base64":           {"sign/ed25519", jobj{"input": "?"}, "unable to decode input as base64: illegal base64 data at input byte 0"},
			"neither":             {"verify/ed25519", jobj{"input": ""}, "one of 'signature' or 'hmac' must be supplied"},
			"both":                {"verify/ed25519", jobj{"input": "", "hmac": "a", "signature": "b"}, "provide one of 'signature' or 'hmac'"},
			"no prefix":           {"verify/ed25519", jobj{"input": "", "signature": "a"}, "invalid signature: no prefix"},
			"a later version":     {"verify/ed25519", jobj{"input": "", "signature": "vault:v9:AAAA"}, "invalid signature: version is too new"},
			"a key of no one":     {"verify/none", jobj{"input": "", "signature": "vault:v9:AAAA"}, "signature verification key not found"},
			"encrypt with it":     {"encrypt/ed25519", jobj{"plaintext": ""}, "message encryption not supported for key type ed25519"},
			"decrypt with it":     {"decrypt/ecdsa-p256", jobj{"ciphertext": "vault:v1:AAAA"}, "message decryption not supported for key type ecdsa-p256"},
			"an unknown MAC hash": {"hmac/ed25519/md5", jobj{"input": ""}, "unsupported algorithm"},
			"no MAC":              {"verify/ed25519", jobj{"input": "", "hmac": "a"}, "invalid HMAC to verify: no prefix"},
		} {
			t.Run(name, func(t *testing.T) { v.fails(t, "POST", bad.op, bad.body, 400, bad.message) })
		}
	})
}

// What is almost a good signature is none: another spelling, more bytes, the second signature that everybody can make.
func TestTransitVerifiesStrictly(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		v.write(t, "keys/k", jobj{"type": "ecdsa-p256"})
		v.write(t, "keys/r", jobj{"type": "rsa-2048"})
		text := v.write(t, "sign/k", jobj{"input": in64("m")})["signature"].(string)
		der, err := base64.StdEncoding.DecodeString(text[len("vault:v1:"):])
		if err != nil {
			t.Fatal(err)
		}
		var sig struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &sig); err != nil {
			t.Fatal(err)
		}
		n := elliptic.P256().Params().N
		spell := func(r, s *big.Int) []byte {
			b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		long := slices.Clone(der) // the length of the sequence in two bytes, as BER allows and DER does not
		long = append([]byte{0x30, 0x81, der[1]}, long[2:]...)
		valid := func(key string, b []byte, more jobj) any {
			body := jobj{"input": in64("m"), "signature": "vault:v1:" + base64.StdEncoding.EncodeToString(b)}
			maps.Copy(body, more)
			return v.write(t, "verify/"+key, body)["valid"]
		}
		if valid("k", der, nil) != true {
			t.Fatal("the signature itself does not verify")
		}
		for name, b := range map[string][]byte{
			"the other s": spell(sig.R, new(big.Int).Sub(n, sig.S)), "a byte more": append(slices.Clone(der), 0), "a longer length": long,
			"r + n": spell(new(big.Int).Add(sig.R, n), sig.S), "zeros": spell(new(big.Int), new(big.Int)), "negative": spell(new(big.Int).Neg(sig.R), sig.S),
			"nothing": nil, "a byte less": der[:len(der)-1],
		} {
			if valid("k", b, nil) != false {
				t.Errorf("%s is taken for a signature", name)
			}
		}
		rs, err := base64.StdEncoding.DecodeString(v.write(t, "sign/r", jobj{"input": in64("m")})["signature"].(string)[len("vault:v1:"):])
		if err != nil {
			t.Fatal(err)
		}
		if valid("r", rs, nil) != true || valid("r", append([]byte{0}, rs...), nil) != false || valid("r", append(slices.Clone(rs), 0), nil) != false ||
			valid("r", rs, jobj{"signature_algorithm": "pkcs1v15"}) != false || valid("k", rs, nil) != false || valid("r", der, nil) != false {
			t.Error("an RSA signature is taken in another form, or as that of another key")
		}
		for name, bad := range map[string]string{"a line end": text + "\n", "a loose end": text + "=", "blanks": text[:12] + " " + text[12:]} {
			v.fails(t, "POST", "verify/k", jobj{"input": in64("m"), "signature": bad}, 400, "invalid base64 signature value")
			_ = name
		}
		v.fails(t, "POST", "verify/k", jobj{"input": in64("m"), "signature": strings.Replace(text, "v1", "v01", 1)}, 400, "invalid signature: version number could not be decoded")
	})
}

func TestTransitMakesCodesDigestsAndRandomBytes(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		v.write(t, "keys/mac", jobj{"type": "hmac", "exportable": true, "key_size": 64})
		v.fails(t, "POST", "keys/mac2", jobj{"type": "hmac", "key_size": 16}, 400, "invalid key_size: the key of an HMAC has 32 to 512 bytes")
		got := v.write(t, "hmac/mac", jobj{"input": in64("m")})
		if len(got) != 1 || !strings.HasPrefix(got["hmac"].(string), "vault:v1:") {
			t.Errorf("got %v", got)
		}
		for hash, want := range map[string]any{"sha2-256": true, "sha2-512": false} {
			if got := v.write(t, "verify/mac/"+hash, jobj{"input": in64("m"), "hmac": got["hmac"]}); got["valid"] != want {
				t.Errorf("%s: %v", hash, got)
			}
		}
		if got := v.write(t, "hash/sha2-256", jobj{"input": in64("abc")}); got["sum"] != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
			t.Errorf("SHA-256: %v", got)
		}
		if got := v.write(t, "hash", jobj{"input": in64("abc"), "algorithm": "sha3-224", "format": "base64"}); got["sum"] != "5kKCTD+M8krQkjTufTx2b8mjpRaNDJStc7Rv3w==" {
			t.Errorf("SHA3-224: %v", got)
		}
		for path, n := range map[string]int{"random": 32, "random/7": 7, "random/platform/9": 9} {
			got := v.write(t, path, jobj{"format": "hex"})
			if len(got["random_bytes"].(string)) != 2*n {
				t.Errorf("%s: %v", path, got)
			}
		}
		v.fails(t, "POST", "random/0", nil, 400, `"bytes" cannot be less than 1`)
		v.fails(t, "POST", "random/999999", nil, 400, `"bytes" should be less than 131072`)
		v.fails(t, "POST", "random/x", nil, 400, "error parsing url-set byte count")
		v.fails(t, "POST", "hash/md5", jobj{"input": ""}, 400, "unsupported algorithm")
		v.write(t, "keys/mac/rotate", nil)
		exported := v.data(t, "GET", "export/hmac-key/mac", nil)["keys"].(jobj)
		if a, b := exported["1"].(string), exported["2"].(string); a == b || len(a) != 88 || len(b) != 88 {
			t.Errorf("exported %v", exported)
		}
		v.write(t, "keys/mac/config", jobj{"min_decryption_version": 2})
		v.fails(t, "POST", "verify/mac", jobj{"input": in64("m"), "hmac": got["hmac"]}, 400, "cannot verify HMAC: version is too old (disallowed by policy)")
	})
}

func TestTransitLetsOutOnlyWhatMayLeave(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		for _, kind := range []string{"aes256-gcm96", "ed25519", "ecdsa-p384", "rsa-2048"} {
			v.write(t, "keys/"+kind, jobj{"type": kind})
			for _, part := range []string{"encryption-key", "signing-key", "hmac-key"} {
				v.fails(t, "GET", "export/"+part+"/"+kind, nil, 400, "private key material is not exportable")
			}
			v.fails(t, "GET", "backup/"+kind, nil, 400, "exporting is disallowed on the policy")
			v.write(t, "keys/"+kind+"/config", jobj{"exportable": true})
			v.fails(t, "GET", "backup/"+kind, nil, 400, "plaintext backup is disallowed on the policy")
			v.write(t, "keys/"+kind+"/config", jobj{"exportable": false, "allow_plaintext_backup": true})
			if got := v.data(t, "GET", "export/hmac-key/"+kind+"/latest", nil); got["name"] != kind || got["type"] != kind || len(got["keys"].(jobj)) != 1 {
				t.Errorf("%s: %v", kind, got)
			}
		}
		one := func(path string) string { return v.data(t, "GET", path, nil)["keys"].(jobj)["1"].(string) }
		if b, err := base64.StdEncoding.DecodeString(one("export/encryption-key/aes256-gcm96/1")); err != nil || len(b) != 32 {
			t.Error("an AES key is no 32 bytes")
		}
		if b, err := base64.StdEncoding.DecodeString(one("export/signing-key/ed25519")); err != nil || len(b) != ed25519.PrivateKeySize ||
			base64.StdEncoding.EncodeToString(ed25519.PrivateKey(b).Public().(ed25519.PublicKey)) != one("export/public-key/ed25519") {
			t.Error("an Ed25519 key does not fit its public half")
		}
		block, _ := pem.Decode([]byte(one("export/signing-key/ecdsa-p384")))
		if _, err := x509.ParseECPrivateKey(block.Bytes); err != nil || block.Type != "EC PRIVATE KEY" {
			t.Error(err)
		}
		block, _ = pem.Decode([]byte(one("export/encryption-key/rsa-2048")))
		if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err != nil || block.Type != "RSA PRIVATE KEY" {
			t.Error(err)
		}
		v.fails(t, "GET", "export/signing-key/aes256-gcm96", nil, 400, "signing not supported for the key")
		v.fails(t, "GET", "export/encryption-key/ed25519", nil, 400, "encryption not supported for the key")
		v.fails(t, "GET", "export/everything/ed25519", nil, 400, "invalid export type")
		v.fails(t, "GET", "export/hmac-key/ed25519/9", nil, 400, "version does not exist or cannot be found")
		v.fails(t, "GET", "export/hmac-key/ed25519/x", nil, 400, "invalid key version")
		v.fails(t, "GET", "export/hmac-key/none", nil, 404, "")

		v.write(t, "keys/aes256-gcm96/rotate", nil)
		text := v.write(t, "encrypt/aes256-gcm96", jobj{"plaintext": in64("test-value"), "key_version": 1})["ciphertext"]
		backup := v.data(t, "GET", "backup/aes256-gcm96", nil)["backup"].(string)
		v.fails(t, "POST", "restore", jobj{"backup": backup}, 400, "there is a key of this name already")
		if r := v.call(t, "POST", "restore/copy", jobj{"backup": backup}); r.status != 204 {
			t.Fatalf("restored: %d %s", r.status, r.body)
		}
		if got := v.write(t, "decrypt/copy", jobj{"ciphertext": text}); got["plaintext"] != in64("test-value") {
			t.Errorf("a restored key opens %v", got)
		}
		if got := v.data(t, "GET", "keys/copy", nil); got["imported_key"] != true || fmt.Sprint(got["latest_version"]) != "2" {
			t.Errorf("restored %v", got)
		}
		if r := v.call(t, "POST", "restore", jobj{"backup": backup, "force": true}); r.status != 204 {
			t.Errorf("restored over one: %d %s", r.status, r.body)
		}
		const noBackup = "the backup is not one of a key of this service"
		v.fails(t, "POST", "restore/bad", jobj{}, 400, "'backup' must be supplied")
		for _, bad := range []string{"?", in64("{}"), in64(`{"keyturn_transit_backup":1,"name":"x","type":"aes256-gcm96","latest_version":2,"min_decryption_version":1,"versions":[]}`), backup[:len(backup)-8]} {
			v.fails(t, "POST", "restore/bad", jobj{"backup": bad}, 400, noBackup)
		}
		wholeLogFits(t, w)
	})
}

func TestTransitRightsAreAskedForEachOperation(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		admin := transitOf(w)
		e := w.project(t)
		admin.namespace = e.project
		for _, k := range []string{"one", "two"} {
			admin.write(t, "keys/"+k, jobj{"exportable": true, "allow_plaintext_backup": true})
			admin.write(t, "keys/s-"+k, jobj{"type": "ed25519"})
		}
		text := admin.write(t, "encrypt/one", jobj{"plaintext": in64("x")})["ciphertext"]
		signature := admin.write(t, "sign/s-one", jobj{"input": in64("x")})["signature"]
		operations := map[string]func(vaultKeys, string) reply{
			"transit.read":    func(v vaultKeys, k string) reply { return v.call(t, "GET", "keys/"+k, nil) },
			"transit.encrypt": func(v vaultKeys, k string) reply { return v.call(t, "POST", "encrypt/"+k, jobj{"plaintext": ""}) },
			"transit.decrypt": func(v vaultKeys, k string) reply { return v.call(t, "POST", "decrypt/"+k, jobj{"ciphertext": text}) },
			"transit.sign":    func(v vaultKeys, k string) reply { return v.call(t, "POST", "sign/s-"+k, jobj{"input": ""}) },
			"transit.verify": func(v vaultKeys, k string) reply {
				return v.call(t, "POST", "verify/s-"+k, jobj{"input": in64("x"), "signature": signature})
			},
			"transit.hmac":   func(v vaultKeys, k string) reply { return v.call(t, "POST", "hmac/"+k, jobj{"input": ""}) },
			"transit.manage": func(v vaultKeys, k string) reply { return v.call(t, "POST", "keys/"+k+"/rotate", nil) },
			"transit.export": func(v vaultKeys, k string) reply { return v.call(t, "GET", "export/hmac-key/"+k, nil) },
		}
		for action := range operations {
			names := "one"
			if action == "transit.sign" || action == "transit.verify" {
				names = "s-one"
			}
			role := w.role(t, fmt.Sprintf("- {effect: allow, actions: [%s], names: [%s]}", action, names))
			v := vaultKeys{person: w.machine(t, api.GrantRequest{Project: e.project, Role: role}), namespace: e.project}
			for other, do := range operations {
				if got, want := do(v, "one").status, 403; got != want && other != action && got != 404 {
					t.Errorf("with %s, %s: %d", action, other, got)
				} else if other == action && got != 200 {
					t.Errorf("%s is refused to whoever has it: %d", action, got)
				}
			}
			if got := operations[action](v, "two").status; got != 403 && got != 404 {
				t.Errorf("%s of another key: %d", action, got)
			}
			v.namespace = "" // a key of the same name of the organisation
			if got := operations[action](v, "one").status; got != 403 {
				t.Errorf("%s in another place: %d", action, got)
			}
		}
	})
}

func TestTransitKeysOfAnotherOrganisationOrProjectAreNotThere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		top := transitOf(w)
		a, b := w.project(t), w.project(t)
		inA, inB := top, top
		inA.namespace, inB.namespace = a.project, "main/"+b.project
		text := inA.write(t, "encrypt/app", jobj{"plaintext": in64("x")})["ciphertext"]
		inB.write(t, "keys/app", nil)
		top.write(t, "keys/app", nil)
		for _, v := range []vaultKeys{inB, top} {
			v.fails(t, "POST", "decrypt/app", jobj{"ciphertext": text}, 400, "cipher: message authentication failed")
		}
		nowhere := top
		nowhere.namespace = "nowhere"
		nowhere.fails(t, "POST", "decrypt/app", jobj{"ciphertext": text}, 404, "")
		// A deleted project takes its keys along, and brings them back; purged they are gone.
		send[api.Done](t, w.admin, "DELETE", "/projects/"+a.project, nil)
		inA.fails(t, "POST", "decrypt/app", jobj{"ciphertext": text}, 404, "")
		send[api.Done](t, w.admin, "POST", "/projects/"+a.project+"/restore", nil)
		inA.write(t, "decrypt/app", jobj{"ciphertext": text})
		send[api.Done](t, w.admin, "DELETE", "/projects/"+a.project, nil)
		send[api.Done](t, w.admin, "POST", "/projects/"+a.project+"/purge", nil)
		for _, c := range get[api.KeyCensus](t, w.admin, "/keys/census").Counts {
			if c.Where == "transit_version.value" && c.Count > 1 {
				t.Errorf("%d versions lie under key %s", c.Count, c.KeyID)
			}
		}
		wholeLogFits(t, w)
	})
}

// Material moves to the new key when the key of its project or of the instance turns, and works on meanwhile.
func TestATurnOfKeysTakesTransitKeysAlong(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		top, own := transitOf(w), transitOf(w)
		own.namespace = e.project
		texts := map[string]any{}
		for i := range 40 {
			name := fmt.Sprintf("k%d", i)
			texts[name] = own.write(t, "encrypt/"+name, jobj{"plaintext": in64(name)})["ciphertext"]
		}
		own.write(t, "keys/k0/rotate", nil)
		text := top.write(t, "encrypt/top", jobj{"plaintext": in64("top")})["ciphertext"]
		for _, turn := range []api.KeyRotation{{Layer: "project", Project: e.project}, {Layer: "instance"}} {
			made := send[api.KeyRotated](t, w.admin, "POST", "/keys/rotations", turn).Turns[0]
			eventually(t, turnsWithin, "the turn has ended", func() bool { return get[api.KeyTurn](t, w.admin, "/keys/turns/"+made.ID).Stage == "done" })
			n := int64(0)
			for _, count := range get[api.KeyCensus](t, w.admin, "/keys/census").Counts {
				if count.Where != "transit_version.value" {
					continue
				}
				n += count.Count
				if count.KeyID == made.Old {
					t.Errorf("%d envelopes of keys lie under the old key of the %s", count.Count, turn.Layer)
				}
			}
			if n != 42 {
				t.Errorf("the census knows %d versions, want 42", n)
			}
			for name, text := range texts {
				if got := own.write(t, "decrypt/"+name, jobj{"ciphertext": text}); got["plaintext"] != in64(name) {
					t.Errorf("%s opens %v", name, got)
				}
			}
			if got := top.write(t, "decrypt/top", jobj{"ciphertext": text}); got["plaintext"] != in64("top") {
				t.Errorf("top opens %v", got)
			}
		}
		wholeLogFits(t, w)
	})
}

// Rotations, uses and higher minimum versions at once: whatever is refused is refused for its version, and nothing is lost.
func TestTransitRotatesUnderLoad(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		v.write(t, "keys/app", nil)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for i := range 15 {
					text := fmt.Sprint("test-value ", i)
					r := v.call(t, "POST", "encrypt/app", jobj{"plaintext": in64(text)})
					if r.status != 200 {
						t.Errorf("encrypt: %d %s", r.status, r.body)
						return
					}
					r = v.call(t, "POST", "decrypt/app", jobj{"ciphertext": r.transitData(t)["ciphertext"]})
					old := r.status == 400 && strings.Contains(string(r.body), "disallowed by policy (too old)")
					if !old && (r.status != 200 || r.transitData(t)["plaintext"] != in64(text)) {
						t.Errorf("decrypt: %d %s", r.status, r.body)
					}
				}
			})
		}
		for range 2 {
			all.Go(func() {
				for range 6 {
					if r := v.call(t, "POST", "keys/app/rotate", nil); r.status != 200 {
						t.Errorf("rotate: %d %s", r.status, r.body)
					}
				}
			})
		}
		all.Go(func() {
			for n := 1; n < 6; n++ {
				v.call(t, "POST", "keys/app/config", jobj{"min_decryption_version": n}) // refused where it does not exist yet
			}
		})
		all.Wait()
		if got := v.data(t, "GET", "keys/app", nil); fmt.Sprint(got["latest_version"]) != "13" {
			t.Errorf("after 12 rotations: %v", got)
		}
		wholeLogFits(t, w)
	})
}

// A freeze stops changes of keys and not their use; a kill switch stops that too.
func TestTransitHoldsStillWhenItIsToldTo(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		v := transitOf(w)
		v.namespace = e.project
		v.write(t, "keys/app", jobj{"type": "ed25519", "exportable": true})
		v.write(t, "keys/enc", nil)
		signature := v.write(t, "sign/app", jobj{"input": in64("m")})["signature"]
		freeze := func(kill bool) {
			send[api.Freeze](t, w.admin, "POST", "/projects/"+e.project+"/freeze", api.FreezeRequest{Kill: kill, Reason: "test"})
		}
		statuses := func() string {
			return fmt.Sprint(v.call(t, "POST", "keys/app/rotate", nil).status, v.call(t, "POST", "encrypt/enc", jobj{"plaintext": ""}).status, v.call(t, "POST", "encrypt/new", jobj{"plaintext": ""}).status,
				v.call(t, "POST", "sign/app", jobj{"input": ""}).status, v.call(t, "GET", "export/signing-key/app", nil).status,
				v.call(t, "GET", "keys/app", nil).status, v.call(t, "POST", "verify/app", jobj{"input": in64("m"), "signature": signature}).status)
		}
		freeze(false)
		if got := statuses(); got != "403 200 403 200 200 200 200" {
			t.Errorf("frozen: %s", got)
		}
		freeze(true)
		if got := statuses(); got != "403 403 403 403 403 200 200" {
			t.Errorf("killed: %s", got)
		}
	})
}

func TestTransitBoundsWhatOneRequestMayCost(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		v.write(t, "keys/app", nil)
		v.write(t, "keys/ec", jobj{"type": "ecdsa-p256"})
		many := func(n int, item string) string {
			return `{"batch_input":[` + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + `]}`
		}
		v.fails(t, "POST", "encrypt/app", many(10_001, `{"plaintext":""}`), 400, "too many items in one request: at most 10000")
		v.fails(t, "POST", "sign/ec", many(501, `{"input":""}`), 400, "too many items in one request: at most 500 with a key of this type")
		if r := v.call(t, "POST", "encrypt/app", `{"plaintext":"`+strings.Repeat("A", 33<<20)+`"}`); r.status != 413 || !strings.HasPrefix(string(r.body), `{"errors":["`) {
			t.Errorf("33 MiB: %d %.100s", r.status, r.body)
		}
		if r := v.call(t, "POST", "encrypt/app", `{"context":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`); r.status != 400 {
			t.Errorf("deep JSON: %d", r.status)
		}
	})
}
