package proof

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/api"
)

// vault is a project with something in every column that keys seal: values in several versions, comments, somebody's own
// values, a deleted secret, a kept answer. It remembers what must never change while keys turn.
type vault struct {
	token string
	want  map[string]string
	slug  string // of a project that a kept answer tells; empty: "kept"
	kept  string // its id
}

const (
	vaulted = "vault" // the project
	// vaultSize is how many secrets it has; each has three versions.
	vaultSize = 10
	// turnsWithin bounds waiting for a turn on a busy machine; it is no measurement.
	turnsWithin = time.Minute
)

func newVault(tb testing.TB, s *site, token string) *vault {
	tb.Helper()
	v := &vault{token: token}
	must[api.Project](tb, s, token, "POST", "/projects", api.ProjectRequest{Slug: vaulted, Envs: []string{"dev"}})
	for round := range 3 {
		var r api.CommitRequest
		for i := range vaultSize {
			value, comment := fmt.Sprintf("test-value %d %d %s", i, round, strings.Repeat("v", i*97%800)), fmt.Sprintf("test-value comment %d %d", i, round)
			c := api.Change{Op: "set", Path: "/", Name: fmt.Sprintf("V%02d", i), Value: &value}
			if i%3 == 0 {
				c.Comment = &comment
			}
			r.Changes = append(r.Changes, c)
		}
		must[api.Committed](tb, s, token, "POST", at(vaulted, "dev", "commits"), r)
	}
	for i := range 2 {
		must[api.Done](tb, s, token, "PUT", at(vaulted, "dev", "personal"), api.PersonalRequest{Path: "/", Name: fmt.Sprintf("V%02d", i), Value: api.Value{Value: fmt.Sprintf("test-value own %d", i)}})
	}
	must[api.Committed](tb, s, token, "POST", at(vaulted, "dev", "commits"), api.CommitRequest{Changes: []api.Change{{Op: "delete", Path: "/", Name: "V09"}}})
	for _, project := range []string{"", vaulted} {
		must[api.TransitKey](tb, s, token, "POST", "/transit/keys", api.TransitKeyRequest{Name: "vault", Project: project})
	}
	v.kept = v.answer(tb, s)
	v.want = v.read(tb, s)
	if len(v.want) < 3*(vaultSize-1)+4 {
		tb.Fatalf("the vault holds %d things only", len(v.want))
	}
	return v
}

// answer asks for a project under an idempotency key: the first time makes it, later the kept answer is given.
func (v *vault) answer(tb rapid.TB, s *site) string {
	tb.Helper()
	return decoded[api.Project](tb, s.call(v.token, "POST", "/projects", api.ProjectRequest{Slug: cmp.Or(v.slug, "kept")}, "Idempotency-Key", "a test-value key")).ID
}

// read gives all that a reader can get: every value and comment in every version, and what is somebody's own.
func (v *vault) read(tb rapid.TB, s *site) map[string]string {
	tb.Helper()
	out := map[string]string{}
	all := must[api.Secrets](tb, s, v.token, "GET", at(vaulted, "dev", "secrets")+"?reveal=true&personal=true", nil)
	for _, now := range all.Secrets {
		if now.Personal && now.Value != nil {
			out[now.Name+" own"] = now.Value.Value
		}
		for n := int64(1); n <= now.Version; n++ {
			got := must[api.Secret](tb, s, v.token, "GET", at(vaulted, "dev", "secrets", now.Name)+"?version="+strconv.FormatInt(n, 10), nil)
			if got.Value != nil {
				out[fmt.Sprintf("%s@%d", now.Name, n)] = got.Value.Value
			}
			if got.Comment != "" {
				out[fmt.Sprintf("%s@%d comment", now.Name, n)] = got.Comment
			}
		}
	}
	return out
}

// unchanged tells of everything that is not as it was.
func (v *vault) unchanged(tb testing.TB, s *site) {
	tb.Helper()
	got := v.read(tb, s)
	for _, name := range slices.Sorted(maps.Keys(v.want)) {
		if got[name] != v.want[name] {
			tb.Errorf("%s is %q, was %q", name, got[name], v.want[name])
		}
	}
	if len(got) != len(v.want) {
		tb.Errorf("the vault holds %d things, held %d", len(got), len(v.want))
	}
	if id := v.answer(tb, s); id != v.kept {
		tb.Error("a kept answer is another one")
	}
}

