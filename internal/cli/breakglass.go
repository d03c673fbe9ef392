package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) breakGlassCommand() *cobra.Command {
	return groupCommand("breakglass", "Credentials for emergencies, opened by several people",
		a.breakGlassCreate(), a.breakGlassList(), a.breakGlassOpen(), a.breakGlassShare(), a.breakGlassSession(),
		a.onChange("close NAME", "Close it: its session ends at once, its report is filed", func(ctx context.Context, c *client.Client, name string) error {
			return a.showBreakGlass(c.CloseBreakGlass(ctx, name))
		}), a.breakGlassReport(), a.breakGlassTasks())
}

func (a *app) breakGlassCreate() *cobra.Command {
	var r api.BreakGlassRequest
	c := &cobra.Command{
		Use:   "create NAME --role ROLE --for TIME --custodians A,B,C --need K",
		Short: "Prepare a credential for emergencies",
		Long: `Prepare a credential for emergencies: a role in the project that --project names, with --env on the command line in that
environment only. Each custodian gets a share, shown this once; --need of them open it. It is good for one opening, and one
prepared earlier under the same name is good for nothing then.`,
		Example: "  keyturn breakglass create prod-down --role admin --project shop --env prod --for 1h --custodians ann@example.com,ben@example.com,cleo@example.com --need 2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name, r.Env = args[0], a.flags.env
			project, err := a.project()
			if err != nil {
				return err
			}
			r.Project = project
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.PrepareBreakGlass(cmd.Context(), r)
			if err != nil {
				return err
			}
			if err := a.print(made, func(w io.Writer) {
				t := term.NewTable("CUSTODIAN", "SHARE")
				for _, s := range made.Shares {
					t.Row(s.Custodian, s.Share)
				}
				a.table(w, t)
			}); err != nil {
				return err
			}
			a.info("give each custodian his own share and nobody another's; they are not shown again. %d of %d open %s for %s", made.Need, len(made.Shares), made.Name, made.For)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&r.Role, "role", "", "admin, developer or viewer")
	f.StringVar(&r.For, "for", "", "how long an opening lasts, such as 1h; at most 24h")
	f.StringSliceVar(&r.Custodians, "custodians", nil, "addresses or ids of users, separated by commas")
	f.Int64Var(&r.Need, "need", 2, "how many of them open it")
	for _, name := range []string{"role", "for", "custodians"} {
		_ = c.MarkFlagRequired(name) // fails only for flags that are not there
	}
	return c
}

func (a *app) showBreakGlass(b api.BreakGlass, err error) error {
	if err != nil {
		return err
	}
	return a.print(b, func(w io.Writer) {
		o := b.Opening
		switch {
		case b.State == "begun" && o != nil:
			_, _ = fmt.Fprintf(w, "%s is being opened by %s: %d of %d shares, until %s.\n", b.Name, term.Clean(o.Opener), len(o.Entered), b.Need, when(o.ExpiresAt))
		case b.State == "open" && o != nil:
			_, _ = fmt.Fprintf(w, "%s is open until %s. %s takes its session: keyturn breakglass session %s\n", b.Name, when(o.ExpiresAt), term.Clean(o.Opener), b.Name)
		default:
			_, _ = fmt.Fprintf(w, "%s is %s.\n", b.Name, b.State)
		}
	})
}

func (a *app) breakGlassList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the credentials that you have to do with", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.BreakGlass(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("NAME", "ROLE", "WHERE", "FOR", "SHARES", "STATE", "CUSTODIANS")
				for _, b := range all.BreakGlass {
					t.Row(b.Name, b.Role, roleWhere(b.ProjectID, b.EnvID), b.For, fmt.Sprintf("%d of %d", b.Need, len(b.Custodians)), b.State, strings.Join(b.Custodians, ", "))
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) breakGlassOpen() *cobra.Command {
	var reason string
	c := a.onChange("open NAME --reason WHY", "Begin to open it: the custodians enter their shares next", func(ctx context.Context, c *client.Client, name string) error {
		return a.showBreakGlass(c.OpenBreakGlass(ctx, name, reason))
	})
	c.Flags().StringVar(&reason, "reason", "", "why")
	_ = c.MarkFlagRequired("reason") // fails only for flags that are not there
	return c
}

// maxShareLine bounds what is read as a share.
const maxShareLine = 256

