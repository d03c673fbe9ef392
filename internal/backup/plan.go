package backup

import (
	"context"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// Target is what a restore finds in the database that it shall fill.
type Target struct {
	Engine   string // "sqlite" or "postgres"
	Holds    bool   // an instance; all else is zero without one
	Instance string
	Epoch    int64
	Schema   int64
	LogSize  int64
	Tables   []Table
	commits  map[string]int64
}

// Look tells what a database holds. Nothing is written, and the engine stays the caller's. A schema of a newer program is
// [fault.Unsupported].
func Look(ctx context.Context, e *store.Engine) (Target, error) {
	t := Target{Engine: e.Name, commits: map[string]int64{}}
	db, err := store.Peek(ctx, e)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	i, err := db.Instance(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return t, nil
		}
		return t, err
	}
	t.Holds, t.Instance, t.Epoch, t.LogSize = true, i.ID, i.Epoch, i.LogSize
	return t, t.count(ctx, db)
}

// count is best done, and not needed: a database of an older schema may lack tables.
func (t *Target) count(ctx context.Context, db *store.DB) error {
	snap, err := db.Snapshot(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.Internal {
			return nil
		}
		return err
	}
	defer func() { _ = snap.Close() }()
	t.Schema = snap.Schema
	for _, info := range snap.Tables() {
		n, err := snap.Count(ctx, info.Name)
		if err != nil {
			return err
		}
		t.Tables = append(t.Tables, Table{info.Name, n})
	}
	return snap.Commits(ctx, func(env string, n int64) error {
		t.commits[env] = n
		return nil
	})
}

// Plan is what a restore is about to do, told before its first write.
type Plan struct {
	Report Report // of the backup
	Target Target
	// Same tells that the target holds a life of the very instance of the backup.
	Same bool
	// Lost lists the environments of the target that have more commits than in the backup, or are not in it; Commits is how
	// many go. Only when Same: of another instance all goes.
	Lost []Line
	// Epoch is that of the new life.
	Epoch int64
}

func newPlan(r Report, t Target, nowMS int64) Plan {
	p := Plan{Report: r, Target: t, Same: t.Holds && t.Instance == r.Manifest.Instance, Epoch: audit.NextLife(max(r.Manifest.Epoch, t.Epoch), nowMS)}
	if !p.Same {
		return p
	}
	kept := map[string]int64{}
	for _, line := range r.Manifest.Environments {
		kept[line.Environment] = line.Commits
	}
	for env, n := range t.commits {
		if n > kept[env] {
			p.Lost = append(p.Lost, Line{env, n - kept[env]})
		}
	}
	sortLines(p.Lost)
	return p
}
