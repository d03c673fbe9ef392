package migratetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The ids of the project and the environment that Infisical has in tests.
const (
	ProjectID = "3f2b8c1e-0d4a-4b7f-9c55-5e8a1d2f7b60"
	ProdID    = "7d9e6a52-1c3b-4f80-8a77-0b1c2d3e4f50"
)

// InfisicalSecret is a secret of [Infisical] with its values, oldest first.
type InfisicalSecret struct {
	Env, Path, Key string
	Values         []string
	Comment        string
	Tags           []string
	Meta           map[string]string
	Type           string // "shared" when empty
	Hidden         bool
	Days           int // of the reminder
}

// InfisicalImport says what a folder shows of others.
type InfisicalImport struct {
	Env, Path, FromEnv, FromPath string
	Position                     int
}

// Infisical is an Infisical with one project, "shop", of the environments dev and prod.
type Infisical struct {
	URL          string
	ClientID     string
	ClientSecret string
	Secrets      []InfisicalSecret
	Folders      []string // "prod:/backend"
	Imports      []InfisicalImport
	Newer        bool // it has only the routes that call a workspace project, and v4 of secrets
	Loops        bool // every folder holds a folder of the same name
	Lies         bool // it says another value each time
	lie          int
	t            testing.TB
}

const infisicalToken = "test-value.access.token"

// NewInfisical starts one that ends with the test.
func NewInfisical(t testing.TB) *Infisical {
	i := &Infisical{ClientID: "client-test-value", ClientSecret: "secret-test-value", t: t}
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	i.URL = s.URL
	return i
}

func (i *Infisical) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api")
	if !ok {
		i.t.Errorf("Infisical was asked for %s", r.URL.Path)
	}
	if path == "/v1/auth/universal-auth/login" {
		i.login(w, r)
		return
	}
	if r.Method != http.MethodGet {
		i.t.Errorf("Infisical was asked to %s %s", r.Method, path)
	}
	if r.Header.Get("Authorization") != "Bearer "+infisicalToken {
		i.fail(w, http.StatusUnauthorized)
		return
	}
	q := r.URL.Query()
	project := map[string]any{"id": ProjectID, "_id": ProjectID, "slug": "shop", "name": "The Shop", "orgId": "org", "type": "secret-manager",
		"environments": []any{map[string]any{"id": "5c1a2b3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d", "slug": "dev", "name": "Development"}, map[string]any{"id": ProdID, "slug": "prod", "name": "Production"}}}
	other := map[string]any{"id": "9f2b8c1e-0d4a-4b7f-9c55-5e8a1d2f7b61", "slug": "kms", "name": "Keys", "type": "kms", "environments": []any{}}
	switch {
	case path == "/v1/workspace" && !i.Newer:
		write(w, http.StatusOK, map[string]any{"workspaces": []any{project, other}})
	case path == "/v1/projects" && i.Newer:
		write(w, http.StatusOK, map[string]any{"projects": []any{project, other}})
	case path == "/v1/workspace/"+ProjectID && !i.Newer:
		write(w, http.StatusOK, map[string]any{"workspace": project})
	case path == "/v2/workspace/"+ProjectID+"/identity-memberships":
		write(w, http.StatusOK, map[string]any{"identityMemberships": []any{map[string]any{"identity": map[string]any{"name": "deploy"}, "roles": []any{map[string]any{"role": "viewer"}}}}})
	case path == "/v1/folders":
		i.named(q)
		i.folders(w, q)
	case path == "/v1/secret-imports":
		i.named(q)
		i.imports(w, q)
	case path == "/v3/secrets/raw" && !i.Newer, path == "/v4/secrets" && i.Newer:
		i.list(w, q)
	case strings.HasPrefix(path, "/v3/secrets/raw/"):
		i.one(w, q, strings.TrimPrefix(path, "/v3/secrets/raw/"))
	default:
		i.fail(w, http.StatusNotFound)
	}
}

func (i *Infisical) fail(w http.ResponseWriter, status int) {
	write(w, status, map[string]any{"reqId": "req", "statusCode": status, "message": "no", "error": "Refused"})
}

