package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) purgeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "purge NAME",
		Short: "Destroy every version of a deleted secret for good",
		Long: `Destroy every version of a deleted secret for good. It asks first. Afterwards neither restore nor rollback brings a value
back; that it was there, and who destroyed it, stays in the history and in the audit log. Delete the secret first.`,
		Example: `  keyturn delete OLD_API_KEY
  keyturn purge OLD_API_KEY`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, place, key, err := a.reachOne(args[0])
			if err != nil {
				return err
			}
			question := fmt.Sprintf("Destroy every version of the deleted %s in %s for good? Nothing brings it back.", key, envName(place))
			if err := a.confirm(question); err != nil {
				return err
			}
			if err := c.Purge(cmd.Context(), place, string(key.name)); err != nil {
				return err
			}
			return a.printDone("destroyed %s in %s", key, envName(place))
		},
	}
}
