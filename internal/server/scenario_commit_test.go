package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

func TestCommitsChangeAnEnvironmentAllOrNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		t.Run("values come back byte for byte", func(t *testing.T) { valuesAreBytes(t, w.project(t)) })
		t.Run("one bad change and nothing changed", func(t *testing.T) { commitsAreAtomic(t, w.project(t)) })
		t.Run("a commit on an older revision is a conflict", func(t *testing.T) { staleCommits(t, w.project(t)) })
		t.Run("what is the same makes no revision", func(t *testing.T) { sameIsNoRevision(t, w.project(t)) })
		t.Run("a dry run tells and changes nothing", func(t *testing.T) { dryRuns(t, w.project(t)) })
		t.Run("ten thousand changes are one commit", func(t *testing.T) { largeCommits(t, w.project(t)) })
		t.Run("a secret carries what is known of it", func(t *testing.T) { attributesAreKept(t, w.project(t)) })
		t.Run("names that change places", func(t *testing.T) { swaps(t, w.project(t)) })
		t.Run("copies", func(t *testing.T) { copies(t, w.project(t)) })
		t.Run("generated values", func(t *testing.T) { generates(t, w.project(t)) })
		t.Run("folders", func(t *testing.T) { folders(t, w.project(t)) })
		t.Run("requests that make no sense", func(t *testing.T) { nonsense(t, w.project(t)) })
	})
}

func valuesAreBytes(t *testing.T, e env) {
	values := map[string][]byte{
		"EMPTY": {}, "NUL": []byte("a\x00b"), "INVALID": {0xff, 0xfe, 0x80}, "NEWLINE": []byte("test-value\n"), "CRLF": []byte("\r\n test-value \r\n"),
		"BOM": []byte("\ufefftest-value"), "EMOJI": []byte("\U0001f511\u2028"), "LARGEST": []byte(strings.Repeat("x", 64<<10)), "LARGEST_BYTES": []byte(strings.Repeat("\xff", 64<<10)),
		"ESCAPES": []byte("<&>\"\\\u0000\u007f"),
	}
	var changes []api.Change
	for name, v := range values {
		changes = append(changes, setBytes("/", name, v))
	}
	e.commit(t, changes...)
	for name, want := range values {
		if got := e.value(t, "/", name); got != string(want) {
			t.Errorf("%s came back as %.40q", name, got)
		}
	}
	for _, s := range e.list(t, "/", "reveal", "true").Secrets {
		if got := bytesOf(t, s); got != string(values[s.Name]) {
			t.Errorf("in the list %s is %.40q", s.Name, got)
		}
	}
	e.attempt(t, setBytes("/", "TOO_LONG", make([]byte, 64<<10+1))).refused(t, "invalid", "/TOO_LONG", "65536")
	e.attempt(t, set("/", "TOO_LONG", strings.Repeat("x", 64<<10+1))).refused(t, "invalid", "/TOO_LONG")
	e.ask(t, "/", "TOO_LONG").refused(t, "not_found")
	e.attempt(t, api.Change{Op: "set", Path: "/", Name: "A", Value: ptr("not*base64"), Encoding: "base64"}).refused(t, "invalid", "/changes/0/value")
	e.attempt(t, api.Change{Op: "set", Path: "/", Name: "A", Value: ptr("x"), Encoding: "rot13"}).refused(t, "invalid", "/changes/0/value")
}

func commitsAreAtomic(t *testing.T, e env) {
	e.commit(t, set("/", "KEPT", "test-value-1"))
	before := e.state(t)
	good := []api.Change{set("/", "KEPT", "test-value-2"), set("/new/folder", "NEW", "test-value"), {Op: "set", Path: "/", Name: "KEPT", Owner: ptr("team")}}
	for what, bad := range map[string]api.Change{
		"a secret that is not there": remove("/", "MISSING"),
		"a reference to nothing":     set("/", "BROKEN", "${MISSING}"),
		"a name that is taken":       rename("/", "KEPT", "KEPT2"),
		"a folder that is not there": {Op: "folder.delete", Path: "/nowhere"},
		"a cadence that is none":     {Op: "set", Path: "/", Name: "KEPT", RotateEvery: ptr("now and then")},
		"a verb that is none":        {Op: "destroy", Path: "/", Name: "KEPT"},
		"a secret without a value":   {Op: "set", Path: "/", Name: "NOBODY", Owner: ptr("team")},
	} {
		changes := append([]api.Change{set("/", "KEPT2", "test-value")}, good...)
		if r := e.attempt(t, append(changes, bad)...); r.status < 400 || r.status > 499 {
			t.Errorf("%s: status %d: %s", what, r.status, r.body)
		}
		if got := e.revision(t); got != 1 {
			t.Errorf("%s: the environment stands at %d", what, got)
		}
		same(t, what, e.state(t), before)
	}
	e.commit(t, good...)
	if got := e.revision(t); got != 2 {
		t.Errorf("the environment stands at %d after one good commit", got)
	}
}

