package proof

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite" // the intruder's own tool

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/keyturntest"
)

// crime is a change of the database behind the server's back, and how it must come to light.
type crime struct {
	name string
	do   func(t *testing.T, v *victim)
	// named are texts that the deep verification must name, each in the row or text of one finding. {NAME} stands for an id
	// that the victim knows.
	named []string
	// inconsistent tells that a client who remembers a checkpoint must see it: the log itself was put back.
	inconsistent bool
}

// victim is a stopped server's database, open to the intruder.
type victim struct {
	db  *sql.DB
	ids map[string]string // what the world calls its things
	old *sql.DB           // an earlier copy
}

func (v *victim) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	res, err := v.db.Exec(v.filled(query), args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("the crime hit nothing: %s: %v", query, err)
	}
}

// filled puts ids in for their names.
func (v *victim) filled(s string) string {
	for name, id := range v.ids {
		s = strings.ReplaceAll(s, "{"+name+"}", id)
	}
	return s
}

// values reads the columns of one row.
func (v *victim) row(t *testing.T, db *sql.DB, query string) []any {
	t.Helper()
	rows, err := db.Query(v.filled(query))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		t.Fatalf("no row: %s: %v", query, err)
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		t.Fatal(err)
	}
	return values
}

// insert puts a whole row into a table.
func (v *victim) insert(t *testing.T, table string, values []any) {
	t.Helper()
	v.exec(t, "INSERT INTO "+table+" VALUES ("+strings.TrimSuffix(strings.Repeat("?,", len(values)), ",")+")", values...)
}

