package follow_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/store/storetest"
)

func TestOfTwoServersOneWorksAndTheOtherGoesOn(t *testing.T) {
	place := engines["postgres"](t)
	one, two := storetest.Found(t, place), storetest.Open(t, place)
	var got seen
	var busy atomic.Int32
	handle := func(ctx context.Context, b []follow.Entry) error {
		if busy.Add(1) != 1 {
			t.Error("two servers handle at the same time")
		}
		defer busy.Add(-1)
		return got.handle(ctx, b)
	}
	f := follow.Follower{Name: "shared", Handle: handle}
	a, stop := start(t, one, f)
	eventually(t, "the first works", patience, func() bool { return state(t, a, "shared").Here })
	b, _ := start(t, two, f)
	for i := range 50 {
		record(t, one, "entry", fmt.Sprint("one", i))
		record(t, two, "entry", fmt.Sprint("two", i))
	}
	eventually(t, "all is handled", patience, func() bool { return got.count() == 100 })
	began := time.Now()
	record(t, two, "entry", "of the other server")
	eventually(t, "the other server's entry is handled", patience, func() bool { return got.count() == 101 })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("another server's entry waited %s", took)
	}
	if state(t, b, "shared").Here {
		t.Error("both say that they work")
	}
	stop() // gives the lease back, so that the other need not wait for it to run out
	record(t, two, "entry", "after the first one stopped")
	eventually(t, "the second works", patience, func() bool { return got.count() == 102 })
	got.ordered(t, 0, 102)
	if !state(t, b, "shared").Here {
		t.Error("nobody says that he works")
	}
}

func TestAServerThatDiesBetweenHandlingAndSavingLosesNothing(t *testing.T) {
	place := engines["postgres"](t)
	one, two := storetest.Found(t, place), storetest.Open(t, place)
	handled := make(chan int64, 1000)
	a, _ := start(t, one, follow.Follower{Name: "f", Handle: func(_ context.Context, b []follow.Entry) error {
		for _, e := range b {
			handled <- e.Index
		}
		return nil
	}})
	eventually(t, "the first works", patience, func() bool { return state(t, a, "f").Here })
	record(t, two, "entry", "0")
	if i := <-handled; i != 0 {
		t.Fatalf("the first entry handed is %d", i)
	}
	must(t, one.Close()) // it will neither save nor give the lease back
	var got seen
	start(t, two, follow.Follower{Name: "f", Handle: got.handle})
	record(t, two, "entry", "1")
	began := time.Now()
	eventually(t, "the second has taken over", patience, func() bool { return got.count() >= 1 && got.indexes[len(got.indexes)-1] == 1 })
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("it took %s until another server went on", took)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	// The bookmark may have been saved in the moment before the end; then the entry does not come again.
	if got.indexes[0] > 1 || got.texts["1"] != 1 {
		t.Errorf("after the crash %v was handed", got.indexes)
	}
}

func TestAForgottenFollowerIsNotMadeAgainByAnotherServer(t *testing.T) {
	place := engines["postgres"](t)
	one, two := storetest.Found(t, place), storetest.Open(t, place)
	var got seen
	f := follow.Follower{Name: "gone", Handle: got.handle}
	a, _ := start(t, one, f)
	eventually(t, "the first works", patience, func() bool { return state(t, a, "gone").Here })
	b, _ := start(t, two, f)
	must(t, b.Forget(t.Context(), "gone"))
	eventually(t, "the first has noticed", patience, func() bool {
		record(t, one, "entry", "x")
		all, err := a.States(t.Context())
		must(t, err)
		before := got.count()
		return len(all) == 0 && got.count() == before
	})
	must(t, b.Add(f)) // made anew, it begins with the next entry
	eventually(t, "the second works", patience, func() bool { return state(t, b, "gone").Here })
}
