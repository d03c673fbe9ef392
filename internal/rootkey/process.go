package rootkey

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode"
)

const (
	// programWait is how long a program may keep its output open after it ended or was killed.
	programWait = time.Second
	// maxComplaint bounds the line of standard error that the log gets, in bytes.
	maxComplaint = 256
)

// withheld are the variables of the server that programs do not get. The rest they need: proxies, profiles, regions.
var withheld = []string{"KEYTURN_ROOT_KEY"}

// errTooMuch ends a program that prints more than it may.
var errTooMuch = errors.New("the program printed too much")

// program is one run of another program without a shell, in a process group of its own.
type program struct {
	argv  []string
	input []byte
	limit int // bytes of standard output
}

// run gives the standard output, which may be secret. The error holds the reason and the first line of standard error, and
// never standard output. When ctx ends, the whole process group is killed.
func (p program) run(ctx context.Context) (output []byte, err error) {
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !isWithheld(name) {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Stdin = bytes.NewReader(p.input)
	out := &bounded{buffer: make([]byte, 0, p.limit+1)}
	complaint := &firstLine{}
	cmd.Stdout, cmd.Stderr = out, complaint
	cmd.WaitDelay = programWait
	ownGroup(cmd)
	if err = cmd.Run(); err != nil {
		killGroup(cmd) // what it left running, if it left something
		clear(out.buffer)
		if ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
		if said := complaint.text(); said != "" {
			err = errors.Join(err, errors.New(said))
		}
		return nil, err
	}
	return out.buffer, nil
}

func isWithheld(name string) bool {
	for _, w := range withheld {
		if strings.EqualFold(name, w) {
			return true
		}
	}
	return false
}

// bounded takes as much as it has room for, into one buffer that can be wiped.
type bounded struct{ buffer []byte }

// ReadFrom implements [io.ReaderFrom], so that no copy passes through a buffer of os/exec.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) {
	start := len(b.buffer)
	for {
		room := b.buffer[len(b.buffer):cap(b.buffer)]
		if len(room) == 0 {
			return int64(len(b.buffer) - start), errTooMuch
		}
		n, err := r.Read(room)
		b.buffer = b.buffer[:len(b.buffer)+n]
		if errors.Is(err, io.EOF) {
			if len(b.buffer) == cap(b.buffer) {
				return int64(len(b.buffer) - start), errTooMuch
			}
			return int64(len(b.buffer) - start), nil
		}
		if err != nil {
			return int64(len(b.buffer) - start), err
		}
	}
}

// Write implements [io.Writer].
func (b *bounded) Write(p []byte) (int, error) {
	n, err := b.ReadFrom(bytes.NewReader(p))
	return int(n), err
}

// firstLine keeps the beginning of what is written and forgets the rest.
type firstLine struct{ kept []byte }

// Write implements [io.Writer] and never fails.
func (f *firstLine) Write(p []byte) (int, error) {
	f.kept = append(f.kept, p[:min(len(p), maxComplaint-len(f.kept))]...)
	return len(p), nil
}

func (f *firstLine) text() string {
	line, _, _ := strings.Cut(strings.TrimLeft(string(f.kept), "\r\n"), "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, line))
}
