package testpg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheMajorVersionIsReadFromTheVersionLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": 15,
		"postgres (PostgreSQL) 18beta1":                          18,
		"postgres (PostgreSQL) 9.6.24":                           9,
	} {
		if got, err := parseMajor(line); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", line, got, err, want)
		}
	}
	if got, err := parseMajor("mariadbd  Ver 10.11"); err == nil {
		t.Errorf("a foreign program passed as version %d", got)
	}
}

// fake makes a folder under parent with an initdb and a postgres that prints a version.
func fake(t *testing.T, parent, name, version string) string {
	t.Helper()
	folder := filepath.Join(parent, name, "bin")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for program, text := range map[string]string{
		"initdb":   "#!/bin/sh\n",
		"postgres": "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, program), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestTheNewestInstallationWins(t *testing.T) {
	t.Parallel()
	debian := t.TempDir()
	fake(t, debian, "9.6", "9.6.24") // as text it would sort last
	fake(t, debian, "15", "15.3")
	newest := fake(t, debian, "17", "17.1")
	other := fake(t, t.TempDir(), "pg", "16.0")
	got, err := findInstallation(filepath.Join(debian, "*", "bin"), other)
	if err != nil || got != (installation{newest, 17}) {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestALinkInTheSearchPathLeadsToTheProgramsBesideIt(t *testing.T) {
	t.Parallel()
	real := fake(t, t.TempDir(), "pg", "15.1")
	links := t.TempDir()
	if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	got, err := findInstallation("/nonexistent/*/bin", links)
	if err != nil || got.folder != real {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestAMissingOrOldServerIsAnErrorThatSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	old := t.TempDir()
	fake(t, old, "14", "14.9")
	for name, pattern := range map[string]string{
		"missing": filepath.Join(t.TempDir(), "*", "bin"),
		"old":     filepath.Join(old, "*", "bin"),
	} {
		got, err := findInstallation(pattern, t.TempDir())
		if err == nil {
			t.Errorf("%s: found %+v", name, got)
		} else if !strings.Contains(err.Error(), installHint) {
			t.Errorf("%s: no way out in %q", name, err)
		}
	}
}