func staleCommits(t *testing.T, e env) {
	at := func(revision int64) reply {
		return e.do(t, "POST", e.path()+"/commits", api.CommitRequest{IfRevision: &revision, Changes: []api.Change{set("/", "A", fmt.Sprint("test-value-", revision))}})
	}
	var c api.Committed
	at(0).fits(t, &c)
	if c.Revision != 1 || c.ID == "" {
		t.Fatalf("%+v", c)
	}
	at(0).refused(t, "conflict", "revision 1", "not at 0")
	at(2).refused(t, "conflict")
	at(-1).refused(t, "invalid", "/if_revision")
	at(1).fits(t, &c)
	if c.Revision != 2 || e.value(t, "/", "A") != "test-value-1" {
		t.Errorf("%+v", c)
	}
}

func sameIsNoRevision(t *testing.T, e env) {
	change := set("/", "A", "test-value")
	change.Comment, change.Owner, change.Tags = ptr("a comment"), ptr("team"), &[]string{"b", "a"}
	if c := e.commit(t, change); c.Revision != 1 || len(c.Effects) != 1 || c.Effects[0].Outcome != "added" || c.Effects[0].Version != 1 {
		t.Errorf("%+v", c)
	}
	c := e.commit(t, change)
	if c.Revision != 1 || c.ID != "" || c.Effects[0].Outcome != "same" || c.Effects[0].Version != 1 {
		t.Errorf("the same again: %+v", c)
	}
	if got := get[api.Commits](t, e.person, e.path()+"/commits"); len(got.Commits) != 1 {
		t.Errorf("%d commits", len(got.Commits))
	}
	change.Comment = ptr("another comment")
	if c := e.commit(t, change, set("/", "B", "test-value")); c.Revision != 2 || c.Effects[0].Outcome != "changed" || c.Effects[0].Version != 1 || c.Effects[1].Outcome != "added" {
		t.Errorf("a comment: %+v", c)
	}
	if s := e.secret(t, "/", "A"); s.Comment != "another comment" || s.Version != 1 || s.Revision != 2 {
		t.Errorf("%+v", s)
	}
	if c := e.commit(t, set("/", "A", "test-value-2"), set("/", "B", "test-value")); c.Revision != 3 || c.Effects[0].Version != 2 || c.Effects[1].Outcome != "same" {
		t.Errorf("a value: %+v", c)
	}
}

func dryRuns(t *testing.T, e env) {
	e.commit(t, set("/", "A", "test-value"), set("/", "GONE", "test-value"))
	before := e.state(t)
	c := send[api.Committed](t, e.person, "POST", e.path()+"/commits", api.CommitRequest{DryRun: true, Changes: []api.Change{
		set("/", "A", "test-value-2"), set("/x", "B", "test-value"), remove("/", "GONE"), set("/x", "B", "test-value")}})
	var got []string
	for _, f := range c.Effects {
		got = append(got, fmt.Sprint(full(f.Path, f.Name), " ", f.Outcome, " ", f.Version))
	}
	if want := "[/A changed 2 /x/B added 1 /GONE removed 1 /x/B same 1]"; fmt.Sprint(got) != want || c.Revision != 1 || c.ID != "" {
		t.Errorf("%v at %d, want %s", got, c.Revision, want)
	}
	same(t, "after a dry run", e.state(t), before)
	e.do(t, "POST", e.path()+"/commits", api.CommitRequest{DryRun: true, Changes: []api.Change{set("/", "A", "${NOTHING}")}}).refused(t, "invalid", "NOTHING")
}

