package proof

import (
	"crypto/sha256"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	otherKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd00"

	// The exit codes that the help topic "exit-codes" promises.
	codeInvalid  = 2
	codeConflict = 6
	codeSealed   = 9

	// refusedWithin is what the start may take to refuse a root key.
	refusedWithin = time.Second
)

// badKeys are the texts that open nothing: what they are called, and the code and words of the refusal.
var badKeys = []struct {
	name, key string
	code      int
	says      string
}{
	{"wrong", otherKey, codeSealed, "needed is"},
	{"short", rootKey[:63], codeInvalid, "too short"},
	{"long", rootKey + "ab", codeInvalid, "too long"},
	{"one byte", "a", codeInvalid, "too short"},
	{"not hex", rootKey[:63] + "g", codeInvalid, "not hex"},
	{"not ASCII", rootKey[:62] + "é", codeInvalid, ""},
	{"with a prefix", "0x" + rootKey[2:], codeInvalid, "not hex"},
	{"with a blank", rootKey[:63] + " ", codeInvalid, "not hex"},
	{"quoted", `"` + rootKey + `"`, codeInvalid, "too long"},
	{"empty", "", codeInvalid, "empty"},
	{"all zeros", strings.Repeat("0", 64), codeInvalid, "all zeros"},
}

var ends = []struct{ name, text string }{{"bare", ""}, {"LF", "\n"}, {"CRLF", "\r\n"}}

// settledWorld makes a place that holds a world and whose server is gone, in good order or by kill -9.
func settledWorld(t *testing.T, killed bool) (place, string) {
	t.Helper()
	p := onSQLite(t)
	server := p.start(t)
	fingerprint := regexp.MustCompile(`fingerprint ([0-9a-f]{4}(?:-[0-9a-f]{4}){3})`).FindStringSubmatch(server.out.String())
	if fingerprint == nil {
		t.Fatalf("the start names no fingerprint:\n%s", server.out)
	}
	s := siteAt(t, server.url)
	newCrowd(t, s)
	if killed {
		server.kill(t)
	} else {
		server.stop(t)
	}
	return p, fingerprint[1]
}

