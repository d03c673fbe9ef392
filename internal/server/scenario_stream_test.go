package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

// allowLoopback lets a server call the sinks of a test.
var allowLoopback = keyturntest.WithConfig(func(c *config.Config) { c.OutboundAllow = "127.0.0.0/8" })

// receiver is a webhook that may be gone or slow.
type receiver struct {
	*httptest.Server
	gone atomic.Bool
	held chan struct{} // requests wait for it; nil for none

	mu      sync.Mutex
	indexes map[int64]int
	actions map[string]int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{indexes: map[int64]int{}, actions: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.gone.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.held != nil {
			select {
			case <-r.held:
			case <-req.Context().Done():
				return
			}
		}
		var d struct {
			Entries []struct {
				Index int64
				Entry struct {
					Action string
					Detail map[string]string
				}
			}
		}
		body, _ := io.ReadAll(req.Body)
		if err := json.Unmarshal(body, &d); err != nil {
			t.Errorf("body: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range d.Entries {
			r.indexes[e.Index]++
			r.actions[e.Entry.Action]++
			r.actions[e.Entry.Action+" "+e.Entry.Detail["place"]]++
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// got tells how many different entries came, and checks that there is no hole between them.
func (r *receiver) got(t tb) (n int, first, last int64) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	first, last = -1, -1
	for i := range r.indexes {
		if first < 0 || i < first {
			first = i
		}
		last = max(last, i)
	}
	return len(r.indexes), first, last
}

func streamNamed(t tb, p person, name string) api.Stream {
	t.Helper()
	for _, s := range get[api.Streams](t, p, "/audit/streams").Streams {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no stream %s", name)
	return api.Stream{}
}

func TestASinkThatIsGoneSlowsNothingAndGetsEverythingLater(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t, allowLoopback))
	e := w.project(t)
	sink := newReceiver(t)
	made := send[api.StreamMade](t, w.admin, "POST", "/audit/streams", api.StreamRequest{Name: "siem", Kind: "webhook", Settings: map[string]string{"url": sink.URL}, FromStart: true})
	if !strings.HasPrefix(made.Credential, "whsec_") {
		t.Errorf("no signing secret was made: %q", made.Credential)
	}
	send[api.Done](t, w.admin, "POST", "/audit/streams/siem/test", nil)
	eventually(t, 30*time.Second, "the beginning of the log came", func() bool { n, first, _ := sink.got(t); return n > 0 && first == 0 })

	sink.gone.Store(true)
	w.admin.do(t, "POST", "/audit/streams/siem/test", nil).refused(t, "unavailable", "503")
	began := time.Now()
	for range 300 {
		e.commit(t, set("/", "A", "test-value"))
	}
	took := time.Since(began)
	if took > 20*time.Second {
		t.Errorf("300 commits took %s while the sink was gone", took)
	}
	eventually(t, 30*time.Second, "lag and problem are shown", func() bool {
		s := streamNamed(t, w.admin, "siem")
		return s.Lag >= 300 && s.BehindSeconds > 0 && strings.Contains(s.Problem, "503")
	})
	sink.gone.Store(false)
	eventually(t, 60*time.Second, "all came in the end", func() bool {
		n, _, last := sink.got(t)
		return int64(n) == last+1 && streamNamed(t, w.admin, "siem").Problem == "" && sink.count("secret.write") >= 300
	})

	send[api.Stream](t, w.admin, "POST", "/audit/streams/siem/pause", nil)
	eventually(t, 10*time.Second, "it has stopped", func() bool {
		before, _, _ := sink.got(t)
		e.commit(t, set("/", "A", "test-value"))
		after, _, _ := sink.got(t)
		return before == after && streamNamed(t, w.admin, "siem").Lag > 3
	})
	send[api.Stream](t, w.admin, "POST", "/audit/streams/siem/resume", nil)
	eventually(t, 30*time.Second, "it went on where it was", func() bool { n, _, last := sink.got(t); return int64(n) == last+1 && sink.count("audit.manage") > 3 })

	w.admin.do(t, "POST", "/audit/streams", api.StreamRequest{Name: "siem", Kind: "webhook", Settings: map[string]string{"url": sink.URL}}).refused(t, "exists")
	w.admin.do(t, "POST", "/audit/streams", api.StreamRequest{Name: "x", Kind: "pigeon"}).refused(t, "invalid")
	send[api.Done](t, w.admin, "DELETE", "/audit/streams/siem", nil)
	w.admin.do(t, "DELETE", "/audit/streams/siem", nil).refused(t, "not_found")
	if left := get[api.Streams](t, w.admin, "/audit/streams").Streams; len(left) != 0 {
		t.Errorf("streams left: %+v", left)
	}
	if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
		t.Errorf("the deep verification found %+v", v.Problems)
	}
}

func (r *receiver) count(action string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.actions[action]
}

func TestASlowSinkHoldsNoRequestAndOnlyWantedActionsAreSent(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t, allowLoopback))
	e := w.project(t)
	slow, quick := newReceiver(t), newReceiver(t)
	slow.held = make(chan struct{})
	send[api.StreamMade](t, w.admin, "POST", "/audit/streams", api.StreamRequest{Name: "slow", Kind: "webhook", Settings: map[string]string{"url": slow.URL}})
	send[api.StreamMade](t, w.admin, "POST", "/audit/streams", api.StreamRequest{Name: "quick", Kind: "webhook", Settings: map[string]string{"url": quick.URL}, Actions: []string{"secret.w*"}})
	eventually(t, 30*time.Second, "both have begun", func() bool {
		e.commit(t, set("/", "A", "test-value"))
		return quick.count("secret.write") > 0 && streamNamed(t, w.admin, "slow").Lag > 0
	})
	for range 100 {
		e.commit(t, set("/", "A", "test-value"))
		e.value(t, "/", "A")
	}
	eventually(t, 30*time.Second, "the quick one has all", func() bool { return quick.count("secret.write") >= 101 })
	if n := quick.count("secret.read"); n != 0 {
		t.Errorf("%d entries of an action that was not wanted", n)
	}
	if lag := streamNamed(t, w.admin, "slow").Lag; lag < 200 {
		t.Errorf("the slow one is %d entries behind", lag)
	}
	close(slow.held)
	eventually(t, 60*time.Second, "the slow one has all", func() bool { return slow.count("secret.read") >= 100 })
}

func TestAStreamGoesOnOverARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	lines := func() []int64 {
		b, _ := os.ReadFile(filepath.Join(folder, "streams", "audit.jsonl"))
		var out []int64
		for text := range strings.Lines(string(b)) {
			var l struct{ Index int64 }
			if json.Unmarshal([]byte(text), &l) == nil {
				out = append(out, l.Index)
			}
		}
		return out
	}
	first := keyturntest.Start(t, keyturntest.WithData(folder))
	w := newWorld(first)
	send[api.StreamMade](t, w.admin, "POST", "/audit/streams", api.StreamRequest{Name: "file", Kind: "file", FromStart: true, Settings: map[string]string{"file": "audit.jsonl"}})
	for range 10 {
		get[api.Principal](t, w.admin, "/whoami")
	}
	eventually(t, 30*time.Second, "something is written", func() bool { return len(lines()) > 5 })
	first.Stop()
	second := keyturntest.Bare(t, keyturntest.WithData(folder))
	second.Token = first.Token
	w = newWorld(second)
	var size int64
	for range 10 {
		size = get[api.Entries](t, w.admin, "/audit/entries?limit=1").Size
	}
	eventually(t, 30*time.Second, "all is written", func() bool { return int64(len(lines())) >= size })
	for i, index := range lines() {
		if index != int64(i) {
			t.Fatalf("line %d holds entry %d: the file has each entry once", i, index)
		}
	}
}

func TestTwoServersSendEachEntryOnAndTakeOver(t *testing.T) {
	t.Parallel()
	database := testpg.Database(t)
	one := keyturntest.Start(t, keyturntest.WithPostgres(database), allowLoopback)
	two := keyturntest.Bare(t, keyturntest.WithPostgres(database), keyturntest.WithData(one.Data), allowLoopback)
	two.Token = one.Token
	a, b := newWorld(one), newWorld(two)
	sink := newReceiver(t)
	send[api.StreamMade](t, a.admin, "POST", "/audit/streams", api.StreamRequest{Name: "siem", Kind: "webhook", FromStart: true, Settings: map[string]string{"url": sink.URL}})
	complete := func(more int) func() bool {
		return func() bool { n, _, last := sink.got(t); return int64(n) == last+1 && sink.count("self.read") >= more }
	}
	for range 20 {
		get[api.Principal](t, a.admin, "/whoami")
		get[api.Principal](t, b.admin, "/whoami")
	}
	eventually(t, 30*time.Second, "entries of both servers came", complete(40))
	one.Stop()
	for range 20 {
		get[api.Principal](t, b.admin, "/whoami")
	}
	eventually(t, 30*time.Second, "the other server goes on", complete(60))
}

func TestAStreamIntoThePrivateNetworkIsRefusedByTheDialer(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t))
	sink := newReceiver(t)
	send[api.StreamMade](t, w.admin, "POST", "/audit/streams", api.StreamRequest{Name: "inside", Kind: "webhook", FromStart: true, Settings: map[string]string{"url": sink.URL}})
	w.admin.do(t, "POST", "/audit/streams/inside/test", nil).refused(t, "denied", "private network")
	eventually(t, 30*time.Second, "the stream says so", func() bool { return strings.Contains(streamNamed(t, w.admin, "inside").Problem, "private network") })
	if n, _, _ := sink.got(t); n != 0 {
		t.Errorf("%d entries reached an address inside", n)
	}
}
