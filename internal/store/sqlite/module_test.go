package sqlite_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/mod/modfile"
)

// module is what the go command tells of a module.
type module struct{ Version, GoMod string }

func describe(t *testing.T, path string) (m module) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", path).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", path, err)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The driver is generated code that fits one version of its C runtime only; another one that the module graph happens to
// choose corrupts memory in rare cases (see the driver's documentation).
func TestTheCRuntimeIsTheOneThatTheDriverAsksFor(t *testing.T) {
	driver, runtime := describe(t, "modernc.org/sqlite"), describe(t, "modernc.org/libc")
	text, err := os.ReadFile(driver.GoMod)
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, r := range file.Require {
		if r.Mod.Path == "modernc.org/libc" {
			want = r.Mod.Version
		}
	}
	if want == "" || runtime.Version != want {
		t.Errorf("modernc.org/libc is %s, but modernc.org/sqlite %s asks for %q", runtime.Version, driver.Version, want)
	}
}
