package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/migrate/migratetest"
	"github.com/keyturn/keyturn/keyturntest"
)

// move is a Keyturn to move to, and the environment of the command line that moves.
type move struct {
	t      *testing.T
	client *client.Client
	env    map[string]string
}

func newMove(t *testing.T, env map[string]string) *move {
	t.Helper()
	s := keyturntest.Start(t)
	c, err := client.New(s.URL, s.Token)
	if err != nil {
		t.Fatal(err)
	}
	env["KEYTURN_SERVER"], env["KEYTURN_TOKEN"], env["XDG_CONFIG_HOME"] = s.URL, s.Token, t.TempDir()
	return &move{t, c, env}
}

// run runs the command line and gives its exit code.
func (m *move) run(args ...string) (out, err string, code int) {
	m.t.Helper()
	var stdout, stderr bytes.Buffer
	a := newApp("test")
	a.in, a.out, a.err = strings.NewReader(""), &stdout, &stderr
	a.getenv = func(name string) string { return m.env[name] }
	code = a.execute(m.t.Context(), args)
	if text := stdout.String() + stderr.String(); strings.Contains(text, "test-value") {
		m.t.Errorf("a value is shown: %s", text)
	}
	return stdout.String(), stderr.String(), code
}

func (m *move) migrate(want int, args ...string) migrateResult {
	m.t.Helper()
	out, stderr, code := m.run(append([]string{"migrate", "--json"}, args...)...)
	if code != want {
		m.t.Fatalf("exit code %d, want %d: %s %s", code, want, out, stderr)
	}
	var r migrateResult
	if out != "" {
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			m.t.Fatal(err)
		}
	}
	return r
}

func (m *move) value(project, env, path, name string, o client.GetOptions) string {
	m.t.Helper()
	s, err := m.client.Get(m.t.Context(), client.Place{Project: project, Env: env, Path: path}, name, o)
	if err != nil {
		m.t.Errorf("%s/%s:%s/%s: %v", project, env, path, name, err)
		return ""
	}
	return s.Value.Value
}

