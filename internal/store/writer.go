package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// maxBatch bounds how many callers one transaction serves, so that the first of them does not wait for ever.
	maxBatch = 512
	// feedKept is how many changes are kept for servers and listeners that fell behind; further back they start anew.
	feedKept = 10000
)

// ErrUndo is returned by a change that only wanted to see what would happen: it is undone, recorded as allowed, and its caller
// gets no error.
var ErrUndo = errors.New("undo")

// job is one caller that waits for the writer.
type job struct {
	ctx   context.Context // nil for a record
	run   func(*Tx) error // nil for a record
	entry *audit.Entry    // nil for what leaves none
	quiet bool            // leaves no entry: only rows that decide nothing
	parts [][]byte        // the entry in canonical form, made by the caller for records
	err   error
	after []func()
	feeds []Feed
	done  chan struct{}
}

// writer is the one goroutine that writes. Callers queue; while one batch is synced the next one gathers.
type writer struct {
	db    *DB
	mu    sync.Mutex // guards queue, closed
	queue []*job
	// wake holds one token when the queue may have become non-empty.
	wake   chan struct{}
	closed bool
	// submitted counts the callers.
	submitted atomic.Int64
	stopped   chan struct{}
	once      sync.Once // starts the goroutine with the first job

	// The rest belongs to the goroutine.
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt
	tree   *audit.Tree // nil: must be restored
	inst   Instance
	guard  func(ctx context.Context, q Queries, epoch int64) error // fencing: refuses a transaction under keys that are out of date
	behind func(context.Context) error                             // fetches what guard lacks
	ran    bool                                                    // the transaction of this batch has begun to run changes, which must not run twice
}

func newWriter(db *DB) *writer {
	return &writer{db: db, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
}

func (w *writer) submit(j *job) error {
	if w == nil {
		return fault.New(fault.Unsupported, "the database was opened for questions only")
	}
	if f := w.db.failed.Load(); f != nil {
		return f
	}
	if j.entry == nil && !j.quiet {
		return fault.New(fault.Internal, "nothing is written without its record")
	}
	if !j.quiet {
		if j.entry.At <= 0 {
			j.entry.At = time.Now().UnixMilli()
		}
		w.submitted.Add(1)
	}
	j.done = make(chan struct{})
	if j.run == nil {
		j.parts = encode(j.entry)
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return fault.New(fault.Unavailable, "the server is stopping").WithHint("try again in a moment")
	}
	w.queue = append(w.queue, j)
	w.mu.Unlock()
	w.start()
	<-j.done
	return j.err
}

// start makes sure that the goroutine runs and looks at the queue.
func (w *writer) start() {
	w.once.Do(func() { go w.loop() })
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// stop lets the queue run empty and ends the goroutine.
func (w *writer) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.start()
	<-w.stopped
}

func (w *writer) loop() {
	defer close(w.stopped)
	for range w.wake {
		for {
			runtime.Gosched() // let callers that are about to submit join this batch
			batch, closed := w.take()
			if len(batch) == 0 && closed {
				w.drop()
				return
			}
			if len(batch) == 0 {
				break
			}
			w.serve(batch)
		}
	}
}

// take gives the next callers, and tells whether no more will come.
func (w *writer) take() ([]*job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxBatch)
	batch := w.queue[:n:n]
	w.queue = w.queue[n:]
	if len(w.queue) == 0 {
		w.queue = nil
	}
	return batch, w.closed
}

// serve commits one batch and releases its callers.
func (w *writer) serve(batch []*job) {
	before := w.tree
	err := w.commit(batch)
	if errors.Is(err, ErrBehind) && !w.ran && w.behind != nil && w.behind(context.Background()) == nil {
		err = w.commit(batch)
	}
	if listeners := w.db.grew.Load(); err == nil && listeners != nil && w.tree != before {
		for _, listen := range *listeners {
			listen(w.tree.Size())
		}
	}
	for _, j := range batch {
		if err != nil {
			j.err = err
		} else if j.err == nil {
			for _, f := range j.after {
				f()
			}
			for _, f := range j.feeds {
				w.db.heard(f)
			}
		}
		close(j.done)
	}
}

// drop gives the connection up for good: it may be broken or in the middle of a transaction, so the pool must not hand it
// out again. The pool closes the statements with it.
func (w *writer) drop() {
	if w.conn != nil {
		for _, s := range w.stmts { // the pool keeps no account of statements of a connection, and would never close it
			_ = s.Close()
		}
		_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = w.conn.Close()
	}
	w.conn, w.stmts = nil, nil
}

func (w *writer) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := w.stmts[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, w.db.text(query))
	if err != nil {
		return nil, w.db.classify(err)
	}
	w.stmts[query] = s
	return s, nil
}

func (w *writer) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if len(args) == 0 { // BEGIN, SAVEPOINT and the like cannot be prepared everywhere
		res, err := w.conn.ExecContext(ctx, query)
		return res, w.db.classify(err)
	}
	s, err := w.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	res, err := s.ExecContext(ctx, args...)
	return res, w.db.classify(err)
}

func (w *writer) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := w.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args...)
	return rows, w.db.classify(err)
}

func (w *writer) classify(err error) error { return w.db.classify(err) }

// entrySize holds an ordinary entry without growing.
const entrySize = 768

// encode gives the canonical bytes of an entry, in parts when it is too long for one.
func encode(entry *audit.Entry) [][]byte {
	parts := audit.Split(*entry)
	if len(parts) > 1 && entry.ID == "" { // the parts share an id, and it must fit in
		entry.ID = domain.NewID[string]()
		parts = audit.Split(*entry)
	}
	out := make([][]byte, len(parts))
	for i := range parts {
		out[i] = parts[i].AppendCanonical(make([]byte, 0, entrySize))
	}
	return out
}
