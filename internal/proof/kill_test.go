package proof

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/testpg"
)

// rootKey is a root key that opens nothing of anybody's.
const rootKey = "7e57000000000000000000000000000000000000000000000000000000007e57"

// lives is how long a kill test goes on: a few deaths in the short form, hundreds in the long one.
type lives struct {
	cycles    int
	deepEvery int
	seed      uint64
}

func short(seed uint64) lives { return lives{cycles: 6, deepEvery: 1, seed: seed} }

// seeded gives the seed of this run and prints it.
func seeded(tb testing.TB) uint64 {
	seed := rand.Uint64()
	tb.Logf("seed %d", seed)
	return seed
}

func onSQLite(tb testing.TB) place {
	return place{folder: tb.TempDir(), env: []string{"KEYTURN_MODE=development", "KEYTURN_ROOT_KEY=" + rootKey}}
}

func onPostgres(tb testing.TB, server *testpg.Server) place {
	p := onSQLite(tb)
	p.env = append(p.env, "KEYTURN_DATABASE_URL="+server.Database(tb))
	return p
}

func TestWhatWasAcknowledgedSurvivesKillNineOnSQLite(t *testing.T) {
	dieOften(t, onSQLite(t), nil, short(seeded(t)))
}

func TestWhatWasAcknowledgedSurvivesKillNineOnPostgreSQL(t *testing.T) {
	database := testpg.Private(t)
	dieOften(t, onPostgres(t, database), database, short(seeded(t)))
}

// dieOften kills the server again and again while a crowd works on it. Where there is a database server, that dies with it
// every third time.
func dieOften(t *testing.T, p place, database *testpg.Server, l lives) {
	t.Helper()
	random := rand.New(rand.NewPCG(l.seed, 0))
	server := p.start(t)
	s := siteAt(t, server.url)
	c := newCrowd(t, s)
	for cycle := range l.cycles {
		stop := make(chan struct{})
		all := c.work(s, stop)
		after := 16 + random.Int64N(400)
		for c.acknowledged.Load() < after && alive(server) {
			<-time.After(time.Millisecond)
		}
		<-time.After(time.Duration(random.IntN(3000)) * time.Microsecond) // not always just after an answer
		if !alive(server) {
			t.Fatalf("the server ended by itself: %v\n%s", server.err, tail(server.out.String()))
		}
		if database != nil && cycle%3 == 2 {
			database.Kill(t)
		}
		server.kill(t)
		close(stop)
		all.Wait()
		if database != nil && cycle%3 == 2 {
			database.Restart(t)
		}
		server = p.start(t)
		s = siteAt(t, server.url)
		c.settle(t, s, (cycle+1)%l.deepEvery == 0 || cycle+1 == l.cycles)
		if t.Failed() {
			t.Fatalf("after death %d (seed %d)", cycle+1, l.seed)
		}
		const eraEvery = 10
		if (cycle+1)%eraEvery == 0 {
			c.turn()
		}
	}
	server.stop(t)
	server = p.start(t)
	c.witness.judge(t, siteAt(t, server.url), c.token, true)
	total := c.total + c.acks()
	t.Logf("%d deaths, %d writes, %d reads, %d entries, %d checkpoints", l.cycles, total, len(c.reads), len(c.witness.entries), len(c.witness.heads))
	if total == 0 || len(c.reads) == 0 || len(c.witness.heads) < l.cycles {
		t.Error("the crowd did not work")
	}
}

func alive(p *process) bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func TestSIGTERMUnderLoadEndsInTimeAndKeepsEveryAnswer(t *testing.T) {
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	c := newCrowd(t, s)
	const rounds = 3
	for range rounds {
		stop := make(chan struct{})
		all := c.work(s, stop)
		stream := make(chan struct{})
		go func() { // a stream must not hold the server up
			defer close(stream)
			s.call(c.token, "GET", at(crowded, "dev", "events"), nil)
		}()
		for c.acknowledged.Load() < 200 && alive(server) {
			<-time.After(time.Millisecond)
		}
		began := time.Now()
		if err := server.signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the server took %v to stop", took)
		}
		if server.err != nil {
			t.Errorf("the server did not stop in good order: %v\n%s", server.err, tail(server.out.String()))
		}
		close(stop)
		all.Wait()
		<-stream
		if c.cut.Swap(0) > 0 {
			t.Error("a stop in good order cut answers off")
		}
		server = p.start(t)
		s = siteAt(t, server.url)
		c.settle(t, s, true)
	}
}

func TestAFirstStartThatIsKilledIsRepeated(t *testing.T) {
	const deaths = 12
	random := rand.New(rand.NewPCG(seeded(t), 0))
	p := place{folder: t.TempDir(), args: []string{"--dev"}}
	for range deaths {
		cmd := p.server(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(random.IntN(80)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		server := p.start(t) // whatever was done of it, it goes on or begins again
		if random.IntN(2) == 0 {
			server.stop(t)
			if err := os.RemoveAll(p.data()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		server.kill(t)
	}
	// The worst moment: the file is there and its content is not.
	if err := os.RemoveAll(p.data()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(p.data(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.data(), "root.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	server := p.start(t)
	newCrowd(t, siteAt(t, server.url))
	server.kill(t)
	p.start(t).stop(t)
}
