package server_test

import (
	"compress/gzip"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

// downgrade takes the last migration of a stopped server's database back, as if an older program had served until now, and gives
// the number of the one before.
func downgrade(t *testing.T, driver, address string) (number int64) {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, column := range []string{"project description", "project protected", "identity metadata", "identity protected", "identity member", "identity secrets_at", "identity changed_at", "identity deleted_at"} {
		table, name, _ := strings.Cut(column, " ")
		if _, err := db.Exec("ALTER TABLE " + table + " DROP COLUMN " + name); err != nil {
			t.Fatalf("%s: %v", column, err)
		}
	}
	if _, err := db.Exec("DELETE FROM schema_migration WHERE number >= 20"); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow("SELECT max(number) FROM schema_migration").Scan(&number); err != nil {
		t.Fatal(err)
	}
	return number
}

func TestANewerProgramBacksUpBeforeItBringsTheSchemaForward(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			folder, place := t.TempDir(), filepath.Join(t.TempDir(), "place")
			options := []keyturntest.Option{keyturntest.WithData(folder), keyturntest.WithConfig(func(c *config.Config) { c.BackupTo = place })}
			driver, address := "sqlite", filepath.Join(folder, sqlite.FileName)
			if store == "postgres" {
				driver, address = "pgx", testpg.Database(t)
				options = append(options, keyturntest.WithPostgres(address))
			}
			w := newWorld(keyturntest.Start(t, options...))
			e, before := filled(t, w)
			kit := w.recoveryKit(t)
			w.server.Stop()
			old := downgrade(t, driver, address)

			// A place that does not work keeps the start from touching anything.
			if err := os.WriteFile(place, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			o := bareOptions(folder)
			for _, option := range options {
				option(&o)
			}
			if _, err := server.Open(t.Context(), o); err == nil || !strings.Contains(fault.As(err).Message, "the backup before it failed") || !strings.Contains(fault.As(err).Hint, "KEYTURN_BACKUP_BEFORE_UPGRADE=skip") {
				t.Fatalf("got %v", err)
			}
			if err := os.Remove(place); err != nil {
				t.Fatal(err)
			}
			again := newWorld(keyturntest.Bare(t, options...))
			again.admin = again.admin.with(w.admin.token)
			e.person = again.admin
			same(t, "values", e.all(t), before)
			lying := files(t, place)
			if len(lying) != 1 || !strings.Contains(lying[0], "-before-schema-") {
				t.Fatalf("at the place lie %v", lying)
			}
			list := get[api.Backups](t, again.admin, "/backups")
			if len(list.Backups) != 1 || list.Backups[0].Name != lying[0] || list.Backups[0].Where != "place" || list.Backups[0].Schema != old {
				t.Errorf("listed %+v", list.Backups)
			}
			if v := send[api.Verification](t, again.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
				t.Errorf("the log and the data differ: %+v", v.Problems)
			}
			// It is the way back: it restores, and is brought forward on the way.
			file, err := os.ReadFile(filepath.Join(place, get[api.Status](t, again.admin, "/status").InstanceID, lying[0]))
			if err != nil {
				t.Fatal(err)
			}
			other := bareOptions(t.TempDir())
			restoreInto(t, other, kit, file)
			back := newWorld(keyturntest.Bare(t, keyturntest.WithData(other.Config.Data)))
			back.admin = back.admin.with(send[api.Session](t, back.admin.with(""), "POST", "/login", api.LoginRequest{Email: w.server.Email, Password: w.server.Password}).Token)
			e.person = back.admin
			same(t, "values of the way back", e.all(t), before)
		})
	}
}

func TestAnUpgradeGoesOnWithoutABackupWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	folder, place := t.TempDir(), filepath.Join(t.TempDir(), "place")
	options := []keyturntest.Option{keyturntest.WithData(folder), keyturntest.WithConfig(func(c *config.Config) { c.BackupTo, c.SkipUpgradeCopy = place, true })}
	w := newWorld(keyturntest.Start(t, options...))
	w.recoveryKit(t)
	w.server.Stop()
	downgrade(t, "sqlite", filepath.Join(folder, sqlite.FileName))
	keyturntest.Bare(t, options...)
	if lying := files(t, place); len(lying) != 0 {
		t.Errorf("at the place lie %v", lying)
	}
}

// The first schema knew no recovery kits: its databases are brought forward, and backed up as soon as there is one.
func TestADatabaseOfTheFirstSchemaIsBroughtForwardAndBackedUp(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	packed, err := os.Open("../backup/testdata/schema1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, sqlite.FileName), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	root := func(o *server.Options) {
		o.LookupEnv = func(name string) (string, bool) {
			if name != "KEYTURN_ROOT_KEY" {
				return "", false
			}
			return "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", true
		}
	}
	s := keyturntest.Bare(t, keyturntest.WithData(folder), root)
	if s.URL == "" {
		t.Error("it does not serve")
	}
}

// An older program does not touch the database of a newer one.
func TestANewerSchemaIsRefusedWithAClearSentence(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := keyturntest.Start(t, keyturntest.WithData(folder))
	s.Stop()
	db, err := sql.Open("sqlite", filepath.Join(folder, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO schema_migration (number, name, hash, at) VALUES (9999, 'later', '', 0)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = server.Open(t.Context(), bareOptions(folder))
	if fault.KindOf(err) != fault.Unsupported || !strings.Contains(fault.As(err).Message, "the database has schema 9999") || !strings.Contains(fault.As(err).Hint, "newer program") {
		t.Errorf("got %v", err)
	}
}
