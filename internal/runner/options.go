// Package runner starts a command with secrets in its environment.
//
// [Exec] replaces the process and is the plain case: signals and status are exact because nobody stands between. [Run]
// keeps the command as a child, which masking of its output needs; [Watch] also restarts it when its secrets change. No
// shell is ever involved, the program is looked up in the PATH of the caller before anything is injected, and names that
// make other programs load code are refused unless allowed one by one. [Cache] keeps the last fetch, sealed, for the time
// when the server cannot be reached.
package runner

import (
	"io"
	"syscall"
	"time"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// DefaultGrace is how long a child may take to end after SIGTERM before SIGKILL; container runtimes use the same.
const DefaultGrace = 10 * time.Second

// Var is one variable to inject.
type Var struct {
	Name   string
	Value  sensitive.Value
	Public bool // not a secret: injected, but never masked, so that "true" or "production" stay readable in output
}

// Options say what to run and with what.
type Options struct {
	Args  []string // program and its arguments; at least one
	Base  []string // NAME=value as of [os.Environ]; a Var of the same name wins
	Vars  []Var    // of two with one name the later wins
	Allow []string // dangerous names that may be injected all the same, see [Dangerous]
	Mask  bool     // replace the values in Stdout and Stderr, see [Mask]

	// The streams. An [*os.File] goes to the child itself unless masked; anything else through a pipe. Nil is the null
	// device. If Stdout and Stderr are the same, they share one pipe and their order is kept.
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Logf tells about restarts and refused changes, never a value. May be nil.
	Logf func(format string, args ...any)

	// Died is called when a signal killed the child, before Run or Watch returns: status 130 alone does not tell
	// exit(130) from death by SIGINT. A caller may pass the signal to [Raise]. May be nil.
	Died func(sig syscall.Signal)
}

func (o Options) logf(format string, args ...any) {
	if o.Logf != nil {
		o.Logf(format, args...)
	}
}

// secrets lists the values that masking hides.
func (o Options) secrets() []sensitive.Value {
	var values []sensitive.Value
	for _, v := range o.Vars {
		if !v.Public {
			values = append(values, v.Value)
		}
	}
	return values
}

// sameVars tells whether a and b give the same environment, whatever their order.
func sameVars(a, b []Var) bool {
	x, y := lastByName(a), lastByName(b)
	if len(x) != len(y) {
		return false
	}
	for name, v := range x {
		w, ok := y[name]
		if !ok || v.Public != w.Public || !v.Value.Equal(w.Value) {
			return false
		}
	}
	return true
}

func lastByName(vars []Var) map[string]Var {
	m := make(map[string]Var, len(vars))
	for _, v := range vars {
		m[foldName(v.Name)] = v
	}
	return m
}
