package postgres_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/storetest"
	"github.com/keyturn/keyturn/internal/testpg"
)

// The ways in which a proxy can treat the next COMMIT that passes it.
const (
	pass    = iota
	lost    // the server never hears it
	applied // the server commits, but its answer is lost
)

// proxy stands between a store and PostgreSQL and breaks the connection at a COMMIT on demand.
type proxy struct {
	to   string
	next atomic.Int32
	wait sync.WaitGroup
}

// commit is the message of the simple protocol (PostgreSQL, "Message Formats": Query).
var commit = []byte("Q\x00\x00\x00\x0bCOMMIT\x00")

func (p *proxy) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.wait.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.wait.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.wait.Wait()
	})
	return l.Addr().String()
}

func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var swallow atomic.Bool // answers are no longer passed on
	answered := make(chan struct{})
	p.wait.Go(func() {
		defer func() { _ = client.Close() }()
		defer close(answered)
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			if err != nil || swallow.Load() {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], commit) {
			switch p.next.Swap(pass) {
			case lost:
				return
			case applied:
				swallow.Store(true)
				if _, err := server.Write(buf[:n]); err == nil {
					<-answered // the server has committed when it answers
				}
				return
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestACommitWhoseAnswerIsLostIsUnavailableAndTheLogStaysWhole breaks the connection at a COMMIT, once before the server
// heard it and once after it was done.
func TestACommitWhoseAnswerIsLostIsUnavailableAndTheLogStaysWhole(t *testing.T) {
	direct := testpg.Database(t)
	p := &proxy{to: parse(t, direct).Host}
	through := parse(t, direct)
	through.Host = p.listen(t)
	db := storetest.Found(t, at(through.String()))
	w := storetest.Settle(t, db)
	heard := make(chan store.Feed, 16)
	db.Hear(func(f store.Feed) { heard <- f })
	other := storetest.Open(t, at(direct)) // another server, undisturbed

	want := int64(1)
	for round, c := range []struct {
		how   int32
		there bool
	}{{lost, false}, {applied, true}, {applied, true}, {lost, false}} {
		s := w.Secret("K" + domain.NewID[string]())
		p.next.Store(c.how)
		followed := false
		err := db.Write(t.Context(), storetest.Entry("torn"), func(tx *store.Tx) error {
			tx.After(func() { followed = true })
			if err := tx.Announce(t.Context(), store.Feed{Kind: store.FeedCommit, Env: w.Env.ID, Revision: int64(round)}); err != nil {
				return err
			}
			return tx.PutSecrets(t.Context(), nil, []*store.Secret{&s})
		})
		storetest.Want(t, err, fault.Unavailable)
		if err == nil || !strings.Contains(fault.As(err).Hint, "not known") {
			t.Errorf("round %d: the error does not tell that the outcome is unknown: %v", round, err)
		}
		if followed {
			t.Errorf("round %d: what must follow a durable change ran", round)
		}
		if c.there {
			want++
		}
		_, err = other.Secret(t.Context(), s.ID)
		if there := err == nil; there != c.there {
			t.Errorf("round %d: the change is there: %t, want %t", round, there, c.there)
		}
		// Either server goes on from what the database holds.
		for _, d := range []*store.DB{db, other} {
			if err := d.Record(storetest.Entry("next")); err != nil {
				t.Errorf("round %d: the next record failed: %v", round, err)
			}
			want++
		}
		if got := storetest.Verify(t, other); got != want {
			t.Errorf("round %d: %d entries, want %d", round, got, want)
		}
	}

	// A change that was applied without this server's knowing reaches its caches by the feed.
	go db.Follow(t.Context(), 0)
	for _, round := range []int64{1, 2} {
		select {
		case f := <-heard:
			if f.Revision != round {
				t.Errorf("heard of round %d, want %d", f.Revision, round)
			}
		case <-time.After(patience):
			t.Fatal("the applied change was not heard of")
		}
	}
}
