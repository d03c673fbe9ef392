package infisical

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/transit"
)

// Keys of the dialect are those of the encryption service that belong to a project. It knows neither versions nor the other kinds
// of keys: it encrypts and signs with the latest version, opens those of all, and shows other kinds under our name for them.

func (s *Surface) kmsRoutes() []route {
	return []route{
		{"POST /v1/kms/keys", withToken, s.createKMSKey},
		{"GET /v1/kms/keys", withToken, s.listKMSKeys},
		{"GET /v1/kms/keys/{id}", withToken, s.readKMSKey},
		{"PATCH /v1/kms/keys/{id}", withToken, s.updateKMSKey},
		{"DELETE /v1/kms/keys/{id}", withToken, s.deleteKMSKey},
		// key-name/NAME lies where {id}/OPERATION does.
		{"GET /v1/kms/keys/{id}/{part}", withToken, s.kmsKeyPart},
		{"POST /v1/kms/keys/{id}/encrypt", withToken, s.kmsEncrypt},
		{"POST /v1/kms/keys/{id}/decrypt", withToken, s.kmsDecrypt},
		{"POST /v1/kms/keys/{id}/sign", withToken, s.kmsSign},
		{"POST /v1/kms/keys/{id}/verify", withToken, s.kmsVerify},
	}
}

// The uses of keys.
const (
	usageEncrypt = "encrypt-decrypt"
	usageSign    = "sign-verify"
)

// kmsAlgorithms are the kinds of keys that the dialect has.
var kmsAlgorithms = map[string]transit.Kind{"aes-256-gcm": transit.AES256, "aes-128-gcm": transit.AES128, "RSA_4096": transit.RSA4096, "ECC_NIST_P256": transit.P256}

func kmsAlgorithm(k transit.Kind) string {
	for name, kind := range kmsAlgorithms {
		if kind == k {
			return name
		}
	}
	return string(k)
}

func kmsUsage(k transit.Kind) string {
	if k.Signs() {
		return usageSign
	}
	return usageEncrypt
}

func kmsKey(k transit.Key) object {
	return object{"id": k.ID, "name": k.Name, "description": k.Description, "isDisabled": k.Disabled, "isReserved": false, "orgId": string(k.Org),
		"projectId": string(k.Project), "keyUsage": kmsUsage(k.Kind), "version": k.Latest, "encryptionAlgorithm": kmsAlgorithm(k.Kind),
		"createdAt": stamp(k.CreatedAt), "updatedAt": stamp(max(k.CreatedAt, k.RotatedAt))}
}

func kmsAnswer(k transit.Key, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return with(object{"key": kmsKey(k)}), nil
}

// kmsRef names the key of a route.
func kmsRef(c *call) transit.Ref { return transit.Ref{ID: c.http.PathValue("id")} }

func (s *Surface) createKMSKey(ctx context.Context, c *call) (*answer, error) {
	in := transit.NewKey{Deletable: true}
	project, err := c.must("projectId")
	if err != nil {
		return nil, err
	}
	if in.Name, err = c.must("name"); err != nil {
		return nil, err
	}
	if in.Description, err = c.text("description"); err != nil {
		return nil, err
	}
	usage, err := c.text("keyUsage")
	if err != nil {
		return nil, err
	}
	algorithm, err := c.text("encryptionAlgorithm")
	if err != nil {
		return nil, err
	}
	usage = cmp.Or(usage, usageEncrypt)
	if algorithm == "" && usage == usageSign {
		algorithm = "RSA_4096"
	}
	kind, ok := kmsAlgorithms[cmp.Or(algorithm, "aes-256-gcm")]
	switch {
	case usage != usageEncrypt && usage != usageSign:
		return nil, wrong("keyUsage", "encrypt-decrypt or sign-verify")
	case !ok:
		return nil, wrong("encryptionAlgorithm", "aes-256-gcm, aes-128-gcm, RSA_4096 or ECC_NIST_P256")
	case usage != kmsUsage(kind):
		return nil, wrong("encryptionAlgorithm", "an algorithm that goes with the key usage")
	}
	in.Kind = kind
	return kmsAnswer(s.Transit.Create(ctx, project, in))
}

// Bounds of a page of keys.
const (
	kmsPage    = 100
	maxKMSPage = 10_000
)

