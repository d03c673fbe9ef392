package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// Exit codes. Scripts rely on them; the help topic exit-codes tells them.
const (
	exitOK              = 0
	exitInternal        = 1
	exitInvalid         = 2
	exitUnauthenticated = 3
	exitDenied          = 4
	exitNotFound        = 5
	exitConflict        = 6
	exitExpired         = 7
	exitExhausted       = 8
	exitSealed          = 9
	exitUnavailable     = 10
	exitUnsupported     = 11
	exitCheck           = 12
	exitWaits           = 13
	exitInterrupted     = 130 // 128 + SIGINT, as shells say it
)

const exitHelp = `The exit code tells the kind of failure:

    0  it worked
    1  something else failed, or a defect of ours
    2  the command or its input is wrong
    3  not logged in, or the token is not known
    4  not allowed
    5  no such thing, or no right to know of it
    6  exists already, or changed meanwhile
    7  expired
    8  a limit, rate or quota is reached
    9  the server is sealed: its root key is missing or wrong
   10  not available now, or the server cannot be reached
   11  the server does not do this
   12  a verification or check found something wrong
   13  the change waits for the approval of others; nothing was changed yet
  130  interrupted

"keyturn run" gives the exit code of the program that it runs; a program that cannot
be started gives 126 or 127, as in a shell.
`

// checkError says that a check came out badly: the command worked, the thing is wrong.
type checkError struct{ text, hint string }

func (e *checkError) Error() string { return e.text }

// checkFailed makes the error with which a command ends that verified something and found it wrong; exit code 12.
func checkFailed(hint, format string, args ...any) error {
	return &checkError{fmt.Sprintf(format, args...), hint}
}

// statusError ends the program with a code and without a word: all was said.
type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// exitWith makes the error that ends the program with a code, silently. Nil for 0.
func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return &statusError{code}
}

// usageError is about how the command was called.
type usageError struct{ text, command string }

func (e *usageError) Error() string { return e.text }

// misspelt is a usageError about a command that is not there, with those that may have been meant.
type misspelt struct {
	*usageError
	meant []string
}

func (e *misspelt) Unwrap() error { return e.usageError }

// flagError replaces the message of the flag library, which repeats the rejected value.
func flagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		want := e.GetFlag().Value.Type()
		if want == "bool" {
			want = "true or false"
		}
		text = fmt.Sprintf("--%s is not valid: want %s", e.GetFlag().Name, want)
	}
	return &usageError{text: text, command: cmd.CommandPath()}
}

// exitCode gives the code for an error.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*checkError](err); ok {
		return exitCheck
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitInvalid
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return kindCode(fault.Kind(e.Kind))
	}
	switch {
	case errors.Is(err, client.ErrUnreachable):
		return exitUnavailable
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return kindCode(e.Kind)
	}
	return exitInternal
}

func kindCode(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return exitInvalid
	case fault.Unauthenticated:
		return exitUnauthenticated
	case fault.Denied:
		return exitDenied
	case fault.NotFound:
		return exitNotFound
	case fault.Exists, fault.Conflict:
		return exitConflict
	case fault.Expired:
		return exitExpired
	case fault.Exhausted:
		return exitExhausted
	case fault.Sealed:
		return exitSealed
	case fault.Unavailable:
		return exitUnavailable
	case fault.Unsupported:
		return exitUnsupported
	}
	return exitInternal
}

// report is what a person is told of an error.
type report struct {
	message, hint string
	fields        []fault.Field
}

func reportOf(err error) report {
	r := report{message: err.Error()}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		r.hint, r.fields = e.Hint, e.Fields
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		r.hint = e.Hint
		for _, f := range e.Fields {
			r.fields = append(r.fields, fault.Field(f))
		}
		if r.hint == "" && e.Kind == string(fault.Internal) && e.Instance != "" {
			r.hint = "the server's log tells more under request " + e.Instance
		}
	}
	if e, ok := errors.AsType[*checkError](err); ok {
		r.hint = e.hint
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		r.hint = e.command + " --help"
	}
	if e, ok := errors.AsType[*misspelt](err); ok {
		r.hint = "did you mean: " + strings.Join(e.meant, ", ")
	}
	if r.hint == "" && errors.Is(err, client.ErrUnreachable) {
		r.hint = "is the server running, and is --server or KEYTURN_SERVER right?"
	}
	if errors.Is(err, context.Canceled) {
		r.message = "interrupted"
	}
	return r
}

// explain writes an error: what, where, and the next step.
func (a *app) explain(w io.Writer, err error) {
	if _, silent := errors.AsType[*statusError](err); silent {
		return
	}
	r := reportOf(err)
	_, _ = fmt.Fprintf(w, "keyturn: %s\n", term.Clean(r.message))
	for _, f := range r.fields {
		_, _ = fmt.Fprintf(w, "  %s: %s\n", term.Clean(f.Where), term.Clean(f.Problem))
	}
	if r.hint != "" {
		_, _ = fmt.Fprintf(w, "  next: %s\n", term.Clean(r.hint))
	}
}
