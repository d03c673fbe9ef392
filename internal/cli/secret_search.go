package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) searchCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "search TEXT",
		Short: "Find secrets by name, tag, owner or metadata",
		Long: `Find secrets whose name, tag, owner or metadata hold a text, whatever its case. Values are not searched: "keyturn where" finds
a value.`,
		Example: `  keyturn search database
  keyturn search platform --all-projects --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return &usageError{text: "say what to search for", command: cmd.CommandPath()}
			}
			project, err := a.reported(all)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.Search(cmd.Context(), project, args[0])
			if err != nil {
				return err
			}
			if err := a.print(found, func(w io.Writer) {
				t := term.NewTable("SECRET", "OWNER", "TAGS", "VERSION", "DUE", "CHANGED")
				for i := range found.Secrets {
					l := &found.Secrets[i]
					t.Row(located(l), l.Owner, strings.Join(l.Tags, ", "), numberOrNone(l.Version), dueText(l.DueAt, time.Now()), when(l.ChangedAt))
				}
				a.table(w, t)
			}); err != nil {
				return err
			}
			switch {
			case len(found.Secrets) > 0:
			case project != "":
				a.info("nothing found in %s; --all-projects looks everywhere", project)
			default:
				a.info("nothing found")
			}
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all-projects", false, allProjectsHelp)
	return c
}

func (a *app) whereCommand() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use:   "where",
		Short: "Find where a value is stored, for example one that leaked",
		Long: `Find where a value is stored, now or in an older version, by its digest: nothing is opened. The value is asked on the terminal
without showing it, or read from standard input byte for byte; it is never an argument, which others could see. Only places
that you may read are told.`,
		Example: `  keyturn where
  printf %s "$LEAKED" | keyturn where --stdin
  keyturn where --stdin < leaked.pem`,
		Args: noValueArgument,
		RunE: func(cmd *cobra.Command, _ []string) error {
			value, err := a.valueToFind(stdin)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.Where(cmd.Context(), value)
			if err != nil {
				return err
			}
			if err := a.print(found, func(w io.Writer) {
				t := term.NewTable("SECRET", "VERSION", "STATE", "OWNER", "CHANGED")
				for i := range found.Secrets {
					l := &found.Secrets[i]
					state := "current"
					if l.Replaced {
						state = "older version"
					}
					t.Row(located(l), numberOrNone(l.Version), state, l.Owner, when(l.ChangedAt))
				}
				a.table(w, t)
			}); err != nil {
				return err
			}
			if len(found.Secrets) == 0 {
				a.info("it is stored nowhere that you may read")
				if endsLikeALine(value) {
					a.info("note: what came in ends with a line break, which counts; printf '%%s' or tr -d '\\n' leave it out")
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&stdin, "stdin", false, "read the value from standard input")
	return c
}

// noValueArgument refuses arguments without repeating them: what stands there is likely a value.
func noValueArgument(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{text: "it takes no argument: others could see a value there, and the shell keeps it", command: cmd.CommandPath()}
	}
	return nil
}

func (a *app) valueToFind(stdin bool) ([]byte, error) {
	if stdin {
		b, err := readValue(a.in, "standard input")
		if err == nil && len(b) == 0 {
			err = fault.New(fault.Invalid, "there is nothing on standard input")
		}
		return b, err
	}
	console, err := a.console()
	if err != nil {
		return nil, fault.New(fault.Invalid, "there is no terminal to ask for the value on").WithHint("pipe it in: printf %%s \"$VALUE\" | keyturn where --stdin")
	}
	defer console.Close()
	b, err := console.AskSecret("value to find:")
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the value: %w", err)
	case len(b) == 0:
		return nil, fault.New(fault.Invalid, "no value was typed")
	case len(b) > domain.MaxValue:
		return nil, fault.New(fault.Invalid, "the value is too large: at most %d bytes", domain.MaxValue)
	}
	return b, nil
}
