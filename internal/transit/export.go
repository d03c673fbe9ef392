package transit

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const manage = policy.TransitManage

func nameOf(s string) domain.SecretName { return domain.SecretName(s) }

// Part says what is exported of a key.
type Part string

// The parts of a key, in the words of the Vault dialect.
const (
	EncryptionKey Part = "encryption-key"
	SigningKey    Part = "signing-key"
	HMACKey       Part = "hmac-key"
	PublicKey     Part = "public-key"
)

// Exported is one version in the open: base64 of symmetric and Ed25519 keys, PEM of others.
type Exported struct {
	Version int64
	Value   sensitive.Value
}

// Export gives a part of a key that may leave the service, for one version or for all that may still decrypt (0). Public halves
// may always leave it, and ask for the right to see the key only.
func (s *Service) Export(ctx context.Context, ref Ref, part Part, number int64) (Key, []Exported, error) {
	action := policy.TransitExport
	switch part {
	case PublicKey:
		action = policy.TransitRead
	case EncryptionKey, SigningKey, HMACKey:
	default:
		return Key{}, nil, fault.New(fault.Invalid, "invalid export type")
	}
	var view Key
	var out []Exported
	err := s.use(ctx, action, ref, "export "+string(part), func(p guard.Permit, k *key) error {
		view = k.view()
		switch {
		case part != PublicKey && !k.row.Exportable:
			return fault.New(fault.Invalid, "private key material is not exportable")
		case part == EncryptionKey && !k.kind().Encrypts():
			return fault.New(fault.Invalid, "encryption not supported for the key")
		case part == SigningKey && !k.kind().Signs():
			return fault.New(fault.Invalid, "signing not supported for the key")
		case part == PublicKey && k.row.Derived:
			return fault.New(fault.Invalid, "a derived key has a public half for each context: a signature comes with it")
		case part == PublicKey && k.kind().Symmetric():
			return fault.New(fault.Invalid, "the key has no public half")
		}
		for _, v := range view.Versions {
			if number != 0 && v.Number != number {
				continue
			}
			value, err := s.exported(ctx, p, k.versions[v.Number], part)
			if err != nil {
				return err
			}
			out = append(out, Exported{v.Number, value})
		}
		if len(out) == 0 {
			return fault.New(fault.Invalid, "version does not exist or cannot be found")
		}
		return nil
	})
	return view, out, err
}

func (s *Service) exported(ctx context.Context, p guard.Permit, v *version, part Part) (sensitive.Value, error) {
	if part == PublicKey {
		return sensitive.FromString(PublicText(v.kind, v.row.Public)), nil
	}
	m, err := s.open(ctx, p, v)
	if err != nil {
		return sensitive.Value{}, err
	}
	raw := m.raw.Reveal()
	switch {
	case part == HMACKey:
		raw = m.hmac.Reveal()
	case m.signer == nil:
	default:
		switch private := m.signer().(type) {
		case *rsa.PrivateKey:
			return pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private)), nil
		case *ecdsa.PrivateKey:
			der, err := x509.MarshalECPrivateKey(private)
			return pemOf("EC PRIVATE KEY", der), err
		case ed25519.PrivateKey:
			raw = private
		}
	}
	return sensitive.New(base64.StdEncoding.AppendEncode(nil, raw)), nil
}

func pemOf(block string, der []byte) sensitive.Value {
	return sensitive.New(pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der}))
}

// PublicText gives a public half as the Vault dialect writes it: base64 of the 32 bytes of an Ed25519 key, PEM without a last line
// end of others, "" for none.
func PublicText(kind Kind, der []byte) string {
	if len(der) == 0 {
		return ""
	}
	if kind == Ed25519 {
		if public, err := x509.ParsePKIXPublicKey(der); err == nil {
			if p, ok := public.(ed25519.PublicKey); ok {
				return base64.StdEncoding.EncodeToString(p)
			}
		}
	}
	return string(bytes.TrimSuffix(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), []byte("\n")))
}