// files gives the hash of every file below a folder. The index of the WAL is left out: it is memory in the shape of a file,
// which every program that looks at the database builds anew. So is a WAL with nothing in it.
func files(t *testing.T, folder string) map[string][32]byte {
	t.Helper()
	out := map[string][32]byte{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "-shm") {
			return nil
		}
		if d.IsDir() {
			out[path] = [32]byte{}
			return nil
		}
		b, err := os.ReadFile(path)
		if len(b) > 0 || !strings.HasSuffix(path, "-wal") {
			out[path] = sha256.Sum256(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameFiles(t *testing.T, before, after map[string][32]byte) {
	t.Helper()
	if maps.Equal(before, after) {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if h, ok := after[path]; !ok {
			t.Errorf("%s is gone", filepath.Base(path))
		} else if h != before[path] {
			t.Errorf("%s was changed", filepath.Base(path))
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			t.Errorf("%s was made", filepath.Base(path))
		}
	}
}

// silent tells that nothing of a key was printed: not even a quarter of it.
func silent(t *testing.T, out, key string) {
	t.Helper()
	const quarter = 16
	for i := 0; i+quarter <= len(key); i++ {
		if part := key[i : i+quarter]; strings.Contains(out, part) && strings.Count(part, part[:1]) < quarter {
			t.Errorf("the output holds a part of the key:\n%s", out)
			return
		}
	}
}

func TestARootKeyThatDoesNotFitIsRefusedAndNothingIsTouched(t *testing.T) {
	for _, killed := range []bool{false, true} {
		p, fingerprint := settledWorld(t, killed)
		check := func(t *testing.T, env []string, key string, code int, says string, modes ...string) {
			t.Helper()
			for _, mode := range modes {
				q, before := p, files(t, p.data())
				q.env = append([]string{"KEYTURN_MODE=" + mode}, env...)
				e := q.refused(t)
				if e.took > refusedWithin { // the machine may have been busy with something else: once more
					e = q.refused(t)
				}
				if e.code != code {
					t.Errorf("%s: exit code %d, want %d:\n%s", mode, e.code, code, e.out)
				}
				if e.took > refusedWithin {
					t.Errorf("%s: the refusal took %v", mode, e.took)
				}
				if !strings.Contains(e.out, says) {
					t.Errorf("%s: the refusal does not say %q:\n%s", mode, says, e.out)
				}
				if code == codeSealed && !strings.Contains(e.out, fingerprint) {
					t.Errorf("%s: the refusal does not name the fingerprint %s:\n%s", mode, fingerprint, e.out)
				}
				silent(t, e.out, key)
				sameFiles(t, before, files(t, p.data()))
			}
		}
		state := map[bool]string{false: "after a stop", true: "after kill -9"}[killed]
		for _, bad := range badKeys {
			t.Run(state+"/"+bad.name+"/variable", func(t *testing.T) {
				check(t, []string{"KEYTURN_ROOT_KEY=" + bad.key}, bad.key, bad.code, bad.says, "production", "development")
			})
			for _, end := range ends {
				t.Run(state+"/"+bad.name+"/file/"+end.name, func(t *testing.T) {
					file := filepath.Join(t.TempDir(), "root.key")
					if err := os.WriteFile(file, []byte(bad.key+end.text), 0o600); err != nil {
						t.Fatal(err)
					}
					check(t, []string{"KEYTURN_ROOT_KEY_FILE=" + file}, bad.key, bad.code, bad.says, "production")
				})
			}
		}
		t.Run(state+"/none in production", func(t *testing.T) {
			q, before := p, files(t, p.data())
			q.env = []string{"KEYTURN_MODE=production"}
			if e := q.refused(t); e.code != codeSealed {
				t.Errorf("exit code %d:\n%s", e.code, e.out)
			}
			sameFiles(t, before, files(t, p.data()))
		})
		t.Run(state+"/none in development", func(t *testing.T) { // it must not invent one beside data that has another
			q, before := p, files(t, p.data())
			q.env = []string{"KEYTURN_MODE=development"}
			if e := q.refused(t); e.code != codeSealed {
				t.Errorf("exit code %d:\n%s", e.code, e.out)
			}
			sameFiles(t, before, files(t, p.data()))
		})
		// After all that the right key still opens it.
		for _, end := range ends {
			file := filepath.Join(t.TempDir(), "root.key")
			if err := os.WriteFile(file, []byte(strings.ToUpper(rootKey)+end.text), 0o600); err != nil {
				t.Fatal(err)
			}
			q := p
			q.env = []string{"KEYTURN_ROOT_KEY_FILE=" + file}
			q.start(t).stop(t)
		}
	}
}

func TestARefusedRootKeyLeavesAFreshFolderAlone(t *testing.T) {
	for _, bad := range badKeys {
		if bad.code == codeSealed {
			continue // any good key founds a world
		}
		p := place{folder: t.TempDir(), env: []string{"KEYTURN_MODE=production", "KEYTURN_ROOT_KEY=" + bad.key}}
		if e := p.refused(t); e.code != codeInvalid {
			t.Errorf("%s: exit code %d:\n%s", bad.name, e.code, e.out)
		}
		if _, err := os.Stat(p.data()); err == nil {
			t.Errorf("%s: a data folder was made", bad.name)
		}
	}
}

func TestProductionModeNeverInventsARootKey(t *testing.T) {
	p := place{folder: t.TempDir(), env: []string{"KEYTURN_MODE=production"}}
	e := p.refused(t)
	if e.code != codeSealed || !strings.Contains(e.out, "openssl rand -hex 32") {
		t.Errorf("exit code %d:\n%s", e.code, e.out)
	}
	if _, err := os.Stat(p.data()); err == nil {
		t.Error("a data folder was made")
	}
}

func TestDevelopmentModeKeepsItsRootKeyForTheOwnerAlone(t *testing.T) {
	p := place{folder: t.TempDir(), args: []string{"--dev"}, careless: true}
	server := p.start(t)
	if !strings.Contains(server.out.String(), "DEVELOPMENT MODE") {
		t.Errorf("the start does not say loudly what it is:\n%s", server.out)
	}
	server.stop(t)
	key, err := os.ReadFile(filepath.Join(p.data(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	silent(t, server.out.String(), strings.TrimSpace(string(key)))
	err = filepath.WalkDir(p.data(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", filepath.Base(path), info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	p.start(t).stop(t) // and continues with it
	if again, err := os.ReadFile(filepath.Join(p.data(), "root.key")); err != nil || string(again) != string(key) {
		t.Errorf("the second start changed the root key: %v", err)
	}
}

func TestASecondServerOnOneFolderIsRefusedAndTheFirstGoesOn(t *testing.T) {
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	token := s.setUp(t)
	e := p.refused(t)
	if e.code != codeConflict || !strings.Contains(e.out, "another server uses this data folder") {
		t.Errorf("exit code %d:\n%s", e.code, e.out)
	}
	if a := s.call(token, "GET", "/whoami", nil); !a.ok() {
		t.Errorf("the first server does not answer any more: %s", a)
	}
	server.stop(t)
}

func TestACopiedFolderDoesNotOpenUnderAnotherRootKey(t *testing.T) {
	p, fingerprint := settledWorld(t, false)
	copied := place{folder: t.TempDir(), env: []string{"KEYTURN_ROOT_KEY=" + otherKey}}
	if err := os.CopyFS(copied.data(), os.DirFS(p.data())); err != nil {
		t.Fatal(err)
	}
	before := files(t, copied.data())
	e := copied.refused(t)
	if e.code != codeSealed || !strings.Contains(e.out, fingerprint) {
		t.Errorf("exit code %d:\n%s", e.code, e.out)
	}
	silent(t, e.out, otherKey)
	sameFiles(t, before, files(t, copied.data()))
	copied.env = []string{"KEYTURN_ROOT_KEY=" + rootKey}
	copied.start(t).stop(t)
}
