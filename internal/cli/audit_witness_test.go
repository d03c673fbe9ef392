package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/audit/audittest"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// fakeLog is a server that shows a log, as honest or dishonest as a test wants it.
type fakeLog struct {
	t      *testing.T
	tree   *audit.Tree
	source *audittest.MemorySource
	origin string
	signer note.Signer
	key    string
	grows  bool // each question makes an entry, as on a real server

	handovers []string
}

const testOrigin = "keyturn.example.test/log"

func newFakeLog(t *testing.T, origin string, seed byte, entries ...string) *fakeLog {
	t.Helper()
	f := &fakeLog{t: t, tree: audit.EmptyTree(), source: audittest.NewMemorySource(), origin: origin}
	var err error
	if f.signer, f.key, err = audit.NewSigner(origin, sensitive.New(bytes.Repeat([]byte{seed}, 32))); err != nil {
		t.Fatal(err)
	}
	f.add(entries...)
	return f
}

func (f *fakeLog) add(entries ...string) {
	for _, id := range entries {
		e := audit.Entry{ID: id, At: 1, Action: "secret.read", Outcome: audit.Allowed}
		f.source.Append(f.tree.AddAt([][]byte{e.AppendCanonical(nil)}, 1, 1))
	}
}

func (f *fakeLog) checkpoint() api.Checkpoint {
	signed, err := audit.Checkpoint(f.origin, f.tree.Size(), f.tree.Root(), f.signer)
	if err != nil {
		f.t.Error(err)
	}
	return api.Checkpoint{Checkpoint: string(signed), Key: f.key, Handovers: f.handovers}
}

func texts(hashes []tlog.Hash) []string {
	out := []string{}
	for _, h := range hashes {
		out = append(out, base64.StdEncoding.EncodeToString(h[:]))
	}
	return out
}

// ServeHTTP answers the routes of the log.
func (f *fakeLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.grows {
		f.add(fmt.Sprintf("question-%d", f.tree.Size()))
	}
	var answer any
	switch path := strings.TrimPrefix(r.URL.Path, api.Prefix); {
	case path == "/audit/checkpoint":
		answer = f.checkpoint()
	case path == "/audit/consistency":
		old, _ := strconv.ParseInt(r.URL.Query().Get("old_size"), 10, 64)
		proof, err := audit.ConsistencyProof(r.Context(), f.source, min(old, f.tree.Size()), f.tree.Size())
		if err != nil {
			f.t.Error(err)
		}
		answer = api.ConsistencyProof{OldSize: old, Proof: texts(proof), Checkpoint: f.checkpoint()}
	case path == "/audit/log":
		from, _ := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
		page := api.LogPage{From: from, Size: f.tree.Size()}
		for c, err := range f.source.Chunks(r.Context(), from, from+2) { // small pages, so that there are several
			if err != nil {
				f.t.Error(err)
			}
			for i, e := range c.Entries() {
				if i >= from {
					page.Entries = append(page.Entries, json.RawMessage(e))
				}
			}
		}
		answer = page
	case strings.HasPrefix(path, "/audit/entries/"):
		digits, _, _ := strings.Cut(strings.TrimPrefix(path, "/audit/entries/"), "/")
		index, _ := strconv.ParseInt(digits, 10, 64)
		proof, err := audit.InclusionProof(r.Context(), f.source, f.tree.Size(), index)
		if err != nil {
			f.t.Error(err)
		}
		e := audit.Entry{ID: "a", At: 1, Action: "secret.read", Outcome: audit.Allowed}
		answer = api.InclusionProof{Index: index, Entry: e.AppendCanonical(nil), Proof: texts(proof), Checkpoint: f.checkpoint()}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		f.t.Error(err)
	}
}

// terminalless is a command line against a fake server, with a memory of its own.
type terminalless struct {
	t      *testing.T
	log    *fakeLog
	server *httptest.Server
	home   string
}

func newTerminalless(t *testing.T, log *fakeLog) *terminalless {
	t.Helper()
	x := &terminalless{t: t, log: log, home: t.TempDir()}
	x.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { x.log.ServeHTTP(w, r) }))
	t.Cleanup(x.server.Close)
	return x
}