// rotate begins turns.
func rotate(tb testing.TB, s *site, token string, r api.KeyRotation) []api.KeyTurn {
	tb.Helper()
	return must[api.KeyRotated](tb, s, token, "POST", "/keys/rotations", r).Turns
}

// rotationOf asks for the turn of a layer, of projects that of the vault alone.
func rotationOf(layer string) api.KeyRotation {
	r := api.KeyRotation{Layer: layer}
	if layer == "project" {
		r.Project = vaulted
	}
	return r
}

// settleTurns ends overlaps as they come and waits until no turn runs.
func settleTurns(tb testing.TB, s *site, token string) {
	tb.Helper()
	for deadline := time.Now().Add(turnsWithin); ; {
		running := must[api.KeysStatus](tb, s, token, "GET", "/keys", nil).Running
		if len(running) == 0 {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("turns do not end: %+v", running)
		}
		for _, turn := range running {
			if turn.Stage == "overlap" && turn.DueAt.After(time.Now()) {
				s.call(token, "POST", "/keys/turns/"+url.PathEscape(turn.ID)+"/finish", nil)
			}
		}
		<-time.After(5 * time.Millisecond)
	}
}

// turned checks the state in which turns must leave the keys: one primary in each scope, every old key destroyed and nothing
// under it, each turn once, and a log that agrees with all rows.
func turned(tb testing.TB, s *site, token string) {
	tb.Helper()
	status := must[api.KeysStatus](tb, s, token, "GET", "/keys", nil)
	primaries, states := map[string]int{}, map[string]string{}
	for _, k := range status.Keys {
		states[k.ID] = k.State
		scope := k.Layer + " " + k.ProjectID
		switch k.State {
		case "primary":
			primaries[scope]++
		case "destroyed":
			primaries[scope] += 0
		default:
			tb.Errorf("key %s of %s is left %s", k.ID, scope, k.State)
		}
	}
	for scope, n := range primaries {
		if n != 1 {
			tb.Errorf("%s has %d primary keys", scope, n)
		}
	}
	from := map[string]string{}
	for _, turn := range must[api.KeyTurns](tb, s, token, "GET", "/keys/turns", nil).Turns {
		if turn.Stage != "done" && turn.Stage != "undone" || turn.Problem != "" || turn.EndedAt.IsZero() {
			tb.Errorf("turn of %s is left %s: %q", turn.Layer, turn.Stage, turn.Problem)
		}
		if turn.Old == "" || turn.Layer == "root" {
			continue
		}
		if from[turn.Old] != "" {
			tb.Errorf("key %s of %s turned twice", turn.Old, turn.Layer)
		}
		from[turn.Old] = turn.ID
		if states[turn.Old] != "destroyed" || turn.Census == "" {
			tb.Errorf("old key %s of %s is %s after its turn; it has a census: %t", turn.Old, turn.Layer, states[turn.Old], turn.Census != "")
		}
	}
	countsZero(tb, s, token)
	sound(tb, s, token)
}

// countsZero takes a census and wants everything under keys that are primary.
func countsZero(tb testing.TB, s *site, token string) {
	tb.Helper()
	census := must[api.KeyCensus](tb, s, token, "GET", "/keys/census", nil)
	if len(census.Counts) < 5 {
		tb.Errorf("the census has %d lines only", len(census.Counts))
	}
	for _, c := range census.Counts {
		if c.State != "primary" {
			tb.Errorf("%d of %s lie under %s key %s, which is %s", c.Count, c.Where, c.Layer, c.KeyID, c.State)
		}
	}
}

// sound verifies log, rows and values.
func sound(tb testing.TB, s *site, token string) {
	tb.Helper()
	v := must[api.Verification](tb, s, token, "POST", "/audit/verify?deep=true", nil)
	for _, p := range v.Problems {
		tb.Errorf("the deep verification found: entry %d row %q: %s", p.Index, p.Row, p.Text)
	}
	if v.Rows == 0 || v.Values == 0 {
		tb.Errorf("the deep verification looked at %d rows and %d values", v.Rows, v.Values)
	}
}

// eventually polls until something holds.
func eventually(tb testing.TB, within time.Duration, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(within); !holds(); {
		if time.Now().After(deadline) {
			tb.Fatalf("waited %v in vain: %s", within, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