// crimes is the table. The log's words for a row are "table id" or, for what has states, "table id/revision".
var crimes = []crime{
	{name: "a value thrown away as if it were purged", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET value = NULL, comment = NULL, digest = NULL WHERE id = '{A}'")
	}},
	{name: "a comment thrown away", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET comment = NULL WHERE id = '{A}'")
	}},
	{name: "an older personal value put back", named: []string{"personal {PERSONAL}"}, do: func(t *testing.T, v *victim) {
		old := v.row(t, v.old, "SELECT value FROM personal WHERE id = '{PERSONAL}'")
		v.exec(t, "UPDATE personal SET value = ? WHERE id = '{PERSONAL}'", old...)
	}},
	{name: "two values swapped", named: []string{"secret {A}/", "secret {B}/"}, do: func(t *testing.T, v *victim) {
		a, b := v.row(t, v.db, "SELECT value, digest FROM secret WHERE id = '{A}'"), v.row(t, v.db, "SELECT value, digest FROM secret WHERE id = '{B}'")
		v.exec(t, "UPDATE secret SET value = ?, digest = ? WHERE id = '{A}'", b...)
		v.exec(t, "UPDATE secret SET value = ?, digest = ? WHERE id = '{B}'", a...)
	}},
	{name: "two comments swapped", named: []string{"secret {A}/", "secret {B}/"}, do: func(t *testing.T, v *victim) {
		a, b := v.row(t, v.db, "SELECT comment FROM secret WHERE id = '{A}'"), v.row(t, v.db, "SELECT comment FROM secret WHERE id = '{B}'")
		v.exec(t, "UPDATE secret SET comment = ? WHERE id = '{A}'", b...)
		v.exec(t, "UPDATE secret SET comment = ? WHERE id = '{B}'", a...)
	}},
	{name: "an older value put back", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET (value, digest) = (SELECT value, digest FROM secret_history WHERE id = '{A}' AND version = 1) WHERE id = '{A}'")
	}},
	{name: "an older value put back with its version", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET (value, digest, version) = (SELECT value, digest, version FROM secret_history WHERE id = '{A}' AND version = 1) WHERE id = '{A}'")
	}},
	{name: "an older state put back whole", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		old := v.row(t, v.db, "SELECT * FROM secret_history WHERE id = '{A}' AND version = 1")
		v.exec(t, "DELETE FROM secret WHERE id = '{A}'")
		v.insert(t, "secret", old)
	}},
	{name: "the current state and an older one change places", named: []string{"secret {A}/"}, do: func(t *testing.T, v *victim) {
		now, old := v.row(t, v.db, "SELECT * FROM secret WHERE id = '{A}'"), v.row(t, v.db, "SELECT * FROM secret_history WHERE id = '{A}' AND version = 1")
		v.exec(t, "DELETE FROM secret WHERE id = '{A}'")
		v.exec(t, "DELETE FROM secret_history WHERE id = '{A}' AND version = 1")
		v.insert(t, "secret", old)
		v.insert(t, "secret_history", now)
	}},
	{name: "a folder's current state and an older one change places", named: []string{"folder {FOLDER}/"}, do: func(t *testing.T, v *victim) {
		now, old := v.row(t, v.db, "SELECT * FROM folder WHERE id = '{FOLDER}'"), v.row(t, v.db, "SELECT * FROM folder_history WHERE id = '{FOLDER}'")
		v.exec(t, "DELETE FROM folder_history WHERE id = '{FOLDER}'")
		v.insert(t, "folder_history", now)
		v.exec(t, "UPDATE folder SET path = ?, revision = ?, version = ?, deleted = ?, settings = ? WHERE id = '{FOLDER}'", old[4], old[5], old[6], old[7], old[8])
	}},
	{name: "a value's digest replaced, so that reuse is hidden", named: []string{"secret {B}/"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET digest = randomblob(length(digest)) WHERE id = '{B}'")
	}},
	{name: "a revoked token made good again", named: []string{"token {REVOKED}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE token SET revoked_at = 0 WHERE id = '{REVOKED}'")
	}},
	{name: "a token's scope widened", named: []string{"token {TOKEN}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE token SET scopes = 'null' WHERE id = '{TOKEN}'")
	}},
	{name: "a token's life prolonged", named: []string{"token {TOKEN}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE token SET expires_at = expires_at + 86400000 WHERE id = '{TOKEN}'")
	}},
	{name: "a token given to somebody else", named: []string{"token {TOKEN}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE token SET principal_kind = 'identity', principal_id = '{MACHINE}' WHERE id = '{TOKEN}'")
	}},
	{name: "a role raised", named: []string{"role_grant {GRANT}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE role_grant SET role = 'admin' WHERE id = '{GRANT}'")
	}},
	{name: "a grant made by hand", named: []string{"role_grant 00000000-0000-7000-8000-000000000001"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "INSERT INTO role_grant SELECT '00000000-0000-7000-8000-000000000001', org_id, principal_kind, principal_id, '', '', '', 'admin', created_at, 0, '', '' FROM role_grant WHERE id = '{GRANT}'")
	}},
	{name: "a removed grant put back", named: []string{"role_grant {REMOVED}"}, do: func(t *testing.T, v *victim) {
		v.insert(t, "role_grant", v.row(t, v.old, "SELECT * FROM role_grant WHERE id = '{REMOVED}'"))
	}},
	{name: "a grant taken away", named: []string{"role_grant {GRANT}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "DELETE FROM role_grant WHERE id = '{GRANT}'")
	}},
	{name: "a disabled machine enabled", named: []string{"identity {DISABLED}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE identity SET disabled = 0 WHERE id = '{DISABLED}'")
	}},
	{name: "a client secret of one machine given to another", named: []string{"client_secret {CLIENT}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE client_secret SET identity_id = '{DISABLED}' WHERE id = '{CLIENT}'")
	}},
	{name: "an admin's password hash replaced", named: []string{"person {ADMIN}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE person SET password = '$argon2id$v=19$m=65536,t=3,p=4$dGVzdC12YWx1ZQ$dGVzdC12YWx1ZQ' WHERE id = '{ADMIN}'")
	}},
	{name: "a history row deleted", named: []string{"secret {A}/1"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "DELETE FROM secret_history WHERE id = '{A}' AND version = 1")
	}},
	{name: "a history row altered", named: []string{"secret {A}/1"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret_history SET at = at - 1 WHERE id = '{A}' AND version = 1")
	}},
	{name: "a value of the history altered", named: []string{"secret {A}/1"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret_history SET value = (SELECT value FROM secret WHERE id = '{B}') WHERE id = '{A}' AND version = 1")
	}},
	{name: "a commit's author changed", named: []string{"commits "}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE commits SET author_name = 'somebody else' WHERE env_id = '{ENV}' AND revision = 1")
	}},
	{name: "a commit deleted", named: []string{"commits "}, do: func(t *testing.T, v *victim) {
		v.exec(t, "DELETE FROM commits WHERE env_id = '{ENV}' AND revision = 1")
	}},
	{name: "a secret made by hand", named: []string{"secret 00000000-0000-7000-8000-000000000002/"}, do: func(t *testing.T, v *victim) {
		row := v.row(t, v.db, "SELECT * FROM secret WHERE id = '{A}'")
		row[0], row[5] = "00000000-0000-7000-8000-000000000002", "MADE_BY_HAND"
		v.insert(t, "secret", row)
	}},
	{name: "a deleted secret brought back", named: []string{"secret {GONE}/"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET deleted = 0 WHERE id = '{GONE}'")
	}},
	{name: "an owner changed", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET attrs = replace(attrs, 'platform', 'intruder') WHERE id = '{A}'")
	}},
	{name: "a secret renamed", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET name = 'OTHER' WHERE id = '{A}'")
	}},
	{name: "a secret moved to another folder", named: []string{"secret {A}/3"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE secret SET folder_id = '{FOLDER}' WHERE id = '{A}'")
	}},
	{name: "a folder moved", named: []string{"folder {FOLDER}/"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE folder SET path = '/elsewhere' WHERE id = '{FOLDER}'")
	}},
	{name: "an environment's revision set back", named: []string{"environment {ENV}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE environment SET revision = 1 WHERE id = '{ENV}'")
	}},
	{name: "a project renamed", named: []string{"project {PROJECT}"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE project SET slug = 'other' WHERE id = '{PROJECT}'")
	}},
	{name: "a key slot renamed", named: []string{"key_slot "}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE key_slot SET created_at = created_at + 1")
	}},
	{name: "an entry of the log altered", named: []string{"entry"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE audit_chunk SET data = CAST(replace(CAST(data AS TEXT), 'secret.write', 'secret.wride') AS BLOB) WHERE instr(data, 'secret.write') > 0")
	}},
	{name: "the newest entry of the log altered", named: []string{"entr"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE audit_chunk SET data = CAST(replace(CAST(data AS TEXT), 'allowed', 'refused') AS BLOB) WHERE first = (SELECT max(first) FROM audit_chunk)")
	}},
	{name: "the newest chunk of the log deleted", named: []string{"missing"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "DELETE FROM audit_chunk WHERE first = (SELECT max(first) FROM audit_chunk)")
	}},
	{name: "a tile of the log altered", named: []string{"tile"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE audit_tile SET hashes = randomblob(length(hashes)) WHERE level = 0 AND idx = 0")
	}},
	{name: "a tile of the log deleted", named: []string{"tile"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "DELETE FROM audit_tile WHERE level = 0 AND idx = 0")
	}},
	{name: "an entry and its tile altered alike", named: []string{"root"}, do: func(t *testing.T, v *victim) {
		var data []byte
		if err := v.db.QueryRow("SELECT data FROM audit_chunk WHERE first = 3").Scan(&data); err != nil {
			t.Fatal(err)
		}
		forged := bytes.Replace(data, []byte(`"allowed"`), []byte(`"refused"`), 1)
		length := int(binary.BigEndian.Uint16(forged))
		leaf := tlog.RecordHash(forged[2 : 2+length])
		v.exec(t, "UPDATE audit_chunk SET data = ? WHERE first = 3", forged)
		var hashes []byte
		if err := v.db.QueryRow("SELECT hashes FROM audit_tile WHERE level = 0 AND idx = 0").Scan(&hashes); err != nil {
			t.Fatal(err)
		}
		copy(hashes[3*tlog.HashSize:], leaf[:])
		v.exec(t, "UPDATE audit_tile SET hashes = ? WHERE level = 0 AND idx = 0", hashes)
	}},
	{name: "a chunk of the log deleted", named: []string{"missing"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "DELETE FROM audit_chunk WHERE first = 3")
	}},
	{name: "the times of a chunk altered", named: []string{"time"}, do: func(t *testing.T, v *victim) {
		v.exec(t, "UPDATE audit_chunk SET from_ms = from_ms + 100000, to_ms = to_ms + 100000 WHERE first = 3")
	}},
	{
		name: "the log's tail cut and the instance row put back", inconsistent: true,
		named: []string{"token {REVOKED}", "secret {A}/3"}, // what the cut entries had written
		do: func(t *testing.T, v *victim) {
			old := v.row(t, v.old, "SELECT log_size, log_root, feed_seq FROM instance")
			v.exec(t, "DELETE FROM audit_chunk WHERE first >= ?", old[0])
			v.exec(t, "UPDATE instance SET log_size = ?, log_root = ?, feed_seq = ?", old...)
		},
	},
	{name: "the whole database put back to an earlier copy", inconsistent: true, do: func(t *testing.T, v *victim) {
		if _, err := v.db.Exec("ATTACH DATABASE '" + v.ids["OLD"] + "' AS old; " + everythingFromOld(t, v)); err != nil {
			t.Fatal(err)
		}
	}},
}

