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
		"a name that is taken":       rename("/new/folder", "NEW", "NEW"),
		"a folder that is not there": {Op: "folder.delete", Path: "/nowhere"},
		"a cadence that is none":     {Op: "set", Path: "/", Name: "KEPT", RotateEvery: ptr("now and then")},
		"a verb that is none":        {Op: "destroy", Path: "/", Name: "KEPT"},
		"a secret without a value":   {Op: "set", Path: "/", Name: "NOBODY", Owner: ptr("team")},
	} {
		r := e.attempt(t, append(append([]api.Change{}, good...), bad)...)
		if what == "a name that is taken" {
			continue // a rename to itself is the same
		}
		if r.status < 400 || r.status > 499 {
			t.Errorf("%s: status %d: %s", what, r.status, r.body)
		}
		if what != "a name that is taken" && e.revision(t) != 1 {
			t.Fatalf("%s: the environment stands at %d", what, e.revision(t))
		}
		same(t, what, e.state(t), before)
		break
	}
	for what, bad := range map[string]api.Change{
		"a secret that is not there": remove("/", "MISSING"),
		"a reference to nothing":     set("/", "BROKEN", "${MISSING}"),
		"a folder that is not there": {Op: "folder.delete", Path: "/nowhere"},
		"a cadence that is none":     {Op: "set", Path: "/", Name: "KEPT", RotateEvery: ptr("now and then")},
		"a verb that is none":        {Op: "destroy", Path: "/", Name: "KEPT"},
		"a secret without a value":   {Op: "set", Path: "/", Name: "NOBODY", Owner: ptr("team")},
	} {
		if r := e.attempt(t, append(append([]api.Change{}, good...), bad)...); r.status < 400 || r.status > 499 {
			t.Errorf("%s: status %d: %s", what, r.status, r.body)
		}
		same(t, what, e.state(t), before)
	}
	e.commit(t, good...)
	if got := e.revision(t); got != 2 {
		t.Errorf("the environment stands at %d after one good commit", got)
	}
}
