package proof

import (
	"fmt"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/keys"
)

// aged makes a world whose keys are changed by a statement while its server is stopped, and starts a server on it.
func aged(t *testing.T, statement string, env ...string) (*process, *site, *vault) {
	t.Helper()
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	server.stop(t)
	db := openFile(t, p.data())
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, env...)
	server = p.start(t)
	return server, siteAt(t, server.url), v
}

func older(layer string, days int) string {
	return fmt.Sprintf("UPDATE key_generation SET created_at = created_at - %d WHERE layer = '%s'", (time.Duration(days) * 24 * time.Hour).Milliseconds(), layer)
}

// turnOf waits until a turn of a layer is over by itself.
func turnOf(t *testing.T, s *site, v *vault, layer string) api.KeyTurn {
	t.Helper()
	var found api.KeyTurn
	eventually(t, turnsWithin, "a turn of "+layer, func() bool {
		for _, turn := range must[api.KeyTurns](t, s, v.token, "GET", "/keys/turns", nil).Turns {
			if turn.Layer == layer && !turn.EndedAt.IsZero() {
				found = turn
				return true
			}
		}
		return false
	})
	return found
}

func TestAKeyThatIsOlderThanItsPeriodTurnsByItself(t *testing.T) {
	t.Parallel()
	for layer, days := range map[string]int{"project": 91, "instance": 366, "index": 366} {
		t.Run(layer, func(t *testing.T) {
			t.Parallel()
			server, s, v := aged(t, older(layer, days))
			if turn := turnOf(t, s, v, layer); turn.Cause != "schedule" || turn.Stage != "done" {
				t.Errorf("the turn is %+v", turn)
			}
			settleTurns(t, s, v.token)
			v.unchanged(t, s)
			countsZero(t, s, v.token)
			server.stop(t)
		})
	}
}

func TestAKeyThatSealedTooOftenTurnsByItself(t *testing.T) {
	t.Parallel()
	server, s, v := aged(t, fmt.Sprintf("UPDATE key_generation SET seals_reserved = %d WHERE layer IN ('project', 'instance')", keys.SealsTurn), "KEYTURN_KEY_SCHEDULE=project=never,instance=never")
	for _, layer := range []string{"project", "instance"} {
		if turn := turnOf(t, s, v, layer); turn.Cause != "limit" || turn.Stage != "done" {
			t.Errorf("the turn is %+v", turn)
		}
	}
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}

func TestAKeyThatShallNeverTurnDoesNot(t *testing.T) {
	t.Parallel()
	server, s, v := aged(t, older("project", 9000)+"; "+older("index", 366), "KEYTURN_KEY_SCHEDULE=project=never")
	turnOf(t, s, v, "index") // whoever looks at one key looks at all
	settleTurns(t, s, v.token)
	for _, turn := range must[api.KeyTurns](t, s, v.token, "GET", "/keys/turns", nil).Turns {
		if turn.Layer == "project" {
			t.Errorf("a project's key turned: %+v", turn)
		}
	}
	v.unchanged(t, s)
	server.stop(t)
}