// everythingFromOld replaces every table by that of the earlier copy.
func everythingFromOld(t *testing.T, v *victim) string {
	t.Helper()
	rows, err := v.db.Query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "DELETE FROM main.%s; INSERT INTO main.%s SELECT * FROM old.%s; ", name, name, name)
	}
	return b.String()
}

// scene is the stopped world that every crime starts from.
type scene struct {
	folder, earlier string // data, and a copy of it from before the last third of its life
	token           string
	ids             map[string]string
	witness         *witness
}

// buildScene lets a server live through all that the crimes need, and keeps a copy of its data from the middle of it.
func buildScene(t *testing.T) scene {
	t.Helper()
	sc := scene{folder: t.TempDir(), earlier: t.TempDir(), ids: map[string]string{}, witness: &witness{}}
	server := keyturntest.Start(t, keyturntest.WithData(sc.folder))
	sc.token = server.Token
	s := siteAt(t, server.URL)
	do := func(method, path string, body any) { must[map[string]any](t, s, sc.token, method, path, body) }
	project := must[api.Project](t, s, sc.token, "POST", "/projects", api.ProjectRequest{Slug: "shop", Envs: []string{"dev"}})
	sc.ids["PROJECT"], sc.ids["ENV"] = project.ID, project.Envs[0].ID
	commits := at("shop", "dev", "commits")
	text := func(s string) *string { return &s }
	change := func(changes ...api.Change) { do("POST", commits, api.CommitRequest{Changes: changes}) }
	change(api.Change{Op: "set", Path: "/", Name: "A", Value: text("test-value a1"), Owner: text("platform"), Comment: text("test-value comment of a")},
		api.Change{Op: "set", Path: "/", Name: "B", Value: text("test-value b1"), Comment: text("test-value comment of b")})
	change(api.Change{Op: "set", Path: "/folder", Name: "C", Value: text("test-value c1")}, api.Change{Op: "set", Path: "/", Name: "GONE", Value: text("test-value gone")})
	do("PUT", at("shop", "dev", "personal"), api.PersonalRequest{Path: "/", Name: "A", Value: api.Value{Value: "test-value own 1"}})
	machine := must[api.Identity](t, s, sc.token, "POST", "/identities", api.IdentityRequest{Name: "machine"})
	disabled := must[api.Identity](t, s, sc.token, "POST", "/identities", api.IdentityRequest{Name: "disabled"})
	grant := must[api.Grant](t, s, sc.token, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: "machine", Project: "shop", Role: "viewer"})
	removed := must[api.Grant](t, s, sc.token, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: "disabled", Project: "shop", Role: "developer"})
	client := must[api.ClientSecret](t, s, sc.token, "POST", "/identities/machine/client-secrets", api.ClientSecretRequest{Name: "first"})
	scoped := must[api.NewToken](t, s, sc.token, "POST", "/tokens", api.TokenRequest{Project: "shop", Scopes: "dev:/:read", TTL: "1h"})
	revoked := must[api.NewToken](t, s, sc.token, "POST", "/tokens", api.TokenRequest{Project: "shop", Scopes: "dev:/:read", TTL: "1h"})
	sc.ids["MACHINE"], sc.ids["DISABLED"], sc.ids["GRANT"], sc.ids["REMOVED"] = machine.ID, disabled.ID, grant.ID, removed.ID
	sc.ids["CLIENT"], sc.ids["TOKEN"], sc.ids["REVOKED"] = client.ID, scoped.ID, revoked.ID
	const tile = 256
	for range tile { // so that a tile of the log is full before the end
		do("GET", "/whoami", nil)
	}
	sc.ids["ADMIN"] = must[api.Principal](t, s, sc.token, "GET", "/whoami", nil).ID
	server.Stop()
	copyWorld(t, sc.folder, sc.earlier)

	server = keyturntest.Bare(t, keyturntest.WithData(sc.folder))
	s = siteAt(t, server.URL)
	change(api.Change{Op: "set", Path: "/", Name: "A", Value: text("test-value a2")}, api.Change{Op: "delete", Path: "/", Name: "GONE"},
		api.Change{Op: "folder.required", Path: "/folder", Requires: []string{"C"}})
	do("PUT", at("shop", "dev", "personal"), api.PersonalRequest{Path: "/", Name: "A", Value: api.Value{Value: "test-value own 2"}})
	do("PATCH", "/identities/disabled", api.EnabledRequest{Disabled: true})
	do("DELETE", "/grants/"+removed.ID, nil)
	do("DELETE", "/tokens/"+revoked.ID, nil)
	sc.witness.judge(t, s, sc.token, true)
	server.Stop()

	db := openFile(t, sc.folder)
	for id, query := range map[string]string{
		"A": "SELECT id FROM secret WHERE name = 'A'", "B": "SELECT id FROM secret WHERE name = 'B'", "GONE": "SELECT id FROM secret WHERE name = 'GONE'",
		"FOLDER": "SELECT id FROM folder WHERE path = '/folder'", "PERSONAL": "SELECT id FROM personal",
	} {
		var text string
		if err := db.QueryRow(query).Scan(&text); err != nil {
			t.Fatal(err)
		}
		sc.ids[id] = text
	}
	if err := db.Close(); err != nil { // takes the WAL in, so that the file is all
		t.Fatal(err)
	}
	return sc
}

