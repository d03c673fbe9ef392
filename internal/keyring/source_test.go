package keyring_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
)

func environment(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestRootKeyComesFromEnvironmentOrFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path, []byte(rootTestValue+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for source, env := range map[string]map[string]string{
		keyring.SlotEnvironment: {keyring.EnvRoot: rootTestValue},
		keyring.SlotFile:        {keyring.EnvRootFile: path},
	} {
		root, got, ok, err := keyring.LoadRoot(environment(env), os.ReadFile)
		if err != nil || !ok || got != source || string(root.Hex().Reveal()) != rootTestValue {
			t.Fatalf("source %s: got source %q, ok %v, error %v", source, got, ok, err)
		}
	}
	root, source, ok, err := keyring.LoadRoot(environment(nil), os.ReadFile)
	if ok || err != nil || source != "" || root.Fingerprint() != "" {
		t.Fatal("a root key came from nowhere")
	}
}

func TestRootKeyFromTwoPlacesIsRefused(t *testing.T) {
	_, _, ok, err := keyring.LoadRoot(environment(map[string]string{
		keyring.EnvRoot: rootTestValue, keyring.EnvRootFile: "/root.key",
	}), os.ReadFile)
	wantKind(t, err, fault.Invalid)
	wantText(t, err, keyring.EnvRoot, keyring.EnvRootFile)
	wantSilent(t, err, rootTestValue)
	if ok {
		t.Fatal("ok with an error")
	}
}

func TestUnusableSourceIsNamedWithoutItsContent(t *testing.T) {
	dir := t.TempDir()
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte(rootTestValue[:40]), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env    map[string]string
		kind   fault.Kind
		want   string
		silent string
	}{
		"bad variable":      {map[string]string{keyring.EnvRoot: rootTestValue[:40]}, fault.Invalid, "root key in KEYTURN_ROOT_KEY is too short", rootTestValue},
		"only a newline":    {map[string]string{keyring.EnvRoot: "\n"}, fault.Invalid, "root key in KEYTURN_ROOT_KEY is empty", rootTestValue},
		"bad file":          {map[string]string{keyring.EnvRootFile: short}, fault.Invalid, "file of KEYTURN_ROOT_KEY_FILE is too short", rootTestValue},
		"missing file":      {map[string]string{keyring.EnvRootFile: filepath.Join(dir, "absent-file")}, fault.Sealed, "no such file", "absent-file"},
		"folder":            {map[string]string{keyring.EnvRootFile: dir}, fault.Sealed, "couldn't read", dir},
		"key in path":       {map[string]string{keyring.EnvRootFile: rootTestValue}, fault.Invalid, "holds a key where the path", rootTestValue},
		"piece of key":      {map[string]string{keyring.EnvRootFile: rootTestValue[:60]}, fault.Sealed, "couldn't read", rootTestValue},
		"key and something": {map[string]string{keyring.EnvRootFile: rootTestValue + "\x00"}, fault.Sealed, "couldn't read", rootTestValue},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, ok, err := keyring.LoadRoot(environment(tt.env), os.ReadFile)
			wantKind(t, err, tt.kind)
			wantText(t, err, tt.want)
			wantSilent(t, err, tt.silent)
			if ok {
				t.Fatal("ok with an error")
			}
		})
	}
}

func TestReasonOfAnUnreadableFileIsKept(t *testing.T) {
	for _, reason := range []error{syscall.EIO, syscall.EACCES} {
		_, _, _, err := keyring.LoadRoot(environment(map[string]string{keyring.EnvRootFile: "/test-value"}),
			func(path string) ([]byte, error) { return nil, &fs.PathError{Op: "open", Path: path, Err: reason} })
		if !errors.Is(err, reason) || errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("got %v, want the cause %v", err, reason)
		}
	}
}

func TestFileOpenToOthersLoadsWithAWarning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path, []byte(rootTestValue), 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment(map[string]string{keyring.EnvRootFile: path})
	for mode, warned := range map[fs.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o602: true, 0o444: true, 0o400: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		warned = warned && runtime.GOOS != "windows"
		if got := keyring.RootFileWarning(env, os.Stat); (got != "") != warned {
			t.Fatalf("mode %o: warning %q", mode, got)
		}
		if _, _, ok, err := keyring.LoadRoot(env, os.ReadFile); !ok || err != nil {
			t.Fatalf("mode %o: %v", mode, err)
		}
	}
	if keyring.RootFileWarning(environment(nil), os.Stat) != "" {
		t.Fatal("warned about a file that is not used")
	}
}
