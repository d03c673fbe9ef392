package backup

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

func TestResealingOpensABackupWithANewKitOnly(t *testing.T) {
	i := found(t, engines["sqlite"](t), 50, 60)
	file, w := i.backup(t)
	fresh, err := age.GenerateHybridIdentity()
	must(t, err)
	var out bytes.Buffer
	again, err := Reseal(t.Context(), bytes.NewReader(file), &out, []age.Identity{i.recovery}, []string{fresh.Recipient().String()})
	must(t, err)
	if again.Content != w.Content || again.Digest == w.Digest || again.Bytes != int64(out.Len()) {
		t.Errorf("resealed %+v", again)
	}
	r, err := Verify(t.Context(), bytes.NewReader(out.Bytes()), Check{Identities: []age.Identity{fresh}})
	must(t, err)
	if !r.Sound() || r.Content != w.Content {
		t.Errorf("report %+v", r)
	}
	_, err = Verify(t.Context(), bytes.NewReader(out.Bytes()), i.check())
	want(t, err, fault.Denied)
	// What does not verify is not made whole by sealing it anew.
	for _, n := range []int{len(file) - 1, len(file) / 2} {
		out.Reset()
		_, err := Reseal(t.Context(), bytes.NewReader(file[:n]), &out, []age.Identity{i.recovery}, []string{fresh.Recipient().String()})
		want(t, err, fault.Invalid)
		_, err = Verify(t.Context(), bytes.NewReader(out.Bytes()), Check{Identities: []age.Identity{fresh}})
		want(t, err, fault.Invalid)
	}
}

func TestOneEnvironmentIsSelected(t *testing.T) {
	i := found(t, engines["sqlite"](t), 50, 60)
	file, _ := i.backup(t)
	for _, ask := range [][2]string{{"shop", "prod"}, {"shop", ""}, {string(i.project.ID), string(i.env.ID)}} {
		got, _, err := Select(t.Context(), bytes.NewReader(file), i.check(), ask[0], ask[1])
		must(t, err)
		if len(got) != 1 || len(got[0].Secrets) != 49 || got[0].Environment.ID != i.env.ID || got[0].Project.ID != i.project.ID {
			t.Fatalf("selected %d environments, %d secrets", len(got), len(got[0].Secrets))
		}
		first, second := got[0].Secrets[0], got[0].Secrets[1]
		if first.Name != "KEY_000000" || first.Path != "/backend" || string(first.Value.Reveal()) != string(plaintext(0, 60)) {
			t.Errorf("first %s%s", first.Path, first.Name)
		}
		if string(second.Value.Reveal()) != "the second version" || second.Version != 2 {
			t.Error("the second secret has an old value")
		}
		if third := got[0].Secrets[2]; third.Name != "KEY_000003" || string(third.Comment.Reveal()) != "why" { // KEY_000002 was purged
			t.Errorf("third %s", third.Name)
		}
	}
	for _, ask := range [][2]string{{"shop", "dev"}, {"other", "prod"}, {"", ""}} {
		_, _, err := Select(t.Context(), bytes.NewReader(file), i.check(), ask[0], ask[1])
		want(t, err, fault.NotFound)
	}
	_, _, err := Select(t.Context(), bytes.NewReader(file[:len(file)-1]), i.check(), "shop", "prod")
	want(t, err, fault.Invalid)
}

func TestAnExportIsInTheOpenAndComplete(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			i := found(t, fresh(t), 50, 60)
			for range 300 {
				must(t, i.db.Record(entry("read")))
			}
			to := filepath.Join(t.TempDir(), "out")
			r, err := ExportInstance(t.Context(), Source{DB: i.db, Ring: i.ring, Origin: testOrigin}, to)
			must(t, err)
			count := map[string]int{}
			for _, file := range []string{fileValues, fileHistory, fileCommits, filePersonal} {
				b, err := os.ReadFile(filepath.Join(to, file))
				must(t, err)
				for line := range bytes.Lines(b) {
					var v map[string]any
					must(t, json.Unmarshal(line, &v))
					count[file]++
					if file == fileValues && v["name"] == "KEY_000000" && (v["value"] != string(plaintext(0, 60)) || v["project"] != "shop" || v["folder"] != "/backend") {
						t.Errorf("values: %v", v)
					}
					if file == fileValues && (v["name"] == "KEY_000002") != (v["purged"] == true) {
						t.Errorf("purged: %v", v["name"])
					}
					if file == filePersonal && v["value"] != "mine" {
						t.Error("personal value")
					}
				}
			}
			if count[fileValues] != 50 || count[fileHistory] != 1 || count[fileCommits] != 2 || count[filePersonal] != 1 {
				t.Errorf("lines %v", count)
			}
			for _, file := range []string{fileManifest, filePlaces, filePeople, filePolicies} {
				b, err := os.ReadFile(filepath.Join(to, file))
				must(t, err)
				if !json.Valid(b) || strings.Contains(string(b), `"root_key"`) {
					t.Errorf("%s is not valid JSON", file)
				}
			}
			log, err := audit.VerifyDir(filepath.Join(to, folderAudit), r.Signer)
			must(t, err)
			if !log.Sound() || log.Size != r.Manifest.Log.Size {
				t.Errorf("log %+v", log)
			}
			readme, err := os.ReadFile(filepath.Join(to, fileReadme))
			must(t, err)
			files, err := os.ReadDir(to)
			must(t, err)
			for _, f := range files {
				if f.Name() != fileReadme && !strings.Contains(string(readme), f.Name()) {
					t.Errorf("the README does not speak of %s", f.Name())
				}
				if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s is open to others", f.Name())
				}
			}
			_, err = ExportInstance(t.Context(), i.source(), to)
			want(t, err, fault.Exists)
		})
	}
}

func TestAnExportThatFailsLeavesNothing(t *testing.T) {
	i := found(t, engines["sqlite"](t), 50, 60)
	file, _ := i.backup(t)
	dir := t.TempDir()
	for _, n := range []int{0, 500, len(file) / 2, len(file) - 1} {
		_, err := Export(t.Context(), bytes.NewReader(file[:n]), i.check(), filepath.Join(dir, "out"))
		want(t, err, fault.Invalid)
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v (%v)", left, err)
		}
	}
}
