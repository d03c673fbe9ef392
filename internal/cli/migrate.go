package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/migrate"
	"github.com/keyturn/keyturn/internal/term"
)

// migrateFlags are the flags of migrate.
type migrateFlags struct {
	file, address, into, prefix        string
	tokenFile, passwordFile, ca        string
	identities, only                   []string
	history                            int
	plan, rename, skip, overwrite, ask bool
}

// migrateSources are the systems that secrets come from. Those of live are read through their API unless a file is named.
func migrateSources() (all, live []string) {
	live = []string{"infisical", "vault", "doppler"}
	return append(live, "env-folder", "onepassword", "bitwarden", "sops", "dotenvx", "age"), live
}

func (a *app) migrateCommand() *cobra.Command {
	var f migrateFlags
	sources, _ := migrateSources()
	c := &cobra.Command{
		Use:   "migrate SOURCE [FILE|FOLDER]",
		Short: "Move in: take over projects, folders, secrets and their history from another manager",
		Long: `Reads another manager or its export, shows what would be made here and what cannot be, asks, and makes it as commits. Values are
never shown, and the source is never changed. A second run moves what came since and nothing twice; an interrupted one goes
on. At the end both sides are read and compared.

Sources: infisical, vault and doppler (live, or their exports as a file), env-folder, onepassword (1PUX, CSV), bitwarden (JSON,
also under a password, CSV), sops (for age), dotenvx and age files.

Credentials come from where the source's own programs have them, never from a flag:
  infisical   INFISICAL_TOKEN, or INFISICAL_UNIVERSAL_AUTH_CLIENT_ID and INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET; INFISICAL_API_URL
  vault       VAULT_ADDR, VAULT_TOKEN or ~/.vault-token, VAULT_NAMESPACE, VAULT_CACERT
  doppler     DOPPLER_TOKEN, DOPPLER_API_HOST
  bitwarden   --password-file, or typed
  sops, age   --identity FILE, SOPS_AGE_KEY_FILE, SOPS_AGE_KEY; --passphrase for age
  dotenvx     DOTENV_PRIVATE_KEY..., or .env.keys beside the file
--token-file serves all live sources. Sources without environments use --env, prod unless it is given (dev for env-folder).`,
		Example: `  keyturn migrate infisical --plan
  keyturn migrate vault --only secret --env prod
  keyturn migrate env-folder ./shop --into shop
  keyturn migrate bitwarden export.json --rename --into office`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: cobra.FixedCompletions(sources, cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				if f.file != "" {
					return &usageError{text: "the file is named twice", command: cmd.CommandPath()}
				}
				f.file = args[1]
			}
			return a.migrate(cmd.Context(), args[0], f)
		},
	}
	c.Flags().StringVar(&f.file, "file", "", "the exported file, or the folder of env-folder, instead of the live system")
	c.Flags().BoolVar(&f.plan, "plan", false, "only show what would be done")
	c.Flags().StringVar(&f.into, "into", "", "one project for all; several projects of the source become folders of it")
	c.Flags().StringVar(&f.prefix, "prefix", "", "a folder that all goes below")
	c.Flags().StringArrayVar(&f.only, "only", nil, "only this place of the source, PROJECT, PROJECT/ENV, PROJECT/ENV/FOLDER or MOUNT/DIRECTORY; may be repeated")
	c.Flags().BoolVar(&f.rename, "rename", false, "give other names to what cannot be called here as it is; the plan shows each")
	c.Flags().BoolVar(&f.skip, "skip-unfit", false, "leave out what cannot be held here")
	c.Flags().BoolVar(&f.overwrite, "overwrite", false, "replace also what somebody changed here since")
	c.Flags().IntVar(&f.history, "history", 10, "states of each secret, the newest; 1 for the present one, 0 for all")
	c.Flags().StringVar(&f.address, "address", "", "address of the live source; default as its own programs have it")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "file with the token of the live source")
	c.Flags().StringVar(&f.ca, "ca", "", "file of certificates to trust at the live source (PEM)")
	c.Flags().StringVar(&f.passwordFile, "password-file", "", "file with the password of an export, - for standard input")
	c.Flags().StringArrayVarP(&f.identities, "identity", "i", nil, "file of age identities, for sops and age; may be repeated")
	c.Flags().BoolVar(&f.ask, "passphrase", false, "the age file is under a passphrase")
	return c
}

