package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/term"
)

// freezeTarget reads PROJECT or --instance.
func freezeTarget(cmd *cobra.Command, args []string, whole bool) (string, error) {
	if (len(args) == 1) == whole {
		return "", &usageError{text: "name a project, or --instance for everything", command: cmd.CommandPath()}
	}
	if whole {
		return "", nil
	}
	return args[0], checkSegment("project", args[0])
}

func freezeText(project string) string {
	if project == "" {
		return "everything"
	}
	return "project " + project
}

func (a *app) freezeCommand() *cobra.Command {
	return a.haltCommand("freeze", "Stop every change of a project, or of everything; reads go on", false)
}

func (a *app) killCommand() *cobra.Command {
	return a.haltCommand("kill", "Stop every change and every read of a project's secrets, or of all", true)
}

func (a *app) haltCommand(verb, short string, kill bool) *cobra.Command {
	var whole bool
	var reason string
	c := &cobra.Command{
		Use:   verb + " PROJECT|--instance --reason TEXT",
		Short: short,
		Long: short + `. It holds at once, on every server, whoever asks, until an admin lifts it with keyturn thaw.
Logins, changes of who may do what, the audit log, keys and backups go on.`,
		Example:           "  keyturn " + verb + " shop --reason \"incident 42\"\n  keyturn " + verb + " --instance --reason \"incident 42\"",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completeProjects),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := freezeTarget(cmd, args, whole)
			if err != nil {
				return err
			}
			if kill {
				if err := a.confirm("Refuse every read of secrets in " + freezeText(project) + "? Programs that start will not get theirs."); err != nil {
					return err
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			f, err := c.Freeze(cmd.Context(), project, api.FreezeRequest{Kill: kill, Reason: reason})
			if err != nil {
				return err
			}
			return a.print(f, func(w io.Writer) {
				how := "frozen"
				if kill {
					how = "switched off"
				}
				_, _ = fmt.Fprintf(w, "%s is %s.\n", upperFirst(freezeText(project)), how)
				if project == "" {
					project = "--instance"
				}
				a.info("  lift it with: keyturn thaw %s", project)
			})
		},
	}
	c.Flags().BoolVar(&whole, "instance", false, "everything on the server")
	c.Flags().StringVar(&reason, "reason", "", "why: everybody who is refused reads it")
	_ = c.MarkFlagRequired("reason") // fails only for a flag that is not there
	return c
}

func upperFirst(s string) string { return string(s[0]-'a'+'A') + s[1:] }

func (a *app) thawCommand() *cobra.Command {
	var whole, list bool
	c := &cobra.Command{
		Use:               "thaw PROJECT|--instance",
		Short:             "Lift a freeze or a kill switch; with --list show what is frozen",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completeProjects),
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return a.listFreezes(cmd)
			}
			project, err := freezeTarget(cmd, args, whole)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.Thaw(cmd.Context(), project); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s goes on.\n", upperFirst(freezeText(project)))
			})
		},
	}
	c.Flags().BoolVar(&whole, "instance", false, "everything on the server")
	c.Flags().BoolVar(&list, "list", false, "show what is frozen")
	return c
}

func (a *app) listFreezes(cmd *cobra.Command) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	all, err := c.Freezes(cmd.Context())
	if err != nil {
		return err
	}
	return a.print(all, func(w io.Writer) {
		t := term.NewTable("WHAT", "HOW", "SINCE", "BY", "WHY")
		for _, f := range all.Freezes {
			how := "frozen"
			if f.Kill {
				how = "switched off"
			}
			t.Row(roleWhere(f.ProjectID, ""), how, when(f.At), f.By, f.Reason)
		}
		a.table(w, t)
	})
}
