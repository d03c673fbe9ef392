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

func (a *app) accessCommand() *cobra.Command {
	return groupCommand("access", "Ask for a role for a time, and decide about it",
		a.accessRequest(), a.accessList(), a.accessDecide("approve", "Give what is asked for; it ends by itself"), a.accessDecide("deny", "Refuse a request"),
		a.onChange("withdraw ID", "Take your own request back", func(ctx context.Context, c *client.Client, id string) error {
			return a.showRequest(c.WithdrawAccess(ctx, id))
		}))
}

func (a *app) accessRequest() *cobra.Command {
	var r api.AccessAsked
	var everywhere bool
	c := &cobra.Command{
		Use:   "request --role ROLE --for TIME --reason WHY",
		Short: "Ask for a role for a time",
		Long: `Ask for a role for a time, in the project that --project and the like name; with --env and --path on the command line in
that environment and folder only. Whoever could grant it decides. Whether the place is there is not told.`,
		Example: "  keyturn access request --role developer --project shop --env prod --path /backend --for 2h --reason \"incident 4711\"",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Only flags narrow: what a file says about daily work must not decide about rights.
			r.Env, r.Path = a.flags.env, a.flags.path
			if !everywhere {
				project, err := a.project()
				if err != nil {
					return err
				}
				r.Project = project
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			return a.showRequest(c.RequestAccess(cmd.Context(), r))
		},
	}
	f := c.Flags()
	f.StringVar(&r.Role, "role", "", "admin, developer or viewer")
	f.StringVar(&r.For, "for", "", "how long, such as 2h; at most 30d")
	f.StringVar(&r.Reason, "reason", "", "why")
	f.BoolVar(&everywhere, "organization", false, "in every project")
	for _, name := range []string{"role", "for", "reason"} {
		_ = c.MarkFlagRequired(name) // fails only for flags that are not there
	}
	return c
}

func (a *app) showRequest(r api.AccessRequest, err error) error {
	if err != nil {
		return err
	}
	return a.print(r, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Request %s of %s for role %s in %s: %s.\n", r.ID, term.Clean(r.Principal), term.Clean(r.Role), requestWhere(r), r.State)
		if r.GrantedUntil != nil {
			_, _ = fmt.Fprintf(w, "It holds until %s.\n", when(*r.GrantedUntil))
		}
	})
}

func requestWhere(r api.AccessRequest) string {
	where := roleWhere(r.Project, r.Env)
	if r.Path != "" {
		where += " " + term.Clean(r.Path)
	}
	return where
}

func (a *app) accessList() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "list", Short: "List your requests and those that you can decide", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			list, err := c.AccessRequests(cmd.Context(), all)
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				t := term.NewTable("ID", "WHO", "ROLE", "WHERE", "FOR", "STATE", "REASON")
				for _, r := range list.Requests {
					t.Row(r.ID, r.Principal, r.Role, requestWhere(r), r.For, r.State, r.Reason)
				}
				a.table(w, t)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also those that are decided")
	return c
}

func (a *app) accessDecide(verb, short string) *cobra.Command {
	var comment string
	c := a.onChange(verb+" ID", short, func(ctx context.Context, c *client.Client, id string) error {
		if verb == "approve" {
			return a.showRequest(c.ApproveAccess(ctx, id, comment))
		}
		return a.showRequest(c.DenyAccess(ctx, id, comment))
	})
	c.Flags().StringVarP(&comment, "comment", "m", "", "why")
	return c
}
