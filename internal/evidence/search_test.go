package evidence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
)

const testOrg = domain.OrgID("01990000-0000-7000-8000-000000000001")

// written is a log with n entries in a real database.
func written(t testing.TB, n int) (*Log, context.Context) {
	t.Helper()
	ctx := context.Background()
	engine, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(ctx, engine, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Found(ctx, "01990000-0000-7000-8000-000000000002", 1); err != nil {
		t.Fatal(err)
	}
	l := New(db, guard.New(db), nil, "test", func() []sensitive.Value { return nil })
	record(t, l, n)
	return l, guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "test", Org: testOrg}})
}

// record writes entries of many callers at once, as reads do.
func record(t testing.TB, l *Log, n int) {
	const writers = 256
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < n; i += writers {
				e := &audit.Entry{At: 1 + int64(i), Action: "secret.read", Outcome: audit.Allowed, Org: string(testOrg), Project: fmt.Sprint("p", i%7), Env: fmt.Sprint("e", i%21),
					Actor: audit.Actor{Kind: "identity", ID: fmt.Sprint("id", i%997), Name: fmt.Sprint("name", i%997)}, Keys: []string{fmt.Sprintf("/f%d/K%d", i%13, i%101)}}
				switch {
				case i%1009 == 0:
					e.Action, e.Outcome = "access.manage", audit.Refused
				case i == n/2:
					e.Actor.Name = "needle"
				}
				if err := l.db.Record(e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func (l *Log) indexAll(t testing.TB, ctx context.Context) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = l.indexNext(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// pages follows a search to its end.
func pages(t testing.TB, l *Log, ctx context.Context, f Filter, limit int) (out []int64) {
	t.Helper()
	for before := int64(1 << 40); ; {
		page, err := l.List(ctx, f, before, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			out = append(out, e.Index)
		}
		if page.Next == nil {
			return out
		}
		before = *page.Next
	}
}

func TestASearchFindsTheSameWithTheIndexAndWithout(t *testing.T) {
	l, ctx := written(t, 3*audit.IndexEntries+500)
	filters := []Filter{
		{Who: "needle"}, {Who: "id5"}, {Who: "nobody"}, {What: "access.manage"}, {What: "access.*", Outcome: audit.Refused}, {What: "sec*", Key: "K7", Who: "name3"},
		{Key: "/f3/K3"}, {Project: "p1", Env: "e8", Who: "id8"}, {SinceMS: 5000, UntilMS: 5100}, {What: "secret.read", SinceMS: 12000}, {Outcome: audit.Failed},
	}
	size, _, err := l.db.Log().Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var before [][]int64
	for _, f := range filters {
		before = append(before, pages(t, l, ctx, f, 37))
	}
	l.indexAll(t, ctx)
	if n, err := l.db.IndexedBlocks(ctx); err != nil || n < 3 {
		t.Fatalf("%d blocks are indexed: %v", n, err)
	}
	for i, f := range filters {
		after := slices.DeleteFunc(pages(t, l, ctx, f, 37), func(index int64) bool { return index >= size })
		want := slices.DeleteFunc(before[i], func(index int64) bool { return index >= size })
		if !slices.Equal(after, want) {
			t.Errorf("%+v: %d entries with the index, %d without", f, len(after), len(want))
		}
		if !slices.IsSortedFunc(after, func(a, b int64) int { return int(b - a) }) {
			t.Errorf("%+v: not newest first", f)
		}
	}
	if len(before[0]) != 1 {
		t.Errorf("the needle was found %d times", len(before[0]))
	}
}

func TestAnIndexThatHidesAnEntryIsFoundAndMended(t *testing.T) {
	l, ctx := written(t, audit.IndexEntries)
	l.indexAll(t, ctx)
	var forged *audit.IndexBlock
	if err := l.db.IndexBlocks(ctx, 1, 0, 0, func(b *audit.IndexBlock) (bool, error) { forged = b; return false, nil }); err != nil || forged == nil {
		t.Fatal(err)
	}
	clear(forged.Filters)
	if err := l.putIndex(ctx, forged); err != nil {
		t.Fatal(err)
	}
	if found := pages(t, l, ctx, Filter{Who: "needle"}, 10); len(found) != 0 {
		t.Fatal("the index that was emptied by hand is not asked")
	}
	out := api.Verification{Size: audit.IndexEntries}
	if err := l.checkIndex(ctx, &out); err != nil || len(out.Problems) != 1 {
		t.Fatalf("problems %v, %v", out.Problems, err)
	}
	if found := pages(t, l, ctx, Filter{Who: "needle"}, 10); len(found) != 1 {
		t.Errorf("found %v after the index was mended", found)
	}
}

// BenchmarkSearch asks a log of 1,000,000 entries for what is rare, for what is there once, for what is nowhere and for what is
// everywhere; the answer with its own entry in the log.
func BenchmarkSearch(b *testing.B) {
	l, ctx := written(b, 1_000_000)
	l.indexAll(b, ctx)
	for name, f := range map[string]func() Filter{
		"once":       func() Filter { return Filter{Who: "needle"} },
		"one actor":  func() Filter { return Filter{Who: fmt.Sprint("name", rand.IntN(997))} },
		"nowhere":    func() Filter { return Filter{Who: fmt.Sprint("nobody", rand.Int())} },
		"refused":    func() Filter { return Filter{What: "access.*", Outcome: audit.Refused} },
		"everywhere": func() Filter { return Filter{What: "secret.*"} },
		"an hour":    func() Filter { return Filter{SinceMS: 500_000, UntilMS: 500_100, Key: "K7"} },
	} {
		b.Run(name, func(b *testing.B) {
			var slowest time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := l.List(ctx, f(), 1<<40, 100); err != nil {
					b.Fatal(err)
				}
				slowest = max(slowest, time.Since(began))
			}
			b.ReportMetric(float64(slowest.Milliseconds()), "slowest-ms")
		})
	}
}
