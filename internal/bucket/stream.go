package bucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// source reads for Put. It keeps the reader's own error apart from those of the place, and ends with its context.
type source struct {
	ctx context.Context
	r   io.Reader
	err error // set once, never io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF { // a wrapped io.EOF is a failure, as for io.Copy
		s.err = err
	}
	return n, err
}

func (s *source) fault(name string) error {
	if s.ctx.Err() != nil {
		return interrupted(s.ctx.Err(), name)
	}
	return fmt.Errorf("put %s: the content could not be read: %w", name, s.err)
}

// content is what Get gives: exactly as many bytes as were promised, or an error.
type content struct {
	name string
	body io.ReadCloser
	left int64
}

func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.body.Read(p)
	c.left -= int64(n)
	switch {
	case c.left == 0:
		return n, nil
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	case errors.Is(err, context.Canceled):
		return n, interrupted(err, c.name)
	}
	return n, fault.Wrap(fault.Unavailable, err, "%s ended early: %d bytes are missing", c.name, c.left).
		WithHint("try again; if it stays so, the object is damaged")
}

func (c *content) Close() error { return c.body.Close() }

func byName(a, b Object) int { return cmp.Compare(a.Name, b.Name) }

func missing(name string) *fault.Error {
	return fault.New(fault.NotFound, "there is no object %s", name)
}

func tooMany() *fault.Error {
	return fault.New(fault.Exhausted, "the place for backups holds more than %d objects under this prefix", maxObjects).
		WithHint("delete old backups, or give each instance a prefix of its own")
}

// interrupted is for work that its own context ended. The cause stays visible to errors.Is.
func interrupted(cause error, what string) *fault.Error {
	return fault.Wrap(fault.Unavailable, cause, "%s was interrupted", what)
}

var errStalled = errors.New("no byte came for too long")

// stalling is the body of an object. It gives up when the store keeps the connection open and sends nothing, and it does
// not count the time in which nobody reads.
type stalling struct {
	ctx    context.Context
	body   io.ReadCloser
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (s *stalling) Read(p []byte) (int, error) {
	s.timer.Reset(maxStall)
	n, err := s.body.Read(p)
	s.timer.Stop()
	if err != nil && errors.Is(context.Cause(s.ctx), errStalled) {
		err = errStalled // the transport says "context canceled", which would look like the caller's wish
	}
	return n, err
}

func (s *stalling) Close() error {
	s.timer.Stop()
	s.cancel(nil)
	return s.body.Close()
}