// vault asks as a client of Vault does.
func (m *move) vault(path string) string {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, m.env["KEYTURN_SERVER"]+"/v1/"+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", m.env["KEYTURN_TOKEN"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

func TestAVaultMovesWithItsHistory(t *testing.T) {
	v := migratetest.NewVault(t)
	v.Engines["secret"], v.Engines["old"] = "kv2", "kv1"
	for i := 1; i <= 3; i++ {
		v.Put("secret", "team/app", migratetest.Version{Data: map[string]any{"A": fmt.Sprint("test-value-", i), "B": "test-value-b"}, Created: fmt.Sprintf("2026-01-0%dT00:00:00Z", i)})
	}
	v.Put("secret", "gone", migratetest.Version{Data: map[string]any{"K": "test-value"}, Created: "2026-01-01T12:00:00Z"})
	v.Put("secret", "gone", migratetest.Version{Data: map[string]any{"K": "test-value-2"}, Created: "2026-01-02T12:00:00Z", Deleted: "2026-01-04T00:00:00Z"})
	v.Put("old", "x", migratetest.Version{Data: map[string]any{"A": "${HOST}", "N": 5}})
	m := newMove(t, map[string]string{"VAULT_ADDR": v.URL, "VAULT_TOKEN": v.Token})
	plan := m.migrate(0, "vault", "--plan")
	if !plan.DryRun || plan.Size["secrets"] != 4 || plan.Size["states"] != 7 {
		t.Errorf("plan %+v", plan)
	}
	if _, err := m.client.Project(t.Context(), "vault-secret"); err == nil {
		t.Error("the plan made a project")
	}
	r := m.migrate(0, "vault", "--yes")
	if r.Verified.Same != 4 || len(r.Verified.Differ)+len(r.Verified.Missing) != 0 {
		t.Errorf("verified %+v", r.Verified)
	}
	if next := strings.Join(r.Next, "\n"); !strings.Contains(next, "VAULT_ADDR="+m.env["KEYTURN_SERVER"]) {
		t.Errorf("next does not say the address: %s", next)
	}
	if got := strings.Join(r.Mounts, "\n"); got != "keyturn mount create old --project vault-old --env prod --path / --kv 1\nkeyturn mount create secret --project vault-secret --env prod --path / --kv 2" {
		t.Errorf("mounts %s", got)
	}
	// An application that only learns another address finds everything where it was, in versions and types too.
	for path, want := range map[string]string{
		"secret/data/team/app": `"A":"test-value-3","B":"test-value-b"`, "secret/data/team/app?version=1": `"A":"test-value-1","B":"test-value-b"`, "secret/metadata/team?list=true": `"keys":["app"]`,
		"old/x": `"A":"${HOST}","N":5`, "sys/internal/ui/mounts/old/x": `"version":"1"`,
	} {
		if got := m.vault(path); !strings.Contains(got, want) {
			t.Errorf("%s answers %s", path, got)
		}
	}
	for version, want := range map[int64]string{1: "test-value-1", 2: "test-value-2", 3: "test-value-3", 0: "test-value-3"} {
		if got := m.value("vault-secret", "prod", "/team/app", "A", client.GetOptions{Version: version}); got != want {
			t.Errorf("version %d is %q", version, got)
		}
	}
	if m.value("vault-old", "prod", "/x", "A", client.GetOptions{}) != "${HOST}" || m.value("vault-old", "prod", "/x", "N", client.GetOptions{}) != "5" {
		t.Error("values are not as they were")
	}
	log, err := m.client.Log(t.Context(), client.Place{Project: "vault-secret", Env: "prod"}, client.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for _, c := range log.Commits {
		messages = append(messages, c.Message)
		if c.Cause != causeMigration {
			t.Errorf("the cause is %s", c.Cause)
		}
	}
	want := []string{"2026-01-04T00:00:00Z moved from vault", "2026-01-03T00:00:00Z moved from vault", "2026-01-02T00:00:00Z moved from vault", "2026-01-01T12:00:00Z moved from vault", "2026-01-01T00:00:00Z moved from vault"}
	if strings.Join(messages, "|") != strings.Join(want, "|") {
		t.Errorf("commits %q", messages)
	}
	old, err := m.client.Get(t.Context(), client.Place{Project: "vault-secret", Env: "prod", Path: "/gone"}, "K", client.GetOptions{At: 2})
	if err != nil || old.Value.Value != "test-value" {
		t.Errorf("what is gone cannot be seen in the past: %v", err)
	}

	again := m.migrate(0, "vault", "--yes")
	for _, p := range again.Projects {
		for _, e := range p.Envs {
			if e.Commits+e.Added+e.Changed > 0 {
				t.Errorf("the second run did something: %+v", e)
			}
		}
	}
	v.Put("secret", "team/app", migratetest.Version{Data: map[string]any{"A": "test-value-4", "B": "test-value-b"}, Created: "2026-01-09T00:00:00Z"})
	m.migrate(0, "vault", "--yes")
	if m.value("vault-secret", "prod", "/team/app", "A", client.GetOptions{Version: 4}) != "test-value-4" {
		t.Error("what came since is not moved as the next version")
	}
}

// A run that ended in the middle goes on where it was, and no state comes twice.
func TestAnInterruptedMoveGoesOn(t *testing.T) {
	v := migratetest.NewVault(t)
	v.Engines["secret"] = "kv2"
	m := newMove(t, map[string]string{"VAULT_ADDR": v.URL, "VAULT_TOKEN": v.Token})
	for i := 1; i <= 4; i++ {
		for d := range 3 {
			v.Put("secret", fmt.Sprint("app", d), migratetest.Version{Data: map[string]any{"A": fmt.Sprint("test-value-", d, i)}, Created: fmt.Sprintf("2026-01-0%dT0%d:00:00Z", i, d)})
		}
		if i == 2 {
			m.migrate(0, "vault", "--yes") // the source as it was
		}
	}
	r := m.migrate(0, "vault", "--yes")
	if r.Verified.Same != 3 {
		t.Errorf("verified %+v", r.Verified)
	}
	for d := range 3 {
		h, err := m.client.History(t.Context(), client.Place{Project: "vault-secret", Env: "prod", Path: fmt.Sprint("/app", d)}, "A")
		if err != nil || len(h.States) != 4 {
			t.Errorf("%d states of document %d, %v", len(h.States), d, err)
		}
	}
}

func TestAnInfisicalMovesWithItsIdsReferencesAndImports(t *testing.T) {
	i := migratetest.NewInfisical(t)
	i.Folders = []string{"prod:/backend/db", "dev:/common", "prod:/empty"}
	i.Secrets = []migratetest.InfisicalSecret{
		{Env: "prod", Path: "/backend/db", Key: "PASSWORD", Values: []string{"test-value-1", "test-value-2"}, Comment: "of the database", Tags: []string{"critical"}, Meta: map[string]string{"team": "ops"}, Days: 90},
		{Env: "prod", Path: "/backend", Key: "URL", Values: []string{"postgres://${prod.backend.db.PASSWORD}@db/${missing.KEY}"}},
		{Env: "prod", Path: "/backend", Key: "SHOWN", Values: []string{"<${COMMON}>"}},
		{Env: "dev", Path: "/common", Key: "COMMON", Values: []string{"test-value-common"}},
		{Env: "dev", Path: "/common", Key: "BACK", Values: []string{"<${prod.backend.URL}>"}}, // there and back: neither environment can be written first
		{Env: "prod", Path: "/backend", Key: "LOOP", Values: []string{"${LOOP}"}},
	}
	i.Imports = []migratetest.InfisicalImport{{Env: "prod", Path: "/backend", FromEnv: "dev", FromPath: "/common", Position: 1}}
	m := newMove(t, map[string]string{"INFISICAL_API_URL": i.URL + "/api", "INFISICAL_UNIVERSAL_AUTH_CLIENT_ID": i.ClientID, "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET": i.ClientSecret})
	r := m.migrate(0, "infisical", "--yes")
	if r.Verified.Same != 6 || len(r.Warnings) != 0 || r.Projects[0].ID != migratetest.ProjectID {
		t.Errorf("moved %+v, verified %+v", r, r.Verified)
	}
	p, err := m.client.Project(t.Context(), migratetest.ProjectID) // as applications name it
	if err != nil || p.Slug != "shop" || p.Name != "The Shop" {
		t.Fatalf("%+v %v", p, err)
	}
	for _, e := range p.Envs {
		if e.Slug == "prod" && (e.ID != migratetest.ProdID || e.Name != "Production") {
			t.Errorf("the environment is %+v", e)
		}
	}
	for place, want := range map[string]string{
		"prod /backend URL": "postgres://test-value-2@db/${missing.KEY}", "prod /backend SHOWN": "<test-value-common>",
		"dev /common BACK": "<postgres://test-value-2@db/${missing.KEY}>", "prod /backend LOOP": "${LOOP}",
	} {
		f := strings.Fields(place)
		if got := m.value(p.ID, f[0], f[1], f[2], client.GetOptions{}); got != want {
			t.Errorf("%s is %q", place, got)
		}
	}
	s, err := m.client.Get(t.Context(), client.Place{Project: p.ID, Env: "prod", Path: "/backend/db"}, "PASSWORD", client.GetOptions{})
	if err != nil || s.Comment != "of the database" || s.Tags[0] != "critical" || s.Metadata["team"] != "ops" || s.RotateEvery != "90d" || s.Version != 2 {
		t.Errorf("%+v %v", s, err)
	}
	log, err := m.client.Log(t.Context(), client.Place{Project: p.ID, Env: "prod"}, client.LogOptions{})
	if err != nil || !strings.Contains(fmt.Sprint(log.Commits), "2026-01-02T00:00:00Z by lead@example.test, moved from infisical") {
		t.Errorf("commits %+v %v", log.Commits, err)
	}
	list, err := m.client.List(t.Context(), client.Place{Project: p.ID, Env: "prod", Path: "/"}, client.ListOptions{Recursive: true})
	if err != nil || !strings.Contains(strings.Join(list.Folders, " "), "empty") {
		t.Errorf("folders %v %v", list.Folders, err)
	}
	again := m.migrate(0, "infisical", "--yes")
	for _, e := range again.Projects[0].Envs {
		if e.Commits+e.Added+e.Changed > 0 {
			t.Errorf("the second run did something: %+v", e)
		}
	}

	// Another id holds the slug: the plan says so, and nothing is taken over silently.
	other := newMove(t, map[string]string{"INFISICAL_API_URL": i.URL, "INFISICAL_UNIVERSAL_AUTH_CLIENT_ID": i.ClientID, "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET": i.ClientSecret})
	if _, err := other.client.CreateProject(t.Context(), api.ProjectRequest{Slug: "shop", Envs: []string{"prod"}}); err != nil {
		t.Fatal(err)
	}
	if r := other.migrate(0, "infisical", "--plan"); len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], migratetest.ProjectID) {
		t.Errorf("warnings %q", r.Warnings)
	}
	if r := other.migrate(0, "infisical", "--yes"); r.Verified.Same != 6 {
		t.Errorf("verified %+v", r.Verified)
	}
}

