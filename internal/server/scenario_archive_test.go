package server_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/keyturntest"
)

// archiveWithin bounds the wait until entries are indexed and handled, so that they may leave.
const archiveWithin = 60 * time.Second

// chatter makes entries that write nothing.
func chatter(t *testing.T, w *world, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range n / 16 {
				_, _ = w.admin.try("GET", "/whoami", nil)
			}
		})
	}
	all.Wait()
}

// archived moves what may be moved and waits until something was.
func archived(t *testing.T, w *world, open bool) api.Archive {
	t.Helper()
	var out api.Archive
	eventually(t, archiveWithin, "something may leave", func() bool {
		out = send[api.Archive](t, w.admin, "POST", "/audit/archive", api.ArchiveRequest{Before: time.Now().Add(-time.Millisecond), Open: open})
		return len(out.Segments) > 0
	})
	return out
}

func sound(t *testing.T, w *world, archived int64) {
	t.Helper()
	v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil)
	if len(v.Problems) != 0 || v.Archived != archived || v.Rows == 0 || v.Values == 0 {
		t.Errorf("verified %+v, want %d entries archived", v, archived)
	}
}

func TestArchivedEntriesLeaveAndEverythingIsStillProved(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			archives(t, newWorld(keyturntest.Start(t, append(store.options(t), keyturntest.WithConfig(func(c *config.Config) { c.ArchiveTo = folder }))...)), folder)
		})
	}
}

