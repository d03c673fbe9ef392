package store

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/keyturn/keyturn/internal/domain"
)

// Freeze says that a project, or everything on the server, must not change, and with Kill that it must not be read either.
type Freeze struct {
	Place     string               `db:"place,key"` // id of the project, or [WholeInstance]
	Org       domain.OrgID         `db:"org_id"`
	Project   domain.ProjectID     `db:"project_id"` // "" = everything
	Kill      bool                 `db:"kill"`
	ActorKind domain.PrincipalKind `db:"actor_kind"`
	ActorID   string               `db:"actor_id"`
	ActorName string               `db:"actor_name"`
	Reason    string               `db:"reason"`
	At        int64                `db:"at"`
}

// WholeInstance is the place of a freeze of everything.
const WholeInstance = "instance"

// freezeSchema is the migration that brought freezes.
const freezeSchema = 5

// FeedFreeze tells that something was frozen, killed or thawed.
const FeedFreeze FeedKind = "freeze"

var freezes = newTable[Freeze]("halt", true)

// Freezes lists what is frozen.
func (q Queries) Freezes(ctx context.Context) ([]Freeze, error) {
	return freezes.list(ctx, q.q, "ORDER BY place")
}

// PutFreeze stores one, in place of what its place had. Announce [FeedFreeze] in the same transaction.
func (tx *Tx) PutFreeze(ctx context.Context, row *Freeze) error { return freezes.put(ctx, tx, row) }

// RemoveFreeze lifts one. Announce [FeedFreeze] in the same transaction.
func (tx *Tx) RemoveFreeze(ctx context.Context, row *Freeze) error {
	return freezes.remove(ctx, tx, row)
}

// frozen keeps in memory what is frozen, since every request asks.
type frozen struct {
	now        atomic.Pointer[map[string]Freeze] // by place; nil: must be read
	mu         sync.Mutex
	generation int // moved on by every change, so that nothing stale is kept
}

func (f *frozen) hear(feed Feed) {
	if feed.Kind != FeedFreeze && feed.Kind != FeedLost {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	f.now.Store(nil)
}

// Frozen tells what stops work in a project: a freeze of its own or one of everything, the harder of both. It is answered from
// memory; another server's change counts within the interval of the feed.
func (db *DB) Frozen(ctx context.Context, project domain.ProjectID) (Freeze, bool, error) {
	all := db.frozen.now.Load()
	if all == nil {
		var err error
		if all, err = db.readFrozen(ctx); err != nil {
			return Freeze{}, false, err
		}
	}
	if len(*all) == 0 {
		return Freeze{}, false, nil
	}
	whole, isWhole := (*all)[WholeInstance]
	one, isOne := (*all)[string(project)]
	if isOne && (!isWhole || one.Kill && !whole.Kill) {
		return one, true, nil
	}
	return whole, isWhole, nil
}

func (db *DB) readFrozen(ctx context.Context) (*map[string]Freeze, error) {
	db.frozen.mu.Lock()
	generation := db.frozen.generation
	db.frozen.mu.Unlock()
	all := map[string]Freeze{}
	if db.peeked == 0 || db.peeked >= freezeSchema {
		// Whoever asked may leave; the answer is for everybody.
		rows, err := db.Freezes(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			all[row.Place] = row
		}
	}
	db.frozen.mu.Lock()
	defer db.frozen.mu.Unlock()
	if db.frozen.generation == generation {
		db.frozen.now.Store(&all)
	}
	return &all, nil
}