func (a *app) migrate(ctx context.Context, name string, f migrateFlags) error {
	if f.history < 0 {
		return fault.New(fault.Invalid, "--history counts states: want 0 or more")
	}
	src, err := a.migrateSource(name, f)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	plan, err := a.readPlan(ctx, src, f, f.history)
	if err != nil {
		return err
	}
	m := &migration{app: a, client: c, plan: plan, flags: f}
	if err := m.compare(ctx); err != nil {
		return err
	}
	if f.plan {
		return a.print(m.result(), m.showPlan)
	}
	if !a.flags.quiet && !a.flags.json {
		m.showPlan(a.err)
	}
	if n := plan.Unfit(); n > 0 && !f.skip {
		return fault.New(fault.Invalid, "%s of %s cannot be held here as they are", count(n, "thing", "things"), name).
			WithHint("see them with --plan; then add --rename to give them other names, or --skip-unfit to leave them out")
	}
	if m.pending() {
		if err := a.confirm(fmt.Sprintf("Make this at %s?", c.Server())); err != nil {
			return err
		}
		if err := m.apply(ctx); err != nil {
			return err
		}
	}
	again, err := a.readPlan(ctx, src, f, 1)
	if err != nil {
		return fmt.Errorf("all is written, but the source cannot be read again to compare: %w", err)
	}
	if err := m.verify(ctx, again); err != nil {
		return err
	}
	if err := a.print(m.result(), m.showDone); err != nil {
		return err
	}
	return m.difference()
}

// count says how many there are.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// readPlan reads the source and brings it into our model.
func (a *app) readPlan(ctx context.Context, src *migrateSource, f migrateFlags, history int) (*migrate.Plan, error) {
	o := migrate.Options{Only: f.only, History: history, Env: first(a.flags.env, a.getenv("KEYTURN_ENV"), "prod")}
	if src.name == "env-folder" {
		o.Env = first(a.flags.env, a.getenv("KEYTURN_ENV"), "dev")
	}
	var line *term.Progress
	var what string
	o.Progress = func(now string, done, total int) {
		if line == nil || now != what {
			if line != nil {
				line.Done()
			}
			what, line = now, term.NewProgress(a.err, now)
		}
		line.Update(int64(done), int64(total))
	}
	plan, err := src.read(ctx, o)
	if line != nil {
		line.Done()
	}
	if err != nil {
		return nil, err
	}
	only := f.only
	if src.name == "vault" || src.name == "env-folder" {
		only = nil // they chose by their own names
	}
	return plan, plan.Fit(migrate.Fitting{Only: only, Into: f.into, Prefix: f.prefix, Rename: f.rename})
}

// migration is one move: the plan, and how it compares with what is here.
type migration struct {
	app      *app
	client   *client.Client
	plan     *migrate.Plan
	flags    migrateFlags
	projects []*movedProject
	verified *verified
	warnings []string
	mounts   []migrate.Mount // that are to be made
}

// movedProject is a project of the plan beside the one that is here.
type movedProject struct {
	plan *migrate.Project
	here *api.Project // nil when it is not there yet
	envs []*movedEnv
}

// movedEnv is an environment of the plan beside the one that is here.
type movedEnv struct {
	project *movedProject
	plan    *migrate.Env
	fresh   bool // it is not there yet
	// from is the number of states of a secret that are here already; what is absent is new.
	from                       map[migrate.Key]int
	added, changed, same, gone int
	kept                       []string // that somebody changed here since, and that stay
	keeps                      map[migrate.Key]bool
	// occupied are folders here with secrets that are not of the source, or that stay as they are here.
	occupied          map[string]bool
	folders           map[string]bool // that are here
	revision          int64
	commits           int
	pendingImports    bool
	pendingReferences bool
}

func (e *movedEnv) place() client.Place {
	project := e.project.plan.Slug
	if e.project.here != nil {
		project = e.project.here.ID
	}
	return client.Place{Project: project, Env: e.plan.Slug, Path: "/"}
}

// pending tells whether anything is left to do.
func (m *migration) pending() bool {
	if len(m.mounts) > 0 {
		return true
	}
	for _, p := range m.projects {
		if p.here == nil {
			return true
		}
		for _, e := range p.envs {
			if e.fresh || e.added+e.changed+e.gone > 0 || e.pendingImports || e.pendingReferences || len(e.missingFolders()) > 0 {
				return true
			}
		}
	}
	return false
}

// missingFolders lists the folders of the plan that are not here.
func (e *movedEnv) missingFolders() []string {
	var out []string
	for _, f := range e.plan.Folders {
		if f.Path != "/" && !e.folders[f.Path] {
			out = append(out, f.Path)
		}
	}
	return out
}
