package runner

import (
	"bytes"
	"runtime"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// Environ merges o.Base and o.Vars into NAME=value entries for the child. Base keeps its order, the variables follow in
// theirs.
//
// It fails with [fault.Denied] for a [Dangerous] name that o.Allow does not list, and with [fault.Invalid] for a name
// that is empty or holds "=" or NUL, or a value that holds NUL: the system would cut such an entry short without a word.
func Environ(o Options) ([]string, error) {
	for _, v := range o.Vars {
		if err := checkVar(v, o.Allow); err != nil {
			return nil, err
		}
	}
	last := lastByName(o.Vars)
	env := make([]string, 0, len(o.Base)+len(last))
	for _, entry := range o.Base {
		if _, replaced := last[entryName(entry)]; !replaced {
			env = append(env, entry)
		}
	}
	for _, v := range o.Vars {
		key := foldName(v.Name)
		winner, left := last[key]
		if !left {
			continue
		}
		delete(last, key)
		env = append(env, winner.Name+"="+string(winner.Value.Reveal()))
	}
	return env, nil
}

func checkVar(v Var, allow []string) error {
	if v.Name == "" {
		return fault.New(fault.Invalid, "a variable has no name")
	}
	if strings.ContainsAny(v.Name, "=\x00") {
		return fault.New(fault.Invalid, "variable %q: a name in the environment cannot hold \"=\" or NUL", v.Name)
	}
	if bytes.IndexByte(v.Value.Reveal(), 0) >= 0 {
		return fault.New(fault.Invalid, "variable %s: its value holds a NUL byte, which the environment cannot carry", v.Name).
			WithHint("leave it out with --only, or store it encoded, for example in base64")
	}
	reason := danger(v.Name)
	allowed := slices.ContainsFunc(allow, func(name string) bool { return foldName(name) == foldName(v.Name) })
	if reason != "" && !allowed {
		return fault.New(fault.Denied, "variable %s is not injected: %s", v.Name, reason).
			WithHint("if the command really needs it, add --allow %s", v.Name)
	}
	return nil
}

// entryName is the folded name of an environment entry. Windows keeps hidden entries such as "=C:=C:\dir": their name
// begins with the first "=".
func entryName(entry string) string {
	if len(entry) > 0 {
		if i := strings.IndexByte(entry[1:], '='); i >= 0 {
			return foldName(entry[:i+1])
		}
	}
	return foldName(entry)
}

// foldName gives what the system compares: Windows knows no case in names.
func foldName(name string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(name)
	}
	return name
}
