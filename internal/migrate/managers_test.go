package migrate

import (
	"archive/zip"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// zipped makes a zip archive.
func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExportsOf1PasswordAreRead(t *testing.T) {
	archive := zipped(t, "export.attributes", `{"version":3}`, "export.data", string(golden(t, "1pux-export.data")), "files/x__cert.pem", "test-value")
	p, err := OnePassword("my.1pux", archive, Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{Rename: true}), string(golden(t, "1pux.want")))
	p, err = OnePassword("my.1pux", archive, Options{Env: "prod", History: 1})
	if p = fitted(t, p, err, Fitting{Rename: true}); strings.Contains(shown(p), "test-value-older") {
		t.Error("the history is there although it is not wanted")
	}
	p, err = OnePassword("pass.csv", golden(t, "1password.csv"), Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{Rename: true}), `
[pass/prod]
/Stripe/notes="line one\nline two" tags [api work]
/Stripe/one-time-password="otpauth://totp/x?secret=test-value" tags [api work]
/Stripe/password="test-value-1" tags [api work]
/Stripe/url="https://stripe.example.test" tags [api work]
/Stripe/username="app" tags [api work]
/Stripe-2/password="test-value-2"
renamed pass/prod:/Stripe 2: becomes Stripe-2
renamed pass/prod:/Stripe/notes: its tag Work becomes work
renamed pass/prod:/Stripe/one-time-password: its tag Work becomes work
renamed pass/prod:/Stripe/password: its tag Work becomes work
renamed pass/prod:/Stripe/url: its tag Work becomes work
renamed pass/prod:/Stripe/username: its tag Work becomes work
skipped pass/Old: is archived
`)
}

func TestArchivesThatAreNoneAreRefused(t *testing.T) {
	_, err := OnePassword("x.1pux", []byte("PK test-value"), Options{})
	refusedAs(t, err, fault.Invalid, "zip")
	_, err = OnePassword("x.1pux", zipped(t, "other", "x"), Options{})
	refusedAs(t, err, fault.Invalid, "export.data")
	_, err = OnePassword("x.1pux", zipped(t, "export.data", `{"accounts": "test-value"}`), Options{})
	refusedAs(t, err, fault.Invalid, "1Password")
	_, err = OnePassword("x.1pux", zipped(t, "export.data", "{}", "export.data", "{}"), Options{})
	refusedAs(t, err, fault.Invalid, "twice")
	_, err = OnePassword("x.csv", []byte("a,b\n1,2\n"), Options{})
	refusedAs(t, err, fault.Invalid, "titles")
	_, err = OnePassword("x.csv", []byte("Title,Password\n\"test-value"), Options{})
	refusedAs(t, err, fault.Invalid, "CSV")
}

// A megabyte of zeros packs into a kilobyte; what unpacks to more than the bound is refused, whatever its head claims.
func TestArchivesThatUnpackToTooMuchAreRefused(t *testing.T) {
	bomb := zipped(t, "export.data", strings.Repeat("\x00", maxUnpacked+1))
	if len(bomb) > 1<<20 {
		t.Fatalf("%d bytes are no bomb", len(bomb))
	}
	_, err := OnePassword("bomb.1pux", bomb, Options{})
	refusedAs(t, err, fault.Invalid, "unpacks")
}

func TestPlainExportsOfBitwardenAreRead(t *testing.T) {
	p, err := Bitwarden("vault.json", golden(t, "bitwarden.json"), nil, Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{}), bitwardenWant)
	p, err = Bitwarden("vault.csv", golden(t, "bitwarden.csv"), nil, Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{}), `
[vault/prod]
/Servers/db/notes="a note"
/Servers/db/password="test-value"
/Servers/db/port="5432"
/Servers/db/url="https://db.example.test"
/Servers/db/username="app"
`)
	p, err = Bitwarden("manager.json", []byte(`{"projects":[{"id":"p1","name":"Shop"}],"secrets":[{"key":"A","value":"test-value","note":"why","projectIds":["p1"],"id":"s1"},{"key":"B","value":"x","note":"","projectIds":[]}]}`), nil, Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{Rename: true}), `
[shop/prod]
/A="test-value" # why
[manager/prod]
/B="x"
renamed Shop: becomes shop
`)
	_, err = Bitwarden("x.json", []byte(`{"encrypted":true,"encKeyValidation_DO_NOT_EDIT":"2.x"}`), nil, Options{})
	refusedAs(t, err, fault.Unsupported, "one account")
	_, err = Bitwarden("x.json", []byte(`{"a": "test-value"}`), nil, Options{})
	refusedAs(t, err, fault.Invalid)
}

const bitwardenWant = `
[vault/prod]
/Servers/db/notes="a note"
/Servers/db/password="test-value-now"
/Servers/db/port="5432"
/Servers/db/url="https://db.example.test"
/Servers/db/username="app"
/Servers/key/privateKey="-----BEGIN test-value-----"
/Servers/key/publicKey="ssh-ed25519 test"
/note/notes="only test-value"
- 2026-01-01  /Servers/db/password=test-value-old
- 2026-01-01  /Servers/key/privateKey=-----BEGIN test-value----- /Servers/key/publicKey=ssh-ed25519 test
- 2026-01-01  /note/notes=only test-value
- 2026-02-01  /Servers/db/notes=a note /Servers/db/password=test-value-now /Servers/db/port=5432 /Servers/db/url=https://db.example.test /Servers/db/username=app
skipped gone: lies in the bin
`

