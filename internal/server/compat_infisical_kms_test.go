package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// kmsClient is the encryption service as a client of the Infisical dialect sees it.
type kmsClient struct{ person }

func (k kmsClient) call(t tb, method, path string, body any) reply {
	t.Helper()
	return k.do(t, method, k.url+"/api/v1/kms/keys"+path, body)
}

func (k kmsClient) answer(t tb, method, path string, body any) jobj {
	t.Helper()
	r := k.call(t, method, path, body)
	var out jobj
	r.fits(t, &out)
	if r.status != 200 || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		t.Errorf("%s: %d %s", r.what, r.status, r.header.Get("Content-Type"))
	}
	return out
}

// fails checks status and name of an error, and some words of it.
func (k kmsClient) fails(t tb, method, path string, body any, status int, name, words string) {
	t.Helper()
	r := k.call(t, method, path, body)
	var p struct {
		ReqID      string
		StatusCode int
		Error      string
		Message    any
	}
	if err := json.Unmarshal(r.body, &p); err != nil || r.status != status || p.StatusCode != status || p.Error != name || p.ReqID == "" || !strings.Contains(fmt.Sprint(p.Message), words) {
		t.Errorf("%s %v: %d %s, want %d %s %q", r.what, body, r.status, r.body, status, name, words)
	}
}

func TestKMSKeysAreThoseOfTheEncryptionService(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		k := kmsClient{w.admin}
		e := w.project(t)
		project := get[api.Project](t, w.admin, "/projects/"+e.project)
		made := k.answer(t, "POST", "", jobj{"projectId": project.ID, "name": "app", "description": "of the shop", "keyUsage": "encrypt-decrypt", "encryptionAlgorithm": "aes-256-gcm"})["key"].(jobj)
		id := made["id"].(string)
		want := jobj{"id": id, "name": "app", "description": "of the shop", "isDisabled": false, "isReserved": false, "orgId": made["orgId"], "projectId": project.ID,
			"keyUsage": "encrypt-decrypt", "version": 1.0, "encryptionAlgorithm": "aes-256-gcm", "createdAt": made["createdAt"], "updatedAt": made["updatedAt"]}
		if !maps.EqualFunc(made, want, func(a, b any) bool { return a == b }) {
			t.Errorf("made %v", made)
		}
		for _, path := range []string{"/" + id, "/key-name/app?projectId=" + project.ID, "/key-name/app?workspaceId=" + e.project} {
			if got := k.answer(t, "GET", path, nil)["key"].(jobj); got["id"] != id {
				t.Errorf("%s: %v", path, got)
			}
		}
		for _, name := range []string{"beta", "alpha"} {
			k.answer(t, "POST", "", jobj{"projectId": project.ID, "name": name, "encryptionAlgorithm": "aes-128-gcm"})
		}
		names := func(query string) string {
			t.Helper()
			got := k.answer(t, "GET", "?projectId="+project.ID+query, nil)
			out := []string{fmt.Sprint(got["totalCount"])}
			for _, key := range got["keys"].([]any) {
				out = append(out, key.(jobj)["name"].(string))
			}
			return strings.Join(out, " ")
		}
		for query, want := range map[string]string{"": "3 alpha app beta", "&orderBy=name&orderDirection=desc": "3 beta app alpha", "&offset=1&limit=1": "3 app", "&search=BET": "1 beta", "&offset=9": "3"} {
			if got := names(query); got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		renamed := k.answer(t, "PATCH", "/"+id, jobj{"name": "renamed", "isDisabled": true, "description": ""})["key"].(jobj)
		if renamed["name"] != "renamed" || renamed["isDisabled"] != true || renamed["description"] != "" {
			t.Errorf("changed %v", renamed)
		}
		k.fails(t, "POST", "/"+id+"/encrypt", jobj{"plaintext": in64("x")}, 400, "BadRequest", "the key is disabled")
		k.answer(t, "PATCH", "/"+id, jobj{"isDisabled": false})
		sealed := k.answer(t, "POST", "/"+id+"/encrypt", jobj{"plaintext": in64("test-value")})["ciphertext"].(string)
		if got := k.answer(t, "POST", "/"+id+"/decrypt", jobj{"ciphertext": sealed}); fmt.Sprint(got) != fmt.Sprint(jobj{"plaintext": in64("test-value")}) {
			t.Errorf("opened %v", got)
		}

		// What one dialect encrypts opens in the other.
		v := transitOf(w)
		v.namespace = e.project
		raw, err := base64.StdEncoding.DecodeString(sealed)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.write(t, "decrypt/renamed", jobj{"ciphertext": string(raw)}); got["plaintext"] != in64("test-value") {
			t.Errorf("the other dialect opens %v", got)
		}
		v.write(t, "keys/renamed/rotate", nil)
		text := v.write(t, "encrypt/renamed", jobj{"plaintext": in64("from the other side")})["ciphertext"].(string)
		for _, form := range []string{text, in64(text)} {
			if got := k.answer(t, "POST", "/"+id+"/decrypt", jobj{"ciphertext": form}); got["plaintext"] != in64("from the other side") {
				t.Errorf("opened %v", got)
			}
		}
		if got := k.answer(t, "GET", "/"+id, nil)["key"].(jobj); got["version"] != 2.0 {
			t.Errorf("after a rotation: %v", got)
		}

		const none = "0198c0de-0000-7000-8000-000000000000"
		k.fails(t, "GET", "/"+none, nil, 404, "NotFound", "")
		k.fails(t, "GET", "/not-an-id", nil, 404, "NotFound", "")
		k.fails(t, "GET", "/key-name/nothing?projectId="+project.ID, nil, 404, "NotFound", "")
		k.fails(t, "GET", "/"+id+"/nothing", nil, 404, "NotFound", "")
		k.fails(t, "GET", "?projectId=nowhere", nil, 404, "NotFound", "")
		k.fails(t, "GET", "", nil, 422, "ValidationFailure", "projectId")
		k.fails(t, "POST", "", jobj{"projectId": project.ID, "name": "alpha"}, 400, "BadRequest", "there is a key of this name already")
		k.fails(t, "POST", "", jobj{"projectId": project.ID, "name": "x/y"}, 400, "BadRequest", "not a name of a key")
		k.fails(t, "POST", "", jobj{"projectId": project.ID, "name": "x", "encryptionAlgorithm": "des"}, 422, "ValidationFailure", "aes-256-gcm")
		k.fails(t, "POST", "", jobj{"projectId": project.ID, "name": "x", "keyUsage": "sign-verify", "encryptionAlgorithm": "aes-256-gcm"}, 422, "ValidationFailure", "key usage")
		k.fails(t, "POST", "/"+id+"/encrypt", jobj{"plaintext": "?"}, 422, "ValidationFailure", "base64")
		k.fails(t, "POST", "/"+id+"/decrypt", jobj{"ciphertext": in64("nothing")}, 400, "BadRequest", "invalid ciphertext: no prefix")
		k.fails(t, "POST", "/"+id+"/sign", jobj{"data": in64("m"), "signingAlgorithm": "ECDSA_SHA_256"}, 400, "BadRequest", "does not support signing")
		if got := k.answer(t, "DELETE", "/"+id, nil)["key"].(jobj); got["id"] != id {
			t.Errorf("deleted %v", got)
		}
		k.fails(t, "GET", "/"+id, nil, 404, "NotFound", "")
		// A key of the other dialect goes only when it was said that it may.
		v.write(t, "keys/kept", nil)
		kept := k.answer(t, "GET", "/key-name/kept?projectId="+project.ID, nil)["key"].(jobj)["id"].(string)
		k.fails(t, "DELETE", "/"+kept, nil, 400, "BadRequest", "deletion is not allowed for this key")
		wholeLogFits(t, w)
	})
}

