package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
)

func (a *app) personalCommand() *cobra.Command {
	c := groupCommand("personal", "Have values of your own in place of the shared ones", a.personalSetCommand(), a.personalRemoveCommand())
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 { // it may be NAME=VALUE, so it is not repeated
			return &usageError{text: "say what to do: set or remove", command: cmd.CommandPath()}
		}
		return nil
	}
	c.Long = `Have a value of your own for a secret, for your own machine. Only you see it, in run and export, and in get and list with
--personal. The shared value, its history and the environment's revision stay as they are.`
	return c
}

func (a *app) personalSetCommand() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use:   "set NAME[=VALUE]",
		Short: "Set your own value for a secret",
		Long: `Set your own value for a secret that is there. A bare NAME asks for the value on the terminal, or with --stdin takes it from
standard input, byte for byte.`,
		Example: `  keyturn personal set LOG_LEVEL=debug --env dev
  printf %s "$MY_URL" | keyturn personal set DATABASE_URL --stdin`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := a.place()
			if err != nil {
				return err
			}
			from := sources{}
			if stdin {
				from.stdin, args = args[0], nil
			}
			all, err := from.assignments(place.Path, args, a.in)
			if err != nil {
				return err
			}
			if err := a.askValues(all); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			a.warnOfSetting(all, stdin, false)
			one := all[0]
			if err := c.SetPersonal(cmd.Context(), one.key.in(place), string(one.key.name), one.value); err != nil {
				return err
			}
			if err := a.printDone("set your own value of %s in %s", one.key, envName(place)); err != nil {
				return err
			}
			a.info("others still have the shared one; see yours with: keyturn get %s --personal", one.key)
			return nil
		},
	}
	c.Flags().BoolVar(&stdin, "stdin", false, "take the value from standard input")
	return c
}

func (a *app) personalRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "remove NAME",
		Short:             "Go back to the shared value of a secret",
		Example:           `  keyturn personal remove LOG_LEVEL --env dev`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, place, key, err := a.reachOne(args[0])
			if err != nil {
				return err
			}
			if err := c.RemovePersonal(cmd.Context(), place, string(key.name)); err != nil {
				return err
			}
			return a.printDone("removed your own value of %s in %s", key, envName(place))
		},
	}
}

// printDone prints the answer of a change that has nothing to tell but its success.
func (a *app) printDone(format string, args ...any) error {
	return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, format+"\n", args...) }) // w remembers a failure
}