func (x *terminalless) run(args ...string) (code int, out, errs string) {
	x.t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &stdout, err: &stderr, version: "test", getenv: func(name string) string {
		return map[string]string{"KEYTURN_SERVER": x.server.URL, "KEYTURN_TOKEN": "ktk_test-value", "XDG_CONFIG_HOME": x.home}[name]
	}}
	root := a.rootCommand()
	root.AddCommand(a.auditCommand())
	code = exitOK
	root.SetArgs(append([]string{"audit"}, args...))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	if err := root.ExecuteContext(context.Background()); err != nil {
		a.explain(&stderr, err)
		code = exitCode(err)
	}
	return code, stdout.String(), stderr.String()
}

func (x *terminalless) want(code int, words string, args ...string) {
	x.t.Helper()
	got, out, errs := x.run(args...)
	if got != code || !strings.Contains(out+errs, words) {
		x.t.Errorf("audit %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), got, code, words, out, errs)
	}
}

func TestALogThatGrowsIsFollowed(t *testing.T) {
	for _, grows := range []bool{false, true} {
		x := newTerminalless(t, newFakeLog(t, testOrigin, 1, "a", "b", "c"))
		x.log.grows = grows
		x.want(exitOK, "first sight", "checkpoint")
		x.want(exitOK, testOrigin, "checkpoint")
		x.log.add("d", "e")
		x.want(exitOK, testOrigin, "checkpoint")
		x.want(exitOK, "entry 0 is in the log", "proof", "0")
	}
}

func TestALogThatShrankIsRefused(t *testing.T) {
	x := newTerminalless(t, newFakeLog(t, testOrigin, 1, "a", "b", "c"))
	x.want(exitOK, "", "checkpoint")
	x.log = newFakeLog(t, testOrigin, 1, "a", "b")
	x.want(exitCheck, "SHRANK", "checkpoint")
	x.want(exitCheck, "SHRANK", "checkpoint") // it is not forgotten by being told once
	x.want(exitCheck, "SHRANK", "checkpoint", "--trust-key")
	x.want(exitCheck, "SHRANK", "proof", "0")
	x.want(exitCheck, "SHRANK", "export", filepath.Join(t.TempDir(), "copy"))
}

func TestALogThatForkedIsRefused(t *testing.T) {
	for _, grows := range []bool{false, true} {
		for name, entries := range map[string][]string{"at the same size": {"a", "x", "c"}, "and longer": {"a", "x", "c", "d", "e"}} {
			x := newTerminalless(t, newFakeLog(t, testOrigin, 1, "a", "b", "c"))
			x.want(exitOK, "", "checkpoint")
			x.log = newFakeLog(t, testOrigin, 1, entries...)
			x.log.grows = grows
			if code, _, errs := x.run("checkpoint"); code != exitCheck || !strings.Contains(errs, "FORKED") {
				t.Errorf("%s: exit code %d\n%s", name, code, errs)
			}
		}
	}
}

func TestALogUnderAnotherNameOrKeyIsRefused(t *testing.T) {
	x := newTerminalless(t, newFakeLog(t, testOrigin, 1, "a", "b", "c"))
	x.want(exitOK, "", "checkpoint")
	x.log = newFakeLog(t, testOrigin, 2, "a", "b", "c", "d")
	x.want(exitCheck, "not signed by the key", "checkpoint")
	// A new name would be the way around the memory.
	x.log = newFakeLog(t, "other.example.test/log", 2, "a")
	x.want(exitCheck, "another log than before", "checkpoint")
	x.want(exitOK, "", "checkpoint", "--trust-key")
	x.want(exitOK, "", "checkpoint")
}

func TestANewKeyThatAlsoSignsIsFollowed(t *testing.T) {
	x := newTerminalless(t, newFakeLog(t, testOrigin, 1, "a"))
	x.want(exitOK, "", "checkpoint")
	old := x.log
	x.log = newFakeLog(t, testOrigin, 2, "a", "b")
	fresh := x.log.signer
	// While keys overlap, both sign and both are shown.
	x.log.key += "\n" + old.key
	both, err := audit.Checkpoint(testOrigin, x.log.tree.Size(), x.log.tree.Root(), fresh, old.signer)
	if err != nil {
		t.Fatal(err)
	}
	honest := x.log
	x.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == api.Prefix+"/audit/checkpoint" {
			_ = json.NewEncoder(w).Encode(api.Checkpoint{Checkpoint: string(both), Key: honest.key})
			return
		}
		old, _ := strconv.ParseInt(r.URL.Query().Get("old_size"), 10, 64)
		proof, _ := audit.ConsistencyProof(r.Context(), honest.source, old, honest.tree.Size())
		_ = json.NewEncoder(w).Encode(api.ConsistencyProof{OldSize: old, Proof: texts(proof), Checkpoint: api.Checkpoint{Checkpoint: string(both), Key: honest.key}})
	})
	x.want(exitOK, "a new key beside", "checkpoint")
	x.server.Config.Handler = honest
	honest.add("c")
	x.want(exitOK, "", "checkpoint") // signed by the new one alone
}