func archives(t *testing.T, w *world, folder string) {
	e := w.project(t)
	e.commit(t, set("/", "OLD", "test-value"), set("/", "CHANGED", "test-value"))
	first := get[api.Checkpoint](t, w.admin, "/audit/checkpoint")
	chatter(t, w, 4300)
	w.admin.do(t, "POST", "/audit/archive", api.ArchiveRequest{Before: time.Now().Add(time.Hour)}).refused(t, "invalid")
	eventually(t, archiveWithin, "nothing is archived without a kit", func() bool {
		r := w.admin.do(t, "POST", "/audit/archive", api.ArchiveRequest{Before: time.Now()})
		return r.status != 200 && strings.Contains(string(r.body), "--open")
	})
	sound(t, w, 0)
	kit := w.recoveryKit(t)
	one := archived(t, w, false)
	if one.Archived < 3000 || !one.Segments[0].Sealed || one.Segments[0].First != 0 {
		t.Fatalf("archived %+v", one)
	}
	sound(t, w, one.Archived)

	// Reads of what is gone name where it is; proofs that need hashes only go on.
	w.admin.do(t, "GET", "/audit/entries/3/proof", nil).refused(t, "expired", one.Segments[0].Name, "--archive")
	w.admin.do(t, "GET", "/audit/log?from=0", nil).refused(t, "expired", one.Segments[0].Name)
	page := get[api.LogPage](t, w.admin, fmt.Sprintf("/audit/log?from=%d", one.Archived))
	get[api.InclusionProof](t, w.admin, fmt.Sprintf("/audit/entries/%d/proof", one.Archived))
	if len(page.Entries) == 0 {
		t.Error("the rest of the log cannot be read")
	}
	old := get[api.ConsistencyProof](t, w.admin, "/audit/consistency?old_size="+sizeOf(first.Checkpoint))
	if len(old.Proof) == 0 {
		t.Error("no proof that the log continues the one from before the archive")
	}
	if list := get[api.Entries](t, w.admin, "/audit/entries?what=secret.write&limit=10"); list.Archived != one.Archived {
		t.Errorf("the list does not say that %d entries are archived: %+v", one.Archived, list)
	}

	// The log grows and is archived again, and rows that only archived entries wrote stay known.
	e.commit(t, set("/", "CHANGED", "test-value-2"))
	chatter(t, w, 4300)
	two := archived(t, w, true)
	if two.Archived <= one.Archived || two.Segments[0].First != one.Archived || two.Segments[0].Sealed {
		t.Fatalf("archived %+v after %d", two, one.Archived)
	}
	sound(t, w, two.Archived)
	if e.value(t, "/", "OLD") != "test-value" {
		t.Error("an old value is gone")
	}

	// The files hold the entries: together with the rest they give the signed root.
	tree := audit.EmptyTree()
	for _, s := range get[api.Archive](t, w.admin, "/audit/archive").Segments {
		file, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(s.Name)))
		if err != nil {
			t.Fatal(err)
		}
		plain := bytes.NewBuffer(file)
		if s.Sealed {
			if bytes.Contains(file, []byte("whoami")) || bytes.Contains(file, []byte("self.read")) {
				t.Error("a sealed segment can be read")
			}
			r, err := backup.Unseal(bytes.NewReader(file), kit.Identities)
			if err != nil {
				t.Fatal(err)
			}
			plain.Reset()
			if _, err := plain.ReadFrom(r); err != nil {
				t.Fatal(err)
			}
		}
		_, chunks, err := audit.ReadSegment(plain, strings.Split(first.Key, "\n")...)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chunks {
			if err := tree.CatchUp(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if tree.Size() != two.Archived {
		t.Errorf("the files hold %d entries, want %d", tree.Size(), two.Archived)
	}

	// A backup carries the hashes of what is archived, and restores.
	send[api.Backup](t, w.admin, "POST", "/backups", nil)
	if check := send[api.BackupCheck](t, w.admin, "POST", "/backups/drill", nil); !check.Sound {
		t.Errorf("the drill found %+v", check.Problems)
	}
	target := bareOptions(t.TempDir())
	restoreInto(t, target, kit, w.stream(t))
	copied := newWorld(keyturntest.Bare(t, keyturntest.WithData(target.Config.Data)))
	copied.admin = copied.admin.with(send[api.Session](t, copied.admin.with(""), "POST", "/login", api.LoginRequest{Email: w.server.Email, Password: w.server.Password}).Token)
	sound(t, copied, two.Archived)
}

// sizeOf gives the size that a checkpoint signs.
func sizeOf(checkpoint string) string { return strings.Split(checkpoint, "\n")[1] }

func TestWhatIsSaidToBeArchivedIsBelievedOnlyIfTheLogSaysSo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := keyturntest.Start(t, keyturntest.WithData(folder))
	w := newWorld(s)
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value"))
	chatter(t, w, 4300)
	done := archived(t, w, true)
	sound(t, w, done.Archived)
	s.Stop()
	edit := func(texts ...string) {
		t.Helper()
		engine, err := sqlite.Open(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if _, err := engine.Writer.ExecContext(t.Context(), text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		if err := engine.Close(); err != nil {
			t.Fatal(err)
		}
	}
	verified := func() api.Verification {
		t.Helper()
		again := keyturntest.Bare(t, keyturntest.WithData(folder))
		defer again.Stop()
		again.Token = s.Token
		return send[api.Verification](t, newWorld(again).admin, "POST", "/audit/verify", nil)
	}
	if v := verified(); len(v.Problems) != 0 || v.Archived != done.Archived {
		t.Fatalf("after a restart: %+v", v)
	}
	edit("CREATE TABLE kept AS SELECT * FROM audit_segment", "CREATE TABLE chunks AS SELECT * FROM audit_chunk")
	back := []string{"DELETE FROM audit_segment", "INSERT INTO audit_segment SELECT * FROM kept", "DELETE FROM audit_chunk WHERE first IN (SELECT first FROM chunks)", "INSERT INTO audit_chunk SELECT * FROM chunks"}
	for name, attack := range map[string][]string{
		"more is said to be archived": {"UPDATE audit_segment SET count = count + (SELECT sum(count) FROM (SELECT count FROM audit_chunk ORDER BY first LIMIT 3))",
			"DELETE FROM audit_chunk WHERE first IN (SELECT first FROM audit_chunk ORDER BY first LIMIT 3)"},
		"all is said to be archived": {"UPDATE audit_segment SET count = (SELECT log_size FROM instance) - first"},
		"the carry is emptied":       {"UPDATE audit_segment SET carry = X''"},
		"a carried row is edited":    {"UPDATE audit_segment SET carry = CAST(replace(CAST(carry AS TEXT), 'project', 'PROJECT') AS BLOB)"},
		"the segment is gone":        {"DELETE FROM audit_segment"},
		"another file is named":      {"UPDATE audit_segment SET name = 'x'"},
	} {
		edit(attack...)
		if v := verified(); len(v.Problems) == 0 {
			t.Errorf("%s, and the log is called sound", name)
		}
		edit(back...)
	}
	if v := verified(); len(v.Problems) != 0 {
		t.Errorf("put back as it was: %+v", v.Problems)
	}
}

func TestEntriesThatAFollowerHasNotHandledStay(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t, allowLoopback, keyturntest.WithConfig(func(c *config.Config) { c.ArchiveTo = t.TempDir() })))
	sink := newReceiver(t)
	sink.gone.Store(true)
	send[api.StreamMade](t, w.admin, "POST", "/audit/streams", api.StreamRequest{Name: "siem", Kind: "webhook", Settings: map[string]string{"url": sink.URL}, FromStart: true})
	chatter(t, w, 4300)
	begun := time.Now()
	const indexedWithin = 8 * time.Second // the index of the log is brought up to date each five seconds
	eventually(t, archiveWithin, "the log is indexed", func() bool {
		out := send[api.Archive](t, w.admin, "POST", "/audit/archive", api.ArchiveRequest{Before: time.Now().Add(-time.Millisecond), Open: true})
		if len(out.Segments) > 0 {
			t.Fatal("entries left that the stream has not sent")
		}
		return time.Since(begun) > indexedWithin
	})
	sink.gone.Store(false)
	out := archived(t, w, true)
	n, first, _ := sink.got(t)
	if first != 0 || int64(n) < out.Archived {
		t.Errorf("%d entries left, and %d were sent", out.Archived, n)
	}
}
