package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/keyturntest"
)

// TestMain makes "keyturn" a command of the scenes: this very test program, run as the command line.
func TestMain(m *testing.M) {
	if os.Getenv("KEYTURN_TEST_AS_PROGRAM") != "" { // the tour of the README calls this program by name
		os.Exit(Main("test"))
	}
	testscript.Main(m, map[string]func(){"keyturn": func() { os.Exit(Main("test")) }, "keyturn-many": many})
}

// TestScenes runs testdata/*.txtar, each against a server of its own with a first admin. A scene finds KEYTURN_SERVER and
// KEYTURN_TOKEN, SERVER_DATA (the folder of its data), ADMIN_EMAIL and ADMIN_PASSWORD_FILE, and these commands beside the usual ones:
//
//	keyturn ARGS...        the command line
//	keyturn-many           asks the server a hundred questions
//	bare-server            replaces the server by one that nobody has set up; there is no token then
//	stop-server            stops the server
//	serve-data FOLDER      replaces the server by one on this folder, which is left as it is
//	capture NAME [FIELD]   keeps the last standard output, or a field of its JSON object (slots.0.id is one inside), as environment variable
//	totp NAME SECRET STEP  computes the code of an authenticator app, some steps of 30 s later or earlier, as environment variable
//	private FILE           fails unless only the owner may read the file
func TestScenes(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			tb := env.T().(testing.TB) // that the library's own type is one, it documents
			s := keyturntest.Start(tb)
			env.Values["tb"], env.Values["server"] = tb, s
			home := filepath.Join(env.WorkDir, ".home")
			password := filepath.Join(home, "password")
			if err := os.MkdirAll(home, 0o700); err != nil {
				return err
			}
			env.Setenv("HOME", home)
			// With the race detector each program would wait a second at its end for reports of threads that have none.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
			env.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
			env.Setenv("KEYTURN_SERVER", s.URL)
			env.Setenv("KEYTURN_TOKEN", s.Token)
			env.Setenv("SERVER_DATA", s.Data)
			env.Setenv("ADMIN_EMAIL", s.Email)
			env.Setenv("ADMIN_PASSWORD_FILE", password)
			return os.WriteFile(password, []byte(s.Password+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"bare-server": bareServer, "stop-server": stopServer, "serve-data": serveData, "capture": capture, "private": private, "totp": totpCode,
		},
	})
}

func bareServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: bare-server")
	}
	s := keyturntest.Bare(ts.Value("tb").(testing.TB))
	ts.Setenv("KEYTURN_SERVER", s.URL)
	ts.Setenv("KEYTURN_TOKEN", "")
}

func stopServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: stop-server")
	}
	ts.Value("server").(*keyturntest.Server).Stop()
}

func serveData(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve-data FOLDER")
	}
	s := keyturntest.Bare(ts.Value("tb").(testing.TB), keyturntest.WithData(ts.MkAbs(args[0])))
	ts.Setenv("KEYTURN_SERVER", s.URL)
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: capture NAME [FIELD]")
	}
	out := ts.ReadFile("stdout")
	if len(args) == 1 {
		ts.Setenv(args[0], strings.TrimSuffix(out, "\n"))
		return
	}
	var value any
	if err := json.Unmarshal([]byte(out), &value); err != nil {
		ts.Fatalf("standard output is no JSON: %v", err)
	}
	for part := range strings.SplitSeq(args[1], ".") {
		switch inner := value.(type) {
		case map[string]any:
			value = inner[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(inner) {
				ts.Fatalf("the list has no %q", part)
			}
			value = inner[i]
		}
	}
	text, ok := value.(string)
	if !ok || text == "" {
		ts.Fatalf("the object has no text %q", args[1])
	}
	ts.Setenv(args[0], text)
}

func totpCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: totp NAME SECRET STEP")
	}
	step, err := strconv.Atoi(args[2])
	ts.Check(err)
	code, err := totp.GenerateCode(args[1], time.Now().Add(time.Duration(step)*30*time.Second))
	ts.Check(err)
	ts.Setenv(args[0], code)
}

func private(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: private FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if info.Mode().Perm() != 0o600 {
		ts.Fatalf("%s has mode %o", args[0], info.Mode().Perm())
	}
}

// many asks the server a hundred questions, so that its log grows.
func many() {
	c, err := client.New(os.Getenv("KEYTURN_SERVER"), os.Getenv("KEYTURN_TOKEN"))
	for range 100 {
		if err == nil {
			_, err = c.WhoAmI(context.Background())
		}
	}
	if err != nil {
		os.Exit(1)
	}
}
