package migrate

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"path"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/format"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	dotenvxMark   = "encrypted:"
	dotenvxPublic = "DOTENV_PUBLIC_KEY"
	pointSize     = 65 // an uncompressed point of secp256k1
	dotenvxNonce  = 16 // bytes; eciesjs takes more than the usual 12
	gcmTag        = 16
	maxKeys       = 16 // private keys of one file, old ones too
)

// DotenvxKeys are the private keys of dotenvx by the names of their variables: DOTENV_PRIVATE_KEY_PRODUCTION for
// .env.production. A variable may hold several, separated by commas.
type DotenvxKeys map[string]sensitive.Value

// ReadDotenvxKeys reads a .env.keys file.
func ReadDotenvxKeys(name string, content []byte) (DotenvxKeys, error) {
	found, err := format.Decode(format.Dotenv, name, content)
	if err != nil {
		return nil, err
	}
	keys := DotenvxKeys{}
	for _, pair := range found {
		if strings.HasPrefix(pair.Name, "DOTENV_PRIVATE_KEY") {
			keys[pair.Name] = sensitive.New(pair.Value)
		}
	}
	return keys, nil
}

// Dotenvx reads a .env file with values that dotenvx has encrypted.
func Dotenvx(name string, content []byte, keys DotenvxKeys, o Options) (*Plan, error) {
	if err := tooLarge(name, content); err != nil {
		return nil, err
	}
	found, err := format.Decode(format.Dotenv, name, content)
	if err != nil {
		return nil, err
	}
	if found, err = keys.open(name, found); err != nil {
		return nil, err
	}
	p, e := filePlan("dotenvx", name, o)
	p.References = true
	sets, err := pairs(p, "/", found)
	e.Folders, e.Steps = []Folder{{Path: "/"}}, []Step{{Sets: sets}}
	return p, err
}

// open decrypts what is encrypted in a file and drops its public key. A file without encrypted values comes back as it is.
func (k DotenvxKeys) open(name string, found []format.Pair) ([]format.Pair, error) {
	var out []format.Pair
	var private []*secp256k1.PrivateKey
	for _, pair := range found {
		if strings.HasPrefix(pair.Name, dotenvxPublic) {
			continue
		}
		sealed, is := strings.CutPrefix(string(pair.Value), dotenvxMark)
		if is {
			if private == nil {
				var err error
				if private, err = k.of(name); err != nil {
					return nil, err
				}
			}
			plain, err := openDotenvx(private, sealed)
			if err != nil {
				return nil, fault.New(fault.Denied, "%s in %s does not open with the private key", pair.Name, name).
					WithHint("give the DOTENV_PRIVATE_KEY of this file, as .env.keys has it")
			}
			pair.Value = plain
		}
		out = append(out, pair)
	}
	return out, nil
}

// variable names the private key of a file as dotenvx does.
func (DotenvxKeys) variable(name string) string {
	rest := strings.TrimPrefix(path.Base(strings.ReplaceAll(name, `\`, "/")), ".env")
	if rest = strings.Trim(rest, "."); rest == "" {
		return "DOTENV_PRIVATE_KEY"
	}
	upper := strings.ToUpper(rest)
	return "DOTENV_PRIVATE_KEY_" + strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, upper)
}

// of gives the private keys of a file: those of its own variable, else the one that there is.
func (k DotenvxKeys) of(name string) ([]*secp256k1.PrivateKey, error) {
	v, ok := k[k.variable(name)]
	if !ok {
		v, ok = k["DOTENV_PRIVATE_KEY"]
	}
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "%s is encrypted, and its private key is not there", name).
			WithHint("set %s, or keep .env.keys beside the file", k.variable(name))
	}
	var out []*secp256k1.PrivateKey
	for text := range strings.SplitSeq(string(v.Reveal()), ",") {
		b, err := hex.DecodeString(strings.TrimSpace(text))
		var scalar secp256k1.ModNScalar
		if err != nil || len(b) != secp256k1.PrivKeyBytesLen || scalar.SetByteSlice(b) || scalar.IsZero() || len(out) >= maxKeys {
			return nil, fault.New(fault.Invalid, "the private key of %s is not one of dotenvx", name).WithHint("want 64 hexadecimal digits")
		}
		out = append(out, secp256k1.NewPrivateKey(&scalar))
	}
	return out, nil
}

// openDotenvx opens one value: ephemeral point, nonce, tag and ciphertext, as eciesjs writes them. The key of AES-256-GCM comes
// out of HKDF-SHA256 over the ephemeral and the shared point, both uncompressed.
func openDotenvx(private []*secp256k1.PrivateKey, text string) ([]byte, error) {
	bad := fault.New(fault.Invalid, "not a value of dotenvx")
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) < pointSize+dotenvxNonce+gcmTag {
		return nil, bad
	}
	point, rest := b[:pointSize], b[pointSize:]
	public, err := secp256k1.ParsePubKey(point)
	if err != nil {
		return nil, bad
	}
	nonce, tag, sealed := rest[:dotenvxNonce], rest[dotenvxNonce:dotenvxNonce+gcmTag], rest[dotenvxNonce+gcmTag:]
	for _, key := range private {
		var p, shared secp256k1.JacobianPoint
		public.AsJacobian(&p)
		secp256k1.ScalarMultNonConst(&key.Key, &p, &shared)
		shared.ToAffine()
		secret := secp256k1.NewPublicKey(&shared.X, &shared.Y).SerializeUncompressed()
		derived, err := hkdf.Key(sha256.New, append(append([]byte{}, point...), secret...), nil, "", 32)
		if err != nil {
			return nil, bad
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, bad
		}
		gcm, err := cipher.NewGCMWithNonceSize(block, dotenvxNonce)
		if err != nil {
			return nil, bad
		}
		if plain, err := gcm.Open([]byte{}, nonce, append(append([]byte{}, sealed...), tag...), nil); err == nil {
			return plain, nil
		}
	}
	return nil, bad
}