func TestKMSKeysSignAndVerify(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		k := kmsClient{w.admin}
		e := w.project(t)
		v := transitOf(w)
		v.namespace = e.project
		v.write(t, "keys/rsa", jobj{"type": "rsa-2048"}) // the dialect itself makes those of 4096 bits, which take seconds
		id := func(name string) string {
			return k.answer(t, "GET", "/key-name/"+name+"?projectId="+e.project, nil)["key"].(jobj)["id"].(string)
		}
		p256 := k.answer(t, "POST", "", jobj{"projectId": e.project, "name": "ec", "keyUsage": "sign-verify", "encryptionAlgorithm": "ECC_NIST_P256"})["key"].(jobj)["id"].(string)
		keys := map[string]string{"RSASSA": id("rsa"), "ECDSA": p256}
		digest := sha256.Sum256([]byte("m"))
		for family, key := range keys {
			algorithms := k.answer(t, "GET", "/"+key+"/signing-algorithms", nil)["signingAlgorithms"].([]any)
			if n := map[string]int{"RSASSA": 6, "ECDSA": 3}[family]; len(algorithms) != n {
				t.Errorf("%s: %v", family, algorithms)
			}
			der, err := base64.StdEncoding.DecodeString(k.answer(t, "GET", "/"+key+"/public-key", nil)["publicKey"].(string))
			if err != nil {
				t.Fatal(err)
			}
			public, err := x509.ParsePKIXPublicKey(der)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range algorithms {
				signed := k.answer(t, "POST", "/"+key+"/sign", jobj{"data": in64("m"), "signingAlgorithm": a})
				if signed["keyId"] != key || signed["signingAlgorithm"] != a || len(signed) != 3 {
					t.Errorf("signed %v", signed)
				}
				for data, want := range map[string]bool{"m": true, "n": false} {
					got := k.answer(t, "POST", "/"+key+"/verify", jobj{"data": in64(data), "signingAlgorithm": a, "signature": signed["signature"]})
					if fmt.Sprint(got) != fmt.Sprint(jobj{"signatureValid": want, "keyId": key, "signingAlgorithm": a}) {
						t.Errorf("%s of %s: %v", a, data, got)
					}
				}
				raw, err := base64.StdEncoding.DecodeString(signed["signature"].(string))
				if err != nil {
					t.Fatal(err)
				}
				good := true
				switch p := public.(type) {
				case *ecdsa.PublicKey:
					good = a != "ECDSA_SHA_256" || ecdsa.VerifyASN1(p, digest[:], raw)
				case *rsa.PublicKey:
					good = (a != "RSASSA_PKCS1_V1_5_SHA_256" || rsa.VerifyPKCS1v15(p, crypto.SHA256, digest[:], raw) == nil) &&
						(a != "RSASSA_PSS_SHA_256" || rsa.VerifyPSS(p, crypto.SHA256, digest[:], raw, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil)
				}
				if !good {
					t.Errorf("a signature by %s does not verify outside", a)
				}
			}
			name := algorithms[0]
			prepared := k.answer(t, "POST", "/"+key+"/sign", jobj{"data": base64.StdEncoding.EncodeToString(digest[:]), "signingAlgorithm": name, "isDigest": true})
			if got := k.answer(t, "POST", "/"+key+"/verify", jobj{"data": in64("m"), "signingAlgorithm": name, "signature": prepared["signature"]}); got["signatureValid"] != true {
				t.Errorf("a digest of the caller: %v", got)
			}
			// After a rotation older signatures still verify, although nothing in them tells the version.
			v.write(t, "keys/"+map[string]string{"RSASSA": "rsa", "ECDSA": "ec"}[family]+"/rotate", nil)
			if got := k.answer(t, "POST", "/"+key+"/verify", jobj{"data": in64("m"), "signingAlgorithm": name, "signature": prepared["signature"]}); got["signatureValid"] != true {
				t.Errorf("after a rotation: %v", got)
			}
		}
		k.fails(t, "POST", "/"+p256+"/sign", jobj{"data": in64("m"), "signingAlgorithm": "RSASSA_PSS_SHA_256"}, 400, "BadRequest", "does not go with the key")
		k.fails(t, "POST", "/"+p256+"/sign", jobj{"data": in64("m"), "signingAlgorithm": "none"}, 422, "ValidationFailure", "signing-algorithms")
		k.fails(t, "POST", "/"+p256+"/encrypt", jobj{"plaintext": in64("m")}, 400, "BadRequest", "encryption not supported")
	})
}

