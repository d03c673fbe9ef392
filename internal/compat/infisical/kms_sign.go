package infisical

import (
	"context"
	"encoding/base64"

	"github.com/keyturn/keyturn/internal/transit"
)

// signingAlgorithm is one way to sign.
type signingAlgorithm struct {
	name   string
	kind   func(transit.Kind) bool
	scheme transit.Scheme
}

// kmsSigning lists those of the dialect, and our own name for keys that it does not have.
var kmsSigning = []signingAlgorithm{
	{"RSASSA_PSS_SHA_256", transit.Kind.RSA, transit.Scheme{Hash: "sha2-256", Padding: transit.PSS, SaltLength: transit.SaltHash}},
	{"RSASSA_PSS_SHA_384", transit.Kind.RSA, transit.Scheme{Hash: "sha2-384", Padding: transit.PSS, SaltLength: transit.SaltHash}},
	{"RSASSA_PSS_SHA_512", transit.Kind.RSA, transit.Scheme{Hash: "sha2-512", Padding: transit.PSS, SaltLength: transit.SaltHash}},
	{"RSASSA_PKCS1_V1_5_SHA_256", transit.Kind.RSA, transit.Scheme{Hash: "sha2-256", Padding: transit.PKCS1v1}},
	{"RSASSA_PKCS1_V1_5_SHA_384", transit.Kind.RSA, transit.Scheme{Hash: "sha2-384", Padding: transit.PKCS1v1}},
	{"RSASSA_PKCS1_V1_5_SHA_512", transit.Kind.RSA, transit.Scheme{Hash: "sha2-512", Padding: transit.PKCS1v1}},
	{"ECDSA_SHA_256", transit.Kind.ECDSA, transit.Scheme{Hash: "sha2-256"}},
	{"ECDSA_SHA_384", transit.Kind.ECDSA, transit.Scheme{Hash: "sha2-384"}},
	{"ECDSA_SHA_512", transit.Kind.ECDSA, transit.Scheme{Hash: "sha2-512"}},
	{"ED25519", func(k transit.Kind) bool { return k == transit.Ed25519 }, transit.Scheme{}},
}

func signingAlgorithms(kind transit.Kind) []string {
	out := []string{}
	for _, a := range kmsSigning {
		if a.kind(kind) {
			out = append(out, a.name)
		}
	}
	return out
}

// signing reads what is common to both: the data, and the algorithm.
func (c *call) signing() (name string, scheme transit.Scheme, data []byte, err error) {
	if data, err = c.decoded("data"); err != nil {
		return "", scheme, nil, err
	}
	if name, err = c.must("signingAlgorithm"); err != nil {
		return "", scheme, nil, err
	}
	digest, err := c.flag("isDigest", false)
	if err != nil {
		return "", scheme, nil, err
	}
	for _, a := range kmsSigning {
		if a.name == name {
			a.scheme.Prehashed, a.scheme.Only = digest, a.kind
			return name, a.scheme, data, nil
		}
	}
	return "", scheme, nil, wrong("signingAlgorithm", "one that the key has: see signing-algorithms")
}

// kmsSign gives the bare signature: clients verify it with the public key and without us.
func (s *Surface) kmsSign(ctx context.Context, c *call) (*answer, error) {
	name, scheme, data, err := c.signing()
	if err != nil {
		return nil, err
	}
	out, err := s.Transit.Sign(ctx, kmsRef(c), scheme, 0, []transit.ToSign{{Input: data}})
	if err != nil {
		return nil, err
	}
	return with(object{"signature": base64.StdEncoding.EncodeToString(out[0].Bytes), "keyId": c.http.PathValue("id"), "signingAlgorithm": name}), nil
}

func (s *Surface) kmsVerify(ctx context.Context, c *call) (*answer, error) {
	name, scheme, data, err := c.signing()
	if err != nil {
		return nil, err
	}
	signature, err := c.decoded("signature")
	if err != nil {
		return nil, err
	}
	out, err := s.Transit.Verify(ctx, kmsRef(c), scheme, []transit.ToVerify{{Input: data, Bytes: signature}})
	if err != nil {
		return nil, err
	}
	return with(object{"signatureValid": out[0].Valid, "keyId": c.http.PathValue("id"), "signingAlgorithm": name}), nil
}
