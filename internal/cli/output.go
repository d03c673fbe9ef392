package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// print writes v as indented JSON when --json was given, else what human writes. Both go to standard output.
func (a *app) print(v any, human func(w io.Writer)) error {
	if !a.flags.json {
		w := &checked{w: a.out}
		human(w)
		return w.err
	}
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// checked remembers the first failure to write, so that a full disk behind a redirection is told.
type checked struct {
	w   io.Writer
	err error
}

func (c *checked) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(b)
	c.err = err
	return n, err
}

// table writes a table in the style of standard output.
func (a *app) table(w io.Writer, t *term.Table) {
	_ = t.Write(w, a.style()) // w remembers a failure
}

// style gives the style of standard output.
func (a *app) style() term.Style { return term.StyleFor(a.out, a.getenv) }

// when shows a time to people.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// whenMaybe is when for times that may be absent.
func whenMaybe(t *time.Time) string {
	if t == nil {
		return ""
	}
	return when(*t)
}

// errDeclined says that a person said no.
var errDeclined = errors.New("not confirmed: nothing was done")

// confirm asks before something that is hard to undo. --yes answers; where nobody can be asked, it fails.
func (a *app) confirm(question string) error {
	if a.flags.yes {
		return nil
	}
	console, err := a.console()
	if err != nil {
		return fault.New(fault.Invalid, "this wants a confirmation, and there is no terminal to ask on").WithHint("add --yes")
	}
	defer console.Close()
	answer, err := console.Ask(question + " [y/N]")
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer != "y" && answer != "Y" && answer != "yes" {
		return errDeclined
	}
	return nil
}

// console opens the terminal device when somebody sits there: a question that goes where nobody looks would hang a script
// for ever, so standard error must be a terminal too.
func (a *app) console() (*term.Console, error) {
	if !term.IsTerminal(a.err) {
		return nil, term.ErrNoTerminal
	}
	return term.OpenConsole()
}
