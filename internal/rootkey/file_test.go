package rootkey_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
)

func holder(t *testing.T, uri string, env rootkey.Environment) rootkey.Holder {
	t.Helper()
	s, err := rootkey.Parse(uri, env)
	if err != nil {
		t.Fatal(err)
	}
	h, ok := s.(rootkey.Holder)
	if !ok {
		t.Fatalf("%s is no holder", uri)
	}
	return h
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gives(t *testing.T, h rootkey.Holder, want string) {
	t.Helper()
	got, err := h.Root(t.Context())
	if err != nil || string(got.Reveal()) != want {
		t.Errorf("%s gives something else, or %v", h.Name(), err)
	}
}

func refuses(t *testing.T, h rootkey.Holder, kind fault.Kind) {
	t.Helper()
	got, err := h.Root(t.Context())
	if !errors.Is(err, kind) || !got.Empty() {
		t.Errorf("%s: %v, want %s", h.Name(), err, kind)
	}
}

func TestAFileIsReadAnewAndThroughLinks(t *testing.T) {
	folder := t.TempDir()
	first, second := write(t, filepath.Join(folder, "1"), hexKey+"\n"), write(t, filepath.Join(folder, "2"), "other\n")
	link := filepath.Join(folder, "root.key")
	h := holder(t, "file:"+link, rootkey.Environment{})
	refuses(t, h, fault.Sealed)
	for _, to := range []struct{ path, text string }{{first, hexKey + "\n"}, {second, "other\n"}} {
		if err := errors.Join(os.RemoveAll(link), os.Symlink(to.path, link)); err != nil {
			t.Fatal(err)
		}
		gives(t, h, to.text)
	}
	write(t, second, strings.Repeat("x", 4096))
	gives(t, h, strings.Repeat("x", 4096))
	write(t, second, strings.Repeat("x", 4097))
	refuses(t, h, fault.Invalid)
	refuses(t, holder(t, "file:"+folder, rootkey.Environment{}), fault.Sealed)
	refuses(t, holder(t, "file:/dev/zero", rootkey.Environment{}), fault.Invalid)

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Root(gone); !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func TestAFileReadByTheCallersFunction(t *testing.T) {
	text := []byte(hexKey)
	env := rootkey.Environment{ReadFile: func(path string) ([]byte, error) {
		if path != "/a" {
			return nil, &fs.PathError{Op: "open", Path: "planted", Err: fs.ErrPermission}
		}
		return text, nil
	}}
	gives(t, holder(t, "file:/a", env), hexKey)
	_, err := holder(t, "file:/b", env).Root(t.Context())
	if !errors.Is(err, fault.Sealed) || !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "planted") {
		t.Error(err)
	}
}

func TestAnOpenFileIsWarnedOf(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "root.key"), hexKey)
	s := holder(t, "file:"+path, rootkey.Environment{}).(rootkey.Cautious)
	for mode, warned := range map[fs.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o602: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := s.Warning(); (got != "") != warned {
			t.Errorf("%o: %q", mode, got)
		}
	}
	if got := holder(t, "file:/nowhere/at/all", rootkey.Environment{}).(rootkey.Cautious).Warning(); got != "" {
		t.Error(got)
	}
}

func TestAVariable(t *testing.T) {
	env := rootkey.Environment{Getenv: func(name string) string {
		return map[string]string{"A": hexKey, "PATH_TO": "/planted/root.key", "LONG": strings.Repeat("x", 4097)}[name]
	}}
	gives(t, holder(t, "env:A", env), hexKey)
	refuses(t, holder(t, "env:B", env), fault.Sealed)
	refuses(t, holder(t, "env:A", rootkey.Environment{}), fault.Sealed)
	refuses(t, holder(t, "env:LONG", env), fault.Invalid)
	if _, err := holder(t, "env:PATH_TO", env).Root(t.Context()); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "planted") {
		t.Error(err)
	}
}

func TestACredentialOfTheServiceManager(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "root.key"), hexKey)
	env := func(value string) rootkey.Environment {
		return rootkey.Environment{Getenv: func(name string) string {
			if name == "CREDENTIALS_DIRECTORY" {
				return value
			}
			return ""
		}}
	}
	gives(t, holder(t, "credential:root.key", env(folder)), hexKey)
	refuses(t, holder(t, "credential:other", env(folder)), fault.Sealed)
	refuses(t, holder(t, "credential:root.key", env("")), fault.Sealed)
	refuses(t, holder(t, "credential:root.key", env("relative")), fault.Sealed)
}
