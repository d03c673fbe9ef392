package main

import (
	"errors"
	"os"
	"runtime"
	"sync"
)

// errStopped answers an append to a journal that has been closed.
var errStopped = errors.New("journal is closed")

// journal is an append-only file with group commit and no timer: whatever
// waits while one fsync runs goes into the next. Append returns after the
// caller's line is on disk. It is safe for concurrent use.
type journal struct {
	file *os.File
	wake chan struct{} // capacity 1: a token means that lines wait
	done chan struct{} // closed when the committer has ended

	mu      sync.Mutex
	waiting *batch
	closed  bool
	failed  error // first write or sync error; final, as after it the file's state is unknown
}

// batch is the lines that share one fsync.
type batch struct {
	lines []byte
	ready chan struct{} // closed after the sync
	err   error         // set before ready is closed
}

func newJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, wake: make(chan struct{}, 1), done: make(chan struct{}), waiting: newBatch()}
	go j.commit()
	return j, nil
}

func newBatch() *batch { return &batch{ready: make(chan struct{})} }

// Append adds one line and waits until it is synced.
func (j *journal) Append(line []byte) error {
	j.mu.Lock()
	if j.closed || j.failed != nil {
		defer j.mu.Unlock()
		return errors.Join(j.failed, errIf(j.closed, errStopped))
	}
	b := j.waiting
	first := len(b.lines) == 0
	b.lines = append(b.lines, line...)
	if first {
		// Never blocks: the committer took the last token before it took the
		// last batch. Under the lock, so that Close cannot come between.
		j.wake <- struct{}{}
	}
	j.mu.Unlock()
	<-b.ready
	return b.err
}

// Close writes what waits and closes the file.
func (j *journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	close(j.wake)
	j.mu.Unlock()
	<-j.done
	return j.file.Close()
}

// commit is the one writer.
func (j *journal) commit() {
	defer close(j.done)
	for range j.wake {
		// Let those who are ready to run add their lines first; without this
		// one processor would see batches of one or two.
		runtime.Gosched()
		j.mu.Lock()
		b, failed := j.waiting, j.failed
		j.waiting = newBatch()
		j.mu.Unlock()
		if b.err = failed; b.err == nil {
			_, b.err = j.file.Write(b.lines)
		}
		if b.err == nil {
			b.err = j.file.Sync()
		}
		if b.err != nil {
			j.mu.Lock()
			j.failed = b.err
			j.mu.Unlock()
		}
		close(b.ready)
	}
}

func errIf(condition bool, err error) error {
	if condition {
		return err
	}
	return nil
}
