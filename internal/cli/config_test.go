package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
)

// testApp is an app in an empty folder, with these environment variables in pairs.
func testApp(t *testing.T, variables ...string) *app {
	t.Helper()
	t.Chdir(t.TempDir())
	vars := map[string]string{"XDG_CONFIG_HOME": t.TempDir()}
	for i := 0; i+1 < len(variables); i += 2 {
		vars[variables[i]] = variables[i+1]
	}
	return &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}, getenv: func(name string) string { return vars[name] }, version: "test"}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFlagsWinOverVariablesAndVariablesOverFiles(t *testing.T) {
	a := testApp(t, "KEYTURN_PROJECT", "from-variable", "KEYTURN_PATH", "variable")
	write(t, projectFile, `{"server": "http://file.example.test/", "project": "from-file", "env": "from-file", "path": "/file"}`)
	if err := os.Mkdir("below", 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir("below")
	got, err := a.place()
	if want := (client.Place{Project: "from-variable", Env: "from-file", Path: "/variable"}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	a.flags.project, a.flags.path = "from-flag", "/"
	got, err = a.place()
	if want := (client.Place{Project: "from-flag", Env: "from-file", Path: "/"}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	server, err := a.server()
	if err != nil || server.address != "http://file.example.test" || filepath.Base(server.fromFile) != projectFile {
		t.Errorf("got %+v, %v", server, err)
	}
	a.flags.server = "http://flag.example.test/"
	if server, err = a.server(); err != nil || server != (address{address: "http://flag.example.test"}) {
		t.Errorf("got %+v, %v", server, err)
	}
}

func TestTheNearestFileHoldsAlone(t *testing.T) {
	a := testApp(t)
	write(t, projectFile, `{"project": "outer", "env": "outer"}`)
	if err := os.Mkdir("inner", 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir("inner")
	write(t, infisicalFile, `{"workspaceId": "inner", "defaultEnvironment": "dev", "more": [1]}`)
	if got, err := a.place(); err != nil || got != (client.Place{Project: "inner", Env: "dev", Path: "/"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWhatIsMissingIsNamedWithTheNextStep(t *testing.T) {
	a := testApp(t)
	if _, err := a.place(); fault.KindOf(err) != fault.Invalid || !strings.Contains(fault.As(err).Hint, "--project") {
		t.Errorf("got %v", err)
	}
	a.flags.project = "shop"
	if _, err := a.place(); fault.KindOf(err) != fault.Invalid || !strings.Contains(fault.As(err).Hint, "--env") {
		t.Errorf("got %v", err)
	}
	if _, err := a.client(); fault.KindOf(err) != fault.Unauthenticated || !strings.Contains(fault.As(err).Hint, "keyturn login") {
		t.Errorf("got %v", err)
	}
}

// The attack: a cloned repository names a server of its own and waits for tokens.
func TestAnAddressThatOnlyAFileNamesGetsNoTokenOfAnother(t *testing.T) {
	const evil = `{"server": "https://evil.example.test"}`
	for name, a := range map[string]*app{"variable": testApp(t, "KEYTURN_TOKEN", "kts_test-value"), "stored": testApp(t)} {
		write(t, projectFile, evil)
		if err := a.remember(defaultServer, credential{Token: "kts_test-value"}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.client(); err == nil || strings.Contains(err.Error(), "test-value") {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := a.trusted(); err == nil {
			t.Errorf("%s: a password would be sent there", name)
		}
	}
	a := testApp(t)
	write(t, projectFile, evil)
	if err := a.remember("https://evil.example.test", credential{Token: "kts_test-value"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.client(); err != nil {
		t.Errorf("a server that somebody logged in to is not called: %v", err)
	}
}

func TestNamesThatWouldLeaveTheirPlaceAreRefused(t *testing.T) {
	for _, name := range []string{".", "..", "a/b", "../users", `a\b`} {
		a := testApp(t)
		a.flags.project, a.flags.env = name, "dev"
		if _, err := a.place(); err == nil {
			t.Errorf("project %q was taken", name)
		}
		a.flags.project, a.flags.env = "shop", name
		if _, err := a.place(); err == nil {
			t.Errorf("environment %q was taken", name)
		}
	}
}

func TestPlainTextToAnotherMachineIsTold(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:8420": false, "http://localhost": false, "http://[::1]:1": false, "https://keyturn.example.test": false,
		"http://keyturn.example.test": true, "http://10.0.0.1:8420": true, "http://localhost.example.test": true,
	} {
		if got := readable(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	for _, seed := range []string{`{}`, `{"project":"shop"}`, `{"workspaceId":"x"}`, `{"token":"test-value"}`, `[]`, `{"project":"a"}{}`, "\xff"} {
		f.Add(projectFile, []byte(seed))
		f.Add(infisicalFile, []byte(seed))
	}
	fixed := []string{
		"it is larger than 65536 bytes", "not JSON of the expected form",
		`want {"server": ..., "project": ..., "env": ..., "path": ...} and nothing else`,
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		s, err := parseSettings(name, b)
		if (s == nil) == (err == nil) {
			t.Fatalf("got %v and %v", s, err)
		}
		if err != nil && !slices.Contains(fixed, err.Error()) {
			t.Fatal("the error may repeat the file")
		}
	})
}

func TestStoredSessionsAreForTheirOwnerOnly(t *testing.T) {
	a := testApp(t)
	if err := a.remember("http://one", credential{Token: "kts_test-value-1", Name: "one"}); err != nil {
		t.Fatal(err)
	}
	if err := a.remember("http://two", credential{Token: "kts_test-value-2"}); err != nil {
		t.Fatal(err)
	}
	file, err := a.credentialsFile()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := a.forget("http://one"); err != nil {
		t.Fatal(err)
	}
	got, err := a.credentials()
	if err != nil || len(got.Servers) != 1 || got.Servers["http://two"].Token != "kts_test-value-2" {
		t.Errorf("got %d, %v", len(got.Servers), err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("files lie around: %v, %v", left, err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := a.credentials(); fault.KindOf(err) != fault.Denied {
		t.Errorf("a file that others read was taken: %v", err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, file, `{"servers": "test-value`)
	if _, err := a.credentials(); fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "test-value") {
		t.Errorf("got %v", err)
	}
}

func TestPasswordsLoseOneLineEndAndNothingElse(t *testing.T) {
	for in, want := range map[string]string{
		"test-value": "test-value", "test-value\n": "test-value", "test-value\r\n": "test-value", "  test value  \n": "  test value  ",
	} {
		a := testApp(t)
		a.in = strings.NewReader(in)
		if got, err := a.password("-", "", false); err != nil || got != want {
			t.Errorf("%q became %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "\n", "\r\n", "test-value\n\n", "test\nvalue", strings.Repeat("x", maxPassword+1)} {
		a := testApp(t)
		a.in = strings.NewReader(in)
		if _, err := a.password("", "", false); err == nil || in != "" && in != "\n" && in != "\r\n" && strings.Contains(err.Error(), in) {
			t.Errorf("%.20q: %v", in, err)
		}
	}
}

func TestNobodyIsAskedWhereNobodySits(t *testing.T) {
	a := testApp(t)
	if err := a.confirm("Sure?"); fault.KindOf(err) != fault.Invalid || !strings.Contains(fault.As(err).Hint, "--yes") {
		t.Errorf("got %v", err)
	}
	if _, err := a.ask("", "Who?", "email"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	a.flags.yes = true
	if err := a.confirm("Sure?"); err != nil {
		t.Errorf("--yes was not heard: %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAnOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		a := testApp(t)
		a.out, a.flags.json = full{}, asJSON
		if code := a.execute(t.Context(), []string{"version"}); code != exitInternal {
			t.Errorf("json %v: exit code %d", asJSON, code)
		}
	}
}
