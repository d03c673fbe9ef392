package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) rollbackCommand() *cobra.Command {
	var flags commitFlags
	to := counted{least: 0}
	c := &cobra.Command{
		Use:   "rollback --to REVISION [NAME...]",
		Short: "Put an environment, a folder or secrets back to a revision",
		Long: `Put an environment back to what it was at a revision, by a new commit; with --path only that folder and what lies below,
with names only these secrets (one commit for each). Nothing is lost: the states between stay in the history, and the roll
back can be rolled back.

What would change is shown first, and then asked; --yes does it without the question, --dry-run shows it only.`,
		Example: `  keyturn log                                  # find the revision
  keyturn rollback --to 12 --dry-run
  keyturn rollback --to 12 --path /backend
  keyturn rollback --to 12 DATABASE_URL --yes -m "the new password was wrong"`,
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !to.given {
				return &usageError{text: "say the revision to go back to: --to REVISION", command: cmd.CommandPath()}
			}
			place, err := a.place()
			if err != nil {
				return err
			}
			keys, err := parseSecretKeys(place.Path, args)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			targets, what := rollbackTargets(place, keys, api.RollbackRequest{To: to.n, Message: flags.message})
			plan, err := rollBack(cmd.Context(), c, place, targets, true)
			if err != nil {
				return err
			}
			if flags.dryRun {
				return a.showCommitted(place, plan, true)
			}
			if !a.flags.quiet {
				_ = effectTable(plan.Effects).Write(a.err, term.StyleFor(a.err, a.getenv)) // for people; the result follows on standard output
			}
			a.info("%s would go back to revision %d: %d of its secrets change", what, to.n, len(plan.Effects))
			if err := a.confirm(fmt.Sprintf("Put %s back to revision %d?", what, to.n)); err != nil {
				return err
			}
			out, err := rollBack(cmd.Context(), c, place, targets, false)
			if err != nil {
				return err
			}
			return a.showCommitted(place, out, false)
		},
	}
	flags.register(c.Flags())
	c.Flags().Var(&to, "to", "`REVISION` to go back to")
	return c
}

// rollbackTargets makes a request for each secret named, or one for the folder, and says in words what goes back.
func rollbackTargets(p client.Place, keys []secretKey, r api.RollbackRequest) ([]api.RollbackRequest, string) {
	if len(keys) == 0 {
		r.Path = p.Path
		if p.Path == "/" {
			return []api.RollbackRequest{r}, envName(p)
		}
		return []api.RollbackRequest{r}, folderName(p)
	}
	var out []api.RollbackRequest
	what := envName(p) + ":"
	for i, k := range keys {
		r.Path, r.Name = string(k.path), string(k.name)
		out = append(out, r)
		if i > 0 {
			what += ", "
		}
		what += k.String()
	}
	return out, what
}

// rollBack sends the requests one after the other and puts the answers together. When one fails, those before it stand.
func rollBack(ctx context.Context, c *client.Client, p client.Place, targets []api.RollbackRequest, dryRun bool) (api.Committed, error) {
	var all api.Committed
	for i, r := range targets {
		r.DryRun = dryRun
		out, err := c.Rollback(ctx, p, r)
		if err != nil && i > 0 && !dryRun {
			return all, fmt.Errorf("%d of %d are rolled back, then: %w", i, len(targets), err)
		}
		if err != nil {
			return all, err
		}
		all.Revision = out.Revision
		all.ID = first(out.ID, all.ID)
		all.Effects = append(all.Effects, out.Effects...)
	}
	return all, nil
}
