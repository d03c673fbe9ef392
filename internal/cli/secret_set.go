package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) setCommand() *cobra.Command {
	var from sources
	var attributes attributeFlags
	var flags commitFlags
	c := &cobra.Command{
		Use:   "set NAME[=VALUE]...",
		Short: "Set secrets and what is known of them, all in one commit",
		Long: `Set secrets, all in one commit: every one of them, or none.

NAME lies in the folder of --path; /folder/NAME says the folder itself. A bare NAME asks for the value on the terminal
without showing it, or, with flags such as --owner, changes only these and leaves the value. Values are taken byte for byte;
nothing is trimmed. A value that is the stored one already makes no new version.

VALUE on the command line can be seen by other users of the machine (ps) and stays in the history of the shell. Better ask
for it, or take it from --stdin, --file or --generate.`,
		Example: `  keyturn set LOG_LEVEL=info --public --env dev
  keyturn set DATABASE_URL                               # asks
  pass show shop/db | tr -d '\n' | keyturn set --stdin DATABASE_URL
  keyturn set --file TLS_KEY=server.key --owner platform --rotate-every 1y
  keyturn set --generate SESSION_KEY=48 --generate CSRF_KEY -m "fresh keys"
  keyturn set DATABASE_URL --owner backend --tag database  # the value stays`,
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := a.place()
			if err != nil {
				return err
			}
			all, err := from.assignments(place.Path, args, a.in)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return &usageError{text: "say what to set: NAME, NAME=VALUE, --file, --stdin or --generate", command: cmd.CommandPath()}
			}
			if !attributes.given(cmd.Flags()) {
				if err := a.askValues(all); err != nil {
					return err
				}
			}
			var changes []api.Change
			for i := range all {
				change := all[i].change()
				if err := attributes.apply(cmd.Flags(), &change, time.Now()); err != nil {
					return err
				}
				changes = append(changes, change)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			a.warnOfSetting(all, from.stdin != "", attributes.public)
			err = a.commitChanges(cmd.Context(), c, place, flags.request(changes))
			return hintOfMissingValue(err, all)
		},
	}
	from.register(c.Flags())
	attributes.register(c.Flags())
	flags.register(c.Flags())
	for _, name := range []string{"stdin", "generate"} {
		_ = c.RegisterFlagCompletionFunc(name, a.completeNames) // fails only for flags that are not there
	}
	return c
}

// askValues asks for the values that were not given.
func (a *app) askValues(all []assignment) error {
	var console *term.Console
	for i := range all {
		s := &all[i]
		if s.value != nil || s.generate > 0 {
			continue
		}
		if console == nil {
			var err error
			if console, err = a.console(); err != nil {
				return fault.New(fault.Invalid, "there is no value for %s, and no terminal to ask on", s.key).
					WithHint("use --stdin %s, --file %s=FILE or --generate %s", s.key, s.key, s.key)
			}
			defer console.Close()
		}
		b, err := console.AskSecret(fmt.Sprintf("value of %s:", s.key))
		switch {
		case err != nil:
			return fmt.Errorf("read the value of %s: %w", s.key, err)
		case len(b) == 0:
			return fault.New(fault.Invalid, "no value was typed for %s: nothing was done", s.key).WithHint("an empty value is set by %s=", s.key)
		case len(b) > domain.MaxValue:
			return fault.New(fault.Invalid, "the value of %s is too large: at most %d bytes", s.key, domain.MaxValue)
		}
		s.value = b
	}
	return nil
}

// warnOfSetting says what is easily overlooked: who else can read a command line, and a line break that came with a pipe.
func (a *app) warnOfSetting(all []assignment, piped, public bool) {
	for _, s := range all {
		if s.typed && len(s.value) > 0 && !public && term.IsTerminal(a.err) {
			a.warn("a value on the command line can be seen by other users (ps) and stays in the history of the shell; better: keyturn set %s", s.key)
			break
		}
	}
	if piped && endsLikeALine(all[len(all)-1].value) {
		a.info("note: the value ends with a line break, which is stored too; printf '%%s' or tr -d '\\n' leave it out")
	}
}

// hintOfMissingValue tells those who give attributes to a secret that is not there what to do.
func hintOfMissingValue(err error, all []assignment) error {
	e, ok := errors.AsType[*client.Error](err)
	if !ok || !errors.Is(err, client.NotFound) || e.Hint != "" {
		return err
	}
	for _, s := range all {
		if s.value == nil && s.generate == 0 {
			e.Hint = fmt.Sprintf("a new secret needs a value too: --stdin %s, --file %s=FILE or --generate %s", s.key, s.key, s.key)
			return err
		}
	}
	return err
}
