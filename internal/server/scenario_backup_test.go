package server_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/keyturntest"
)

// recoveryKit makes a kit and gives what opens backups from now on.
func (w *world) recoveryKit(t *testing.T) backup.Check {
	t.Helper()
	identity, recipient, err := rootkey.NewRecoveryKit()
	if err != nil {
		t.Fatal(err)
	}
	to, err := rootkey.ParseRecipients(recipient)
	if err != nil {
		t.Fatal(err)
	}
	id, root := keyring.NewSlotID(), keyring.NewRoot()
	kept, err := rootkey.SealRecovery(to, rootkey.Binding{Instance: get[api.Status](t, w.admin, "/status").InstanceID, Slot: id}, root.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	send[api.KeySlotMade](t, w.admin, "POST", "/keys/slots", api.KeySlotRequest{ID: id, Kind: "recovery", Source: recipient, Public: root.Public().Key, Fingerprint: root.Public().Fingerprint, Kept: kept})
	list, err := backup.ParseIdentities(identity)
	if err != nil {
		t.Fatal(err)
	}
	return backup.Check{Identities: list}
}

func (w *world) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(w.server.URL, w.admin.token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stream takes a backup away.
func (w *world) stream(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := w.client(t).StreamBackup(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func doctorSays(t *testing.T, w *world, id string) api.Check {
	t.Helper()
	for _, c := range get[api.Checks](t, w.admin, "/doctor").Checks {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("the doctor has no check %s", id)
	return api.Check{}
}

func metric(t *testing.T, w *world, name string) string {
	t.Helper()
	resp, err := http.Get(w.server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// withPlace gives servers of either store a place of their own.
func onBothWithPlace(t *testing.T, change func(*config.Config), scenario func(t *testing.T, w *world, place string)) {
	t.Helper()
	t.Parallel()
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			place := filepath.Join(t.TempDir(), "place")
			o := append(s.options(t), keyturntest.WithConfig(func(c *config.Config) {
				c.BackupTo = place
				change(c)
			}))
			scenario(t, newWorld(keyturntest.Start(t, o...)), place)
		})
	}
}

func files(t *testing.T, place string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(place, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, d.Name())
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

func TestABackupIsMadeListedVerifiedDrilledFetchedAndRemoved(t *testing.T) {
	onBothWithPlace(t, func(*config.Config) {}, func(t *testing.T, w *world, place string) {
		e, _ := filled(t, w)
		w.admin.do(t, "POST", "/backups", nil).refused(t, "invalid") // nobody could open it
		if c := doctorSays(t, w, "backup"); c.Outcome != "fail" || c.Fix != "keyturn keys recovery create" {
			t.Errorf("without a kit the doctor says %+v", c)
		}
		if c := doctorSays(t, w, "recovery-kit"); c.Outcome != "fail" {
			t.Errorf("without a kit the doctor says %+v", c)
		}
		w.admin.do(t, "POST", "/backups/drill", nil).refused(t, "not_found")
		kit := w.recoveryKit(t)
		made := send[api.Backup](t, w.admin, "POST", "/backups", nil)
		if made.Bytes == 0 || made.Secrets == 0 || made.LogSize == 0 || len(made.Recipients) != 2 || made.Where != "place" {
			t.Errorf("made %+v", made)
		}
		if got := files(t, place); len(got) != 1 || got[0] != made.Name {
			t.Errorf("at the place lie %v", got)
		}
		check := send[api.BackupCheck](t, w.admin, "POST", "/backups/"+made.Name+"/verify", nil)
		if !check.Sound || check.Values == 0 || check.Rows != made.Rows || check.Content != made.Content {
			t.Errorf("verified %+v", check)
		}
		drill := send[api.BackupCheck](t, w.admin, "POST", "/backups/drill", nil)
		if !drill.Sound || drill.Name != made.Name || drill.Values != check.Values || drill.Restore <= 0 {
			t.Errorf("drilled %+v", drill)
		}
		list := get[api.Backups](t, w.admin, "/backups")
		if len(list.Backups) != 1 || list.Backups[0].VerifiedAt.IsZero() || list.Backups[0].DrilledAt.IsZero() || list.Backups[0].Problem != "" || list.Drill == "" {
			t.Errorf("listed %+v", list)
		}
		for _, id := range []string{"backup", "backup-drill", "recovery-kit"} {
			if c := doctorSays(t, w, id); c.Outcome != "pass" {
				t.Errorf("the doctor says %+v", c)
			}
		}
		for name, want := range map[string]string{"keyturn_backup_drill_ok": "1", "keyturn_backup_failures_total": "0"} {
			if got := metric(t, w, name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}
		for _, name := range []string{"keyturn_backup_age_seconds", "keyturn_backup_bytes", "keyturn_backup_duration_seconds", "keyturn_backup_drill_age_seconds", "keyturn_backup_drill_duration_seconds"} {
			if metric(t, w, name) == "" {
				t.Errorf("there is no %s", name)
			}
		}
		// It comes out as it lies there, and the kit opens it.
		var file bytes.Buffer
		got, err := w.client(t).GetBackup(t.Context(), made.Name, &file)
		if err != nil || got.Digest != made.Digest || got.Name != made.Name {
			t.Errorf("fetched %+v, %v", got, err)
		}
		report, err := backup.Verify(t.Context(), bytes.NewReader(file.Bytes()), kit)
		if err != nil || !report.Sound() {
			t.Errorf("the kit gives %+v, %v", report.Problems, err)
		}
		// A streamed one is another, of this moment.
		e.commit(t, set("/", "LATER", "test-value"))
		var streamed bytes.Buffer
		taken, err := w.client(t).StreamBackup(t.Context(), &streamed)
		if err != nil || taken.Digest == made.Digest || taken.Bytes != int64(streamed.Len()) {
			t.Errorf("streamed %+v, %v", taken, err)
		}
		if report, err = backup.Verify(t.Context(), &streamed, kit); err != nil || report.Manifest.Log.Size <= made.LogSize {
			t.Errorf("streamed %+v, %v", report.Manifest.Log, err)
		}
		send[api.Done](t, w.admin, "DELETE", "/backups/"+made.Name, nil)
		w.admin.do(t, "DELETE", "/backups/"+made.Name, nil).refused(t, "not_found")
		w.admin.do(t, "GET", "/backups/"+made.Name, nil).refused(t, "not_found")
		w.admin.do(t, "DELETE", "/backups/..%2Fother.ktb.age", nil).refused(t, "invalid")
		if got := files(t, place); len(got) != 0 {
			t.Errorf("at the place lie %v", got)
		}
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the log and the data differ: %+v", v.Problems)
		}
	})
}

func TestAForgedOrDamagedBackupIsToldByVerifyAndDrill(t *testing.T) {
	onBothWithPlace(t, func(*config.Config) {}, func(t *testing.T, w *world, place string) {
		filled(t, w)
		w.recoveryKit(t)
		first := send[api.Backup](t, w.admin, "POST", "/backups", nil)
		second := send[api.Backup](t, w.admin, "POST", "/backups", nil)
		folder := filepath.Join(place, get[api.Status](t, w.admin, "/status").InstanceID)
		old, err := os.ReadFile(filepath.Join(folder, first.Name))
		if err != nil {
			t.Fatal(err)
		}
		// An older backup of the very instance under a newer name: sound, and not what it says.
		if err := os.WriteFile(filepath.Join(folder, second.Name), old, 0o600); err != nil {
			t.Fatal(err)
		}
		w.admin.do(t, "POST", "/backups/"+second.Name+"/verify", nil).refused(t, "conflict")
		old[len(old)/2] ^= 1
		if err := os.WriteFile(filepath.Join(folder, second.Name), old, 0o600); err != nil {
			t.Fatal(err)
		}
		w.admin.do(t, "POST", "/backups/drill", nil).refused(t, "invalid")
		if c := doctorSays(t, w, "backup-drill"); c.Outcome != "fail" {
			t.Errorf("after a failed drill the doctor says %+v", c)
		}
		if got := metric(t, w, "keyturn_backup_drill_ok"); got != "0" {
			t.Errorf("drill_ok is %s", got)
		}
		if err := os.Remove(filepath.Join(folder, second.Name)); err != nil {
			t.Fatal(err)
		}
		for _, b := range get[api.Backups](t, w.admin, "/backups").Backups {
			if want := map[string]string{first.Name: "place", second.Name: "missing"}[b.Name]; b.Where != want {
				t.Errorf("%s is %s, want %s", b.Name, b.Where, want)
			}
		}
	})
}

func TestTheScheduleMakesKeepsAndDrillsBackups(t *testing.T) {
	onBothWithPlace(t, func(c *config.Config) { c.BackupEvery, c.BackupKeep, c.BackupDrillEvery = "1s", "1y", "1s" }, func(t *testing.T, w *world, place string) {
		filled(t, w)
		if list := get[api.Backups](t, w.admin, "/backups"); len(list.Backups) != 0 || list.Schedule.Problem == "" {
			t.Errorf("without a kit: %+v", list)
		}
		w.recoveryKit(t)
		names := map[string]bool{}
		// The schedule looks for a kit once a minute.
		eventually(t, 3*time.Minute, "three backups were made, old ones removed, and one was restored", func() bool {
			list := get[api.Backups](t, w.admin, "/backups").Backups
			drilled := false
			for _, b := range list {
				names[b.Name] = true
				drilled = drilled || !b.DrilledAt.IsZero() && b.Problem == ""
			}
			return len(names) >= 3 && drilled && len(list) <= 2
		})
	})
}

func TestAPlaceThatFailsIsToldAndTriedAgain(t *testing.T) {
	onBothWithPlace(t, func(*config.Config) {}, func(t *testing.T, w *world, place string) {
		w.recoveryKit(t)
		if err := os.WriteFile(place, nil, 0o600); err != nil { // a file where the folder should be
			t.Fatal(err)
		}
		if got := w.admin.do(t, "POST", "/backups", nil); got.status < 400 {
			t.Errorf("a backup into a file gave %d", got.status)
		}
		list := get[api.Backups](t, w.admin, "/backups")
		if list.Schedule.Failures != 1 || list.Schedule.Problem == "" {
			t.Errorf("schedule %+v", list.Schedule)
		}
		if got := metric(t, w, "keyturn_backup_failures_total"); got != "1" {
			t.Errorf("failures_total is %s", got)
		}
		if c := doctorSays(t, w, "backup"); c.Outcome != "fail" || !strings.Contains(c.Evidence, "1 failure") {
			t.Errorf("the doctor says %+v", c)
		}
		if err := os.Remove(place); err != nil {
			t.Fatal(err)
		}
		send[api.Backup](t, w.admin, "POST", "/backups", nil)
		if list := get[api.Backups](t, w.admin, "/backups"); list.Schedule.Failures != 0 || list.Schedule.Problem != "" {
			t.Errorf("schedule %+v", list.Schedule)
		}
	})
}

// restoreInto brings a backup back into the other kind of store and starts a server on it.
func restoreInto(t *testing.T, o server.Options, kit backup.Check, file []byte) server.Rebuilt {
	t.Helper()
	out, err := server.Restore(t.Context(), o, server.Restoring{Check: kit, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func bareOptions(folder string) server.Options {
	return server.Options{Version: "test", LookupEnv: func(string) (string, bool) { return "", false },
		Config: config.Config{Mode: config.Development, Data: folder, CacheBytes: 16 << 20, OfflineMaxAge: time.Hour, LogLevel: "error"}}
}

func TestABackupRestoresIntoTheOtherKindOfStore(t *testing.T) {
	t.Parallel()
	for i, s := range stores {
		other := stores[1-i]
		t.Run(s.name+" to "+other.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(keyturntest.Start(t, s.options(t)...))
			e, before := filled(t, w)
			kit := w.recoveryKit(t)
			send[api.Backup](t, w.admin, "POST", "/backups", nil) // so that the catalogue has a row that the copy does not get
			oldLog := get[api.Checkpoint](t, w.admin, "/audit/checkpoint")
			file := w.stream(t)
			folder := t.TempDir()
			target := bareOptions(folder)
			into := append(other.options(t), keyturntest.WithData(folder))
			for _, option := range into {
				option(&target)
			}
			out := restoreInto(t, target, kit, file)
			if out.Revoked == 0 || out.Invented == "" || out.Fingerprint == "" {
				t.Errorf("restored %+v", out)
			}
			copied := newWorld(keyturntest.Bare(t, into...))
			// The token of the other life is worth nothing here; the password still is.
			copied.admin.with(w.admin.token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
			copied.admin = copied.admin.with(send[api.Session](t, copied.admin.with(""), "POST", "/login", api.LoginRequest{Email: w.server.Email, Password: w.server.Password}).Token)
			again := env{copied.admin, e.project, e.name}
			same(t, "values", again.all(t), before)
			newLog := get[api.Checkpoint](t, copied.admin, "/audit/checkpoint")
			if oldLog.Key == newLog.Key || strings.SplitN(oldLog.Checkpoint, "\n", 2)[0] == strings.SplitN(newLog.Checkpoint, "\n", 2)[0] {
				t.Error("the log of the copy has the name or the key of the other life")
			}
			if v := send[api.Verification](t, copied.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
				t.Errorf("the log and the data of the copy differ: %+v", v.Problems)
			}
			if list := get[api.Backups](t, copied.admin, "/backups"); slicesHaveListed(list.Backups) {
				t.Errorf("the copy counts backups of the other life: %+v", list.Backups)
			}
			// It goes on: it writes, and backs itself up.
			again.commit(t, set("/", "AFTER", "test-value"))
			if _, err := backup.Verify(t.Context(), bytes.NewReader(copied.stream(t)), kit); err != nil {
				t.Error(err)
			}
			// A second restore over it is refused unless it is said.
			copied.server.Stop()
			_, err := server.Restore(t.Context(), target, server.Restoring{Check: kit, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }})
			if fault.KindOf(err) != fault.Exists {
				t.Errorf("a restore over an instance gave %v", err)
			}
		})
	}
}

func slicesHaveListed(list []api.Backup) bool {
	for _, b := range list {
		if b.Where == "place" || b.Where == "missing" || b.Where == "client" {
			return true
		}
	}
	return false
}

func TestARestoreInProductionNeedsARootKey(t *testing.T) {
	o := bareOptions(t.TempDir())
	o.Config.Mode = config.Production
	_, err := server.Restore(context.Background(), o, server.Restoring{Open: func() (io.ReadCloser, error) { t.Error("the backup was opened"); return nil, io.EOF }})
	if fault.KindOf(err) != fault.Sealed {
		t.Errorf("got %v", err)
	}
}

func TestAnIdentityThatIsNoneIsNotRepeated(t *testing.T) {
	_, err := backup.ParseIdentities(sensitive.FromString("AGE-SECRET-KEY-planted-test-value"))
	if fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "planted") {
		t.Errorf("got %v", err)
	}
}
