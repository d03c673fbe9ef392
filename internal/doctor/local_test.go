package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
)

// folder writes files; a name that ends in "!" is readable by others.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o600)
		if bare, open := strings.CutSuffix(name, "!"); open {
			name, mode = bare, 0o644
		}
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(full, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	return dir
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func repository(t *testing.T, files map[string]string, add ...string) string {
	t.Helper()
	dir := folder(t, files)
	git(t, dir, "init", "-q")
	if len(add) > 0 {
		git(t, dir, append([]string{"add", "-f", "--"}, add...)...)
	}
	return dir
}

func check(t *testing.T, dir, id string) api.Check {
	t.Helper()
	for _, c := range Local(context.Background(), dir) {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("there is no check %s", id)
	return api.Check{}
}

func TestEveryLocalCheckIsWhole(t *testing.T) {
	for name, dir := range map[string]string{
		"empty folder": t.TempDir(),
		"no folder":    filepath.Join(t.TempDir(), "absent"),
		"repository":   repository(t, map[string]string{".env!": "A=1\n", "Dockerfile": "ENV API_TOKEN=test-value-baked\n"}, ".env"),
	} {
		seen := map[string]bool{}
		for _, c := range Local(context.Background(), dir) {
			if c.ID == "" || c.Title == "" || c.Evidence == "" || c.Source == "" || seen[c.ID] {
				t.Errorf("%s: a check is not whole, or there twice: %+v", name, c)
			}
			if c.Outcome == Fail && c.Fix == "" {
				t.Errorf("%s: %s fails and does not say how to mend it", name, c.ID)
			}
			if c.Outcome == Pass && c.Fix != "" {
				t.Errorf("%s: %s passes and wants to be mended", name, c.ID)
			}
			seen[c.ID] = true
		}
		if len(seen) != 7 {
			t.Errorf("%s: %d checks, want 7", name, len(seen))
		}
	}
}

func TestTrackedFilesWithSecretsAreFound(t *testing.T) {
	dir := repository(t, map[string]string{
		".env": "A=1\n", "deploy/.env.production": "A=1\n", ".env.example": "A=\n", "tls/server.key": "-----BEGIN PRIVATE KEY-----\n",
		"tls/ca.pem": "-----BEGIN CERTIFICATE-----\n", "other/.env": "not added",
	}, ".env", "deploy/.env.production", ".env.example", "tls/server.key", "tls/ca.pem")
	c := check(t, dir, "local.tracked")
	if c.Outcome != Fail || c.Evidence != "tracked: .env, deploy/.env.production, tls/server.key" {
		t.Errorf("got %+v", c)
	}
	if c := check(t, repository(t, map[string]string{".env": "A=1\n", "main.go": ""}, "main.go"), "local.tracked"); c.Outcome != Pass {
		t.Errorf("an untracked .env is no fault here: %+v", c)
	}
}

func TestAGitignoreIsAskedForWhatItCovers(t *testing.T) {
	for name, tc := range map[string]struct{ text, outcome, lacks string }{
		"everything":            {".env\n.env.local\n.env.*.local\n*.pem\n*.key\n", Pass, ""},
		"wide patterns":         {".env*\n!.env.example\n*.pem\n*.key\n", Pass, ""},
		"nothing":               {"bin/\n", Fail, ".env, .env.local, .env.*.local, *.pem, *.key"},
		"no keys":               {".env*\n", Fail, "*.pem, *.key"},
		"taken back":            {".env*\n*.pem\n*.key\n!.env\n", Fail, "cover .env"},
		"only a commented line": {"# .env\n.env.local\n.env.*.local\n*.pem\n*.key\n", Fail, "cover .env"},
	} {
		t.Run(name, func(t *testing.T) {
			c := check(t, repository(t, map[string]string{".gitignore": tc.text}), "local.gitignore")
			if c.Outcome != tc.outcome || !strings.Contains(c.Evidence, tc.lacks) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestAPersonalExcludeFileDoesNotCount(t *testing.T) {
	dir := repository(t, map[string]string{".git/info/exclude": ".env*\n*.pem\n*.key\n"})
	if c := check(t, dir, "local.gitignore"); c.Outcome != Fail {
		t.Errorf("colleagues have no .git/info/exclude of ours: %+v", c)
	}
}

func TestWhatARepositoryConfiguresIsNotRun(t *testing.T) {
	dir := repository(t, map[string]string{"main.go": ""}, "main.go")
	mark := filepath.Join(t.TempDir(), "ran")
	git(t, dir, "config", "core.fsmonitor", "touch '"+mark+"' #")
	Local(context.Background(), dir)
	if _, err := os.Stat(mark); err == nil {
		t.Error("the doctor ran a command of the repository that it looked at")
	}
}

func TestWithoutARepositoryGitChecksSaySo(t *testing.T) {
	dir := folder(t, map[string]string{".env": "A=1\n"})
	for _, id := range []string{"local.tracked", "local.gitignore"} {
		if c := check(t, dir, id); c.Outcome != Unknown || !strings.Contains(c.Evidence, "not in a git repository") {
			t.Errorf("got %+v", c)
		}
	}
}

func TestExamplesWithRealLookingValuesAreFound(t *testing.T) {
	const jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoic2VydmljZSJ9.c2lnbmF0dXJl"
	for line, real := range map[string]bool{
		"SUPABASE_SERVICE_KEY=" + jwt:                                true,
		"STRIPE=sk_live_4eC39HqLyjWDarjtT1zdp7dc":                    true,
		"DATABASE_URL=postgres://app:Zk3vQ9pLw@db.internal:5432/app": true,
		"JWT_SECRET=0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c":                true,
		"PRIVATE=\"-----BEGIN RSA PRIVATE KEY-----\"":                true,
		"SUPABASE_SERVICE_KEY=":                                      false,
		"JWT_SECRET=changeme":                                        false,
		"JWT_SECRET=your-jwt-secret-goes-here-32-bytes":              false,
		"JWT_SECRET=<generate with openssl rand>":                    false,
		"DATABASE_URL=postgres://app:password@localhost:5432/app":    false,
		"DATABASE_URL=postgres://localhost:5432/app":                 false,
		"PORT=8080": false,
		"BUILD_ID=0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c":                     false,
		"API_TOKEN=${API_TOKEN}":                                        false,
		"VITE_CLERK_PUBLISHABLE_KEY=0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c":   false,
		"SENTRY_AUTH_TOKEN=test-value-0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c": false,
	} {
		c := check(t, folder(t, map[string]string{"app/.env.example": "# values\n" + line + "\n"}), "local.example")
		if (c.Outcome == Fail) != real {
			t.Errorf("%s: got %+v", line, c)
		}
		name, value, _ := strings.Cut(line, "=")
		if real && (!strings.Contains(c.Evidence, "app/.env.example:2 "+name) || strings.Contains(c.Evidence+c.Fix, value)) {
			t.Errorf("%s: want the place and not the value: %+v", name, c)
		}
	}
}

func TestAnExampleThatIsNoDotenvIsUnknown(t *testing.T) {
	if c := check(t, folder(t, map[string]string{".env.example": "this is prose\n"}), "local.example"); c.Outcome != Unknown {
		t.Errorf("got %+v", c)
	}
}

func TestEnvironmentFilesThatOthersCanReadAreFound(t *testing.T) {
	if runtime.GOOS == "windows" {
		if c := check(t, folder(t, map[string]string{".env!": "A=1\n"}), "local.mode"); c.Outcome != Unknown {
			t.Errorf("got %+v", c)
		}
		return
	}
	c := check(t, folder(t, map[string]string{".env!": "A=1\n", "b/.env.local": "A=1\n", ".env.example!": "A=\n"}), "local.mode")
	if c.Outcome != Fail || c.Evidence != "others can read .env (644)" || !strings.Contains(c.Fix, "chmod 600 .env") {
		t.Errorf("got %+v", c)
	}
	if c := check(t, folder(t, map[string]string{".env": "A=1\n"}), "local.mode"); c.Outcome != Pass {
		t.Errorf("got %+v", c)
	}
}

func TestSecretsInImagesAreFound(t *testing.T) {
	for line, found := range map[string]bool{
		"ENV JWT_SECRET=test-value":                             true,
		"ENV JWT_SECRET test-value":                             true,
		"env PORT=80 \\\n  # why\n  DB_PASSWORD=\"test-value\"": true,
		"ARG NPM_TOKEN":                                         true,
		"ARG NPM_TOKEN=test-value":                              true,
		"ENV NPM_TOKEN=$NPM_TOKEN":                              true,
		"COPY .env /app/.env":                                   true,
		"ADD --chown=app deploy/.env.production /app/":          true,
		"ENV STRIPE=sk_live_4eC39HqLyjWDarjtT1zdp7dc":           true,
		"ENV PORT=8080 LOG_LEVEL=info":                          false,
		"ENV JWT_SECRET_FILE=/run/secrets/jwt":                  false,
		"ENV JWT_SECRET=":                                       false,
		"ARG VERSION=1.2.3":                                     false,
		"COPY .env.example /app/":                               false,
		"# ENV JWT_SECRET=test-value":                           false,
		"RUN --mount=type=secret,id=npm npm ci":                 false,
	} {
		c := check(t, folder(t, map[string]string{"build/Dockerfile": "FROM scratch\n" + line + "\n"}), "local.image")
		if (c.Outcome == Fail) != found {
			t.Errorf("%q: got %+v", line, c)
		}
		if strings.Contains(c.Evidence, "test-value") {
			t.Errorf("%q: the evidence holds the value: %s", line, c.Evidence)
		}
	}
}

func TestOurOwnCredentialsInFilesAreFound(t *testing.T) {
	token := string(domain.NewToken(domain.APIToken).Reveal())
	wrong := token[:len(token)-1] + string('0'+(token[len(token)-1]+1)%10)
	for text, want := range map[string]string{
		"KEYTURN_TOKEN=" + token:                              "a token of kind ktk_",
		"curl -H 'Authorization: Bearer " + token + "'":       "a token of kind ktk_",
		"KEYTURN_ROOT_KEY=" + strings.Repeat("0a", 32):        "a root key",
		"\"KEYTURN_ROOT_KEY\": \"" + strings.Repeat("0b", 32): "a root key",
		"KEYTURN_TOKEN=" + wrong:                              "",
		"KEYTURN_TOKEN=":                                      "",
	} {
		c := check(t, folder(t, map[string]string{"ci/deploy.sh": "#!/bin/sh\n" + text + "\n"}), "local.credential")
		if want == "" && c.Outcome != Pass || want != "" && (c.Outcome != Fail || c.Evidence != "ci/deploy.sh:2 "+want) {
			t.Errorf("want %q, got %+v", want, c)
		}
		if strings.Contains(c.Evidence+c.Fix, token) {
			t.Error("the evidence holds the token")
		}
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	outside := folder(t, map[string]string{"token": string(domain.NewToken(domain.APIToken).Reveal())})
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(outside, "token"), filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	if c := check(t, dir, "local.credential"); c.Outcome != Pass {
		t.Errorf("the doctor left the folder: %+v", c)
	}
}

func FuzzADockerfileOfAnyShapeIsRead(f *testing.F) {
	for _, s := range []string{"ENV A=b", "ENV A b c", "ARG \"x", "ENV A=\\\n\\\n", "COPY \\", "\\", "ENV =", "ENV 'a b'=c\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		for _, a := range assignments(text) {
			if a.line < 1 || a.line > lines || a.verb == "" {
				t.Errorf("impossible: %+v of %d lines", a, lines)
			}
		}
	})
}
