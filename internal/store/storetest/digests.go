package storetest

import (
	"context"
	"maps"
	"testing"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// everything writes one row of every deciding table, and replaced states of a folder and a secret.
func everything(t *testing.T, db *store.DB) *World {
	t.Helper()
	w := Settle(t, db)
	f, s := w.Folder("/a"), w.Secret("A")
	f.Settings.Required = []domain.SecretName{"A"}
	s.Attrs = domain.Attributes{Tags: []domain.Tag{}, Meta: map[string]string{"b": "<ü>", "a": "2"}}
	put(t, db, func(ctx context.Context, tx *store.Tx) error {
		need(t, tx.PutFolders(ctx, nil, []*store.Folder{&f}))
		need(t, tx.PutSecrets(ctx, nil, []*store.Secret{&s}))
		need(t, tx.TouchFolders(ctx, f.ID))
		need(t, tx.PutCommit(ctx, &store.Commit{ID: domain.NewID[domain.CommitID](), Env: w.Env.ID, Revision: 1, Message: "é\n"}))
		need(t, tx.PutPersonal(ctx, &store.Personal{ID: domain.NewID[string](), Secret: s.ID, User: "u"}))
		need(t, tx.PutPerson(ctx, &store.Person{ID: domain.NewID[domain.UserID](), Org: w.Org.ID, Email: "a@example.test", Password: "test-value", Disabled: true}))
		m := store.Identity{ID: domain.NewID[domain.IdentityID](), Org: w.Org.ID, Name: "m", TokenTTL: 7}
		need(t, tx.PutIdentity(ctx, &m))
		need(t, tx.PutClientSecret(ctx, &store.ClientSecret{ID: domain.NewID[string](), Identity: m.ID, Hash: []byte{1}}))
		need(t, tx.PutToken(ctx, &store.Token{ID: domain.NewID[domain.TokenID](), Hash: []byte{1}, Scopes: []domain.Scope{{Path: "/"}}}))
		need(t, tx.PutToken(ctx, &store.Token{ID: domain.NewID[domain.TokenID](), Hash: []byte{2}}))
		g := store.Grant{ID: domain.NewID[string](), PrincipalID: "u", Role: domain.Viewer}
		need(t, tx.PutGrant(ctx, &g))
		need(t, tx.PutGrant(ctx, &store.Grant{ID: domain.NewID[string](), PrincipalID: "v", Role: domain.None}))
		need(t, tx.RemoveGrant(ctx, &g))
		need(t, tx.PutKeySlots(ctx, &store.KeySlot{ID: "s", Wrapped: []byte{1}, Check: []byte{3}}))
		return tx.PutKeyGenerations(ctx, &store.KeyGeneration{ID: "k", Layer: "log", Generation: 1, Public: []byte{1}},
			&store.KeyGeneration{ID: "l", Layer: "log", Generation: 2})
	})
	oldFolder, oldSecret := f, s
	oldFolder.Version = 1
	f.Path, f.Revision = "/b", 2
	s.Name, s.Revision, s.Version = "B", 2, 2
	put(t, db, func(ctx context.Context, tx *store.Tx) error {
		need(t, tx.PutFolders(ctx, []*store.Folder{&oldFolder}, []*store.Folder{&f}))
		return tx.PutSecrets(ctx, []*store.Secret{&oldSecret}, []*store.Secret{&s})
	})
	return w
}

// stored gives the digests of all rows as they stand.
func stored(t *testing.T, db *store.DB) map[audit.RowKey][32]byte {
	t.Helper()
	out := map[audit.RowKey][32]byte{}
	err := db.Digests(t.Context(), func(table, key string, digest [32]byte) error {
		if _, twice := out[audit.RowKey{T: table, K: key}]; twice {
			t.Errorf("two rows of %s have the key %s", table, key)
		}
		out[audit.RowKey{T: table, K: key}] = digest
		return nil
	})
	must(t, err)
	return out
}

// logged gives the digests that the log tells, without those of removed rows.
func logged(t *testing.T, db *store.DB) map[audit.RowKey][32]byte {
	t.Helper()
	rows, err := audit.LastRows(t.Context(), db.Log())
	must(t, err)
	maps.DeleteFunc(rows, func(_ audit.RowKey, d [32]byte) bool { return d == [32]byte{} })
	return rows
}

func digests(t *testing.T, fresh Fresh) {
	t.Run("the log knows every deciding row as it stands", func(t *testing.T) {
		db := Found(t, fresh(t))
		everything(t, db)
		have, want := stored(t, db), logged(t, db)
		tables := map[string]bool{}
		for key, d := range want {
			tables[key.T] = true
			if have[key] != d {
				t.Errorf("%s %s: the log and the database tell different digests", key.T, key.K)
			}
		}
		for key := range have {
			if _, ok := want[key]; !ok {
				t.Errorf("%s %s is not in the log", key.T, key.K)
			}
		}
		if len(tables) != 14 {
			t.Errorf("%d tables are in the log, want 14: %v", len(tables), tables)
		}
	})

	t.Run("an entry tells the rows of its own change and no others", func(t *testing.T) {
		db := Found(t, fresh(t))
		w := Settle(t, db)
		a, b := w.Secret("A"), w.Secret("B")
		entry := put(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutSecrets(ctx, nil, []*store.Secret{&a, &b})
		})
		have := stored(t, db)
		if len(entry.Rows) != 2 {
			t.Fatalf("%d rows, want 2", len(entry.Rows))
		}
		for i, s := range []store.Secret{a, b} {
			r := entry.Rows[i]
			if r.T != "secret" || r.K != string(s.ID)+"/1" || have[audit.RowKey{T: r.T, K: r.K}] != r.D || r.D == [32]byte{} {
				t.Errorf("row %d is %+v", i, r)
			}
		}
	})

	// The attack: somebody who can write to the database gives himself a right, or takes back a revocation.
	for name, attack := range map[string]struct{ table, change string }{
		"a token is revived":                    {"token", "UPDATE token SET expires_at = expires_at + 1 WHERE scopes = 'null'"},
		"a token's scope is widened":            {"token", "UPDATE token SET scopes = 'null' WHERE scopes <> 'null'"},
		"a token's hash is replaced":            {"token", "UPDATE token SET hash = (SELECT key_check FROM key_slot) WHERE scopes <> 'null'"},
		"a role is raised":                      {"role_grant", "UPDATE role_grant SET role = 'admin'"},
		"a removed row is put back":             {"role_grant", "INSERT INTO role_grant SELECT 'forged', org_id, principal_kind, 'w', project_id, env_id, path, role, created_at, expires_at, reason, cause FROM role_grant"},
		"a row is removed":                      {"role_grant", "DELETE FROM role_grant"},
		"a password is replaced":                {"person", "UPDATE person SET password = 'other'"},
		"a user is enabled":                     {"person", "UPDATE person SET disabled = 0"},
		"a machine's tokens live longer":        {"identity", "UPDATE identity SET token_ttl = 8"},
		"a secret is rolled back to a version":  {"secret", "UPDATE secret SET version = 1"},
		"a deleted mark is set":                 {"secret", "UPDATE secret SET deleted = 2"},
		"a secret changes its owner":            {"secret", "UPDATE secret SET attrs = '{}'"},
		"a replaced state is rewritten":         {"secret", "UPDATE secret_history SET name = 'C'"},
		"a replaced folder is rewritten":        {"folder", "UPDATE folder_history SET path = '/c'"},
		"a folder moves":                        {"folder", "UPDATE folder SET path = '/c' WHERE path = '/b'"},
		"a commit gets another author":          {"commits", "UPDATE commits SET author_name = 'Eve'"},
		"an environment's revision is put back": {"environment", "UPDATE environment SET revision = 7"},
		"a project is renamed":                  {"project", "UPDATE project SET slug = 'other'"},
		"an organisation is renamed":            {"org", "UPDATE org SET name = 'Other'"},
		"a client secret is replaced":           {"client_secret", "UPDATE client_secret SET expires_at = 9"},
		"a personal value changes hands":        {"personal", "UPDATE personal SET user_id = 'v'"},
		"a slot's wrapping is replaced":         {"key_slot", "UPDATE key_slot SET wrapped = key_check"},
		"a key's state is put back":             {"key_generation", "UPDATE key_generation SET state = 'primary'"},
		"a verification key is replaced":        {"key_generation", "UPDATE key_generation SET public = NULL WHERE id = 'k'"},
	} {
		t.Run(name, func(t *testing.T) {
			place := fresh(t)
			db := Found(t, place)
			everything(t, db)
			shut(t, db)
			edit(t, place, attack.change)
			db = Open(t, place)
			have, want := stored(t, db), logged(t, db)
			found := 0
			for _, side := range []map[audit.RowKey][32]byte{have, want} {
				for key := range side {
					if have[key] != want[key] {
						found++
						if key.T != attack.table {
							t.Errorf("a row of %s differs, want %s", key.T, attack.table)
						}
					}
				}
			}
			if found == 0 {
				t.Error("no digest tells it")
			}
		})
	}

	t.Run("what a key rotation changes is not part of a digest", func(t *testing.T) {
		place := fresh(t)
		db := Found(t, place)
		everything(t, db)
		before := stored(t, db)
		shut(t, db)
		edit(t, place, "UPDATE secret SET value = NULL, comment = NULL, digest = NULL", "UPDATE folder SET version = version + 1",
			"UPDATE key_generation SET seals_reserved = 9, wrapped_by = 'x', wrapped = NULL")
		if after := stored(t, Open(t, place)); !maps.Equal(before, after) {
			t.Error("digests changed")
		}
	})
}
