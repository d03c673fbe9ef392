package runner

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// drainTime ends the wait for output after the child has ended. All that the child itself wrote lies in the pipe by
	// then; only background processes that it left behind keep the pipe open.
	drainTime = 250 * time.Millisecond
	// maxDrain bounds what such processes can add: the most that a pipe can hold on Linux without privilege.
	maxDrain = 1 << 20
	// copyBuffer is the capacity of a pipe on Linux: one read empties it.
	copyBuffer = 64 << 10
)

// masking says whether and what to hide.
type masking struct {
	on     bool
	values []sensitive.Value
}

// output carries what the child writes to writers that are not files, or that must be masked.
type output struct {
	streams []stream
	theirs  []*os.File // the child's ends; ours to close once it has them
	ended   atomic.Bool
	copies  sync.WaitGroup
}

type stream struct {
	from *os.File
	to   io.Writer
}

// attach sets the streams of cmd.
func (p *output) attach(cmd *exec.Cmd, o Options, hide masking) error {
	stdout, err := p.open(o.Stdout, hide)
	if err != nil {
		return err
	}
	stderr := stdout
	if !sameWriter(o.Stdout, o.Stderr) {
		if stderr, err = p.open(o.Stderr, hide); err != nil {
			return err
		}
	}
	// An interface that holds a nil file is not nil.
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if stderr != nil {
		cmd.Stderr = stderr
	}
	return nil
}

func (p *output) open(w io.Writer, hide masking) (*os.File, error) {
	if w == nil {
		return nil, nil
	}
	if f, ok := w.(*os.File); ok && !hide.on {
		return f, nil
	}
	r, theirs, err := os.Pipe()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "couldn't make a pipe for the command's output")
	}
	p.streams = append(p.streams, stream{r, w})
	p.theirs = append(p.theirs, theirs)
	if hide.on {
		p.streams[len(p.streams)-1].to = Mask(w, hide.values)
	}
	return theirs, nil
}

// sameWriter compares without panic for writers that cannot be compared.
func sameWriter(a, b io.Writer) (same bool) {
	defer func() { _ = recover() }()
	return a == b
}

// pump starts copying, after the child has its ends.
func (p *output) pump() {
	p.closeTheirs()
	for _, s := range p.streams {
		p.copies.Go(func() { p.copy(s) })
	}
}

func (p *output) copy(s stream) {
	defer s.from.Close()
	if m, ok := s.to.(*masker); ok {
		defer m.Close()
	}
	buf := make([]byte, copyBuffer)
	for left := maxDrain; left > 0; {
		last := p.ended.Load()
		if last {
			_ = s.from.SetReadDeadline(time.Now().Add(drainTime)) // where there are no deadlines, drain gives up instead
		}
		n, err := s.from.Read(buf)
		if n > 0 {
			if _, werr := s.to.Write(buf[:n]); werr != nil {
				return // closing our end lets the child see a broken pipe, as it would without us
			}
		}
		if last {
			left -= n
		}
		if err != nil && (last || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return
		}
	}
}

// drain waits until the last output is written. A writer that blocks is waited for; an idle pipe is not.
func (p *output) drain() {
	p.ended.Store(true)
	deadlines := true
	for _, s := range p.streams {
		err := s.from.SetReadDeadline(time.Now().Add(drainTime))
		deadlines = deadlines && !errors.Is(err, os.ErrNoDeadline)
	}
	done := make(chan struct{})
	go func() { p.copies.Wait(); close(done) }()
	if deadlines {
		<-done
		return
	}
	select {
	case <-done:
	case <-time.After(drainTime):
	}
}

// abandon closes everything of a child that never was.
func (p *output) abandon() {
	p.closeTheirs()
	for _, s := range p.streams {
		_ = s.from.Close()
	}
}

func (p *output) closeTheirs() {
	for _, f := range p.theirs {
		_ = f.Close()
	}
	p.theirs = nil
}
