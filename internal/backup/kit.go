package backup

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// ParseIdentities reads the age identities of a recovery kit, one a line; lines that begin with # are comments. What is none
// is [fault.Invalid], and is not repeated.
func ParseIdentities(text sensitive.Value) ([]age.Identity, error) {
	list, err := age.ParseIdentities(newReader(text))
	if err != nil || len(list) == 0 { // age's error may quote a line
		return nil, fault.New(fault.Invalid, "the file holds no age identity").
			WithHint("want the file of keyturn keys recovery create --out, or lines that begin with AGE-SECRET-KEY-")
	}
	return list, nil
}

// ParseSigner gives the public key of a log's verification key, "<origin>+<hash>+<base64>" as C2SP signed-note writes it: see
// [Check.Signers].
func ParseSigner(text string) ([]byte, error) {
	wrong := fault.New(fault.Invalid, "that is no verification key of a log").WithHint("want one as keyturn audit checkpoint or keyturn backup verify shows it")
	if _, err := note.NewVerifier(text); err != nil {
		return nil, wrong
	}
	parts := strings.SplitN(text, "+", 3) // the base64 alphabet has a plus sign of its own
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize { // algorithm and key
		return nil, wrong
	}
	return raw[1:], nil
}
