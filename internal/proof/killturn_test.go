package proof

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
)

var turningLayers = []string{"project", "instance", "index", "log", "tokens"}

// roundsOfTurns is how often a server dies in the turn of each layer, in the short form.
const roundsOfTurns = 3

func TestWhatWasAcknowledgedSurvivesKillNineDuringTurnsOnSQLite(t *testing.T) {
	t.Parallel()
	dieTurning(t, onSQLite(t), roundsOfTurns, seeded(t))
}

func TestWhatWasAcknowledgedSurvivesKillNineDuringTurnsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	dieTurning(t, onPostgres(t, testpg.Start(t)), roundsOfTurns, seeded(t))
}

// dieTurning kills a server while keys of every layer turn and a crowd writes and reads. After each death the next life must
// bring the turns to their end, and all that was acknowledged must be there.
func dieTurning(t *testing.T, p place, rounds int, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	server := p.start(t)
	s := siteAt(t, server.url)
	c := newCrowd(t, s)
	v := newVault(t, s, c.token)
	begun, survived := 0, 0
	for _, layer := range turningLayers {
		for round := range rounds {
			stop := make(chan struct{})
			all := c.work(s, stop)
			for after := 16 + random.Int64N(100); c.acknowledged.Load() < after && alive(server); {
				<-time.After(time.Millisecond)
			}
			if r := s.call(c.token, "POST", "/keys/rotations", api.KeyRotation{Layer: layer}); r.ok() {
				begun++
				for _, turn := range decoded[api.KeyRotated](t, r).Turns {
					if turn.Stage == "overlap" {
						s.call(c.token, "POST", "/keys/turns/"+turn.ID+"/finish", nil)
					}
				}
			}
			// From before the first slice to after the last.
			<-time.After(time.Duration(random.IntN(60_000)) * time.Microsecond)
			if !alive(server) {
				t.Fatalf("the server ended by itself: %v\n%s", server.err, tail(server.out.String()))
			}
			server.kill(t)
			close(stop)
			all.Wait()
			server = p.start(t)
			s = siteAt(t, server.url)
			if len(must[api.KeysStatus](t, s, c.token, "GET", "/keys", nil).Running) > 0 {
				survived++
			}
			settleTurns(t, s, c.token)
			c.settle(t, s, false)
			countsZero(t, s, c.token)
			if t.Failed() {
				t.Fatalf("after death %d in a turn of %s (seed %d)", round+1, layer, seed)
			}
		}
		v.unchanged(t, s)
		turned(t, s, c.token)
		c.turn()
	}
	server.stop(t)
	t.Logf("%d turns begun, %d went on after a death, %d writes", begun, survived, c.total)
	if begun < len(turningLayers)*rounds {
		t.Errorf("only %d turns began", begun)
	}
}
