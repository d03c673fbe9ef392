package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/server"
)

// firstProject is what --dev makes at the very first start, so that there is something to try.
const firstProject = "demo"

func (a *app) serverCommand() *cobra.Command {
	var dev bool
	c := &cobra.Command{
		Use:   "server",
		Short: "Serve",
		Long: `Serve until told to stop. Every flag has an environment variable, which suits services better; the root key is taken from
KEYTURN_ROOT_KEY or KEYTURN_ROOT_KEY_FILE only. Requests under way may finish for ten seconds after SIGTERM.`,
		Example: `  keyturn server --dev                      try things out; invents a root key beside the data
  KEYTURN_ROOT_KEY_FILE=/etc/keyturn/root.key keyturn server --data /var/lib/keyturn`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flag := func(name string) (string, bool) {
				f := cmd.Flags().Lookup(name)
				return f.Value.String(), f.Changed
			}
			cfg, err := config.Load(a.getenv, flag, os.ReadFile)
			if err != nil {
				return err
			}
			o := server.Options{Config: cfg, Version: a.version, LookupEnv: os.LookupEnv, Banner: a.err, Program: program()}
			if dev {
				o.Config.Mode, o.FirstProject = config.Development, firstProject
			}
			return server.Run(cmd.Context(), o)
		},
	}
	c.Flags().BoolVar(&dev, "dev", false, "development mode: invent a root key, let this machine create the first admin, make a project "+firstProject)
	for _, s := range config.Settings() {
		if s.Flag == "" {
			continue
		}
		means := s.Means + " (" + s.Env + ")"
		if s.Secret {
			means += "; other users of the machine can see it here, so better set the variable"
		}
		c.Flags().String(s.Flag, s.Default, means)
	}
	return c
}

// program is how this binary was started: by name, or by a path that the banner's commands must repeat.
func program() string {
	if strings.ContainsRune(os.Args[0], os.PathSeparator) {
		return os.Args[0]
	}
	return "keyturn"
}
