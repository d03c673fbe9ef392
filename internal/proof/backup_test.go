package proof

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
)

// The moments at which a backup or a restore may die, each visited below.
var (
	backupPoints  = []string{"backup.create.claimed", "backup.create.writing", "backup.create.written"}
	streamPoints  = []string{"backup.stream.writing", "backup.out.writing", "backup.out.written"}
	restorePoints = []string{"backup.restore.planned", "backup.restore.filling", "backup.restore.filled", "backup.restore.begun", "backup.restore.done"}
)

// keeper is a server with one secret and a recovery kit in a file.
type keeper struct {
	place
	server *process
	site   *site
	token  string
	kit    string // file of the identity
}

func keep(t *testing.T, p place) *keeper {
	t.Helper()
	p.env = append(p.env, "KEYTURN_BACKUP_TO="+filepath.Join(p.folder, "place"))
	k := &keeper{place: p.with("KEYTURN_BACKUP_EVERY=", "never").with("KEYTURN_BACKUP_DRILL_EVERY=", "never"), kit: filepath.Join(p.folder, "kit.txt")}
	k.server = k.start(t)
	k.site = siteAt(t, k.server.url)
	k.token = k.site.setUp(t)
	must[api.Project](t, k.site, k.token, "POST", "/projects", api.ProjectRequest{Slug: "shop", Envs: []string{"dev"}})
	k.set(t, "in the backup")
	k.does(t, "", "keys", "recovery", "create", "--out", k.kit)
	return k
}

func (k *keeper) set(t *testing.T, value string) {
	t.Helper()
	must[api.Committed](t, k.site, k.token, "POST", at("shop", "dev", "commits"), set("/", "A", value))
}

// cli runs a command line against the server, which may die at a point.
func (k *keeper) cli(t *testing.T, point string, args ...string) ending {
	t.Helper()
	p := k.place
	if point != "" {
		p = p.with(crashAt, point)
	}
	cmd := p.command(t, args...)
	cmd.Env = append(cmd.Env, "KEYTURN_TOKEN="+k.token)
	if k.server != nil {
		cmd.Env = append(cmd.Env, "KEYTURN_SERVER="+k.server.url)
	}
	return finish(t, cmd)
}

// does runs one that has to work.
func (k *keeper) does(t *testing.T, point string, args ...string) {
	t.Helper()
	if e := k.cli(t, point, args...); e.code != 0 {
		t.Fatalf("keyturn %s: exit %d\n%s", strings.Join(args, " "), e.code, tail(e.out))
	}
}

// lying lists the whole backups at the place: what has a final name.
func (k *keeper) lying(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(k.folder, "place", "*", "*.ktb.age"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range names {
		if !strings.HasPrefix(filepath.Base(name), ".") {
			out = append(out, name)
		}
	}
	return out
}

func (k *keeper) again(t *testing.T) {
	t.Helper()
	k.server = k.start(t)
	k.site = siteAt(t, k.server.url)
}

// A scheduled backup whose server is killed in the middle leaves no half file under the final name, and the next start makes it.
func TestAScheduledBackupThatIsKilledLeavesNoHalfFile(t *testing.T) {
	for _, point := range backupPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			k := keep(t, onSQLite(t))
			k.server.stop(t)
			dying := k.with("KEYTURN_BACKUP_EVERY=", "24h").with(crashAt, point)
			if e := dying.refused(t); e.code == 0 {
				t.Fatalf("the server does not die at %s:\n%s", point, tail(e.out))
			}
			lying := k.lying(t)
			if want := map[bool]int{true: 1}[point == "backup.create.written"]; len(lying) != want {
				t.Errorf("killed at %s, %d backups lie there, want %d", point, len(lying), want)
			}
			for _, file := range lying {
				k.does(t, "", "backup", "verify", file, "--identity", k.kit)
			}
			k.again(t)
			made := must[api.Backup](t, k.site, k.token, "POST", "/backups", nil) // the dead one does not hold it up
			if list := must[api.Backups](t, k.site, k.token, "GET", "/backups", nil); len(list.Backups) != len(lying)+1 || list.Backups[0].Name != made.Name {
				t.Errorf("listed %+v", list.Backups)
			}
			if v := must[api.Verification](t, k.site, k.token, "POST", "/audit/verify?deep=true", nil); len(v.Problems) > 0 {
				t.Errorf("the log and the data differ: %+v", v.Problems)
			}
			k.server.stop(t)
		})
	}
}

