package cli

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell how the server stands",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) {
				line := func(what, value string) { _, _ = fmt.Fprintf(w, "%-18s %s\n", what, term.Clean(value)) }
				line("server", c.Server())
				line("version", s.Version)
				line("mode", s.Mode)
				line("store", s.Store)
				line("instance", s.InstanceID)
				line("running since", when(s.StartedAt))
				line("root key", "fingerprint "+s.Fingerprint)
				line("audit log", fmt.Sprintf("%d entries", s.LogSize))
				line("offline copies", "may serve for "+s.OfflineMaxAge)
				if len(s.Keys) == 0 {
					return
				}
				t := term.NewTable("KEY", "LAYER", "PROJECT", "GENERATION", "STATE", "MADE")
				for _, k := range s.Keys {
					t.Row(k.ID, k.Layer, k.ProjectID, fmt.Sprint(k.Generation), k.State, when(k.CreatedAt))
				}
				_, _ = fmt.Fprintln(w)
				a.table(w, t)
			})
		},
	}
}

// versionInfo is what version --json prints.
type versionInfo struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Tell the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionInfo{a.version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(v, func(w io.Writer) { _, _ = fmt.Fprintf(w, "keyturn %s (%s, %s)\n", v.Version, v.Go, v.System) })
		},
	}
}
