package audit

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// verifyGroup is how many entries one goroutine checks: enough that starting it costs nothing beside the work, since a
// quiet server stores chunks of one entry.
const verifyGroup = 2048

// chunkCheck is a chunk on its way through the check; leaves and problems are what comes out.
type chunkCheck struct {
	Chunk
	first    int64 // index of the first leaf
	leaves   []tlog.Hash
	problems []Problem
}

// readChunks reads the chunks of [from, to) within the bounds of memory, checks their entries on all processors and
// returns them in order, without doubles and without ill-formed ones.
func (v *verifier) readChunks(ctx context.Context, from, to int64) ([]*chunkCheck, error) {
	var (
		checks  []*chunkCheck
		group   []*chunkCheck
		entries int
		read    int
		wg      sync.WaitGroup
		slots   = make(chan struct{}, runtime.GOMAXPROCS(0))
	)
	defer wg.Wait()
	start := func() {
		work := group
		group, entries = nil, 0
		slots <- struct{}{}
		wg.Go(func() {
			for _, c := range work {
				c.run()
			}
			<-slots
		})
	}
	next := from
	for c, err := range v.src.Chunks(ctx, from, to) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("read audit entries: %w", err)
		}
		if !v.admit(c, next) {
			continue
		}
		check := &chunkCheck{Chunk: c, first: c.First}
		checks, group = append(checks, check), append(group, check)
		next = c.First + int64(c.Count)
		entries, read = entries+c.Count, read+len(c.Data)
		if entries >= verifyGroup {
			start()
		}
		if read >= verifyBytes {
			break
		}
	}
	start()
	wg.Wait()
	return checks, nil
}

// admit tells whether a chunk can be checked entry by entry. The entries of one that cannot count as missing.
func (v *verifier) admit(c Chunk, next int64) bool {
	if err := c.Check(); err != nil {
		v.problem(c.First, "%s", err.Error())
		return false
	}
	if c.First < next {
		v.problem(c.First, "a chunk of %d entries begins at entry %d, which another one holds already", c.Count, c.First)
		return false
	}
	if c.First+int64(c.Count) > v.size {
		v.problem(v.size, "a chunk reaches to entry %d, but the stored head counts %d entries", c.First+int64(c.Count)-1, v.size)
		return false
	}
	return true
}

// run hashes and reads every entry of the chunk.
func (c *chunkCheck) run() {
	c.leaves = make([]tlog.Hash, 0, c.Count)
	var scratch []byte
	for i, b := range c.Entries() {
		scratch = leafInput(scratch, b)
		c.leaves = append(c.leaves, leafHash(scratch))
		e, err := ParseEntry(b)
		switch {
		case err != nil:
			c.problems = appendProblems(c.problems, []Problem{{i, fmt.Sprintf("entry %d: %s", i, err.Error())}})
		case e.At < c.FromMS || e.At > c.ToMS:
			c.problems = appendProblems(c.problems, []Problem{{i, fmt.Sprintf("entry %d lies outside the times of its chunk", i)}})
		}
	}
}
