package backup

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
)

// Drilled is a rehearsal that was held.
type Drilled struct {
	Report  Report        // of the rows in the throw-away instance
	Age     time.Duration // of the backup when the drill began
	Restore time.Duration // from the first byte read to an instance that could serve
	Check   time.Duration // of every value in it
}

// Drill restores a backup into a throw-away instance in a fresh folder below dir (the system's folder for temporary files when
// empty), unlocks it with a root key of its own as a server does at its start, opens every value, and compares counts and the
// log's root with the manifest. What is found wrong is in the report; the error is for what [Verify] calls one, and for a
// restore that fails. The folder is removed in any case. It holds what the database holds, in no other form.
func Drill(ctx context.Context, r io.Reader, o Check, dir string) (out Drilled, err error) {
	folder, err := os.MkdirTemp(dir, "keyturn-drill-")
	if err != nil {
		return out, fault.Wrap(fault.Unavailable, err, "the folder for the drill cannot be made")
	}
	defer func() {
		if gone := os.RemoveAll(folder); err == nil && gone != nil {
			err = fault.Wrap(fault.Unavailable, gone, "the folder of the drill cannot be removed")
		}
	}()
	e, err := sqlite.Open(ctx, folder)
	if err != nil {
		return out, err
	}
	opened := false
	defer func() {
		if !opened {
			_ = e.Close()
		}
	}()
	begun := time.Now()
	root := keyring.NewRoot()
	s, err := rehearse(ctx, r, o, e, root)
	if err != nil {
		return out, err
	}
	var failed error
	db, err := store.Open(ctx, e, func(err error) { failed = err })
	if err != nil {
		return out, err
	}
	opened = true
	defer func() { err = errors.Join(err, db.Close(), failed) }()
	out.Age = begun.Sub(time.UnixMilli(s.manifest.CreatedMS))
	out.Restore = time.Since(begun)
	begun = time.Now()
	c := newChecker(&s.manifest.Manifest)
	if err := c.database(ctx, db, root); err != nil {
		return out, err
	}
	out.Report, err = c.report(s, o.Signers)
	out.Check = time.Since(begun)
	return out, err
}

// rehearse restores a stream that nobody has verified: what comes of it is thrown away.
func rehearse(ctx context.Context, r io.Reader, o Check, e *store.Engine, root keyring.Root) (*stream, error) {
	s, err := openStream(r, o.Identities)
	if err != nil {
		return nil, err
	}
	draft := keyring.SlotDraft{Kind: keyring.SlotEnvironment, Root: root.Public()}
	l := &newLife{o: Restoring{Check: o, Actor: audit.Actor{Kind: "system", ID: "drill", Name: "drill"},
		Slot: func(string) (keyring.SlotDraft, error) { return draft, nil }}}
	f, err := store.BeginFill(ctx, e, store.FillOptions{Schema: s.manifest.Schema})
	if err != nil {
		return nil, err
	}
	defer f.Abort()
	if err := l.copy(ctx, f, s); err != nil {
		return nil, err
	}
	l.plan = newPlan(Report{Manifest: s.manifest.Manifest, Content: [32]byte(s.end.Digest)}, Target{}, time.Now().UnixMilli())
	return s, l.begin(ctx, f)
}

// added are the tables to which a restore itself adds or from which it takes.
var added = map[string]bool{"key_slot": true, "key_generation": true, "instance_secret": true, "audit_chunk": true}

// rowsAtOnce is how many rows of a database are looked at in one piece.
const rowsAtOnce = 512

// someRows are rows of a database.
type someRows struct {
	head *tableHead
	rows [][]cell
}

func (s someRows) about() *tableHead { return s.head }

func (s someRows) each(visit func(cells []cell) error) error {
	for _, cells := range s.rows {
		if err := visit(cells); err != nil {
			return err
		}
	}
	return nil
}

// database checks a restored instance as [checker.read] checks a stream, and its counts.
func (c *checker) database(ctx context.Context, db *store.DB, root keyring.Root) error {
	snap, err := db.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = snap.Close() }()
	p := newPool()
	defer p.end()
	for _, t := range snap.Tables() {
		if err := p.settle(); err != nil {
			return err
		}
		if c.ring == nil && !inOrder(t.Name) {
			if c.ring, err = keyring.Unlock(root, c.manifest.Instance, c.rows); err != nil {
				return err
			}
		}
		n, err := c.table(ctx, snap, t, p)
		if err != nil {
			return err
		}
		if want := c.manifest.Count(t.Name); n != want && !added[t.Name] {
			c.problem(t.Name, "it has %d rows after the restore, the manifest says %d", n, want)
		}
	}
	if err := p.settle(); err != nil {
		return err
	}
	if root := c.tree.Root(); c.tree.Size() != snap.Instance.LogSize || root != snap.Instance.LogRoot {
		c.problem("audit_chunk", "the log of the restored instance does not give its root")
	}
	c.conclude()
	return nil
}

// table looks at the rows of one table.
func (c *checker) table(ctx context.Context, snap *store.Snapshot, t store.TableInfo, p *pool) (n int64, err error) {
	head := &tableHead{t.Name, t.Columns}
	var rows [][]cell
	look := func() error {
		if len(rows) == 0 {
			return nil
		}
		some := someRows{head, rows}
		rows = nil
		if inOrder(t.Name) {
			return c.look(some)
		}
		p.do(func() error { return c.look(some) })
		return nil
	}
	err = snap.Rows(ctx, t.Name, func(row []any) error {
		n++
		cells := make([]cell, len(row))
		for i, v := range row {
			cells[i] = cellOf(v)
		}
		if rows = append(rows, cells); len(rows) < rowsAtOnce {
			return nil
		}
		return look()
	})
	if err == nil {
		err = look()
	}
	return n, err
}