func (a *app) breakGlassShare() *cobra.Command {
	var stdin bool
	c := a.onChange("share NAME", "Enter your share; it asks for it", func(ctx context.Context, c *client.Client, name string) error {
		share, err := a.askShare(name, stdin)
		if err != nil {
			return err
		}
		return a.showBreakGlass(c.ShareBreakGlass(ctx, name, share))
	})
	c.Flags().BoolVar(&stdin, "stdin", false, "read it from standard input")
	return c
}

func (a *app) askShare(name string, stdin bool) (string, error) {
	if stdin {
		line, err := bufio.NewReader(io.LimitReader(a.in, maxShareLine)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("read the share: %w", err)
		}
		return strings.TrimSpace(line), nil
	}
	console, err := a.console()
	if err != nil {
		return "", fault.New(fault.Invalid, "there is no terminal to ask on").WithHint("add --stdin")
	}
	defer console.Close()
	b, err := console.AskSecret(fmt.Sprintf("your share of %s:", name))
	if err != nil {
		return "", fmt.Errorf("read the share: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (a *app) breakGlassSession() *cobra.Command {
	c := a.onChange("session NAME", "Take the session of an opened credential, once", func(ctx context.Context, c *client.Client, name string) error {
		s, err := c.BreakGlassSession(ctx, name)
		if err != nil {
			return err
		}
		a.info("everything that is done with this token is recorded as break-glass; it ends at %s", when(s.ExpiresAt))
		return a.print(s, func(w io.Writer) { _, _ = fmt.Fprintln(w, s.Token) })
	})
	c.Example = "  export KEYTURN_TOKEN=$(keyturn breakglass session prod-down)"
	return c
}

func (a *app) breakGlassReport() *cobra.Command {
	var opening string
	c := a.onChange("report NAME", "Who opened it, why, what was read and changed, and what is open", func(ctx context.Context, c *client.Client, name string) error {
		r, err := c.BreakGlassReport(ctx, name, opening)
		if err != nil {
			return err
		}
		return a.print(r, func(w io.Writer) { a.writeReport(w, r) })
	})
	c.Flags().StringVar(&opening, "opening", "", "id of an opening (default: the last)")
	return c
}

func (a *app) writeReport(w io.Writer, r api.BreakGlassReport) {
	o := r.Opening
	_, _ = fmt.Fprintf(w, "%s (role %s), opened by %s with the shares of %s\n", r.Name, r.Role, term.Clean(o.Opener), term.Clean(strings.Join(o.Entered, ", ")))
	_, _ = fmt.Fprintf(w, "  why: %s\n  begun %s, open %s, closed %s by %s\n\n", term.Clean(o.Reason), when(o.BegunAt), whenMaybe(o.OpenedAt), whenMaybe(o.ClosedAt), term.Clean(r.ClosedBy))
	t := term.NewTable("WHEN", "WHAT", "OUTCOME", "NAMES")
	for _, x := range r.Acts {
		t.Row(when(x.At), x.Action, x.Outcome, strings.Join(x.Keys, ", "))
	}
	a.table(w, t)
	if r.Incomplete != "" {
		_, _ = fmt.Fprintln(w, r.Incomplete)
	}
	_, _ = fmt.Fprintf(w, "\n%d of %d values are still to be replaced\n", r.OpenTasks, len(r.Tasks))
	for _, x := range r.Tasks {
		state := "open"
		if x.DoneAt != nil {
			state = "done by " + term.Clean(x.DoneBy)
		}
		_, _ = fmt.Fprintf(w, "  %s/%s: %s\n", strings.TrimSuffix(x.Path, "/"), x.Name, state)
	}
}

func (a *app) breakGlassTasks() *cobra.Command {
	c := &cobra.Command{
		Use: "tasks", Short: "List values that were read in an emergency and must be replaced", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.BreakGlassTasks(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("ID", "WHERE", "NAME", "CAUSE", "READ")
				for _, x := range all.Tasks {
					t.Row(x.ID, roleWhere(x.ProjectID, x.EnvID), strings.TrimSuffix(x.Path, "/")+"/"+x.Name, x.Cause, when(x.ReadAt))
				}
				a.table(w, t)
			})
		},
	}
	c.AddCommand(a.onChange("done ID", "Say that a task is done although the value here is the same", func(ctx context.Context, c *client.Client, id string) error {
		if err := c.FinishTask(ctx, id); err != nil {
			return err
		}
		return a.printDone("task %s is done", id)
	}))
	return c
}