func largeCommits(t *testing.T, e env) {
	const n = 10_000
	changes := make([]api.Change, n)
	for i := range changes {
		changes[i] = set(fmt.Sprintf("/f%d", i%7), fmt.Sprintf("K%05d", i), fmt.Sprintf("test-value-%d", i))
	}
	c := e.commit(t, changes...)
	if c.Revision != 1 || len(c.Effects) != n {
		t.Fatalf("revision %d, %d effects", c.Revision, len(c.Effects))
	}
	if got := e.value(t, "/f3", "K00010"); got != "test-value-10" {
		t.Errorf("%q", got)
	}
	changes[17] = set("/f3", "K00017", "test-value-new")
	if c := e.commit(t, changes[:100]...); c.Revision != 2 || c.Effects[17].Outcome != "changed" || c.Effects[18].Outcome != "same" {
		t.Errorf("revision %d, %+v", c.Revision, c.Effects[17])
	}
	if l := e.list(t, "/", "recursive", "true"); len(l.Secrets) != n || len(l.Folders) != 7 {
		t.Errorf("%d secrets in %d folders", len(l.Secrets), len(l.Folders))
	}
	many := make([]api.Change, 20_001)
	for i := range many {
		many[i] = set("/", "A", "x")
	}
	e.attempt(t, many...).refused(t, "invalid", "20000")
	e.attempt(t).refused(t, "invalid", "no change")
}

func attributesAreKept(t *testing.T, e env) {
	expires := time.Now().Add(90 * 24 * time.Hour).UTC().Truncate(time.Millisecond)
	change := set("/", "A", "test-value")
	change.Comment, change.Owner, change.Public, change.Required = ptr("why it is there\n\u2028"), ptr(" Team Ö "), ptr(true), ptr(true)
	change.Tags, change.Metadata = &[]string{"pci", "db", "pci"}, &map[string]string{"source": "vendor", "empty": ""}
	change.RotateEvery, change.ExpiresAt = ptr("  90d OR on compromise"), &expires
	e.commit(t, change)
	s := e.secret(t, "/", "A")
	if s.Comment != "why it is there\n\u2028" || s.Owner != "Team Ö" || !s.Public || !s.Required || fmt.Sprint(s.Tags) != "[db pci]" ||
		fmt.Sprint(s.Metadata) != "map[empty: source:vendor]" || s.RotateEvery != "90d or on compromise" || s.ExpiresAt == nil || !s.ExpiresAt.Equal(expires) ||
		s.RotatedAt == nil || s.DueAt == nil || s.Generated {
		t.Errorf("%+v", s)
	}
	l := e.list(t, "/")
	if len(l.Secrets) != 1 || l.Secrets[0].Value != nil || l.Secrets[0].Comment != "" || l.Secrets[0].Owner != "Team Ö" {
		t.Errorf("a list without reveal shows %+v", l.Secrets)
	}
	// Written out: the zero time takes the expiry away.
	send[api.Committed](t, e.person, "POST", e.path()+"/commits", `{"changes":[{"op":"set","path":"/","name":"A","tags":[],"metadata":{},"owner":"",
		"rotate_every":"never","expires_at":"0001-01-01T00:00:00Z","comment":""}]}`)
	if s := e.secret(t, "/", "A"); s.Comment != "" || s.Owner != "" || len(s.Tags) != 0 || len(s.Metadata) != 0 || s.RotateEvery != "never" || s.ExpiresAt != nil ||
		s.DueAt != nil || !s.Public || s.Version != 1 || s.Revision != 2 {
		t.Errorf("%+v", s)
	}
	for what, bad := range map[string]api.Change{
		"cadence":  {Op: "set", Path: "/", Name: "A", RotateEvery: ptr("every day")},
		"tag":      {Op: "set", Path: "/", Name: "A", Tags: &[]string{"With Space"}},
		"owner":    {Op: "set", Path: "/", Name: "A", Owner: ptr("two\nlines")},
		"metadata": {Op: "set", Path: "/", Name: "A", Metadata: &map[string]string{"": "x"}},
		"comment":  {Op: "set", Path: "/", Name: "A", Comment: ptr(strings.Repeat("x", 4<<10+1))},
	} {
		if r := e.attempt(t, bad); r.status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", what, r.status, r.body)
		}
	}
}

