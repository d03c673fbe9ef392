// Package doctor is the production checklist as code: each check looks at something that is there, says what it saw, and
// how to mend it. The checks of a checkout (local) need no server.
package doctor

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/api"
)

// The outcomes of a check.
const (
	Pass    = "pass"
	Warn    = "warn"    // works, and is not how it should be
	Fail    = "fail"    // a secret is exposed, or will be
	Unknown = "unknown" // could not be looked at
)

// The checklists that the local checks come from.
const (
	secretsChecklist    = "secrets checklist"     // never commit secrets, what .gitignore holds, examples without values
	operationsChecklist = "operational checklist" // files 0600, nothing in images, nothing in repository files
	tokenChecklist      = "keyturn"               // our own credentials
)

// Local runs every check that concerns a checkout and needs no server on the folder dir. It reads files and asks git; it
// changes nothing, follows no links and runs none of the repository's hooks. No answer holds a value.
func Local(ctx context.Context, dir string) []api.Check {
	c := survey(ctx, dir)
	return []api.Check{
		c.trackedSecrets(),
		c.ignored(ctx),
		c.examples(),
		c.modes(),
		c.images(),
		c.credentials(),
		c.history(),
	}
}

// maxEvidence is how many places one check names; more would hide the first.
const maxEvidence = 10

// evidence joins places into one text.
func evidence(places []string) string {
	if len(places) <= maxEvidence {
		return strings.Join(places, ", ")
	}
	return strings.Join(places[:maxEvidence], ", ") + " and " + strconv.Itoa(len(places)-maxEvidence) + " more"
}

// envFile tells whether a file of this name holds values for an environment, and is not an example of one.
func envFile(name string) bool {
	base := strings.ToLower(filepath.Base(name))
	return (base == ".env" || base == ".envrc" || strings.HasPrefix(base, ".env.") || strings.HasSuffix(base, ".env") && base != "docker.env") && !exampleFile(name)
}

// exampleFile tells whether a file shows which names are wanted, without values.
func exampleFile(name string) bool {
	base := strings.ToLower(filepath.Base(name))
	if !strings.Contains(base, "env") {
		return false
	}
	for _, mark := range []string{"example", "sample", "template", "dist", "schema"} {
		if strings.HasSuffix(base, "."+mark) || strings.HasPrefix(base, mark+".") || strings.Contains(base, "."+mark+".") {
			return true
		}
	}
	return false
}

// keyFile tells whether a file of this name usually holds a private key.
func keyFile(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".pem" || ext == ".key" || ext == ".p12" || ext == ".pfx"
}