func (i *Infisical) login(w http.ResponseWriter, r *http.Request) {
	var body map[string]string
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || json.NewDecoder(r.Body).Decode(&body) != nil || r.Header.Get("Authorization") != "" {
		i.t.Error("the login is not one of a client")
	}
	if body["clientId"] != i.ClientID || body["clientSecret"] != i.ClientSecret {
		i.fail(w, http.StatusUnauthorized)
		return
	}
	write(w, http.StatusOK, map[string]any{"accessToken": infisicalToken, "expiresIn": 7200, "accessTokenMaxTTL": 7200, "tokenType": "Bearer"})
}

// named checks that a request says project and environment.
func (i *Infisical) named(q url.Values) {
	if q.Get("workspaceId") != ProjectID || q.Get("environment") == "" {
		i.t.Errorf("a request does not say where: %v", q)
	}
}

func (i *Infisical) folders(w http.ResponseWriter, q url.Values) {
	var out []any
	parent := strings.TrimSuffix(q.Get("path"), "/")
	seen := map[string]bool{}
	for _, f := range i.Folders {
		env, path, _ := strings.Cut(f, ":")
		rest, ok := strings.CutPrefix(path, parent+"/")
		if env != q.Get("environment") || !ok || rest == "" {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		if !seen[name] {
			seen[name] = true
			out = append(out, map[string]any{"id": "f" + strconv.Itoa(len(out)), "name": name, "isReserved": false})
		}
	}
	if i.Loops {
		out = append(out, map[string]any{"id": "loop", "name": "again"})
	}
	if out == nil {
		out = []any{}
	}
	write(w, http.StatusOK, map[string]any{"folders": out})
}

func (i *Infisical) imports(w http.ResponseWriter, q url.Values) {
	out := []any{}
	for _, im := range i.Imports {
		if im.Env == q.Get("environment") && im.Path == q.Get("path") {
			out = append(out, map[string]any{"importPath": im.FromPath, "importEnv": map[string]any{"slug": im.FromEnv}, "position": im.Position, "isReplication": false})
		}
	}
	write(w, http.StatusOK, map[string]any{"secretImports": out})
}

func (i *Infisical) list(w http.ResponseWriter, q url.Values) {
	if q.Get("expandSecretReferences") != "false" || q.Get("recursive") != "true" || q.Get("include_imports")+q.Get("includeImports") != "false" || q.Get("secretPath") != "/" {
		i.t.Errorf("secrets are asked for in the wrong way: %v", q)
	}
	out := []any{}
	for _, s := range i.Secrets {
		if s.Env == q.Get("environment") {
			if i.Lies {
				i.lie++
				s.Values = []string{"test-value-lie-" + strconv.Itoa(i.lie)}
			}
			out = append(out, s.object(len(s.Values)))
		}
	}
	write(w, http.StatusOK, map[string]any{"secrets": out, "imports": []any{}})
}

func (i *Infisical) one(w http.ResponseWriter, q url.Values, name string) {
	n, _ := strconv.Atoi(q.Get("version"))
	at := slices.IndexFunc(i.Secrets, func(s InfisicalSecret) bool {
		return s.Key == name && s.Env == q.Get("environment") && s.Path == q.Get("secretPath")
	})
	if at < 0 || n < 1 || n > len(i.Secrets[at].Values) {
		i.fail(w, http.StatusNotFound)
		return
	}
	write(w, http.StatusOK, map[string]any{"secret": i.Secrets[at].object(n)})
}

func (s InfisicalSecret) object(version int) map[string]any {
	tags, meta := []any{}, []any{}
	for _, t := range s.Tags {
		tags = append(tags, map[string]any{"id": t, "slug": t, "name": t, "color": ""})
	}
	for k, v := range s.Meta {
		meta = append(meta, map[string]any{"key": k, "value": v, "isEncrypted": false})
	}
	kind, value := s.Type, s.Values[version-1]
	if kind == "" {
		kind = "shared"
	}
	if s.Hidden {
		value = "<hidden-by-infisical>"
	}
	return map[string]any{"id": "s-" + s.Key, "_id": "s-" + s.Key, "workspace": ProjectID, "environment": s.Env, "version": version, "type": kind, "secretKey": s.Key,
		"secretValue": value, "secretComment": s.Comment, "secretPath": s.Path, "secretValueHidden": s.Hidden, "skipMultilineEncoding": false, "tags": tags, "secretMetadata": meta,
		"secretReminderRepeatDays": s.Days, "secretReminderNote": nil, "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-0" + strconv.Itoa(version) + "T00:00:00.000Z",
		"actor": map[string]any{"actorId": "a", "actorType": "user", "name": "lead@example.test"}}
}
