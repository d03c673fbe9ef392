package proof

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keyturn/keyturn/api"
)

const (
	writers = 8
	readers = 8
	crowded = "crowd" // the project in which they work
)

// written is an acknowledged write.
type written struct {
	number            int
	version, revision int64
	request           string
}

// crowd writes and reads until the server is gone, and remembers what was acknowledged. It is the half of the proof that
// must not forget; it survives the server's deaths.
type crowd struct {
	token   string
	project string // id

	era int // of the names: a secret with thousands of versions is another test

	mu        sync.Mutex
	writes    [writers][]written
	attempted [writers]int // number of the last value that was sent, acknowledged or not
	reads     []string     // request ids of acknowledged reads
	wrong     []string     // what must never happen
	witness   *witness     // of its own goroutine while the crowd works

	// Counted since the last settle.
	acknowledged atomic.Int64
	cut          atomic.Int64 // answers that began with a success and ended too early
	checked      [writers]int
	checkedReads int
	total        int // acknowledged writes of earlier eras
}

func newCrowd(tb testing.TB, s *site) *crowd {
	tb.Helper()
	c := &crowd{token: s.setUp(tb), witness: &witness{}}
	c.project = must[api.Project](tb, s, c.token, "POST", "/projects", api.ProjectRequest{Slug: crowded, Envs: []string{"dev"}}).ID
	return c
}

func (c *crowd) nameOf(writer int) string { return fmt.Sprintf("WRITER_%d_%d", writer, c.era) }

// turn begins anew with fresh names, when all is settled.
func (c *crowd) turn() {
	c.era++
	c.total += c.acks()
	c.writes, c.attempted, c.checked = [writers][]written{}, [writers]int{}, [writers]int{}
}

// acks counts the acknowledged writes of the era.
func (c *crowd) acks() int {
	n := 0
	for w := range writers {
		n += len(c.writes[w])
	}
	return n
}

// valueOf makes a value that tells who wrote it and as which one; lengths differ so that pages split in all manners.
func valueOf(writer, number int) string {
	return fmt.Sprintf("test-value %d %d %s", writer, number, strings.Repeat("x", number*37%3000))
}

func (c *crowd) accuse(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const enough = 20
	if len(c.wrong) < enough {
		c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
	}
}

// work runs writers and readers until the server does not answer any more, or stop is closed.
func (c *crowd) work(s *site, stop <-chan struct{}) *sync.WaitGroup {
	c.acknowledged.Store(0)
	var all sync.WaitGroup
	until := func(step func() bool) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !step() {
					return
				}
				c.acknowledged.Add(1)
			}
		})
	}
	for w := range writers {
		until(func() bool { return c.write(s, w) })
	}
	for range readers {
		until(func() bool { return c.read(s) })
	}
	until(func() bool { return c.witness.see(s, c.token) == nil }) // nobody else touches it meanwhile
	return &all
}

