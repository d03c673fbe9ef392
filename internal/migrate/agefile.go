package migrate

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/keyturn/keyturn/internal/fault"
)

// AgeFile reads a file that age encrypted, armoured or not, and that holds a .env, JSON, YAML or other flat file of secrets. The
// name of the inner file is that without .age.
func AgeFile(name string, content []byte, identities []age.Identity, o Options) (*Plan, error) {
	if err := tooLarge(name, content); err != nil {
		return nil, err
	}
	if len(identities) == 0 {
		return nil, fault.New(fault.Unauthenticated, "%s is encrypted, and there is no age identity", name).WithHint("name a file of identities: --identity keys.txt, or --passphrase")
	}
	var in io.Reader = bytes.NewReader(content)
	if bytes.HasPrefix(bytes.TrimSpace(content), []byte(armor.Header)) {
		in = armor.NewReader(bytes.NewReader(bytes.TrimSpace(content)))
	}
	plain, err := age.Decrypt(in, identities...)
	if err != nil {
		if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
			return nil, fault.New(fault.Unauthenticated, "no age identity opens %s", name).WithHint("is it the right file of identities, or the right passphrase?")
		}
		return nil, unreadable(name, "a file of age that is whole")
	}
	text, err := io.ReadAll(io.LimitReader(plain, MaxFile+1))
	if err != nil {
		return nil, unreadable(name, "a file of age that is whole")
	}
	p, err := Flat("age", strings.TrimSuffix(name, ".age"), text, true, o)
	if p != nil {
		p.Where = name
	}
	return p, err
}

// AgeIdentities reads a file of age identities, as age-keygen writes them.
func AgeIdentities(name string, content []byte) ([]age.Identity, error) {
	out, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		return nil, unreadable(name, "a file of age identities").WithHint("want lines of AGE-SECRET-KEY-1..., as age-keygen writes them")
	}
	return out, nil
}
