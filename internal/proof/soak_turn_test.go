//go:build soak

package proof

import (
	"fmt"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
)

const longRoundsOfTurns = 200

func TestSoakKillTurning(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { dieTurning(t, onSQLite(t), longRoundsOfTurns, seeded(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		dieTurning(t, onPostgres(t, testpg.Private(t)), longRoundsOfTurns, seeded(t))
	})
}

func TestSoakCrashPoints(t *testing.T) { crashOnPostgres(t, crashes()) }

func TestSoakRelics(t *testing.T) { leavesNothingOnPostgres(t, "project", "instance", "all") }

// startsWithin is what a start may take after a crash in the middle of a turn.
const startsWithin = 2 * time.Second

// A server with a hundred thousand secrets that dies in the middle of a turn is ready again in two seconds: the turn goes on
// behind it.
func TestSoakRestart(t *testing.T) {
	const secrets, atOnce = 100_000, 1000
	for name, make := range map[string]func() place{
		"SQLite":     func() place { return onSQLite(t) },
		"PostgreSQL": func() place { return onPostgres(t, testpg.Private(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := make()
			server := p.start(t)
			s := siteAt(t, server.url)
			v := newVault(t, s, s.setUp(t))
			for from := 0; from < secrets; from += atOnce {
				var r api.CommitRequest
				for i := range atOnce {
					value := fmt.Sprintf("test-value %d", from+i)
					r.Changes = append(r.Changes, api.Change{Op: "set", Path: fmt.Sprintf("/f%d", from/atOnce), Name: fmt.Sprintf("S%d", i), Value: &value})
				}
				must[api.Committed](t, s, v.token, "POST", at(vaulted, "dev", "commits"), r)
			}
			turn := rotate(t, s, v.token, rotationOf("project"))[0]
			for round := range 5 {
				eventually(t, turnsWithin, "some of the turn is done", func() bool {
					now := must[api.KeyTurn](t, s, v.token, "GET", "/keys/turns/"+turn.ID, nil)
					more := now.Done > turn.Done || now.Stage != "moving"
					turn = now
					return more
				})
				server.kill(t)
				began := time.Now()
				server = p.start(t)
				took := time.Since(began)
				s = siteAt(t, server.url)
				t.Logf("death %d at %d of %d, stage %s: ready after %v", round+1, turn.Done, turn.Total, turn.Stage, took)
				if took > startsWithin {
					t.Errorf("the start took %v", took)
				}
			}
			began := time.Now()
			settleTurns(t, s, v.token)
			t.Logf("the rest of the turn took %v", time.Since(began))
			v.unchanged(t, s)
			turned(t, s, v.token)
			server.stop(t)
		})
	}
}
