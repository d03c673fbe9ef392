package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

func (a *app) renameCommand() *cobra.Command {
	var flags commitFlags
	c := &cobra.Command{
		Use:   "rename NAME NEW-NAME",
		Short: "Rename a secret; references to it follow",
		Long: `Give a secret another name in its folder. Its history stays, and references to it, in this environment and in others, are
written anew in the same commit.`,
		Example:           `  keyturn rename DB_URL DATABASE_URL --path /backend`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: oneOf(a.completeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, place, key, err := a.reachOne(args[0])
			if err != nil {
				return err
			}
			to, err := newName(args[1])
			if err != nil {
				return err
			}
			changes := changesOf("rename", []secretKey{key})
			changes[0].To = string(to)
			return a.commitChanges(cmd.Context(), c, place, flags.request(changes))
		},
	}
	flags.register(c.Flags())
	return c
}

func newName(s string) (domain.SecretName, error) {
	if strings.Contains(s, "/") {
		return "", fault.New(fault.Invalid, "a new name has no folder in it").WithHint("another folder is given with: keyturn move")
	}
	return domain.ParseSecretName(s)
}

func (a *app) moveCommand() *cobra.Command {
	var flags commitFlags
	c := &cobra.Command{
		Use:   "move NAME... FOLDER",
		Short: "Move secrets to another folder; references to them follow",
		Long: `Move secrets to another folder of the environment, all in one commit. The folder is made when it is missing. Histories
stay, and references are written anew in the same commit.`,
		Example: `  keyturn move DATABASE_URL REDIS_URL /backend
  keyturn move /backend/API_URL /frontend -m "the frontend asks for it"`,
		Args: cobra.MinimumNArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			names, _ := a.completeNames(cmd, args, toComplete)
			if len(args) > 0 {
				folders, _ := a.completePaths(cmd, args, toComplete)
				names = append(names, folders...)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			last := len(args) - 1
			to, err := domain.ParsePath(args[last])
			if err != nil {
				return err
			}
			place, err := a.place()
			if err != nil {
				return err
			}
			keys, err := parseSecretKeys(place.Path, args[:last])
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			changes := changesOf("move", keys)
			for i := range changes {
				changes[i].ToPath = string(to)
			}
			return a.commitChanges(cmd.Context(), c, place, flags.request(changes))
		},
	}
	flags.register(c.Flags())
	return c
}
