package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/keyring"
)

func TestEveryKeyTurns(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for _, layer := range []string{"project", "instance", "index", "log", "tokens", "all"} {
			t.Run(layer, func(t *testing.T) { turns(t, w, layer) })
		}
	})
}

// turnsWithin bounds waiting for a turn on a busy machine; it is no measurement.
const turnsWithin = time.Minute

// rotate begins turns and waits until all are over.
func (w *world) rotate(t *testing.T, r api.KeyRotation) []api.KeyTurn {
	t.Helper()
	begun := send[api.KeyRotated](t, w.admin, "POST", "/keys/rotations", r)
	return w.ended(t, begun.Turns)
}

func (w *world) ended(t *testing.T, turns []api.KeyTurn) []api.KeyTurn {
	t.Helper()
	var out []api.KeyTurn
	for _, turn := range turns {
		eventually(t, turnsWithin, "turn of "+turn.Layer+" is over", func() bool {
			turn = send[api.KeyTurn](t, w.admin, "GET", "/keys/turns/"+turn.ID, nil)
			return !turn.EndedAt.IsZero()
		})
		out = append(out, turn)
	}
	return out
}

// filled makes a project with values, comments, history, personal values and kept answers, and gives what must stay.
func filled(t *testing.T, w *world) (env, map[string]string) {
	t.Helper()
	e := w.project(t)
	for round := range 3 {
		var changes []api.Change
		for i := range 20 {
			c := set("/app", fmt.Sprintf("K%02d", i), fmt.Sprintf("test-value-%d-%d", i, round%2*i))
			if i%3 == 0 {
				c.Comment = ptr(fmt.Sprintf("a comment of round %d", round))
			}
			changes = append(changes, c)
		}
		e.commit(t, changes...)
	}
	e.own(t, "/app", "K01", "my-own-test-value")
	e.commit(t, api.Change{Op: "delete", Path: "/app", Name: "K19"})
	return e, e.all(t)
}

// all gives every value in every version that a reader can get.
func (e env) all(t *testing.T) map[string]string {
	t.Helper()
	out := e.state(t)
	for _, s := range e.list(t, "/app", "reveal", "true").Secrets {
		for v := int64(1); v <= s.Version; v++ {
			name := fmt.Sprintf("%s@%d", s.Name, v)
			out[name] = e.value(t, "/app", s.Name, "version", fmt.Sprint(v))
		}
	}
	return out
}

func turns(t *testing.T, w *world, layer string) {
	e, before := filled(t, w)
	r := api.KeyRotation{Layer: layer}
	if layer == "project" {
		r.Project = e.project
	}
	request := []string{"Idempotency-Key", "before-" + layer}
	kept := send[api.Project](t, w.admin, "POST", "/projects", api.ProjectRequest{Slug: "kept-" + layer}, request...)
	begun := send[api.KeyRotated](t, w.admin, "POST", "/keys/rotations", r)
	var moving []api.KeyTurn
	for _, turn := range begun.Turns {
		if turn.Stage == "overlap" {
			if turn.DueAt.Before(time.Now().Add(24 * time.Hour)) {
				t.Errorf("the overlap of %s ends %s", turn.Layer, turn.DueAt)
			}
			continue
		}
		moving = append(moving, turn)
	}
	if layer == "log" || layer == "tokens" { // for the rest both keys stay in their overlap
		for _, turn := range begun.Turns {
			moving = append(moving, send[api.KeyTurn](t, w.admin, "POST", "/keys/turns/"+turn.ID+"/finish", nil))
		}
	}
	for _, turn := range w.ended(t, moving) {
		if turn.Problem != "" || turn.Stage != "done" {
			t.Errorf("turn of %s is %s: %s", turn.Layer, turn.Stage, turn.Problem)
		}
		c := send[api.KeyCensus](t, w.admin, "GET", "/keys/census?turn="+turn.ID, nil)
		census, err := audit.OpenCensus([]byte(c.Census), c.Keys...)
		if err != nil {
			t.Fatal(err)
		}
		if census.Turn != turn.ID || census.Left != 0 || census.Old != turn.Old || len(census.Counts) == 0 {
			t.Errorf("the census says %+v", census)
		}
		for _, n := range census.Counts {
			if n.Key == turn.Old || strings.HasPrefix(n.Key, "unknown") {
				t.Errorf("%d of %s lie under %s", n.Count, n.Where, n.Key)
			}
		}
	}
	if after := e.all(t); len(after) != len(before) {
		t.Errorf("%d values, %d before", len(after), len(before))
	} else {
		for name, want := range before {
			if after[name] != want {
				t.Errorf("%s is %q, was %q", name, after[name], want)
			}
		}
	}
	again := send[api.Project](t, w.admin, "POST", "/projects", api.ProjectRequest{Slug: "kept-" + layer}, request...)
	if again.ID != kept.ID {
		t.Error("an answer that was kept is not given again")
	}
	e.commit(t, set("/app", "AFTER", "after-test-value"))
	if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
		t.Errorf("the deep verification found %+v", v.Problems)
	}
	found := send[api.Found](t, w.admin, "POST", "/where", api.WhereRequest{Value: api.NewValue([]byte("test-value-5-5"))})
	if len(found.Secrets) == 0 {
		t.Error("a value is not found by its digest")
	}
}

