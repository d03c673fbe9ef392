package migrate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/migrate/migratetest"
)

func vaultAccess(v *migratetest.Vault) VaultAccess {
	return VaultAccess{Address: v.URL + "/", Token: text(v.Token), Namespace: v.Namespace}
}

func TestVaultIsReadWithItsHistory(t *testing.T) {
	v := migratetest.NewVault(t)
	v.Namespace = "team/a"
	v.Engines["secret"], v.Engines["old"], v.Engines["database"] = "kv2", "kv1", "database"
	v.Put("secret", "app", migratetest.Version{Data: map[string]any{"A": "test-value-1", "B": "test-value-b"}, Created: "2026-01-01T00:00:00Z"})
	v.Put("secret", "app", migratetest.Version{Data: map[string]any{"A": "test-value-2", "B": "test-value-b"}, Created: "2026-01-02T00:00:00Z"})
	v.Put("secret", "app", migratetest.Version{Data: map[string]any{"A": "test-value-3"}, Created: "2026-01-03T00:00:00Z"})
	v.Put("secret", "app/db", migratetest.Version{Data: map[string]any{"port": 5432, "tls": true, "opts": map[string]any{"x": []any{1.0, "test-value"}}, "none": nil, "text": "a ${X} b"}, Created: "2026-01-01T00:00:00Z"})
	v.Put("secret", "gone", migratetest.Version{Data: map[string]any{"K": "test-value-old"}, Created: "2026-01-01T00:00:00Z"})
	v.Put("secret", "gone", migratetest.Version{Data: map[string]any{"K": "test-value-new"}, Created: "2026-01-02T00:00:00Z", Deleted: "2026-01-05T00:00:00Z"})
	v.Put("secret", "destroyed", migratetest.Version{Created: "2026-01-01T00:00:00Z"})
	v.Put("secret", "empty", migratetest.Version{Data: map[string]any{}, Created: "2026-01-01T00:00:00Z"})
	v.Put("secret", "ends", migratetest.Version{Data: map[string]any{"K": "test-value"}, Created: "2026-01-01T00:00:00Z", Deleted: "2999-01-01T00:00:00Z"})
	v.Put("secret", "closed", migratetest.Version{Data: map[string]any{"K": "test-value"}})
	v.Put("secret", "private/x", migratetest.Version{Data: map[string]any{"K": "test-value"}})
	v.Put("secret", "with space+plus", migratetest.Version{Data: map[string]any{"my key": "test-value"}, Created: "2026-01-01T00:00:00Z"})
	v.Put("old", "x/y", migratetest.Version{Data: map[string]any{"A": "test-value"}})
	v.Meta["secret/app"] = map[string]string{"owner": "lead"}
	v.Denied["secret/closed"], v.Denied["secret/private/"] = true, true
	v.Policies = []string{"deploy"}
	p, err := Vault(t.Context(), vaultAccess(v), Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{Rename: true}), `
[vault-old/prod]
/x/y/A="test-value"
[vault-secret/prod]
/app/A="test-value-3" meta map[owner:lead]
/app/db/none="null" json
/app/db/opts="{\"x\":[1,\"test-value\"]}" json
/app/db/port="5432" json
/app/db/text="a ${X} b" literal
/app/db/tls="true" json
/ends/K="test-value"
/with-space-plus/my_key="test-value"
- 2026-01-01  /app/A=test-value-1 /app/B=test-value-b
- 2026-01-01  /ends/K=test-value
- 2026-01-01  /gone/K=test-value-old
- 2026-01-01  /with-space-plus/my_key=test-value
- 2026-01-01  /app/db/none=null /app/db/opts={"x":[1,"test-value"]} /app/db/port=5432 /app/db/text=a ${X} b /app/db/tls=true
- 2026-01-02  /app/A=test-value-2
- 2026-01-03  /app/A=test-value-3 gone /app/B
- 2026-01-05  gone /gone/K
changed secret: 1 document has custom metadata: it comes to each of their secrets
changed secret/ends: ends at 2999-01-01T00:00:00Z at the source; here it stays
identity policy deploy: write it again once VAULT_ADDR points here: vault policy read from the old one, vault policy write here
renamed vault-secret/prod:/with space+plus: becomes with-space-plus
renamed vault-secret/prod:/with space+plus/my key: becomes my_key
skipped database: is an engine of type database: what it holds cannot be read out of it
unread secret/closed: may not be read by this token
unread secret/private/: may not be listed by this token
`)
	if got := fmt.Sprint(p.Mounts); got != "[{old 1 vault-old prod /} {secret 2 vault-secret prod /}]" {
		t.Errorf("mounts %s", got)
	}
	p, err = Vault(t.Context(), vaultAccess(v), Options{Env: "prod", History: 1})
	if p = fitted(t, p, err, Fitting{Into: "all", Prefix: "/x", Rename: true}); fmt.Sprint(p.Mounts) != "[{old 1 all prod /x/vault-old} {secret 2 all prod /x/vault-secret}]" || len(p.Projects) != 1 {
		t.Errorf("mounts %v", p.Mounts)
	}
}

