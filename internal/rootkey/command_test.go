//go:build unix

package rootkey_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
)

// script writes an executable shell script.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestACommandPrintsTheKey(t *testing.T) {
	t.Setenv("KEYTURN_ROOT_KEY", "planted")
	t.Setenv("OTHER_SETTING", "there")
	gives(t, holder(t, "command:"+script(t, `printf '%s %s\n' "$1" "$2$KEYTURN_ROOT_KEY$OTHER_SETTING"; echo noise >&2`)+" a  b*", rootkey.Environment{}), "a b*there\n")
	gives(t, holder(t, "command:"+script(t, "head -c 4096 /dev/zero"), rootkey.Environment{}), strings.Repeat("\x00", 4096))
}

func TestACommandThatFailsShowsNothingOfItsOutput(t *testing.T) {
	for name, body := range map[string]string{
		"exit code":     "echo planted; echo 'not logged in' >&2; echo second >&2; exit 3",
		"no end":        "echo 'not logged in' >&2; yes planted",
		"a byte more":   "echo 'not logged in' >&2; head -c 4097 /dev/zero",
		"kills itself":  "echo 'not logged in' >&2; echo planted; kill -9 $$",
		"control codes": `printf 'not \033[31mlogged in\n' >&2; exit 1`,
	} {
		_, err := holder(t, "command:"+script(t, body), rootkey.Environment{}).Root(t.Context())
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "logged in") || strings.ContainsAny(err.Error(), "\x1b") ||
			strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), "second") {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fault.As(err).Message+fault.As(err).Hint, "logged in") {
			t.Errorf("%s: the user sees standard error", name)
		}
	}
	refuses(t, holder(t, "command:/nowhere/at/all", rootkey.Environment{}), fault.Unavailable)
}

// Whoever waits no longer must not leave a tree of programs behind.
func TestACommandThatIsGivenUpIsKilledWithItsChildren(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	h := holder(t, "command:"+script(t, `sleep 600 & echo $$ $! >"$1.new"; mv "$1.new" "$1"; wait`)+" "+pids, rootkey.Environment{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := h.Root(ctx)
		done <- err
	}()
	var text []byte
	until(t, func() bool { text, _ = os.ReadFile(pids); return len(text) > 0 })
	cancel()
	if err := <-done; !errors.Is(err, fault.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, pid := range strings.Fields(string(text)) {
		until(t, func() bool { return !alive(t, pid) })
	}
}

func TestACommandThatLeavesAChildBehindFails(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	refuses(t, holder(t, "command:"+script(t, `sleep 600 & echo $! >"$1"; echo planted`)+" "+pids, rootkey.Environment{}), fault.Unavailable)
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return !alive(t, strings.TrimSpace(string(text))) })
}

// alive tells whether a process runs; one that waits to be buried does not.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func until(t *testing.T, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen in time")
		}
	}
}
