package server_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

// counter is one secret with one writer, who only ever counts up: so whoever reads knows what may be there.
type counter struct {
	name         string
	acknowledged atomic.Int64 // at least this must be read
	sent         atomic.Int64 // and at most this
}

func valueAt(n int64) string { return fmt.Sprintf("test-value-%d", n) }

func numberIn(value string) (n int64) {
	if _, err := fmt.Sscanf(value, "test-value-%d", &n); err != nil {
		return -1
	}
	return n
}

// busy has writers and readers work until stop is closed. On the writers' own server a read is never older than what was
// acknowledged before it; on another one, which hears of changes a little later, a reader never goes back. No request may fail.
func busy(t *testing.T, e env, elsewhere []env, stop <-chan struct{}) (wait func(), reads *atomic.Int64) {
	t.Helper()
	const writers, readers = 3, 3
	reads = new(atomic.Int64)
	var all sync.WaitGroup
	until := func(step func() bool) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if !step() {
						return
					}
				}
			}
		})
	}
	counters := make([]*counter, writers)
	for i := range counters {
		c := &counter{name: fmt.Sprintf("COUNTER_%d", i)}
		counters[i] = c
		e.commit(t, set("/busy", c.name, valueAt(0)))
		until(func() bool {
			n := c.sent.Add(1)
			r, err := e.try("POST", e.path()+"/commits", api.CommitRequest{Changes: []api.Change{set("/busy", c.name, valueAt(n))}})
			if err != nil || r.status != 200 {
				t.Errorf("a write while keys turn: %v, %d %s", err, r.status, r.body)
				return false
			}
			c.acknowledged.Store(n)
			return true
		})
	}
	read := func(at env, c *counter) (int64, bool) {
		r, err := at.try("GET", at.path()+"/secrets/"+c.name+"?path=/busy", nil)
		var s api.Secret
		if err != nil || r.status != 200 || json.Unmarshal(r.body, &s) != nil || s.Value == nil {
			t.Errorf("a read while keys turn: %v, %d %s", err, r.status, r.body)
			return 0, false
		}
		reads.Add(1)
		return numberIn(s.Value.Value), true
	}
	for i := range readers {
		c := counters[i%writers]
		until(func() bool {
			from := c.acknowledged.Load()
			n, ok := read(e, c)
			if to := c.sent.Load(); ok && (n < from || n > to) {
				t.Errorf("a read gives number %d: %d was acknowledged before it, %d was the last one sent", n, from, to)
				return false
			}
			return ok
		})
		for _, there := range elsewhere {
			last := int64(0)
			until(func() bool {
				n, ok := read(there, c)
				if to := c.sent.Load(); ok && (n < last || n > to) {
					t.Errorf("on another server a read gives number %d: it gave %d before, %d was the last one sent", n, last, to)
					return false
				}
				last = n
				return ok
			})
		}
	}
	return all.Wait, reads
}

// turnsUnderLoad is how often each layer turns under readers and writers.
const turnsUnderLoad = 2

func turnAll(t *testing.T, w *world, e env) {
	for range turnsUnderLoad {
		for _, layer := range []string{"project", "instance", "index", "log", "tokens"} {
			r := api.KeyRotation{Layer: layer}
			if layer == "project" {
				r.Project = e.project
			}
			begun := send[api.KeyRotated](t, w.admin, "POST", "/keys/rotations", r).Turns
			for _, turn := range begun {
				if turn.Stage == "overlap" {
					send[api.KeyTurn](t, w.admin, "POST", "/keys/turns/"+turn.ID+"/finish", nil)
				}
			}
			for _, turn := range w.ended(t, begun) {
				if turn.Stage != "done" || turn.Problem != "" {
					t.Errorf("the turn of %s is %s: %q", layer, turn.Stage, turn.Problem)
				}
			}
		}
	}
}

func TestReadsNeverFailAndAreNeverStaleWhileKeysTurn(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, _ := filled(t, w)
		stop := make(chan struct{})
		wait, reads := busy(t, e, nil, stop)
		began := time.Now()
		turnAll(t, w, e)
		close(stop)
		wait()
		t.Logf("%d reads in %v, none failed", reads.Load(), time.Since(began))
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the deep verification found %+v", v.Problems)
		}
	})
}

func TestReadsOnAnotherServerDoNotFailWhileKeysTurn(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	e, _ := filled(t, a)
	eventually(t, heardWithin, "the project", func() bool { return e.at(b).do(t, "GET", e.path(), nil).status == 200 })
	stop := make(chan struct{})
	e.commit(t, set("/busy", "COUNTER_0", valueAt(0)), set("/busy", "COUNTER_1", valueAt(0)), set("/busy", "COUNTER_2", valueAt(0)))
	eventually(t, heardWithin, "the counters", func() bool { return e.at(b).ask(t, "/busy", "COUNTER_2").status == 200 })
	wait, reads := busy(t, e, []env{e.at(b)}, stop)
	turnAll(t, a, e)
	turnAll(t, b, e.at(b))
	close(stop)
	wait()
	t.Logf("%d reads, none failed", reads.Load())
}