// turned gives the log of the same entries under the next key, which the one before hands over to.
func (f *fakeLog) turned(t *testing.T, seed byte, more ...string) *fakeLog {
	t.Helper()
	next := newFakeLog(t, f.origin, seed)
	h, err := audit.SignHandover(f.origin, next.key, f.signer)
	if err != nil {
		t.Fatal(err)
	}
	next.tree, next.source, next.handovers = f.tree, f.source, append(slices.Clone(f.handovers), string(h))
	next.add(more...)
	return next
}

func TestAMachineThatSleptThroughTurnsFollowsTheHandovers(t *testing.T) {
	first := newFakeLog(t, testOrigin, 1, "a", "b")
	x := newTerminalless(t, first)
	x.want(exitOK, "", "checkpoint")
	x.log = first.turned(t, 2, "c").turned(t, 3, "d")
	x.want(exitOK, "each key signed that the next one follows it", "checkpoint")
	x.want(exitOK, testOrigin, "checkpoint")

	// Whoever has a key that handed over is not believed any more, and the log of the new key cannot shrink either.
	now := x.log
	forged := newFakeLog(t, testOrigin, 1, "a", "b", "c", "d", "forged")
	x.log = forged
	x.want(exitCheck, "not signed by the key that this machine remembers", "checkpoint")
	x.log = now
	x.want(exitOK, testOrigin, "checkpoint")
	x.log = newFakeLog(t, testOrigin, 3, "a")
	x.want(exitCheck, "SHRANK", "checkpoint")
}

func TestAHandoverThatNoTrustedKeySignedLeadsNowhere(t *testing.T) {
	x := newTerminalless(t, newFakeLog(t, testOrigin, 1, "a"))
	x.want(exitOK, "", "checkpoint")
	good := x.log
	thief := newFakeLog(t, testOrigin, 7, "a").turned(t, 8, "b") // a chain of his own
	x.log = thief
	x.want(exitCheck, "not signed by the key that this machine remembers", "checkpoint")
	misplaced, err := audit.SignHandover("other.example.test/log", thief.key, good.signer) // our key, speaking of another log
	if err != nil {
		t.Fatal(err)
	}
	thief.handovers = append(thief.handovers, string(misplaced))
	x.want(exitCheck, "not signed by the key that this machine remembers", "checkpoint")
	// A handover does not make a fork right.
	forked := newFakeLog(t, testOrigin, 1, "x", "y").turned(t, 2, "z")
	x.log = forked
	x.want(exitCheck, "FORKED", "checkpoint")
	x.log = good
	x.want(exitOK, "", "checkpoint")
}

func TestAProofOfAnotherEntryIsRefused(t *testing.T) {
	x := newTerminalless(t, newFakeLog(t, testOrigin, 1, "a", "b", "c"))
	x.want(exitCheck, "is not in the log that the server signed", "proof", "1") // the fake shows entry 0
}

func TestAMemoryThatDoesNotReadIsNotBegunAnew(t *testing.T) {
	x := newTerminalless(t, newFakeLog(t, testOrigin, 1, "a"))
	x.want(exitOK, "", "checkpoint")
	file := filepath.Join(x.home, "keyturn", "checkpoints.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.want(exitInvalid, "is not valid", "checkpoint")
}

func TestAnExportPagesTheWholeLogAndVerifies(t *testing.T) {
	entries := make([]string, 600) // more than two tiles
	for i := range entries {
		entries[i] = strconv.Itoa(i)
	}
	x := newTerminalless(t, newFakeLog(t, testOrigin, 1, entries...))
	x.log.grows = true
	dir := filepath.Join(t.TempDir(), "copy")
	x.want(exitOK, "copied and checked 601 entries", "export", dir)
	x.want(exitOK, "sound 601 entries", "verify", "--dir", dir)
	bundle := filepath.Join(dir, "tile", "entries", "000")
	b, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bundle, bytes.Replace(b, []byte(`"id":"7"`), []byte(`"id":"8"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	x.want(exitCheck, "not sound", "verify", "--dir", dir)
}