func TestVaultIsReadInPartsAndWithFewRights(t *testing.T) {
	v := migratetest.NewVault(t)
	v.Engines["secret"], v.Engines["other"] = "kv2", "kv2"
	for i := range 4 {
		v.Put("secret", "team/app", migratetest.Version{Data: map[string]any{"A": fmt.Sprint("test-value-", i)}, Created: fmt.Sprintf("2026-01-0%dT00:00:00Z", i+1)})
	}
	v.Put("secret", "team2/app", migratetest.Version{Data: map[string]any{"A": "test-value"}})
	v.Put("other", "x", migratetest.Version{Data: map[string]any{"A": "test-value"}})
	v.Denied["sys/mounts"] = true
	_, err := Vault(t.Context(), vaultAccess(v), Options{Env: "prod"})
	refusedAs(t, err, fault.Denied, "engines")
	p, err := Vault(t.Context(), vaultAccess(v), Options{Env: "prod", Only: []string{"secret/team"}, History: 2})
	same(t, fitted(t, p, err, Fitting{}), `
[vault-secret/prod]
/team/app/A="test-value-3"
- 2026-01-03  /team/app/A=test-value-2
- 2026-01-04  /team/app/A=test-value-3
`)
	before := v.Requests.Load()
	if _, err = Vault(t.Context(), vaultAccess(v), Options{Env: "prod", Only: []string{"secret/team"}, History: 1}); err != nil {
		t.Fatal(err)
	}
	if n := v.Requests.Load() - before; n > 6 { // mounts, the engine's entry twice, two lists, one document
		t.Errorf("%d requests to read one document", n)
	}
	bad := vaultAccess(v)
	bad.Token = text("hvs.other")
	_, err = Vault(t.Context(), bad, Options{Env: "prod"})
	refusedAs(t, err, fault.Denied)
}

// Ten thousand documents take one request each and a few for the lists, many at once.
func TestManyDocumentsOfVaultAreReadQuickly(t *testing.T) {
	v := migratetest.NewVault(t)
	v.Engines["secret"] = "kv2"
	const n = 1000
	for i := range n {
		v.Put("secret", fmt.Sprintf("team%d/app%d", i%10, i), migratetest.Version{Data: map[string]any{"A": fmt.Sprint("test-value-", i)}, Created: "2026-01-01T00:00:00Z"})
	}
	p, err := Vault(t.Context(), vaultAccess(v), Options{Env: "prod", History: 10})
	p = fitted(t, p, err, Fitting{})
	if s := p.Size(); s.Secrets != n || s.Folders != n {
		t.Errorf("read %+v", s)
	}
	if got := v.Requests.Load(); got > n+20 {
		t.Errorf("%d requests for %d documents", got, n)
	}
}

func TestNamesOfVaultCannotLeadElsewhere(t *testing.T) {
	s := serve(t, `{"data":{"secret/":{"type":"kv","options":{"version":"2"}},"../auth/":{"type":"kv","options":{"version":"2"}}}}`, map[string]string{
		"/v1/secret/metadata/":       `{"data":{"keys":["..","../","./",".","/","a/b","ok"]}}`,
		"/v1/secret/data/ok":         `{"data":{"data":{"A":"test-value"},"metadata":{"version":1}}}`,
		"/v1/sys/policies/acl":       `{"data":{"keys":[]}}`,
		"/v1/auth/approle/role":      `{"data":{"keys":[]}}`,
		"/v1/sys/internal/ui/mounts": `{}`,
	}, "/v1/sys/mounts")
	p, err := Vault(t.Context(), VaultAccess{Address: s.URL, Token: text("x")}, Options{Env: "prod"})
	p = fitted(t, p, err, Fitting{})
	if p.Size().Secrets != 1 || p.Unfit() != 6 {
		t.Errorf("got %s", shown(p))
	}
}

func TestDirectoriesOfVaultThatHoldThemselvesEnd(t *testing.T) {
	s := serveAny(t, func(path string) string {
		switch {
		case path == "/v1/sys/mounts":
			return `{"data":{"secret/":{"type":"kv","options":{"version":"2"}}}}`
		case strings.HasPrefix(path, "/v1/secret/metadata/"):
			return `{"data":{"keys":["again/"]}}`
		}
		return `{"data":{"keys":[]}}`
	})
	start := time.Now()
	p, err := Vault(t.Context(), VaultAccess{Address: s.URL, Token: text("x")}, Options{Env: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Unfit() != 1 || time.Since(start) > 30*time.Second {
		t.Errorf("got %s", shown(p))
	}
}
