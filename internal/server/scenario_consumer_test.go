package server_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/keyturntest"
)

func (e env) consumers(t *testing.T, path, name string) api.Consumers {
	t.Helper()
	return get[api.Consumers](t, e.person, e.path()+"/secrets/"+name+"/consumers?path="+url.QueryEscape(path))
}

func TestWhoHoldsWhichVersionIsKnown(t *testing.T) {
	eachStore(t, func(t *testing.T, options []keyturntest.Option) {
		w := newWorld(keyturntest.Start(t, options...))
		e := w.project(t)
		e.commit(t, set("/", "A", "test-value-1"), set("/deep", "B", "test-value-2"))
		worker := w.admin.with(send[api.NewToken](t, w.admin, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/**:read,list", TTL: "10m"}).Token)
		// A list names every value, and an old version is what somebody holds who asks for it.
		e.as(worker).list(t, "/", "recursive", "true", "reveal", "true")
		holds := func(path, name string, version int64, behind int) func() bool {
			return func() bool {
				c := e.consumers(t, path, name)
				return len(c.Consumers) == 1 && c.Consumers[0].Version == version && c.Behind == behind
			}
		}
		eventually(t, 15*time.Second, "A", holds("/", "A", 1, 0))
		eventually(t, 15*time.Second, "B", holds("/deep", "B", 1, 0))
		e.commit(t, set("/", "A", "test-value-3"))
		if c := e.consumers(t, "/", "A"); c.Version != 2 || c.Behind != 1 || c.Consumers[0].Current {
			t.Errorf("after a change: %+v", c)
		}
		e.value(t, "/", "A")
		eventually(t, 15*time.Second, "A again", holds("/", "A", 2, 0))
		if c := e.consumers(t, "/", "A").Consumers[0]; c.Reads < 2 || c.Kind != "user" || c.Address == "" || c.LastSeen.Before(c.FirstSeen) {
			t.Errorf("it tells %+v", c)
		}

		// What is renamed is the same secret; what was read under the old name is known under the new one.
		e.value(t, "/", "A")
		e.commit(t, rename("/", "A", "RENAMED"))
		eventually(t, 15*time.Second, "the renamed one", holds("/", "RENAMED", 2, 0))

		me := get[api.Principal](t, w.admin, "/whoami").ID
		reads := get[api.Reads](t, w.admin, "/reads?principal="+me)
		if reads.NotRotated != 2 || len(reads.Reads) != 2 {
			t.Errorf("given were %+v", reads)
		}
		e.commit(t, set("/", "RENAMED", "test-value-4"))
		reads = get[api.Reads](t, w.admin, "/reads?principal="+me)
		if reads.NotRotated != 1 || reads.Reads[0].RotatedSince || !reads.Reads[1].RotatedSince {
			t.Errorf("after a rotation: %+v", reads)
		}
		if f := get[api.FirstReads](t, w.admin, "/reads/first"); len(f.Reads) != 2 {
			t.Errorf("first reads: %+v", f)
		}

		// What nobody may see has no consumers to see either.
		w.admin.do(t, "GET", e.path()+"/secrets/NOTHING/consumers", nil).refused(t, "not_found")
		w.admin.do(t, "GET", "/unused?days=0000099999", nil).refused(t, "invalid")
	})
}

func TestValuesThatAReferenceOrAnImportShowsHaveTheirConsumers(t *testing.T) {
	eachStore(t, func(t *testing.T, options []keyturntest.Option) {
		w := newWorld(keyturntest.Start(t, options...))
		e := w.project(t)
		other := w.project(t)
		other.commit(t, set("/shared", "FAR", "test-value-far"))
		e.commit(t, set("/", "NEAR", "test-value-near"), set("/", "SUM", "${NEAR}-${@"+other.project+".dev.shared.FAR}"), set("/app", "OWN", "test-value-own"), showIn("/app", api.Place{Project: other.project, Env: "dev", Path: "/shared"}))
		e.value(t, "/", "SUM")
		e.list(t, "/app", "reveal", "true", "imports", "true")
		eventually(t, 15*time.Second, "what the import shows", func() bool {
			far := other.consumers(t, "/shared", "FAR")
			return len(far.Consumers) == 1 && far.Consumers[0].Reads == 2 && len(e.consumers(t, "/app", "OWN").Consumers) == 1
		})
		eventually(t, 15*time.Second, "what the reference shows", func() bool {
			return len(e.consumers(t, "/", "SUM").Consumers) == 1 && len(e.consumers(t, "/", "NEAR").Consumers) == 1 && len(other.consumers(t, "/shared", "FAR").Consumers) == 1
		})
	})
}

func TestConsumersOutliveARestartAndCountNothingTwice(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := keyturntest.Start(t, keyturntest.WithData(data))
	w := newWorld(s)
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value-1"))
	for range 3 {
		e.value(t, "/", "A")
	}
	eventually(t, 15*time.Second, "a consumer", func() bool { return len(e.consumers(t, "/", "A").Consumers) == 1 })
	e.value(t, "/", "A")
	s.Stop()
	again := keyturntest.Bare(t, keyturntest.WithData(data))
	e.person = person{url: again.URL, token: w.admin.token}
	e.value(t, "/", "A")
	s2 := func() int64 {
		c := e.consumers(t, "/", "A").Consumers
		if len(c) != 1 {
			return 0
		}
		return c[0].Reads
	}
	eventually(t, 15*time.Second, "five reads", func() bool { return s2() == 5 })
}
