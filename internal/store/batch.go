package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// batchTimeout bounds one transaction on a database that other servers use as well: a connection that died in silence
	// must not hold all callers for ever. It is far above what the largest import takes.
	batchTimeout = 30 * time.Second
	// maxChunkBytes bounds the entries of one stored chunk, so that a walk over the log needs little memory. It bounds their
	// number as well: a batch has few entries, and what is split has long ones.
	maxChunkBytes = 1 << 20
)

// commit runs one batch in one transaction. An error means that nothing of it is known to be stored.
func (w *writer) commit(batch []*job) error {
	if f := w.db.failed.Load(); f != nil {
		return f
	}
	w.ran = false
	// Not the context of any caller: one who left must not tear the transaction of the others.
	ctx := context.Background()
	if w.db.engine.Shared {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, batchTimeout)
		defer cancel()
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	w.ran = true
	now := time.Now().UnixMilli()
	for _, j := range batch {
		if j.run == nil {
			continue
		}
		if err := w.change(ctx, j, now, len(batch) == 1); err != nil {
			return w.abandon(ctx, err)
		}
	}
	tree, err := w.appendLog(ctx, batch)
	if err == nil {
		err = w.finish(ctx)
	}
	if err != nil {
		return w.abandon(ctx, err)
	}
	w.tree = tree
	return nil
}

// change runs one change. Only an error of the connection itself is returned: the change's own error goes to its caller. A
// batch of one needs no savepoint: if it fails, the whole transaction is undone and only its record is written.
func (w *writer) change(ctx context.Context, j *job, now int64, alone bool) error {
	if !alone {
		if _, err := w.exec(ctx, "SAVEPOINT job"); err != nil {
			return err
		}
	}
	before := w.inst
	tx := &Tx{w: w, ctx: ctx, now: now}
	tx.Queries = Queries{tx}
	j.err = tx.run(j)
	if j.err == nil {
		j.after, j.feeds = tx.after, tx.feeds
		if !j.quiet {
			j.entry.Rows = tx.rows
			j.parts = encode(j.entry)
		}
		if alone {
			return nil
		}
		_, err := w.exec(ctx, "RELEASE SAVEPOINT job")
		return err
	}
	w.inst = before
	if err := w.undo(ctx, alone); err != nil {
		if tx.broken != nil {
			return tx.broken // what broke the transaction, not what came of it
		}
		return err
	}
	undone := errors.Is(j.err, ErrUndo)
	if undone {
		j.err = nil
	}
	if j.quiet {
		return nil
	}
	if !undone {
		j.entry.Outcome, j.entry.Reason = audit.Failed, string(fault.KindOf(j.err))
	}
	j.parts = encode(j.entry)
	return nil
}

// undo takes back what the last change did.
func (w *writer) undo(ctx context.Context, alone bool) error {
	if alone {
		if _, err := w.exec(ctx, "ROLLBACK"); err != nil {
			return err
		}
		return w.begin(ctx)
	}
	if _, err := w.exec(ctx, "ROLLBACK TO SAVEPOINT job"); err != nil {
		return err
	}
	_, err := w.exec(ctx, "RELEASE SAVEPOINT job")
	return err
}

// begin opens the transaction, takes the instance row and makes sure that tree and keys are those of the database.
func (w *writer) begin(ctx context.Context) error {
	kept := w.conn != nil
	err := w.open(ctx)
	if err != nil && kept && w.conn == nil && w.db.failed.Load() == nil {
		err = w.open(ctx) // the connection had died since the last batch; nothing was done on it yet
	}
	if err != nil {
		return err
	}
	if w.inst, err = readInstance(ctx, w, w.db.engine.Lock); err != nil {
		return w.abandon(ctx, err)
	}
	if w.guard != nil {
		if err := w.guard(ctx, Queries{w}, w.inst.Epoch); err != nil {
			return w.abandon(ctx, err)
		}
	}
	if err := w.catchUp(ctx); err != nil {
		return w.abandon(ctx, err)
	}
	return nil
}

// open starts a transaction, on the connection of the last batch if there is one.
func (w *writer) open(ctx context.Context) error {
	if w.conn == nil {
		conn, err := w.db.engine.Writer.Conn(ctx)
		if err != nil {
			return w.db.classify(err)
		}
		w.conn, w.stmts = conn, map[string]*sql.Stmt{}
	}
	if _, err := w.exec(ctx, w.db.engine.Begin); err != nil {
		return w.abandon(ctx, err)
	}
	return nil
}