func (c *crowd) write(s *site, w int) bool {
	c.attempted[w]++ // only this writer and, while nobody works, settle touch it
	n := c.attempted[w]
	a := s.call(c.token, "POST", at(crowded, "dev", "commits"), set("/", c.nameOf(w), valueOf(w, n)))
	if !c.good(a) {
		return false
	}
	var out api.Committed
	if err := json.Unmarshal(a.body, &out); err != nil || len(out.Effects) != 1 {
		c.accuse("a write was acknowledged by something else: %s", a)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes[w] = append(c.writes[w], written{n, out.Effects[0].Version, out.Revision, a.request})
	return true
}

// good tells whether an answer is an acknowledgement. A server that goes away may answer that it does; anything else that is
// no success is an accusation.
func (c *crowd) good(a answer) bool {
	if a.err != nil && a.status != 0 {
		c.cut.Add(1)
	}
	if a.err == nil && !a.ok() && a.status != 503 {
		c.accuse("an answer under load: %s", a)
	}
	return a.ok()
}

func (c *crowd) read(s *site) bool {
	var a answer
	w := rand.IntN(writers)
	list := rand.IntN(4) == 0
	c.mu.Lock()
	known := len(c.writes[w]) > 0
	c.mu.Unlock()
	if list {
		a = s.call(c.token, "GET", at(crowded, "dev", "secrets")+"?reveal=true", nil)
	} else {
		a = s.call(c.token, "GET", at(crowded, "dev", "secrets", c.nameOf(w)), nil)
	}
	if !list && !known && a.status == 404 { // nobody has written it yet
		return true
	}
	if !c.good(a) {
		return false
	}
	var out api.Secrets
	if list {
		_ = json.Unmarshal(a.body, &out)
	} else {
		out.Secrets = make([]api.Secret, 1)
		_ = json.Unmarshal(a.body, &out.Secrets[0])
	}
	for _, secret := range out.Secrets {
		if secret.Value == nil || !genuine(secret.Name, secret.Value.Value) {
			c.accuse("a read of %s gave what nobody wrote", secret.Name)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = append(c.reads, a.request)
	return true
}

// genuine tells whether a value is one that its writer sends.
func genuine(name, value string) bool {
	var w, n int
	_, err := fmt.Sscanf(value, "test-value %d %d", &w, &n)
	return err == nil && strings.HasPrefix(name, fmt.Sprintf("WRITER_%d_", w)) && value == valueOf(w, n)
}

// settle checks, while nobody works, that all that was acknowledged since the last time is there.
func (c *crowd) settle(tb testing.TB, s *site, deep bool) {
	tb.Helper()
	for _, wrong := range c.wrong {
		tb.Error(wrong)
	}
	c.wrong = nil
	from := len(c.witness.entries)
	c.witness.judge(tb, s, c.token, deep)
	logged := c.witness.byRequest(max(0, from-1)) // a batch may have been read in part
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() { c.settleWriter(tb, s, w, logged) })
	}
	all.Wait()
	for _, id := range c.reads[c.checkedReads:] {
		if !holds(logged[id], "secret.read", 0) {
			tb.Errorf("an acknowledged read is not in the log: request %s", id)
		}
	}
	if n := len(c.reads); n > 0 {
		for i, e := range c.witness.entries[from:] {
			if e.Request == c.reads[n-1] {
				c.witness.included(tb, s, c.token, from+i)
			}
		}
	}
	c.checkedReads = len(c.reads)
	env := must[api.Env](tb, s, c.token, "GET", at(crowded, "dev"), nil)
	made := int64(0)
	for _, e := range c.witness.entries {
		if e.Action == "secret.write" && e.Outcome == "allowed" && e.Project == c.project {
			made++
		}
	}
	if made != env.Revision {
		tb.Errorf("the environment stands at revision %d, and the log knows of %d commits", env.Revision, made)
	}
}

func holds(entries []entry, action string, revision int64) bool {
	for _, e := range entries {
		if e.Action == action && e.Outcome == "allowed" && (revision == 0 || e.Revision == revision) {
			return true
		}
	}
	return false
}

func (c *crowd) settleWriter(tb testing.TB, s *site, w int, logged map[string][]entry) {
	if len(c.writes[w]) == 0 {
		return
	}
	for _, ack := range c.writes[w][c.checked[w]:] {
		if !holds(logged[ack.request], "secret.write", ack.revision) {
			tb.Errorf("%s: the write of version %d is not in the log", c.nameOf(w), ack.version)
		}
		a := s.call(c.token, "GET", at(crowded, "dev", "secrets", c.nameOf(w))+"?version="+strconv.FormatInt(ack.version, 10), nil)
		var secret api.Secret
		if !a.ok() || json.Unmarshal(a.body, &secret) != nil || secret.Value == nil || secret.Value.Value != valueOf(w, ack.number) {
			tb.Errorf("%s: version %d was acknowledged with value %d and is not there: status %d %s", c.nameOf(w), ack.version, ack.number, a.status, a.kind())
		} else if secret.Revision != ack.revision {
			tb.Errorf("%s: version %d was acknowledged at revision %d and is at %d", c.nameOf(w), ack.version, ack.revision, secret.Revision)
		}
	}
	c.checked[w] = len(c.writes[w])
	last := c.writes[w][len(c.writes[w])-1]
	a := s.call(c.token, "GET", at(crowded, "dev", "secrets", c.nameOf(w)), nil)
	var now api.Secret
	var writer, number int
	if !a.ok() || json.Unmarshal(a.body, &now) != nil || now.Value == nil || !genuine(c.nameOf(w), now.Value.Value) {
		tb.Errorf("%s: the current value cannot be read: status %d %s", c.nameOf(w), a.status, a.kind())
		return
	}
	if _, err := fmt.Sscanf(now.Value.Value, "test-value %d %d", &writer, &number); err != nil || number < last.number || number > c.attempted[w] {
		tb.Errorf("%s: the current value is number %d, acknowledged was %d and the last one sent is %d", c.nameOf(w), number, last.number, c.attempted[w])
	}
}
