//go:build unix

package rootkey_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/rootkey/rootkeytest"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// built is where helper puts the program.
var built string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "keyturn-rootkey-test-")
	if err != nil {
		panic(err)
	}
	built = folder
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// helper is the program that loads PKCS #11 modules, built once for all tests.
var helper = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "keyturn-pkcs11")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".")
	build.Dir = "../../cmd/keyturn-pkcs11"
	build.Env = append(os.Environ(), "CGO_ENABLED=1", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// token is a SoftHSM token of its own for one test.
type token struct{ folder, helper, pin string }

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

func tool(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s\nscripts/testdeps.sh installs what is missing", program, err, out)
	}
}

func newToken(t *testing.T) token {
	t.Helper()
	path, err := helper()
	if err != nil {
		t.Fatal(err)
	}
	k := token{t.TempDir(), path, ""}
	tokens := filepath.Join(k.folder, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", write(t, filepath.Join(k.folder, "softhsm2.conf"), "directories.tokendir = "+tokens+"\nlog.level = ERROR\n"))
	k.pin = write(t, filepath.Join(k.folder, "pin"), "1234\n")
	k.initialize(t, "kt test")
	k.key(t, "kt test", "root key", "01")
	return k
}

func (k token) initialize(t *testing.T, label string) {
	t.Helper()
	tool(t, "softhsm2-util", "--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "4321")
}

// key makes an AES key inside the token.
func (k token) key(t *testing.T, label, object, id string, more ...string) {
	t.Helper()
	tool(t, "pkcs11-tool", append([]string{"--module", softHSM, "--token-label", label, "--login", "--pin", "1234",
		"--keygen", "--key-type", "aes:32", "--label", object, "--id", id, "--sensitive"}, more...)...)
}

func (k token) wrapper(t *testing.T, change ...string) rootkey.Wrapper {
	t.Helper()
	uri := "pkcs11:token=kt%20test;object=root%20key?module-path=" + softHSM + "&pin-source=" + k.pin + "&helper=" + k.helper
	return wrapper(t, strings.NewReplacer(change...).Replace(uri))
}

func wrapper(t *testing.T, uri string) rootkey.Wrapper {
	t.Helper()
	s, err := rootkey.Parse(uri, rootkey.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	return s.(rootkey.Wrapper)
}

func TestAnHSMKeepsTheContract(t *testing.T) {
	rootkeytest.Wrapper(t, newToken(t).wrapper(t))
}

func TestAnHSMThatCannotServe(t *testing.T) {
	k := newToken(t)
	root := newRoot(t)
	kept, err := k.wrapper(t).Wrap(t.Context(), home, root)
	if err != nil {
		t.Fatal(err)
	}
	k.initialize(t, "other")
	k.key(t, "other", "root key", "01")
	k.key(t, "other", "twin", "02")
	k.key(t, "other", "twin", "03")
	k.initialize(t, "double")
	k.initialize(t, "double")
	wrong := write(t, filepath.Join(k.folder, "wrong"), "9999")
	for name, c := range map[string]struct {
		w    rootkey.Wrapper
		kind fault.Kind
		say  string
	}{
		"another token's key": {k.wrapper(t, "kt%20test", "other"), fault.Invalid, "does not open"},
		"no such token":       {k.wrapper(t, "kt%20test", "nowhere"), fault.Unavailable, "token is not there"},
		"two tokens":          {k.wrapper(t, "kt%20test", "double"), fault.Denied, "more than one PKCS #11 token"},
		"no such key":         {k.wrapper(t, "root%20key", "nothing"), fault.Unavailable, "no AES key"},
		"two keys":            {k.wrapper(t, "kt%20test", "other", "root%20key", "twin"), fault.Denied, "more than one AES key"},
		"wrong PIN":           {k.wrapper(t, k.pin, wrong), fault.Denied, "refuses the PIN"},
		"no PIN":              {k.wrapper(t, k.pin, k.pin+"x"), fault.Unavailable, "cannot be read"},
		"no module":           {k.wrapper(t, softHSM, "/nowhere/module.so"), fault.Unavailable, "cannot be loaded"},
		"not a module":        {k.wrapper(t, softHSM, "/bin/true"), fault.Unavailable, "cannot be loaded"},
		"no helper":           {k.wrapper(t, k.helper, "keyturn-pkcs11-nowhere"), fault.Unavailable, "no PKCS #11 helper"},
	} {
		got, err := c.w.Unwrap(t.Context(), home, kept)
		if !errors.Is(err, c.kind) || !strings.Contains(fault.As(err).Message, c.say) || fault.As(err).Hint == "" || !got.Empty() {
			t.Errorf("%s: %v", name, err)
		} else if said := err.Error() + fault.As(err).Hint; strings.Contains(said, "9999") || strings.Contains(said, "1234") {
			t.Errorf("%s: a PIN in %s", name, said)
		}
	}
	// The wrong PIN has not locked the token.
	if got, err := k.wrapper(t).Unwrap(t.Context(), home, kept); err != nil || !got.Equal(root) {
		t.Error(err)
	}
	if err := os.RemoveAll(filepath.Join(k.folder, "tokens")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.wrapper(t).Unwrap(t.Context(), home, kept); !errors.Is(err, fault.Unavailable) {
		t.Error("the tokens are gone:", err)
	}
}

// A key that can be read out of the token protects nothing.
func TestAKeyThatMayLeaveTheTokenIsRefused(t *testing.T) {
	k := newToken(t)
	k.key(t, "kt test", "loose", "02", "--extractable")
	tool(t, "pkcs11-tool", "--module", softHSM, "--token-label", "kt test", "--login", "--pin", "1234",
		"--keygen", "--key-type", "aes:16", "--label", "short", "--id", "03", "--sensitive")
	for _, object := range []string{"loose", "short"} {
		if _, err := k.wrapper(t, "root%20key", object).Wrap(t.Context(), home, newRoot(t)); !errors.Is(err, fault.Denied) {
			t.Errorf("%s: %v", object, err)
		}
	}
}

func TestThePINIsNowhereToBeSeen(t *testing.T) {
	k := newToken(t)
	seen := filepath.Join(k.folder, "seen")
	spy := script(t, `cat >"`+seen+`"; { tr '\0' '\n' </proc/$$/environ; tr '\0' ' ' </proc/$$/cmdline; } >>"`+seen+`"; exit 1`)
	write(t, k.pin, "planted-pin")
	t.Setenv("KEYTURN_ROOT_KEY", "planted-key")
	if _, err := k.wrapper(t, k.helper, spy).Wrap(t.Context(), home, newRoot(t)); !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	text, err := os.ReadFile(seen)
	if err != nil || !strings.Contains(string(text), `"operation":"wrap"`) || strings.Contains(string(text), "planted") {
		t.Errorf("%v: %s", err, text)
	}
}

// The helper is another program, so it is not believed.
func TestAHelperThatMisbehaves(t *testing.T) {
	k := newToken(t)
	kept, err := k.wrapper(t).Wrap(t.Context(), home, newRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body string
		kind fault.Kind
	}{
		"killed half-way":      {`head -c 20 >/dev/null; kill -9 $$`, fault.Unavailable},
		"killed after writing": {`printf '{"version":1,'; kill -9 $$`, fault.Unavailable},
		"silent":               {`exit 0`, fault.Internal},
		"complains":            {`echo 'planted' >&2; exit 1`, fault.Unavailable},
		"garbage":              {`echo planted`, fault.Internal},
		"too much":             {`yes planted`, fault.Unavailable},
		"another version":      {`printf '{"version":2,"output":"AAAA"}'`, fault.Internal},
		"more than one":        {`printf '{"version":1}{"version":1}'`, fault.Internal},
		"an unknown member":    {`printf '{"version":1,"planted":1}'`, fault.Internal},
		"an unknown problem":   {`printf '{"version":1,"problem":"planted"}'`, fault.Internal},
		"no key":               {`printf '{"version":1}'`, fault.Internal},
		"a short key":          {`printf '{"version":1,"output":"AAAA"}'`, fault.Internal},
		"not base64":           {`printf '{"version":1,"output":"planted!"}'`, fault.Internal},
	} {
		got, err := k.wrapper(t, k.helper, script(t, c.body)).Unwrap(t.Context(), home, kept)
		if !errors.Is(err, c.kind) || !got.Empty() || strings.Contains(fault.As(err).Message+fault.As(err).Hint, "planted") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAHelperThatHangsIsKilled(t *testing.T) {
	k := newToken(t)
	pid := filepath.Join(k.folder, "pid")
	w := k.wrapper(t, k.helper, script(t, `sleep 600 & echo $! >"`+pid+`.new"; mv "`+pid+`.new" "`+pid+`"; wait`))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := w.Wrap(ctx, home, newRoot(t))
		done <- err
	}()
	var text []byte
	until(t, func() bool { text, _ = os.ReadFile(pid); return len(text) > 0 })
	cancel()
	if err := <-done; !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	until(t, func() bool { return !alive(t, strings.TrimSpace(string(text))) })
}

// The helper meets the same suspicion.
func TestTheHelperRefusesOtherRequests(t *testing.T) {
	path, err := helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{
		"", "planted", `{}`, `{"version":2,"operation":"wrap"}`, `{"version":1,"operation":"planted"}`, `{"version":1,"operation":"wrap","planted":1}`,
		`{"version":1,"operation":"wrap"}{}`, `{"version":1,"operation":"wrap"}` + strings.Repeat(" ", 20<<10),
	} {
		cmd := exec.Command(path)
		cmd.Stdin = strings.NewReader(request)
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), `"problem":"request"`) || strings.Contains(string(out), "planted") {
			t.Errorf("%.40s: %s %v", request, out, err)
		}
	}
	if err := exec.Command(path, "--pin=1234").Run(); err == nil {
		t.Error("it takes arguments")
	}
}

func TestWhatIsNotFromAnHSMIsRefusedWithoutAskingIt(t *testing.T) {
	w := wrapper(t, "pkcs11:token=t;object=k?module-path=/m.so&pin-source=/p&helper=/nowhere/at/all")
	for _, kept := range [][]byte{nil, {1}, make([]byte, 61), make([]byte, 1<<20)} {
		if _, err := w.Unwrap(t.Context(), home, kept); !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
	}
	if _, err := w.Wrap(t.Context(), home, sensitive.FromString("short")); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