func openFile(t *testing.T, folder string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "keyturn.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

// copyWorld copies the data folder of a stopped server, database and root key.
func copyWorld(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	db := openFile(t, to)
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDataChangedBehindTheServersBackIsNamed(t *testing.T) {
	sc := buildScene(t)
	t.Run("nothing", func(t *testing.T) { // the control: an honest database has no findings
		if findings := investigate(t, sc, crime{do: func(*testing.T, *victim) {}}); len(findings) > 0 {
			t.Errorf("an honest database is accused: %v", findings)
		}
	})
	for _, c := range crimes {
		t.Run(c.name, func(t *testing.T) { c.comesToLight(t, sc) })
	}
}

func (c crime) comesToLight(t *testing.T, sc scene) {
	t.Helper()
	findings := investigate(t, sc, c)
	for _, name := range c.named {
		for id, text := range sc.ids {
			name = strings.ReplaceAll(name, "{"+id+"}", text)
		}
		found := false
		for _, f := range findings {
			found = found || strings.Contains(f.Row, name) || strings.Contains(f.Text, name)
		}
		if !found {
			t.Errorf("nothing names %s; findings: %v", name, findings)
		}
	}
}

// investigate commits a crime on a copy of the scene and gives what the server finds. What is inconsistent must also be
// refused by a client who remembers.
func investigate(t *testing.T, sc scene, c crime) []api.Finding {
	t.Helper()
	folder := t.TempDir()
	copyWorld(t, sc.folder, folder)
	v := &victim{db: openFile(t, folder), old: openFile(t, sc.earlier), ids: map[string]string{"OLD": filepath.Join(sc.earlier, "keyturn.db")}}
	for name, id := range sc.ids {
		v.ids[name] = id
	}
	c.do(t, v)
	for _, db := range []*sql.DB{v.db, v.old} {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	server := keyturntest.Bare(t, keyturntest.WithData(folder))
	s := siteAt(t, server.URL)
	old := sc.witness.heads[len(sc.witness.heads)-1]
	w := &witness{key: sc.witness.key}
	err := w.consistent(s, sc.token, old)
	if c.inconsistent && err == nil {
		t.Error("the log was put back, and a client who remembers a checkpoint does not see it")
	}
	if !c.inconsistent && err != nil && c.named == nil {
		t.Errorf("the log is not consistent with what was seen: %v", err)
	}
	// Entries since then make the log as long as it was; then the proof itself must fail.
	for c.inconsistent {
		now, err := w.remember(must[api.Checkpoint](t, s, sc.token, "GET", "/audit/checkpoint", nil))
		if err != nil {
			t.Fatal(err)
		}
		if now.Size > old.Size {
			if err := w.consistent(s, sc.token, old); err == nil {
				t.Error("a log that forked passes once it is as long as it was")
			}
			break
		}
	}
	a := s.call(sc.token, "POST", "/audit/verify?deep=true", nil)
	if !a.ok() {
		t.Fatalf("the verification did not run: %s", a)
	}
	return decoded[api.Verification](t, a).Problems
}