// Whoever is killed, the command line or the server that sends: no half file has the name that was asked for.
func TestABackupIntoAFileThatIsKilledLeavesNoHalfFile(t *testing.T) {
	for _, point := range streamPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			k := keep(t, onSQLite(t))
			file := filepath.Join(k.folder, "taken.ktb.age")
			var e ending
			if point == "backup.stream.writing" {
				k.server.stop(t)
				k.server = k.with(crashAt, point).start(t)
				e = k.cli(t, "", "backup", "create", "--out", file)
				<-k.server.ended
				k.again(t)
			} else {
				e = k.cli(t, point, "backup", "create", "--out", file)
			}
			if e.code == 0 {
				t.Fatalf("nothing died at %s:\n%s", point, e.out)
			}
			if _, err := os.Lstat(file); !os.IsNotExist(err) {
				t.Errorf("killed at %s, and there is a file: %v", point, err)
			}
			k.does(t, "", "backup", "create", "--out", file)
			k.does(t, "", "backup", "verify", file, "--identity", k.kit)
			k.server.stop(t)
		})
	}
}

// A restore that is killed leaves what was there, or all of the new instance, and can be done again.
func TestARestoreThatIsKilledLeavesTheOldOrTheNewOnSQLite(t *testing.T) {
	for _, point := range restorePoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dieInRestore(t, onSQLite(t), point)
		})
	}
}

func TestARestoreThatIsKilledLeavesTheOldOrTheNewOnPostgreSQL(t *testing.T) {
	database := testpg.Start(t)
	for _, point := range restorePoints[1:] {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dieInRestore(t, onPostgres(t, database), point)
		})
	}
}

func dieInRestore(t *testing.T, p place, point string) {
	k := keep(t, p)
	file := filepath.Join(k.folder, "taken.ktb.age")
	k.does(t, "", "backup", "create", "--out", file)
	k.set(t, "after the backup")
	k.server.stop(t)
	restore := []string{"backup", "restore", file, "--identity", k.kit, "--replace", "--yes"}
	if !strings.Contains(strings.Join(p.env, " "), "KEYTURN_DATABASE_URL") {
		restore = append(restore, "--data", k.data())
	}
	if e := k.cli(t, point, restore...); e.code == 0 {
		t.Fatalf("the restore does not die at %s:\n%s", point, e.out)
	}
	k.again(t)
	was := k.site.call(k.token, "GET", at("shop", "dev", "secrets", "A"), nil)
	if point == "backup.restore.done" {
		if was.kind() != "unauthenticated" {
			t.Errorf("the restore was done, and the old token gives %s", was)
		}
	} else if got := decoded[api.Secret](t, was); got.Value == nil || got.Value.Value != "after the backup" {
		t.Errorf("killed at %s, the old instance has another value", point)
	}
	k.server.stop(t)
	k.does(t, "", restore...)
	k.again(t)
	k.token = must[api.Session](t, k.site, "", "POST", "/login", api.LoginRequest{Email: adminEmail, Password: adminPassword}).Token
	if got := must[api.Secret](t, k.site, k.token, "GET", at("shop", "dev", "secrets", "A"), nil); got.Value == nil || got.Value.Value != "in the backup" {
		t.Errorf("the restored instance has another value")
	}
	if v := must[api.Verification](t, k.site, k.token, "POST", "/audit/verify?deep=true", nil); len(v.Problems) > 0 {
		t.Errorf("the log and the data differ: %+v", v.Problems)
	}
	k.server.stop(t)
}

// A clone that takes the address of the other life is not taken for it: whoever watched the log says so until he is told to
// forget.
func TestAWitnessDoesNotTakeARestoredLogForTheOld(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p := onSQLite(t)
	p.args = []string{"--listen", address}
	k := keep(t, p)
	k.does(t, "", "audit", "verify")
	file := filepath.Join(k.folder, "taken.ktb.age")
	k.does(t, "", "backup", "create", "--out", file)
	k.server.stop(t)
	k.does(t, "", "backup", "restore", file, "--identity", k.kit, "--data", k.data(), "--replace", "--yes", "--keep-tokens")
	k.again(t)
	if e := k.cli(t, "", "audit", "verify"); e.code == 0 {
		t.Errorf("the log of the clone is taken for that of the other life:\n%s", e.out)
	}
	k.does(t, "", "audit", "forget", "--yes")
	k.does(t, "", "audit", "verify")
	k.server.stop(t)
}
