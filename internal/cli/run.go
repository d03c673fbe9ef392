package cli

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/runner"
)

// runFlags are the flags of run.
type runFlags struct {
	paths, only, allow               []string
	watch, mask, personal, keepToken bool
	offline                          string
}

// The ways to use the sealed copy of the last fetch.
const (
	offlineAuto  = "auto"  // when the server cannot be reached
	offlineNever = "never" // no copy is read or kept
	offlineOnly  = "only"  // the server is not asked
)

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a program with secrets in its environment",
		Long: `Fetches the secrets of a folder, with what it imports, and runs a program that has them in its environment. No shell is
involved, nothing is written to disk in clear, and the program takes the place of keyturn: signals and exit code are its
own. With --mask or --watch keyturn stays as its parent and passes both on.

Names that make a program load foreign code, such as PATH or LD_PRELOAD, need --allow. KEYTURN_TOKEN is taken out of the
program's environment.

When the server cannot be reached, the copy of the last fetch is used, sealed under your token, as long as the server
allowed when it was made (a server allows 24h unless it is told otherwise).`,
		Example: "  keyturn run --env dev --path /backend -- go run .\n  keyturn run --path /shared --path /backend --only DATABASE_URL,REDIS_URL --watch -- ./server",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("say what to run, after --")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), f, args) },
	}
	c.Flags().SetInterspersed(false) // what follows the program's name belongs to the program
	c.Flags().StringArrayVar(&f.paths, "path", nil, "folder (KEYTURN_PATH; default /); may be repeated, the last one wins")
	c.Flags().StringSliceVar(&f.only, "only", nil, "these names only, separated by commas; each must be there")
	c.Flags().BoolVar(&f.watch, "watch", false, "restart the program when its secrets change")
	c.Flags().BoolVar(&f.mask, "mask", false, "replace secret values in the program's output")
	c.Flags().StringSliceVar(&f.allow, "allow", nil, "inject this name although it can make a program run foreign code; may be repeated")
	c.Flags().StringVar(&f.offline, "offline", offlineAuto, "use of the sealed copy of the last fetch: auto, never or only")
	c.Flags().BoolVar(&f.personal, "personal", false, "your own values where you have some")
	c.Flags().BoolVar(&f.keepToken, "keep-token", false, "leave KEYTURN_TOKEN in the program's environment")
	completeFixed(c, "offline", []string{offlineAuto, offlineNever, offlineOnly})
	_ = c.RegisterFlagCompletionFunc("path", a.completePaths) // these fail only for flags that are not there
	_ = c.RegisterFlagCompletionFunc("only", a.completeNames)
	return c
}

func (a *app) run(ctx context.Context, f runFlags, args []string) error {
	if !slices.Contains([]string{offlineAuto, offlineNever, offlineOnly}, f.offline) {
		return fault.New(fault.Invalid, "--offline is not valid: want auto, never or only")
	}
	src, err := a.openSource(f)
	if err != nil {
		return err
	}
	got, err := src.get(ctx)
	if err != nil {
		return err
	}
	o := runner.Options{
		Args: args, Base: childBase(os.Environ(), f.keepToken), Vars: got.Vars, Allow: f.allow, Mask: f.mask,
		Stdin: a.in, Stdout: a.out, Stderr: a.err, Logf: a.info,
	}
	if !f.mask && !f.watch {
		return a.ranWith(0, runner.Exec(o))
	}
	var died syscall.Signal
	o.Died = func(sig syscall.Signal) { died = sig }
	var changes chan []runner.Var
	stop := func() {}
	if f.watch {
		changes, stop = a.follow(ctx, src, got)
	}
	// The program hears every signal itself. A context that ends with them would count them twice.
	status, err := runner.Watch(context.WithoutCancel(ctx), o, changes, 0)
	stop()
	if err == nil && died != 0 {
		runner.Raise(died) // so that our own parent sees the same death
	}
	return a.ranWith(status, err)
}

// ranWith gives the exit code that belongs to the end of a program, or to its not having begun, which is told here.
func (a *app) ranWith(status int, err error) error {
	if err == nil {
		return exitWith(status)
	}
	if start, ok := errors.AsType[*runner.StartError](err); ok {
		status = start.Status
	}
	if status == 0 {
		status = runner.StatusFailure
	}
	a.explain(a.err, err)
	return exitWith(status)
}

// childBase is our own environment without the token: the program gets its secrets, not the right to fetch all others.
func childBase(environ []string, keepToken bool) []string {
	if keepToken {
		return environ
	}
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.EqualFold(name, "KEYTURN_TOKEN")
	})
}
