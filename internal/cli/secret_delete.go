package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) deleteCommand() *cobra.Command {
	var flags commitFlags
	c := &cobra.Command{
		Use:     "delete NAME...",
		Aliases: []string{"rm"},
		Short:   "Delete secrets; they can be restored",
		Long: `Delete secrets, all in one commit. Nothing is destroyed: restore brings them back, and the history keeps every version
(purge is what destroys). A secret that others refer to is not deleted.`,
		Example: `  keyturn delete OLD_API_KEY -m "the service is gone"
  keyturn delete /backend/OLD_A /backend/OLD_B --dry-run`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := a.changeKeys(cmd, "delete", args, flags)
			if err == nil && !flags.dryRun {
				a.info("undo it with: keyturn restore %s", strings.Join(keys, " "))
			}
			return err
		},
	}
	flags.register(c.Flags())
	return c
}

func (a *app) restoreCommand() *cobra.Command {
	var flags commitFlags
	c := &cobra.Command{
		Use:   "restore NAME...",
		Short: "Bring deleted secrets back",
		Long: `Bring deleted secrets back under their names, with all their versions, in one commit. Where several of one name were
deleted, the last one comes back.`,
		Example: `  keyturn restore OLD_API_KEY
  keyturn restore /backend/OLD_A /backend/OLD_B`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.changeKeys(cmd, "restore", args, flags)
			return err
		},
	}
	flags.register(c.Flags())
	return c
}

// changeKeys does the same thing to each secret that the arguments name, in one commit, and gives their full names.
func (a *app) changeKeys(cmd *cobra.Command, op string, args []string, flags commitFlags) ([]string, error) {
	place, err := a.place()
	if err != nil {
		return nil, err
	}
	keys, err := parseSecretKeys(place.Path, args)
	if err != nil {
		return nil, err
	}
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(keys))
	for _, k := range keys {
		names = append(names, k.String())
	}
	return names, a.commitChanges(cmd.Context(), c, place, flags.request(changesOf(op, keys)))
}
