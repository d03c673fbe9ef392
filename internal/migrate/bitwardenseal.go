package migrate

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Bounds of what a file may ask of this machine. Bitwarden's own are lower.
const (
	maxIterations = 4_000_000 // of PBKDF2
	maxPasses     = 20        // of Argon2id
	maxMemory     = 1024      // MiB of Argon2id
	maxLanes      = 16
)

// The two ways of Bitwarden to make a key of a password.
const (
	kdfPBKDF2 = 0
	kdfArgon2 = 1
)

// bitwardenSealed is the head of an export under a password. (Bitwarden: Encrypted exports.)
type bitwardenSealed struct {
	Protected   bool   `json:"passwordProtected"`
	Salt        string `json:"salt"`
	Kind        int    `json:"kdfType"`
	Iterations  int    `json:"kdfIterations"`
	Memory      int    `json:"kdfMemory"` // MiB
	Parallelism int    `json:"kdfParallelism"`
	Check       string `json:"encKeyValidation_DO_NOT_EDIT"`
	Data        string `json:"data"`
}

// open decrypts the export. A wrong password is [fault.Unauthenticated]; it is told from a damaged file by the check value.
func (s *bitwardenSealed) open(password sensitive.Value) ([]byte, error) {
	var master []byte
	switch {
	case s.Kind == kdfPBKDF2 && s.Iterations >= 1 && s.Iterations <= maxIterations:
		var err error
		if master, err = pbkdf2.Key(sha256.New, string(password.Reveal()), []byte(s.Salt), s.Iterations, 32); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "the password cannot be stretched")
		}
	case s.Kind == kdfArgon2 && s.Iterations >= 1 && s.Iterations <= maxPasses && s.Memory >= 1 && s.Memory <= maxMemory && s.Parallelism >= 1 && s.Parallelism <= maxLanes:
		salt := sha256.Sum256([]byte(s.Salt))
		master = argon2.IDKey(password.Reveal(), salt[:], uint32(s.Iterations), uint32(s.Memory)<<10, uint8(s.Parallelism), 32)
	default:
		return nil, fault.New(fault.Unsupported, "the export stretches its password in a way that is not known here, or too far").
			WithHint("export it again with Bitwarden's usual settings")
	}
	sealKey, err := hkdf.Expand(sha256.New, master, "enc", 32)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the key cannot be derived")
	}
	macKey, err := hkdf.Expand(sha256.New, master, "mac", 32)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the key cannot be derived")
	}
	if _, ok := openCipherString(s.Check, sealKey, macKey); !ok {
		return nil, fault.New(fault.Unauthenticated, "the password does not open the export").WithHint("it is the one that was given at the export, not that of the account")
	}
	plain, ok := openCipherString(s.Data, sealKey, macKey)
	if !ok {
		return nil, fault.New(fault.Invalid, "the export is damaged: its data does not match its seal")
	}
	return plain, nil
}

// openCipherString opens Bitwarden's type 2: AES-256-CBC with PKCS 7 padding, then HMAC-SHA256 over nonce and ciphertext, which
// is checked first.
func openCipherString(text string, sealKey, macKey []byte) ([]byte, bool) {
	rest, ok := strings.CutPrefix(text, "2.")
	parts := strings.Split(rest, "|")
	if !ok || len(parts) != 3 {
		return nil, false
	}
	var b [3][]byte
	for i, part := range parts {
		var err error
		if b[i], err = base64.StdEncoding.DecodeString(part); err != nil {
			return nil, false
		}
	}
	iv, sealed := b[0], b[1]
	mac := hmac.New(sha256.New, macKey)
	mac.Write(iv)
	mac.Write(sealed)
	if !hmac.Equal(mac.Sum(nil), b[2]) || len(iv) != aes.BlockSize || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, false
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, false
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, false
	}
	for _, c := range plain[len(plain)-pad:] {
		if int(c) != pad {
			return nil, false
		}
	}
	return plain[:len(plain)-pad], true
}