func swaps(t *testing.T, e env) {
	e.commit(t, set("/", "A", "test-value-a"), set("/", "B", "test-value-b"), set("/x", "A", "test-value-xa"), set("/", "USER", "${A}-${B}-${dev.x.A}"))
	a, b := e.secret(t, "/", "A").ID, e.secret(t, "/", "B").ID
	e.commit(t, rename("/", "A", "T"), rename("/", "B", "A"), rename("/", "T", "B"))
	if e.value(t, "/", "A") != "test-value-b" || e.value(t, "/", "B") != "test-value-a" || e.secret(t, "/", "A").ID != b || e.secret(t, "/", "B").ID != a {
		t.Error("two names were not swapped")
	}
	if got := e.value(t, "/", "USER", "raw", "true"); got != "${B}-${A}-${dev.x.A}" {
		t.Errorf("references after the swap: %q", got)
	}
	// Folders swap as well, and secrets between folders.
	e.commit(t, set("/y", "A", "test-value-ya"))
	e.commit(t, moveFolder("/x", "/t"), moveFolder("/y", "/x"), moveFolder("/t", "/y"))
	if e.value(t, "/x", "A") != "test-value-ya" || e.value(t, "/y", "A") != "test-value-xa" || e.value(t, "/", "USER", "raw", "true") != "${B}-${A}-${dev.y.A}" {
		t.Errorf("folders were not swapped: %v", e.state(t))
	}
	e.commit(t, move("/x", "A", "/t"), move("/y", "A", "/x"), move("/t", "A", "/y"))
	if e.value(t, "/x", "A") != "test-value-xa" || e.value(t, "/y", "A") != "test-value-ya" {
		t.Errorf("secrets were not swapped between folders: %v", e.state(t))
	}
	// A name that moves away is free for a new secret in the same commit, and so is one that is deleted.
	old := e.secret(t, "/x", "A").ID
	e.commit(t, move("/x", "A", "/z"), set("/x", "A", "test-value-new"), remove("/y", "A"), set("/y", "A", "test-value-new"))
	if e.value(t, "/z", "A") != "test-value-xa" || e.secret(t, "/z", "A").ID != old || e.secret(t, "/x", "A").ID == old || e.value(t, "/y", "A") != "test-value-new" {
		t.Errorf("%v", e.state(t))
	}
	if s := e.secret(t, "/y", "A"); s.Version != 1 {
		t.Errorf("a deleted name went on as version %d", s.Version)
	}
	e.attempt(t, rename("/", "A", "B")).refused(t, "exists", "/B")
	e.attempt(t, move("/z", "A", "/x")).refused(t, "exists", "/x/A")
	if c := e.commit(t, rename("/", "A", "A")); c.ID != "" || c.Effects[0].Outcome != "same" {
		t.Errorf("a rename to itself: %+v", c)
	}
}

func copies(t *testing.T, e env) {
	change := set("/x", "A", "test-value")
	change.Comment, change.Owner = ptr("a comment"), ptr("team")
	e.commit(t, change, set("/x", "B", "see ${A}"))
	prod := e.in("prod")
	c := prod.commit(t, api.Change{Op: "copy", Path: "/y", From: &api.Place{Env: "dev", Path: "/x", Name: "A"}},
		api.Change{Op: "copy", Path: "/y", To: "B2", From: &api.Place{Project: e.project, Env: "dev", Path: "/x", Name: "B"}})
	if c.Revision != 1 || c.Effects[1].Name != "B2" || prod.value(t, "/y", "B2") != "see test-value" {
		t.Errorf("%+v", c)
	}
	if s := prod.secret(t, "/y", "A"); s.Comment != "a comment" || s.Owner != "team" || s.Version != 1 || s.ID == e.secret(t, "/x", "A").ID {
		t.Errorf("%+v", s)
	}
	prod.attempt(t, api.Change{Op: "copy", Path: "/y", From: &api.Place{Env: "dev", Path: "/x", Name: "C"}}).refused(t, "not_found")
	prod.attempt(t, api.Change{Op: "copy", Path: "/z", From: &api.Place{Env: "dev", Path: "/x", Name: "B"}}).refused(t, "invalid", "${A}", "/z/B")
	prod.attempt(t, api.Change{Op: "copy", Path: "/z"}).refused(t, "invalid", "/changes/0/from")
}

