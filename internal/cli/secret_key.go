package cli

import (
	"strings"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// secretKey is a secret as a command line names it, in canonical form.
type secretKey struct {
	path domain.Path
	name domain.SecretName
}

// String gives the full name, "/backend/DATABASE_URL".
func (k secretKey) String() string { return k.path.Key(k.name) }

// in gives the place of the secret's folder, in the environment of p.
func (k secretKey) in(p client.Place) client.Place {
	p.Path = string(k.path)
	return p
}

// parseSecretKey takes a bare name, which lies in the folder base, or "/folder/NAME" from the root. The message does not
// repeat the argument: a value that slipped into its place must not end in a terminal log.
func parseSecretKey(base, s string) (secretKey, error) {
	folder, err := domain.ParsePath(base)
	if err != nil {
		return secretKey{}, err
	}
	path, name, err := domain.SplitKey(folder, s)
	if err != nil {
		f := fault.New(fault.Invalid, "%s", err)
		if strings.HasSuffix(s, "/") {
			return secretKey{}, f.WithHint("that names a folder; name a secret, for example /backend/DATABASE_URL")
		}
		return secretKey{}, f.WithHint("name a secret by its name, or by /folder/NAME from the root")
	}
	return secretKey{path, name}, nil
}

// parseSecretKeys parses each argument and refuses one that names the same secret as another.
func parseSecretKeys(base string, args []string) ([]secretKey, error) {
	out := make([]secretKey, 0, len(args))
	seen := map[secretKey]bool{}
	for i, s := range args {
		k, err := parseSecretKey(base, s)
		if err != nil {
			return nil, fault.As(err).WithField("argument "+ordinal(i), "not the name of a secret")
		}
		if seen[k] {
			return nil, fault.New(fault.Invalid, "%s is named twice", k)
		}
		seen[k] = true
		out = append(out, k)
	}
	return out, nil
}
