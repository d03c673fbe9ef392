package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"github.com/keyturn/keyturn/api"
)

// authenticator is a browser and its authenticator in software (Web Authentication Level 3, sections 6 and 7): one passkey on
// P-256. Its fields are what an attacker would bend.
type authenticator struct {
	key      *ecdsa.PrivateKey
	id       []byte
	user     []byte // handle, as the registration gave it
	origin   string
	rp       string // "" for what the server says
	count    uint32
	verified bool // it checks its user
	absent   bool // nobody touched it
}

func newAuthenticator(t tb, w *world) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	return &authenticator{key: key, id: id, origin: w.server.PublicURL, verified: true}
}

var b64 = base64.RawURLEncoding

// options are the parts of both kinds of options that matter here.
type ceremony struct {
	Challenge string
	RPID      string `json:"rpId"`
	RP        struct{ ID string }
	User      struct{ ID string }
	Allow     []struct{ ID string } `json:"allowCredentials"`
	Exclude   []struct{ ID string } `json:"excludeCredentials"`
	Verify    string                `json:"userVerification"`
	Selection struct {
		ResidentKey      string
		UserVerification string
	} `json:"authenticatorSelection"`
}

func ceremonyOf(t tb, o api.PasskeyOptions) ceremony {
	t.Helper()
	var c ceremony
	if err := json.Unmarshal([]byte(o.Options), &c); err != nil {
		t.Fatal(err)
	}
	if c.RPID == "" {
		c.RPID = c.RP.ID
	}
	return c
}

func (a *authenticator) clientData(kind, challenge string) []byte {
	raw, _ := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	return raw
}

// data is the authenticator data: hash of the host name, flags, count and what is added.
func (a *authenticator) data(rp string, flags byte, more []byte) []byte {
	if a.rp != "" {
		rp = a.rp
	}
	if !a.absent {
		flags |= 0x01
	}
	if a.verified {
		flags |= 0x04
	}
	hash := sha256.Sum256([]byte(rp))
	out := append(hash[:], flags)
	out = binary.BigEndian.AppendUint32(out, a.count)
	return append(out, more...)
}

// create answers a registration, without attestation.
func (a *authenticator) create(t tb, o api.PasskeyOptions) string {
	t.Helper()
	c := ceremonyOf(t, o)
	a.user, _ = b64.DecodeString(c.User.ID)
	point, err := a.key.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		t.Fatal(err)
	}
	// COSE_Key: kty EC2, alg ES256, crv P-256, x, y (RFC 9053).
	cose := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20}
	cose = append(append(append(cose, point[1:33]...), 0x22, 0x58, 0x20), point[33:]...)
	attested := append(make([]byte, 16), 0, byte(len(a.id)))
	attested = append(append(attested, a.id...), cose...)
	data := a.data(c.RPID, 0x40, attested)
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(object, 0x64), "none"...)
	object = append(append(append(object, 0x67), "attStmt"...), 0xa0)
	object = append(append(object, 0x68), "authData"...)
	object = append(append(object, 0x58, byte(len(data))), data...)
	return a.answer(map[string]any{"clientDataJSON": b64.EncodeToString(a.clientData("webauthn.create", c.Challenge)), "attestationObject": b64.EncodeToString(object), "transports": []string{"internal"}})
}

// get answers a login or a confirmation.
func (a *authenticator) get(t tb, o api.PasskeyOptions) string {
	t.Helper()
	c := ceremonyOf(t, o)
	a.count++
	client, data := a.clientData("webauthn.get", c.Challenge), a.data(c.RPID, 0, nil)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return a.answer(map[string]any{"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data),
		"signature": b64.EncodeToString(signature), "userHandle": b64.EncodeToString(a.user)})
}

func (a *authenticator) answer(response map[string]any) string {
	id := b64.EncodeToString(a.id)
	raw, _ := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
	return string(raw)
}

// added registers the authenticator's passkey for somebody.
func (a *authenticator) added(t tb, p person, name string) api.Passkey {
	t.Helper()
	o := send[api.PasskeyOptions](t, p, "POST", "/passkeys/begin", nil)
	return send[api.Passkey](t, p, "POST", "/passkeys", api.PasskeyRequest{Name: name, Credential: a.create(t, o)})
}

// login asks for a challenge, answers it and gives what came.
func (a *authenticator) login(t tb, w *world) reply {
	t.Helper()
	nobody := w.admin.with("")
	return nobody.do(t, "POST", "/login/passkey", api.PasskeyAnswer{Credential: a.get(t, send[api.PasskeyOptions](t, nobody, "POST", "/login/passkey/begin", nil))})
}
