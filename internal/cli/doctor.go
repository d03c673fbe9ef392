package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/doctor"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) doctorCommand() *cobra.Command {
	var dir string
	var local bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Go through the production checklist of the server and of this checkout",
		Long: `Each check says what it saw, and how to mend it. The server's checks need a token that may see how the server stands; those of
the checkout look at the files of a folder and ask git, and change nothing. One that fails gives exit code 12.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), dir, local) },
	}
	c.Flags().StringVar(&dir, "dir", ".", "folder of the checkout")
	c.Flags().BoolVar(&local, "local", false, "only the checkout, without a server")
	return c
}

func (a *app) doctor(ctx context.Context, dir string, local bool) error {
	out := api.Checks{Checks: []api.Check{}}
	if !local {
		checks, err := a.serverChecks(ctx)
		if err != nil {
			return err
		}
		out.Checks = append(out.Checks, checks...)
	}
	out.Checks = append(out.Checks, doctor.Local(ctx, dir)...)
	failed := 0
	for _, c := range out.Checks {
		if c.Outcome == doctor.Fail {
			failed++
		}
	}
	if err := a.print(out, func(w io.Writer) { a.printChecks(w, out.Checks) }); err != nil {
		return err
	}
	if failed > 0 {
		return checkFailed("mend them in the order shown, then run the doctor again", "%d of %d checks failed", failed, len(out.Checks))
	}
	return nil
}

// serverChecks asks the server. One that does not answer is a check that could not be made: what concerns the checkout is
// told all the same.
func (a *app) serverChecks(ctx context.Context) ([]api.Check, error) {
	c, err := a.client()
	var found api.Checks
	if err == nil {
		found, err = c.Doctor(ctx)
	}
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	if err != nil {
		r := reportOf(err)
		return []api.Check{{ID: "server", Title: "the server's own checks", Outcome: doctor.Unknown, Evidence: r.message, Fix: r.hint, Source: "keyturn"}}, nil
	}
	return found.Checks, nil
}

func (a *app) printChecks(w io.Writer, checks []api.Check) {
	style := a.style()
	paint := map[string]func(string) string{doctor.Pass: style.Good, doctor.Warn: style.Warn, doctor.Fail: style.Bad, doctor.Unknown: style.Faint}
	for _, c := range checks {
		mark := fmt.Sprintf("%-7s", term.Clean(c.Outcome))
		if p := paint[c.Outcome]; p != nil {
			mark = p(mark)
		}
		_, _ = fmt.Fprintf(w, "%s  %s: %s\n", mark, term.Clean(c.Title), term.Clean(c.Evidence))
		if c.Fix != "" && c.Outcome != doctor.Pass {
			_, _ = fmt.Fprintf(w, "         fix: %s\n", term.Clean(c.Fix))
		}
	}
	var counts []string
	for _, outcome := range []string{doctor.Pass, doctor.Warn, doctor.Fail, doctor.Unknown} {
		n := 0
		for _, c := range checks {
			if c.Outcome == outcome {
				n++
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(counts, ", "))
}

// waitingAfter is how long an action may be silent.
const waitingAfter = time.Second

// waiting says what takes long, once it does, and only to a person. The returned function ends it.
func (a *app) waiting(what string) func() {
	if !term.IsTerminal(a.err) {
		return func() {}
	}
	t := time.AfterFunc(waitingAfter, func() { a.info("%s...", what) })
	return func() { t.Stop() }
}
