package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

func (a *app) copyCommand() *cobra.Command {
	var flags commitFlags
	var toEnv, toProject string
	c := &cobra.Command{
		Use:     "copy NAME [TO]",
		Aliases: []string{"cp"},
		Short:   "Copy a secret to another name, folder, environment or project",
		Long: `Copy value, comment and attributes of a secret, as they stand now. --project, --env and --path say where it is read, as with
every command; TO, --to-env and --to-project say where it goes. TO is a new name in the same folder, /folder/NAME, or /folder/
(with a slash at the end) for the same name in another folder. References in the value are copied as they are written.

A secret that is there already with something else in it is replaced only after a question; its versions stay in the history.`,
		Example: `  keyturn copy DATABASE_URL DATABASE_URL_OLD
  keyturn copy API_KEY /backend/                       # same name, other folder
  keyturn copy API_KEY --env staging --to-env prod     # promote it
  keyturn copy API_KEY /shared/API_KEY --to-project platform --to-env prod`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: oneOf(a.completeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, from, key, err := a.reachOne(args[0])
			if err != nil {
				return err
			}
			goal := from
			goal.Project, goal.Env = first(toProject, from.Project), first(toEnv, from.Env)
			if err := checkSegment("project", goal.Project); err != nil {
				return err
			}
			if err := checkSegment("environment", goal.Env); err != nil {
				return err
			}
			to := key
			if len(args) == 2 {
				if to, err = copyTarget(key, args[1]); err != nil {
					return err
				}
			}
			if goal.Project == from.Project && goal.Env == from.Env && to == key {
				return fault.New(fault.Invalid, "%s would be copied onto itself", key).WithHint("say where it goes: TO, --to-env or --to-project")
			}
			r := flags.request([]api.Change{{Op: "copy", Path: string(to.path), Name: string(to.name), To: string(to.name),
				From: &api.Place{Project: from.Project, Env: from.Env, Path: from.Path, Name: string(key.name)}}})
			if !flags.dryRun {
				if err := a.confirmReplacing(cmd.Context(), c, goal, &r); err != nil {
					return err
				}
			}
			return a.commitChanges(cmd.Context(), c, goal, r)
		},
	}
	flags.register(c.Flags())
	f := c.Flags()
	f.StringVar(&toEnv, "to-env", "", "environment that it goes to (default: the same)")
	f.StringVar(&toProject, "to-project", "", "project that it goes to (default: the same)")
	for name, complete := range map[string]completer{"to-env": a.completeEnvs, "to-project": a.completeProjects} {
		_ = c.RegisterFlagCompletionFunc(name, complete) // fails only for flags that are not there
	}
	return c
}

// copyTarget reads TO: a name beside the original, /folder/NAME, or /folder/ for the same name there.
func copyTarget(from secretKey, s string) (secretKey, error) {
	if strings.HasSuffix(s, "/") {
		path, err := domain.ParsePath(s)
		return secretKey{path, from.name}, err
	}
	return parseSecretKey(string(from.path), s)
}

// confirmReplacing asks when a commit would change a secret that is there, and pins the commit to the state that was looked
// at, so that nothing else is replaced.
func (a *app) confirmReplacing(ctx context.Context, c *client.Client, goal client.Place, r *api.CommitRequest) error {
	if a.flags.yes {
		return nil
	}
	trial := *r
	trial.DryRun = true
	plan, err := c.Commit(ctx, goal, trial)
	if err != nil {
		return nameChanges(err, r.Changes)
	}
	for _, e := range plan.Effects {
		if e.Outcome == "changed" {
			name := strings.TrimSuffix(e.Path, "/") + "/" + e.Name
			if err := a.confirm(fmt.Sprintf("%s is in %s already, with something else in it. Replace it?", name, envName(goal))); err != nil {
				return err
			}
		}
	}
	r.IfRevision = &plan.Revision
	return nil
}