// Who has no right to a key learns neither of it nor of its project; each request is one entry.
func TestKMSAsksForRightsAndRecords(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		k := kmsClient{w.admin}
		e, other := w.project(t), w.project(t)
		id := k.answer(t, "POST", "", jobj{"projectId": e.project, "name": "app"})["key"].(jobj)["id"].(string)
		stranger := kmsClient{w.machine(t, api.GrantRequest{Project: other.project, Role: "admin"})}
		developer := kmsClient{w.machine(t, api.GrantRequest{Project: e.project, Role: "developer"})}
		viewer := kmsClient{w.machine(t, api.GrantRequest{Project: e.project, Role: "viewer"})}
		encrypt := jobj{"plaintext": in64("x")}
		for _, r := range []reply{stranger.call(t, "GET", "/"+id, nil), stranger.call(t, "POST", "/"+id+"/encrypt", encrypt), stranger.call(t, "GET", "?projectId="+e.project, nil),
			stranger.call(t, "POST", "", jobj{"projectId": e.project, "name": "mine"}), stranger.call(t, "DELETE", "/"+id, nil)} {
			if r.status != 404 {
				t.Errorf("%s: %d %s", r.what, r.status, r.body)
			}
		}
		if got := developer.answer(t, "POST", "/"+id+"/encrypt", encrypt); got["ciphertext"] == nil {
			t.Error("a developer may not encrypt")
		}
		developer.fails(t, "DELETE", "/"+id, nil, 403, "PermissionDenied", "transit.manage")
		viewer.answer(t, "GET", "/"+id, nil)
		viewer.fails(t, "POST", "/"+id+"/encrypt", encrypt, 403, "PermissionDenied", "transit.encrypt")
		kmsClient{w.admin.with("")}.fails(t, "GET", "/"+id, nil, 401, "UnauthorizedError", "")
		var actions []string
		for _, entry := range get[api.Entries](t, w.admin, "/audit/entries?what=transit.*&limit=100").Entries {
			var raw struct{ Action, Outcome, Dialect string }
			if err := json.Unmarshal(entry.Entry, &raw); err != nil || raw.Dialect != "infisical" {
				t.Errorf("an entry of %q: %v", raw.Dialect, err)
			}
			actions = append(actions, raw.Action+" "+raw.Outcome)
		}
		slices.Sort(actions)
		want := []string{"transit.encrypt allowed", "transit.encrypt refused", "transit.encrypt refused", "transit.manage allowed", "transit.manage refused",
			"transit.manage refused", "transit.manage refused", "transit.read allowed", "transit.read refused", "transit.read refused"}
		if !slices.Equal(actions, want) {
			t.Errorf("recorded %v", actions)
		}
	})
}