func generates(t *testing.T, e env) {
	e.commit(t, api.Change{Op: "set", Path: "/", Name: "A", Generate: 40}, api.Change{Op: "set", Path: "/", Name: "B", Generate: 40})
	a, b := e.value(t, "/", "A"), e.value(t, "/", "B")
	if len(a) != 40 || a == b || strings.Trim(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" || !e.secret(t, "/", "A").Generated {
		t.Errorf("%q, %q", a, b)
	}
	e.commit(t, set("/", "A", "test-value"))
	if e.secret(t, "/", "A").Generated {
		t.Error("a value that a person gave counts as generated")
	}
	e.attempt(t, api.Change{Op: "set", Path: "/", Name: "A", Generate: 4000}).refused(t, "invalid", "/changes/0/generate")
	e.attempt(t, api.Change{Op: "set", Path: "/", Name: "A", Generate: 40, Value: ptr("x")}).refused(t, "invalid", "/changes/0/generate")
}

func folders(t *testing.T, e env) {
	deepest := strings.Repeat("/d", 16)
	c := e.commit(t, api.Change{Op: "folder.create", Path: "/a/b/c"}, api.Change{Op: "folder.create", Path: deepest}, api.Change{Op: "folder.create", Path: "/a"})
	if c.Effects[0].Outcome != "added" || c.Effects[2].Outcome != "same" {
		t.Errorf("%+v", c)
	}
	e.attempt(t, api.Change{Op: "folder.create", Path: deepest + "/d"}).refused(t, "invalid", "16")
	e.attempt(t, api.Change{Op: "folder.create", Path: "/with space"}).refused(t, "invalid")
	if l := e.list(t, "/a"); fmt.Sprint(l.Folders) != "[/a/b]" {
		t.Errorf("%v", l.Folders)
	}
	if l := e.list(t, "/a", "recursive", "true"); fmt.Sprint(l.Folders) != "[/a/b /a/b/c]" {
		t.Errorf("%v", l.Folders)
	}
	e.attempt(t, moveFolder("/a", "/a/x")).refused(t, "invalid", "below itself")
	e.attempt(t, moveFolder("/a", "/d")).refused(t, "exists")
	e.attempt(t, moveFolder("/", "/x")).refused(t, "invalid", "root")
	e.attempt(t, moveFolder("/a/b", "/")).refused(t, "invalid", "root")
	e.attempt(t, moveFolder("/d/d", "/a/b/c/d")).refused(t, "invalid", "16")
	e.attempt(t, api.Change{Op: "folder.move", Path: "/a"}).refused(t, "invalid", "/changes/0/to_path")
	e.attempt(t, api.Change{Op: "move", Path: "/a", Name: "A"}).refused(t, "invalid", "/changes/0/to_path")
	e.attempt(t, api.Change{Op: "folder.delete", Path: "/"}).refused(t, "invalid", "root")
	e.commit(t, set("/a/b/c", "A", "test-value"))
	e.commit(t, moveFolder("/a/b", "/e/f"))
	if e.value(t, "/e/f/c", "A") != "test-value" {
		t.Error("a folder did not take its secrets along")
	}
	e.do(t, "GET", e.path()+"/secrets?path=/a/b", nil).refused(t, "not_found")
}

func nonsense(t *testing.T, e env) {
	for _, name := range []string{"", ".", "..", "with space", "a/b", "ä", strings.Repeat("x", 256), "a=b", "a\x00"} {
		e.attempt(t, set("/", name, "x")).refused(t, "invalid")
	}
	e.commit(t, set("/", strings.Repeat("x", 255), "x"), set("/", "a.b-c_D9", "x"))
	e.do(t, "POST", e.path()+"/commits", api.CommitRequest{Message: strings.Repeat("x", 1001), Changes: []api.Change{set("/", "A", "x")}}).refused(t, "invalid", "message")
	e.do(t, "POST", e.path()+"/commits", api.CommitRequest{Cause: strings.Repeat("x", 65), Changes: []api.Change{set("/", "A", "x")}}).refused(t, "invalid", "/cause")
	e.attempt(t, api.Change{Op: "rename", Path: "/", Name: "A"}).refused(t, "invalid", "/changes/0/to")
	e.attempt(t, set("/", "A", "x"), set("/..", "A", "x")).refused(t, "invalid", "/changes/1")
	c := send[api.Committed](t, e.person, "POST", e.path()+"/commits", api.CommitRequest{Message: "why", Cause: "import", Changes: []api.Change{set("/", "A", "x")}})
	got := get[api.Commits](t, e.person, e.path()+"/commits").Commits[0]
	if got.ID != c.ID || got.Message != "why" || got.Cause != "import" || got.Author != "admin@example.test" || got.AuthorKind != "user" || got.Changes != 1 || got.Revision != c.Revision {
		t.Errorf("%+v", got)
	}
}