// A source that changes between the reading and the comparison is told, with the names and never the values.
func TestADifferenceAfterTheMoveIsAFailure(t *testing.T) {
	i := migratetest.NewInfisical(t)
	i.Secrets = []migratetest.InfisicalSecret{{Env: "prod", Path: "/", Key: "A", Values: []string{"test-value-1"}}}
	m := newMove(t, map[string]string{"INFISICAL_API_URL": i.URL, "INFISICAL_UNIVERSAL_AUTH_CLIENT_ID": i.ClientID, "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET": i.ClientSecret})
	m.migrate(0, "infisical", "--yes")
	i.Lies = true
	_, stderr, code := m.run("migrate", "infisical", "--yes", "--overwrite")
	if code == 0 || !strings.Contains(stderr, "shop/prod:/A") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// Documents of different times are written together where there are many of them.
func TestManyDocumentsMoveInFewCommits(t *testing.T) {
	v := migratetest.NewVault(t)
	v.Engines["secret"] = "kv2"
	const n = 1000
	for i := range n {
		v.Put("secret", fmt.Sprintf("team%d/app%d", i%20, i), migratetest.Version{Data: map[string]any{"A": fmt.Sprint("test-value-", i), "B": "x"}, Created: time.Unix(1767225600+int64(i), 0).UTC().Format(time.RFC3339)})
	}
	m := newMove(t, map[string]string{"VAULT_ADDR": v.URL, "VAULT_TOKEN": v.Token})
	r := m.migrate(0, "vault", "--yes")
	if r.Verified.Same != 2*n || r.Projects[0].Envs[0].Commits > 5 {
		t.Errorf("%d the same, %d commits", r.Verified.Same, r.Projects[0].Envs[0].Commits)
	}
}