func (s *Surface) listKMSKeys(ctx context.Context, c *call) (*answer, error) {
	project, err := c.must("projectId")
	if err != nil {
		return nil, err
	}
	offset, err := c.integer("offset")
	if err != nil || offset < 0 {
		return nil, cmp.Or(err, wrong("offset", "0 or more"))
	}
	limit, err := c.integer("limit")
	if err != nil || limit < 0 || limit > maxKMSPage {
		return nil, cmp.Or(err, wrong("limit", "up to 10000"))
	}
	search, err := c.text("search")
	if err != nil {
		return nil, err
	}
	direction, err := c.text("orderDirection")
	if err != nil {
		return nil, err
	}
	all, err := s.Transit.Keys(ctx, project)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(k transit.Key) bool { return !strings.Contains(strings.ToLower(k.Name), strings.ToLower(search)) })
	if strings.EqualFold(direction, "desc") {
		slices.Reverse(all)
	}
	total := len(all)
	all = all[min(offset, int64(total)):]
	all = all[:min(cmp.Or(limit, kmsPage), int64(len(all)))]
	out := make([]object, 0, len(all))
	for _, k := range all {
		out = append(out, kmsKey(k))
	}
	return with(object{"keys": out, "totalCount": total}), nil
}

func (s *Surface) readKMSKey(ctx context.Context, c *call) (*answer, error) {
	return kmsAnswer(s.Transit.Key(ctx, kmsRef(c)))
}

func (s *Surface) updateKMSKey(ctx context.Context, c *call) (*answer, error) {
	var in transit.Config
	for _, t := range []struct {
		name string
		to   **string
	}{{"name", &in.Name}, {"description", &in.Description}} {
		if _, ok := c.raw(t.name); ok {
			v, err := c.text(t.name)
			if err != nil {
				return nil, err
			}
			*t.to = &v
		}
	}
	if _, ok := c.raw("isDisabled"); ok {
		v, err := c.flag("isDisabled", false)
		if err != nil {
			return nil, err
		}
		in.Disabled = &v
	}
	return kmsAnswer(s.Transit.Configure(ctx, kmsRef(c), in))
}

func (s *Surface) deleteKMSKey(ctx context.Context, c *call) (*answer, error) {
	return kmsAnswer(s.Transit.Delete(ctx, kmsRef(c)))
}

// kmsKeyPart answers for key-name/NAME and for what can be read of a key.
func (s *Surface) kmsKeyPart(ctx context.Context, c *call) (*answer, error) {
	part := c.http.PathValue("part")
	if c.http.PathValue("id") == "key-name" {
		project, err := c.must("projectId")
		if err != nil {
			return nil, err
		}
		return kmsAnswer(s.Transit.Key(ctx, transit.Ref{Project: project, Name: part}))
	}
	if part != "public-key" && part != "signing-algorithms" {
		return nil, fault.New(fault.NotFound, "no such endpoint")
	}
	k, err := s.Transit.Key(ctx, kmsRef(c))
	if err != nil {
		return nil, err
	}
	if !k.Kind.Signs() {
		return nil, fault.New(fault.Invalid, "the key is not one to sign and verify with")
	}
	if part == "signing-algorithms" {
		return with(object{"signingAlgorithms": signingAlgorithms(k.Kind)}), nil
	}
	public := k.Versions[len(k.Versions)-1].Public
	return with(object{"publicKey": base64.StdEncoding.EncodeToString(public)}), nil
}

// decoded gives a parameter that is base64 and has to be there.
func (c *call) decoded(name string) ([]byte, error) {
	text, err := c.must(name)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, wrong(name, "base64")
	}
	return b, nil
}

func (s *Surface) kmsEncrypt(ctx context.Context, c *call) (*answer, error) {
	b, err := c.decoded("plaintext")
	if err != nil {
		return nil, err
	}
	out, err := s.Transit.Encrypt(ctx, kmsRef(c), []transit.Plain{{Plaintext: sensitive.New(b)}}, nil)
	if err != nil {
		return nil, err
	}
	return with(object{"ciphertext": base64.StdEncoding.EncodeToString([]byte(out[0].Ciphertext))}), nil
}

// kmsDecrypt takes ciphertexts as this dialect and as that of Vault writes them.
func (s *Surface) kmsDecrypt(ctx context.Context, c *call) (*answer, error) {
	text, err := c.must("ciphertext")
	if err != nil {
		return nil, err
	}
	if transit.VersionOf(text) == 0 {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, wrong("ciphertext", "base64")
		}
		text = string(b)
	}
	out, err := s.Transit.Decrypt(ctx, kmsRef(c), []transit.Closed{{Ciphertext: text}})
	if err != nil {
		return nil, err
	}
	defer out[0].Plaintext.Wipe()
	return with(object{"plaintext": base64.StdEncoding.EncodeToString(out[0].Plaintext.Reveal())}), nil
}
