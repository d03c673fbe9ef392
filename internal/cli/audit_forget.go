package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) auditForgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forget",
		Short: "Forget what this machine saw of a server's log",
		Long: `Forgets the checkpoints and keys of one server, after it was restored or set up anew on purpose. The next look at its log is
then the first one again: compare the key that it shows with what the server's owner says.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			server, err := a.server()
			if err != nil {
				return err
			}
			file, err := a.checkpointsFile()
			if err != nil {
				return err
			}
			if err := a.confirm("Forget what this machine saw of the log of " + server.address + "?"); err != nil {
				return err
			}
			forgotten, err := checkpointMemory{file}.forget(server.address)
			if err != nil {
				return err
			}
			return a.print(struct {
				Server    string `json:"server"`
				Forgotten bool   `json:"forgotten"`
			}{server.address, forgotten}, func(w io.Writer) {
				if forgotten {
					_, _ = fmt.Fprintf(w, "forgot the log of %s\n", server.address)
				} else {
					_, _ = fmt.Fprintf(w, "nothing was remembered of the log of %s\n", server.address)
				}
			})
		},
	}
}