// sealBitwarden seals as Bitwarden's clients do, by its description of encrypted exports.
func sealBitwarden(t testing.TB, plain, password string, head map[string]any) []byte {
	t.Helper()
	salt := head["salt"].(string)
	var master []byte
	if head["kdfType"] == 0 {
		var err error
		if master, err = pbkdf2.Key(sha256.New, password, []byte(salt), head["kdfIterations"].(int), 32); err != nil {
			t.Fatal(err)
		}
	} else {
		hashed := sha256.Sum256([]byte(salt))
		master = argon2.IDKey([]byte(password), hashed[:], uint32(head["kdfIterations"].(int)), uint32(head["kdfMemory"].(int))*1024, uint8(head["kdfParallelism"].(int)), 32)
	}
	var keys [2][]byte
	for i, info := range []string{"enc", "mac"} {
		var err error
		if keys[i], err = hkdf.Expand(sha256.New, master, info, 32); err != nil {
			t.Fatal(err)
		}
	}
	seal := func(text string) string {
		pad := aes.BlockSize - len(text)%aes.BlockSize
		padded := append([]byte(text), bytes.Repeat([]byte{byte(pad)}, pad)...)
		block, err := aes.NewCipher(keys[0])
		if err != nil {
			t.Fatal(err)
		}
		iv := make([]byte, aes.BlockSize)
		_, _ = rand.Read(iv) // it never fails
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
		mac := hmac.New(sha256.New, keys[1])
		mac.Write(iv)
		mac.Write(padded)
		b64 := base64.StdEncoding.EncodeToString
		return "2." + b64(iv) + "|" + b64(padded) + "|" + b64(mac.Sum(nil))
	}
	out := map[string]any{"encrypted": true, "passwordProtected": true, "encKeyValidation_DO_NOT_EDIT": seal("5f1e0e2c-0000-4000-8000-000000000000"), "data": seal(plain)}
	for k, v := range head {
		out[k] = v
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExportsOfBitwardenUnderAPasswordAreOpened(t *testing.T) {
	plain := string(golden(t, "bitwarden.json"))
	given := func(p string) func() (sensitive.Value, error) {
		return func() (sensitive.Value, error) { return text(p), nil }
	}
	for _, head := range []map[string]any{
		{"salt": "c2FsdHNhbHQ=", "kdfType": 0, "kdfIterations": 1000},
		{"salt": "c2FsdHNhbHQ=", "kdfType": 1, "kdfIterations": 2, "kdfMemory": 1, "kdfParallelism": 2},
	} {
		sealed := sealBitwarden(t, plain, "test-value-password", head)
		p, err := Bitwarden("vault.json", sealed, given("test-value-password"), Options{Env: "prod"})
		same(t, fitted(t, p, err, Fitting{}), bitwardenWant)
		_, err = Bitwarden("vault.json", sealed, given("test-value-wrong"), Options{})
		refusedAs(t, err, fault.Unauthenticated, "password")
		_, err = Bitwarden("vault.json", sealed, func() (sensitive.Value, error) { return sensitive.Value{}, fault.New(fault.Invalid, "no terminal") }, Options{})
		refusedAs(t, err, fault.Invalid, "no terminal")

		var file map[string]any
		if err := json.Unmarshal(sealed, &file); err != nil {
			t.Fatal(err)
		}
		data := file["data"].(string)
		for what, changed := range map[string]string{"a byte": data[:40] + flip(data[40]) + data[41:], "cut": data[:len(data)-8], "the check in its place": file["encKeyValidation_DO_NOT_EDIT"].(string), "no type": data[2:], "nothing": ""} {
			file["data"] = changed
			b, err := json.Marshal(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Bitwarden("vault.json", b, given("test-value-password"), Options{})
			refusedAs(t, err, fault.Invalid)
			_ = what
		}
	}
	// Nobody's file makes this machine work for hours or take all of its memory.
	for _, head := range []string{
		`"kdfType":0,"kdfIterations":2000000000`, `"kdfType":0,"kdfIterations":0`, `"kdfType":0,"kdfIterations":-1`, `"kdfType":1,"kdfIterations":3,"kdfMemory":1000000,"kdfParallelism":4`,
		`"kdfType":1,"kdfIterations":1000000,"kdfMemory":64,"kdfParallelism":4`, `"kdfType":1,"kdfIterations":3,"kdfMemory":64,"kdfParallelism":0`, `"kdfType":7,"kdfIterations":3`,
	} {
		_, err := Bitwarden("x.json", fmt.Appendf(nil, `{"encrypted":true,"passwordProtected":true,"salt":"x","data":"2.a|b|c",%s}`, head), given("x"), Options{})
		refusedAs(t, err, fault.Unsupported)
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}
