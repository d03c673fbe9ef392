package runner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func text(name, value string) Var { return Var{Name: name, Value: sensitive.FromString(value)} }

func TestEnvironMergesAndTheLaterWins(t *testing.T) {
	got, err := Environ(Options{
		Base: []string{"A=1", "PATH=/bin", "B=2", "=C:=C:\\x", "broken", "A=again", "EMPTY="},
		Vars: []Var{text("A", "x=y"), text("NEW", ""), text("C", "first"), text("C", "second")},
	})
	want := []string{"PATH=/bin", "B=2", "=C:=C:\\x", "broken", "EMPTY=", "A=x=y", "NEW=", "C=second"}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestEnvironRefusesWhatTheSystemWouldCut(t *testing.T) {
	for _, v := range []Var{text("", "x"), text("A=B", "x"), text("A\x00B", "x"), text("A", "test-value\x00tail")} {
		_, err := Environ(Options{Vars: []Var{v}})
		if !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "test-value") {
			t.Errorf("%q: got %v", v.Name, err)
		}
	}
}

func TestDangerousNamesNeedToBeAllowedOneByOne(t *testing.T) {
	names := []string{
		"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_ANYTHING", "DYLD_INSERT_LIBRARIES", "PATH", "path", "IFS", "BASH_ENV",
		"PROMPT_COMMAND", "SHELLOPTS", "BASH_FUNC_ls%%", "PS4", "PYTHONSTARTUP", "PYTHONPATH", "NODE_OPTIONS", "PERL5OPT",
		"RUBYOPT", "JAVA_TOOL_OPTIONS", "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "GCONV_PATH", "EDITOR", "ZDOTDIR",
		"OPENSSL_CONF", "DOTNET_STARTUP_HOOKS", "NODE_TLS_REJECT_UNAUTHORIZED", "LUA_INIT_5_4", "MAKEFLAGS", "HOME",
	}
	for _, name := range names {
		if !Dangerous(name) {
			t.Errorf("%s is not dangerous", name)
		}
		o := Options{Vars: []Var{text(name, "test-value")}, Allow: []string{"OTHER"}}
		_, err := Environ(o)
		f := fault.As(err)
		if err == nil || f.Kind != fault.Denied || !strings.Contains(f.Message, name) ||
			!strings.Contains(f.Hint, "--allow "+name) || strings.Contains(err.Error(), "test-value") {
			t.Errorf("%s: got %v", name, err)
		}
		o.Allow = append(o.Allow, name)
		if _, err := Environ(o); err != nil {
			t.Errorf("%s, allowed: got %v", name, err)
		}
	}
	for _, name := range []string{
		"ENV", "DATABASE_URL", "REDIS_URL", "JWT_SECRET", "PORT", "HTTPS_PROXY", "GIT_TOKEN", "OLD_PATH", "MY_PATH",
		"NODE_ENV", "LDAP_PASSWORD", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY",
	} {
		if Dangerous(name) {
			t.Errorf("%s is dangerous", name)
		}
	}
}

func TestEqualVariablesAreEqualInAnyOrder(t *testing.T) {
	a := []Var{text("A", "1"), text("B", "2")}
	for _, c := range []struct {
		name string
		b    []Var
		same bool
	}{
		{"other order", []Var{text("B", "2"), text("A", "1")}, true},
		{"overridden", []Var{text("A", "0"), text("B", "2"), text("A", "1")}, true},
		{"other value", []Var{text("A", "1"), text("B", "3")}, false},
		{"other name", []Var{text("A", "1"), text("C", "2")}, false},
		{"fewer", a[:1], false},
		{"public now", []Var{text("A", "1"), {Name: "B", Value: sensitive.FromString("2"), Public: true}}, false},
	} {
		if sameVars(a, c.b) != c.same || sameVars(c.b, a) != c.same {
			t.Errorf("%s: not %t", c.name, c.same)
		}
	}
}