// A request whose hash was made under the old index key may be kept after that key is gone, most of all the one that turns it.
func TestNothingIsWrittenUnderAnIndexKeyThatIsGone(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for round := range 5 {
			begun := send[api.KeyRotated](t, w.admin, "POST", "/keys/rotations", api.KeyRotation{Layer: "index"}, "Idempotency-Key", fmt.Sprint("turn-", round))
			w.ended(t, begun.Turns)
			for _, n := range get[api.KeyCensus](t, w.admin, "/keys/census").Counts {
				if n.State == "retired" || n.State == "destroyed" || n.State == "unknown" {
					t.Errorf("%d of %s lie under key %s, which is %s", n.Count, n.Where, n.KeyID, n.State)
				}
			}
		}
	})
}

func TestASlotTakesTheIDThatItsMakerChose(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		id, kept := keyring.NewSlotID(), []byte("test-value that is bound to the id")
		public := func() api.KeySlotRequest {
			root := keyring.NewRoot().Public()
			return api.KeySlotRequest{ID: id, Kind: "recovery", Public: root.Key, Fingerprint: root.Fingerprint, Kept: kept}
		}
		made := send[api.KeySlotMade](t, w.admin, "POST", "/keys/slots", public())
		if made.ID != id || string(made.Kept) != string(kept) {
			t.Errorf("slot %s keeps %q, want %s and %q", made.ID, made.Kept, id, kept)
		}
		w.admin.do(t, "POST", "/keys/slots", public()).refused(t, "exists")
		for _, wrong := range []string{"1", strings.ToUpper(id), "0198c0de-0000-4000-8000-000000000000", "{" + id + "}"} {
			r := public()
			r.ID = wrong
			w.admin.do(t, "POST", "/keys/slots", r).refused(t, "invalid")
		}
	})
}

// The slot that unlocked the server counts as proved: so a turn of the root key can be taken back on a fresh server.
func TestARootTurnIsTakenBackOnAFreshServer(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		first := get[api.KeysStatus](t, w.admin, "/keys").Slots[0]
		if first.ProvedAt.IsZero() || !first.Unlocked {
			t.Errorf("the slot that unlocked the server is %+v", first)
		}
		root := keyring.NewRoot()
		made := send[api.KeySlotMade](t, w.admin, "POST", "/keys/slots", api.KeySlotRequest{Kind: "file", Public: root.Public().Key, Fingerprint: root.Fingerprint(), Replaces: first.Fingerprint})
		answer, err := root.Answer(get[api.Status](t, w.admin, "/status").InstanceID, made.ID, made.Challenge)
		if err != nil {
			t.Fatal(err)
		}
		send[api.KeySlotMade](t, w.admin, "POST", "/keys/slots/"+made.ID+"/test", api.KeySlotAnswer{Answer: answer.Reveal()})
		if turn := send[api.KeyTurn](t, w.admin, "DELETE", "/keys/slots/"+made.ID, nil); turn.Stage != "undone" {
			t.Errorf("the turn is %s", turn.Stage)
		}
	})
}

// A census outlives the key that signed it: the answer has the keys of every generation.
func TestAnOldCensusIsVerifiedAfterTheLogKeyIsGone(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		index := w.rotate(t, api.KeyRotation{Layer: "index"})[0]
		log := send[api.KeyRotated](t, w.admin, "POST", "/keys/rotations", api.KeyRotation{Layer: "log"}).Turns[0]
		w.ended(t, []api.KeyTurn{send[api.KeyTurn](t, w.admin, "POST", "/keys/turns/"+log.ID+"/finish", nil)})
		old := get[api.KeyCensus](t, w.admin, "/keys/census?turn="+index.ID)
		if _, err := audit.OpenCensus([]byte(old.Census), old.Keys...); err != nil {
			t.Error(err)
		}
		now := get[api.KeyCensus](t, w.admin, "/keys/census")
		if _, err := audit.OpenCensus([]byte(old.Census), now.Keys...); err == nil {
			t.Error("the destroyed key still signs")
		}
	})
}
