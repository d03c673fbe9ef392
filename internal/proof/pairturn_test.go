package proof

import (
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
)

// pairOf starts two servers on one PostgreSQL with a vault that both have read.
func pairOf(t *testing.T) (a, b *process, sa, sb *site, v *vault) {
	t.Helper()
	p := onPostgres(t, testpg.Start(t))
	q := p
	q.folder = t.TempDir()
	a = p.start(t)
	sa = siteAt(t, a.url)
	v = newVault(t, sa, sa.setUp(t))
	b = q.start(t)
	sb = siteAt(t, b.url)
	v.unchanged(t, sb)
	return a, b, sa, sb, v
}

// caughtUpWithin bounds how long a server that slept may refuse to work.
const caughtUpWithin = 10 * time.Second

// A server that slept while another one turned keys and destroyed the old ones must not write under a dead key, nor give what
// is no longer so: it works under the new keys, or refuses and then works.
func TestAServerThatSleptThroughTurnsWritesUnderNoDeadKey(t *testing.T) {
	t.Parallel()
	for _, layers := range [][]string{{"project"}, {"project", "instance"}, {"instance", "index", "log", "tokens", "project", "instance"}} {
		t.Run(strings.Join(layers, " and "), func(t *testing.T) {
			t.Parallel()
			a, b, sa, sb, v := pairOf(t)
			if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			for _, layer := range layers {
				rotate(t, sa, v.token, rotationOf(layer))
				settleTurns(t, sa, v.token)
			}
			if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			woke := time.Now()
			var all sync.WaitGroup
			tried := func(what string, try func() answer, right func(answer) bool) {
				all.Go(func() {
					for refused := 0; ; refused++ {
						out := try()
						if out.ok() {
							if !right(out) {
								t.Errorf("%s gives something else", what)
							}
							if refused > 0 {
								t.Logf("%s was refused %d times, for %v", what, refused, time.Since(woke))
							}
							return
						}
						if out.err != nil || out.status != http.StatusServiceUnavailable {
							t.Errorf("%s after a sleep: %s", what, out)
							return
						}
						if time.Since(woke) > caughtUpWithin {
							t.Errorf("%s is still refused after %v: %s", what, caughtUpWithin, out)
							return
						}
						<-time.After(5 * time.Millisecond)
					}
				})
			}
			tried("a write", func() answer {
				return sb.call(v.token, "POST", at(vaulted, "dev", "commits"), set("/woken", "WOKEN", "test-value of one who slept"))
			}, answer.ok)
			tried("a read", func() answer {
				return sb.call(v.token, "GET", at(vaulted, "dev", "secrets", "V03"), nil)
			}, func(out answer) bool { return decoded[api.Secret](t, out).Value.Value == v.want["V03@3"] })
			tried("a project", func() answer { return sb.call(v.token, "POST", "/projects", api.ProjectRequest{Slug: "woken"}) }, answer.ok)
			all.Wait()
			for _, s := range []*site{sa, sb} {
				v.unchanged(t, s)
				turned(t, s, v.token)
				if got := must[api.Secret](t, s, v.token, "GET", at(vaulted, "dev", "secrets", "WOKEN")+"?path=/woken", nil); got.Value == nil || got.Value.Value != "test-value of one who slept" {
					t.Error("what was written after the sleep is not there")
				}
			}
			a.stop(t)
			b.stop(t)
		})
	}
}

// A value that was changed while a server slept: it may never again tell the old one once it has told the new one, and it
// tells the new one soon.
func TestAServerThatSleptTellsTheNewValue(t *testing.T) {
	t.Parallel()
	a, b, sa, sb, v := pairOf(t)
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	const fresh = "test-value of the time of sleep"
	must[api.Committed](t, sa, v.token, "POST", at(vaulted, "dev", "commits"), set("/", "V03", fresh))
	rotate(t, sa, v.token, rotationOf("all"))
	settleTurns(t, sa, v.token)
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	said := ""
	eventually(t, caughtUpWithin, "the new value", func() bool {
		out := sb.call(v.token, "GET", at(vaulted, "dev", "secrets", "V03"), nil)
		if out.err != nil || !out.ok() && out.status != http.StatusServiceUnavailable {
			t.Fatalf("a read after a sleep: %s", out)
		}
		if out.ok() {
			said = decoded[api.Secret](t, out).Value.Value
		}
		if said != "" && said != fresh && said != v.want["V03@3"] {
			t.Fatalf("a read gives what was never there: %q", said)
		}
		return said == fresh
	})
	for range 50 {
		if got := must[api.Secret](t, sb, v.token, "GET", at(vaulted, "dev", "secrets", "V03"), nil); got.Value.Value != fresh {
			t.Error("the old value comes back")
		}
	}
	a.stop(t)
	b.stop(t)
}

func TestOfTwoTurnsOfOneKeyAtOnceOneIsRefusedAndNamesTheOther(t *testing.T) {
	t.Parallel()
	a, b, sa, sb, v := pairOf(t)
	for _, r := range []api.KeyRotation{{Layer: "log"}, {Layer: "tokens"}, {Layer: "project", Project: vaulted, Rate: 1}, {Layer: "index", Rate: 1}} {
		answers := make([]answer, 2)
		var both sync.WaitGroup
		for i, s := range []*site{sa, sb} {
			both.Go(func() { answers[i] = s.call(v.token, "POST", "/keys/rotations", r) })
		}
		both.Wait()
		won, lost := answers[0], answers[1]
		if !won.ok() {
			won, lost = lost, won
		}
		turns := decoded[api.KeyRotated](t, won).Turns
		if lost.status != http.StatusConflict || len(turns) != 1 || !strings.Contains(string(lost.body), turns[0].ID) {
			t.Errorf("two turns of %s at once: %s and %s", r.Layer, won, lost)
		}
	}
	// The slow ones are left to whoever runs next.
	a.stop(t)
	b.stop(t)
}

func TestATurnBegunOnOneServerIsFinishedByTheOther(t *testing.T) {
	t.Parallel()
	a, b, sa, sb, v := pairOf(t)
	for _, r := range []api.KeyRotation{{Layer: "project", Project: vaulted, Rate: 500}, {Layer: "instance", Rate: 500}, {Layer: "index", Rate: 500}, {Layer: "tokens"}} {
		rotate(t, sa, v.token, r)
	}
	a.kill(t)
	settleTurns(t, sb, v.token)
	v.unchanged(t, sb)
	turned(t, sb, v.token)
	b.stop(t)
}
