package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) userDeactivate() *cobra.Command {
	return &cobra.Command{
		Use:   "deactivate EMAIL|ID",
		Short: "End a person's access at once, and list what he knows that must be rotated",
		Long: `End a person's access at once, on every server: sessions, tokens, and invitations that he made. It lists the values that he has
read, in all the time that the log covers, and that are still the current ones. Each is a task for the owner of the secret, open
until the secret has another value (keyturn tasks).`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withUser(cmd.Context(), args[0], func(c *client.Client, id string) error {
				tasks, err := c.DeactivateUser(cmd.Context(), id)
				if err != nil {
					return err
				}
				return a.print(tasks, func(w io.Writer) {
					a.info("The access of %s has ended.", args[0])
					a.printTasks(w, tasks, "He has read nothing that is still in use.")
				})
			})
		},
	}
}

func (a *app) withUser(ctx context.Context, who string, work func(*client.Client, string) error) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	id, err := userID(ctx, c, who)
	if err != nil {
		return err
	}
	return work(c, id)
}

func (a *app) printTasks(w io.Writer, tasks api.Tasks, none string) {
	if len(tasks.Tasks) == 0 {
		_, _ = fmt.Fprintln(w, none)
		return
	}
	t := term.NewTable("SECRET", "OWNER", "LEAVER", "VERSION", "LAST READ", "STATE", "ID")
	for _, task := range tasks.Tasks {
		name, state := task.Place+":"+task.Key, "open"
		if task.Key == "" {
			name = task.Place + " (a secret that you may not see)"
		}
		if task.ClosedAt != nil {
			state = task.Outcome
		}
		t.Row(name, first(task.Owner, "nobody"), task.Leaver, fmt.Sprint(task.Version), when(task.ReadAt), state, task.ID)
	}
	a.table(w, t)
}

func (a *app) userErase() *cobra.Command {
	return &cobra.Command{
		Use:               "erase EMAIL|ID",
		Short:             "Replace name and address of a person who was deactivated; the log stays",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withUser(cmd.Context(), args[0], func(c *client.Client, id string) error {
				if err := a.confirm(fmt.Sprintf("Erase %s for good?", term.Clean(args[0]))); err != nil {
					return err
				}
				if err := c.EraseUser(cmd.Context(), id); err != nil {
					return err
				}
				return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintln(w, "Erased.") })
			})
		},
	}
}

func (a *app) userShow() *cobra.Command {
	return &cobra.Command{
		Use:               "show EMAIL|ID",
		Short:             "Show an account and its groups",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withUser(cmd.Context(), args[0], func(c *client.Client, id string) error {
				p, err := c.User(cmd.Context(), id)
				if err != nil {
					return err
				}
				return a.printProfile(p)
			})
		},
	}
}

func (a *app) userAddress() *cobra.Command {
	return &cobra.Command{
		Use:               "address EMAIL|ID NEW",
		Short:             "Change the address of a person",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: oneOf(a.completeUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withUser(cmd.Context(), args[0], func(c *client.Client, id string) error {
				if err := c.SetUserAddress(cmd.Context(), id, args[1]); err != nil {
					return err
				}
				return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintln(w, "Changed.") })
			})
		},
	}
}

func (a *app) userResetFactors() *cobra.Command {
	return &cobra.Command{
		Use:               "reset-mfa EMAIL|ID",
		Short:             "Take all second factors of a person out of force who has lost them; his sessions and tokens end",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withUser(cmd.Context(), args[0], func(c *client.Client, id string) error {
				if err := a.confirm(fmt.Sprintf("Does %s really stand before you? Without second factors the password alone opens the account.", term.Clean(args[0]))); err != nil {
					return err
				}
				if err := c.ResetFactors(cmd.Context(), id); err != nil {
					return err
				}
				return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintln(w, "Out of force.") })
			})
		},
	}
}

func (a *app) leaversCommand() *cobra.Command {
	var closed bool
	c := &cobra.Command{
		Use:               "leavers [EMAIL|ID]",
		Short:             "List what people who have left had read and what is still to be rotated",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completeUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var tasks api.Tasks
			if len(args) == 0 {
				tasks, err = c.Tasks(cmd.Context(), true, closed)
			} else {
				var id string
				if id, err = userID(cmd.Context(), c, args[0]); err == nil {
					tasks, err = c.UserTasks(cmd.Context(), id, closed)
				}
			}
			if err != nil {
				return err
			}
			return a.print(tasks, func(w io.Writer) { a.printTasks(w, tasks, "Nothing is to be rotated.") })
		},
	}
	c.Flags().BoolVar(&closed, "closed", false, "closed tasks too")
	return c
}

func (a *app) tasksCommand() *cobra.Command {
	var closed bool
	c := &cobra.Command{
		Use:   "tasks",
		Short: "List what you are to rotate: secrets that you own and that somebody had read who has left",
		Long: `List what you are to rotate: secrets whose owner is you or one of your groups, and that somebody had read who has left. A task
closes by itself when the secret has another value.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			tasks, err := c.Tasks(cmd.Context(), false, closed)
			if err != nil {
				return err
			}
			return a.print(tasks, func(w io.Writer) { a.printTasks(w, tasks, "Nothing is to be rotated.") })
		},
	}
	c.Flags().BoolVar(&closed, "closed", false, "closed tasks too")
	c.AddCommand(a.taskDismiss())
	return c
}

func (a *app) taskDismiss() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:     "dismiss ID",
		Short:   "Close a task without a rotation, for a reason",
		Example: "  keyturn tasks dismiss ID --reason 'the value is public'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.DismissTask(cmd.Context(), args[0], reason); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintln(w, "Dismissed.") })
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why the value need not change")
	_ = c.MarkFlagRequired("reason") // fails only for a flag that is not there
	return c
}
