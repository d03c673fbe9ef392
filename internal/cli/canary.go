package cli

import (
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

// The kinds of canaries.
const (
	canaryToken  = "token"
	canarySecret = "secret"
)

func (a *app) canaryCommand() *cobra.Command {
	c := groupCommand("canary", "Set decoys that tell when somebody is where he does not belong",
		a.canaryCreateCommand(), a.canaryPlantCommand(), a.canaryListCommand(), a.canaryDeleteCommand())
	c.Long = `A canary is a secret or an API token that nothing needs. Whoever reads the secret, or shows the token to the server, leaves the entry
canary.touched in the audit log within seconds, with the place where that one lay, the address and the client. Put a different
one into each place that could leak, so that a touch tells which did.`
	return c
}

func (a *app) canaryCreateCommand() *cobra.Command {
	var r api.CanaryRequest
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a decoy token, or make a decoy of the secret NAME",
		Example: `  keyturn canary create --kind token --place "laptop of the build room"
  keyturn canary create --kind secret --place "shop prod" /backend/OLD_ADMIN_KEY --env prod`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (r.Kind == canarySecret) != (len(args) == 1) {
				return fault.New(fault.Invalid, "a decoy of kind secret needs the name of a secret, one of kind token none")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if err := a.nameSecret(&r, args[0]); err != nil {
					return err
				}
			}
			made, err := c.CreateCanary(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				if made.Token == "" {
					_, _ = fmt.Fprintf(w, "%s is a canary now.\n", args[0])
					return
				}
				_, _ = fmt.Fprintln(w, made.Token)
				a.info("Put it into: %s. It is not shown again.", made.Canary.Place)
			})
		},
	}
	c.Flags().StringVar(&r.Kind, "kind", canaryToken, "token or secret")
	c.Flags().StringVar(&r.Place, "place", "", "where this one lies and no other")
	c.Flags().StringSliceVar(&r.Exempt, "exempt", nil, "ids of people and machines whose reads of the secret are no touch, for example the one that syncs")
	_ = c.MarkFlagRequired("place") // fails only for a flag that is not there
	completeFixed(c, "kind", []string{canaryToken, canarySecret})
	return c
}

// nameSecret fills in which secret is meant.
func (a *app) nameSecret(r *api.CanaryRequest, name string) error {
	place, err := a.place()
	if err != nil {
		return err
	}
	key, err := parseSecretKey(place.Path, name)
	if err != nil {
		return err
	}
	r.Project, r.Env, r.Path, r.Name = place.Project, place.Env, string(key.path), string(key.name)
	return nil
}

func (a *app) canaryListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List canaries, where each lies, and which were touched", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Canaries(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				if len(all.Canaries) == 0 {
					_, _ = fmt.Fprintln(w, "There are no canaries.")
					return
				}
				t := term.NewTable("ID", "KIND", "PLACE", "MADE", "TOUCHED", "LAST")
				for _, x := range all.Canaries {
					t.Row(x.ID, x.Kind, x.Place, when(x.CreatedAt), fmt.Sprint(x.Touched), when(x.TouchedAt))
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) canaryDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Forget a canary; a secret that was one becomes an ordinary one", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeCanaries),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.HasPrefix(args[0], "ktk_") {
				return fault.New(fault.Invalid, "that is a token, and its id is wanted").WithHint("see: keyturn canary list")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirm("Forget the canary " + term.Clean(args[0]) + "?"); err != nil {
				return err
			}
			if err := c.DeleteCanary(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s is gone.\n", term.Clean(args[0])) })
		},
	}
}

func (a *app) completeCanaries(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.Canaries(ctx)
		var out []string
		for _, x := range all.Canaries {
			out = append(out, x.ID)
		}
		return out, err
	})(cmd, args, toComplete)
}