// catchUp makes the tree in memory that of the database: restored at the start, moved on by other servers' entries. A log
// that is not a continuation of the one in memory takes the server out of service: the database was put back to an older
// state, or somebody changed it.
func (w *writer) catchUp(ctx context.Context) error {
	src := logSource{w}
	if w.tree == nil {
		tree, err := audit.Restore(ctx, src)
		if err != nil {
			return err
		}
		w.tree = tree
	}
	tree := w.tree
	if tree.Size() < w.inst.LogSize {
		tree = tree.Clone()
		for chunk, err := range src.Chunks(ctx, tree.Size(), w.inst.LogSize) {
			if err == nil {
				err = tree.CatchUp(chunk)
			}
			if err != nil {
				return err
			}
		}
	}
	if tree.Root() != w.inst.LogRoot {
		f := fault.New(fault.Internal, "the audit log does not continue the one that this server knew at %d entries; the server leaves service", w.tree.Size()).
			WithHint("was the database put back to an older state? run keyturn audit verify, then start the server again")
		w.db.fail(f)
		return f
	}
	w.tree = tree
	return nil
}

// appendLog stores the entries of the batch and moves the instance row on.
func (w *writer) appendLog(ctx context.Context, batch []*job) (*audit.Tree, error) {
	var from, to int64
	var leaves [][]byte
	for _, j := range batch {
		if j.quiet {
			continue
		}
		if len(leaves) == 0 {
			from, to = j.entry.At, j.entry.At
		}
		from, to = min(from, j.entry.At), max(to, j.entry.At)
		leaves = append(leaves, j.parts...)
	}
	if len(leaves) == 0 {
		return w.tree, nil
	}
	tree := w.tree.Clone()
	for len(leaves) > 0 {
		n, size := 0, 0
		for n < len(leaves) && (n == 0 || size+len(leaves[n]) <= maxChunkBytes) {
			size += len(leaves[n])
			n++
		}
		if err := w.appendChunk(ctx, tree.AddAt(leaves[:n], from, to)); err != nil {
			return nil, err
		}
		leaves = leaves[n:]
	}
	root := tree.Root()
	_, err := w.exec(ctx, "UPDATE instance SET log_size = ?, log_root = ?, feed_seq = ?, epoch = ? WHERE one = 1", tree.Size(), root[:], w.inst.FeedSeq, w.inst.Epoch)
	return tree, err
}

func (w *writer) appendChunk(ctx context.Context, b audit.Batch) error {
	if _, err := w.exec(ctx, "INSERT INTO audit_chunk (first, count, from_ms, to_ms, data) VALUES (?, ?, ?, ?, ?)",
		b.Chunk.First, int64(b.Chunk.Count), b.Chunk.FromMS, b.Chunk.ToMS, b.Chunk.Data); err != nil {
		return err
	}
	for _, tile := range b.Tiles {
		if _, err := w.exec(ctx, "INSERT INTO audit_tile (level, idx, hashes) VALUES (?, ?, ?)", int64(tile.Level), tile.Index, tile.Hashes); err != nil {
			return err
		}
	}
	return nil
}

// finish commits. When the engine cannot tell whether it did, one of our own has failed to sync: going on could lose data,
// since the system may have dropped the pages and a second try would succeed without them. A shared one lost its connection.
func (w *writer) finish(ctx context.Context) error {
	_, err := w.conn.ExecContext(ctx, "COMMIT")
	switch {
	case err == nil:
		return nil
	case w.db.engine.Undone(err):
		return w.db.classify(err)
	case w.db.engine.Shared:
		return fault.Wrap(fault.Unavailable, w.db.classify(err), "the connection to the database broke during the commit").
			WithHint("whether the change was made is not known: read it before you repeat it")
	}
	f := fault.Wrap(fault.Unavailable, err, "the database could not make a commit durable; the server leaves service").
		WithHint("check the disk, then start the server again")
	w.db.fail(f)
	return f
}

// abandon undoes the transaction and gives back the cause. When even that fails, the connection is given up and a fresh
// one is made next time.
func (w *writer) abandon(ctx context.Context, cause error) error {
	if w.conn != nil {
		if _, err := w.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
			w.drop()
		}
	}
	return cause
}
