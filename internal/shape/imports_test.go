package shape

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// excepted tells whether the table of exceptions allows an import.
func excepted(from, to string) bool {
	for _, e := range exceptions {
		if from == own+e.from && to == own+e.to {
			return true
		}
	}
	return false
}

// kit tells whether a package is for tests only.
func kit(path string) bool {
	return under(path, beside[:]) || strings.HasPrefix(path, own) && strings.HasSuffix(path, "test")
}

// standard tells whether an import path belongs to the standard library: its first element has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// violations lists what a package does against a rule.
func (r rule) violations(p pkg) []string {
	if len(r.of) > 0 && !under(p.path, r.of) || under(p.path, r.but) || under(p.path, r.never) {
		return nil
	}
	var found []string
	for _, to := range p.imports {
		mine := strings.HasPrefix(to, own)
		family := mine && room(to) == room(p.path)
		switch {
		case family || excepted(p.path, to):
			continue
		case mine && r.only != nil && !under(to, r.only):
		case mine && under(to, r.never):
		case !mine && r.std && !standard(to):
		default:
			continue
		}
		found = append(found, fmt.Sprintf("%s imports %s: %s", p.path, to, r.reason))
	}
	return found
}

// room gives the drawn room that a package belongs to, or the empty string.
func room(path string) string {
	name, _ := placed(path)
	return name
}

// placed gives the room and the floor of a package; the floor is -1 for one that is not drawn.
func placed(path string) (string, int) {
	best, at := "", -1
	for floor, names := range floors {
		for _, name := range names {
			if len(name) > len(best) && under(path, []string{name}) {
				best, at = name, floor
			}
		}
	}
	return best, at
}

// upward lists the imports of a package that do not run downwards.
func upward(p pkg) []string {
	fromRoom, from := placed(p.path)
	if from < 0 {
		return nil
	}
	var found []string
	for _, to := range p.imports {
		toRoom, at := placed(to)
		switch {
		case at < 0 || toRoom == fromRoom || excepted(p.path, to):
		case at > from:
			found = append(found, fmt.Sprintf("%s imports %s, which stands above it", p.path, to))
		case at == from:
			found = append(found, fmt.Sprintf("%s imports %s, its neighbour; state a small interface instead", p.path, to))
		}
	}
	return found
}

// combines tells whether a package holds all that only the door may hold together.
func combines(p pkg) bool {
	for _, part := range combination.of {
		if !slices.ContainsFunc(p.imports, func(to string) bool { return under(to, []string{part}) }) {
			return false
		}
	}
	return !under(p.path, combination.by)
}

func TestImportsKeepTheRules(t *testing.T) {
	for _, p := range packages(t) {
		if under(p.path, beside[:]) {
			continue
		}
		for _, r := range rules {
			for _, v := range r.violations(p) {
				t.Error(v)
			}
		}
	}
}

func TestImportsRunDownwards(t *testing.T) {
	for _, p := range packages(t) {
		for _, v := range upward(p) {
			t.Error(v)
		}
	}
}

func TestOnlyTheDoorCombinesPolicyAuditAndStore(t *testing.T) {
	for _, p := range packages(t) {
		if combines(p) && !kit(p.path) {
			t.Errorf("%s imports %s together: %s", p.path, strings.Join(combination.of, ", "), combination.reason)
		}
	}
}

func TestEveryRoomIsDrawn(t *testing.T) {
	for _, p := range packages(t) {
		inHouse := under(p.path, []string{"internal", "cmd", "api", "client"})
		if inHouse && room(p.path) == "" && !kit(p.path) {
			t.Errorf("%s stands on no floor: draw it in rules_test.go and in CONTRIBUTING.md", p.path)
		}
	}
}

func TestTestKitsStayOutOfTheProgram(t *testing.T) {
	for _, p := range packages(t) {
		if kit(p.path) {
			continue
		}
		for _, to := range p.imports {
			if to == "testing" || kit(to) {
				t.Errorf("%s imports %s, which is for tests only", p.path, to)
			}
		}
	}
}

// A rule that cannot be broken protects nothing, so each kind of check is shown a package that breaks it.
func TestTheChecksSeeWhatTheyForbid(t *testing.T) {
	imagine := func(path string, imports ...string) pkg {
		for i, to := range imports {
			imports[i] = relative(to)
		}
		return pkg{path: own + path, imports: imports}
	}
	broken := func(p pkg) bool {
		return len(upward(p)) > 0 || combines(p) || slices.ContainsFunc(rules[:], func(r rule) bool { return len(r.violations(p)) > 0 })
	}
	const in = module + "/internal/"
	for _, p := range []pkg{
		imagine("api", "github.com/google/uuid"),
		imagine("internal/fault", in+"sensitive"),
		imagine("internal/domain", in+"store"),
		imagine("internal/policy", in+"audit"),
		imagine("internal/audit", in+"keyring"),
		imagine("internal/store/sqlite", in+"keyring"),
		imagine("internal/keyring", in+"guard"),
		imagine("internal/guard", in+"keyring"),
		imagine("internal/httpapi", in+"store/sqlite"),
		imagine("internal/compat/vault", in+"compat/infisical"),
		imagine("internal/web", in+"policy"),
		imagine("internal/rotate/drivers/redis", in+"guard"),
		imagine("internal/rotate", in+"lease"),
		imagine("internal/runner", in+"secrets"),
		imagine("client", in+"audit"),
		imagine("internal/cli", in+"secrets"),
		imagine("cmd/keyturn", in+"server"),
		imagine("cmd/keyturn", in+"cli", "github.com/spf13/cobra"),
		imagine("examples/team", in+"sensitive"),
		imagine("internal/secrets", in+"policy", in+"audit", in+"store"),
	} {
		if !broken(p) {
			t.Errorf("nothing forbids %s to import %s", p.path, p.imports)
		}
	}
	for _, p := range []pkg{
		imagine("internal/domain", "strings", "github.com/google/uuid", in+"fault"),
		imagine("internal/store", in+"audit", in+"keyring", in+"store/sqlite", in+"domain"),
		imagine("internal/guard", in+"policy", in+"audit", in+"store"),
		imagine("internal/secrets", in+"keyring", in+"guard", in+"store"),
		imagine("internal/sync/targets/github", in+"sync", in+"sensitive", "net/http"),
		imagine("internal/server", in+"policy", in+"audit", in+"store", in+"keyring", in+"httpapi"),
		imagine("internal/cli", in+"server", module+"/client", in+"audit", "github.com/spf13/cobra"),
		imagine("cmd/keyturn", "os", in+"cli"),
	} {
		if broken(p) {
			t.Errorf("something forbids %s to import %s", p.path, p.imports)
		}
	}
}
