package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/internal/term"
)

// restoreFlags say what is restored and where to.
type restoreFlags struct {
	sealedFlags
	replace, keepTokens, dryRun bool
	message                     string
}

func (a *app) backupRestoreCommand() *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use:   "restore [FILE|ADDRESS|NAME]",
		Short: "Bring an instance back from a backup, or one project or environment of it",
		Long: `Verifies the backup to its end, says what it will do and asks, then fills the database of a server that is stopped, all or nothing:
until it is done, the database is what it was. The root key comes from KEYTURN_ROOT_KEY_FILE and its like, as for a first start;
in development mode one is made beside the data. Tokens, sessions and client secrets are revoked unless --keep-tokens is given.

With --project, and --env if it is only one of its environments, nothing is replaced: the secrets of that moment are committed
to the running server, one commit for each environment. What is there and was not in the backup stays.`,
		Example: `  keyturn backup restore keyturn.ktb.age --identity kit.txt --data /var/lib/keyturn
  KEYTURN_DATABASE_URL_FILE=/etc/keyturn/database keyturn backup restore --from s3://backups/keyturn?region=eu-central-1 --identity kit.txt
  keyturn backup restore keyturn.ktb.age --identity kit.txt --project shop --env prod --dry-run`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.flags.project != "" {
				return a.restorePart(cmd.Context(), first(args...), f)
			}
			if a.flags.env != "" {
				return fault.New(fault.Invalid, "--env wants --project")
			}
			if f.dryRun {
				return fault.New(fault.Invalid, "--dry-run is for --project").WithHint("a whole restore shows its plan and asks; to check a backup: keyturn backup verify")
			}
			o, err := a.stopped(cmd)
			if err != nil {
				return err
			}
			return a.restoreWhole(cmd.Context(), first(args...), f, o)
		},
	}
	f.register(c)
	stoppedFlags(c)
	c.Flags().BoolVar(&f.replace, "replace", false, "throw away the instance that is there")
	c.Flags().BoolVar(&f.keepTokens, "keep-tokens", false, "leave tokens, sessions and client secrets valid; right only where the instance of the backup is gone and this one takes its address")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "with --project: only show what would change")
	c.Flags().StringVarP(&f.message, "message", "m", "", "with --project: message of the commits")
	return c
}

// stoppedFlags name the database of a server that is stopped.
func stoppedFlags(c *cobra.Command) {
	c.Flags().String("data", "", "folder of the embedded database (KEYTURN_DATA)")
	c.Flags().String("database", "", "address of PostgreSQL instead (KEYTURN_DATABASE_URL, which other users of the machine cannot see)")
}

// stopped gives the configuration of a server that is stopped: the database must be named, since a wrong guess would be
// written to.
func (a *app) stopped(cmd *cobra.Command) (server.Options, error) {
	flag := func(name string) (string, bool) {
		f := cmd.Flags().Lookup(name)
		if f == nil {
			return "", false
		}
		return f.Value.String(), f.Changed
	}
	_, data := flag("data")
	_, database := flag("database")
	named := data || database
	for _, name := range []string{"KEYTURN_DATA", "KEYTURN_DATABASE_URL", "KEYTURN_DATABASE_URL_FILE"} {
		named = named || a.getenv(name) != ""
	}
	if !named {
		return server.Options{}, fault.New(fault.Invalid, "no database is named").WithHint("add --data FOLDER or --database URL, or set KEYTURN_DATA or KEYTURN_DATABASE_URL")
	}
	cfg, err := config.Load(a.getenv, flag, os.ReadFile)
	if err != nil {
		return server.Options{}, err
	}
	if data && !database { // the flag is what this call is about
		cfg.Database = ""
	}
	return server.Options{Config: cfg, Version: a.version, LookupEnv: os.LookupEnv}, nil
}

func (a *app) restoreWhole(ctx context.Context, what string, f restoreFlags, o server.Options) error {
	check, err := a.check(f.sealedFlags)
	if err != nil {
		return err
	}
	src, err := a.source(ctx, what, f.from)
	if err != nil {
		return err
	}
	p := term.NewProgress(a.err, "rows verified")
	check.Progress = func(done, total int64) { p.Update(done, total) }
	r := server.Restoring{Check: check, Replace: f.replace, KeepTokens: f.keepTokens,
		Open: func() (io.ReadCloser, error) { return src.open(ctx) },
		Confirm: func(plan backup.Plan) error {
			p.Done()
			a.showPlan(plan, src.name, f)
			if err := a.confirm("Go on?"); err != nil {
				return err
			}
			p = term.NewProgress(a.err, "rows restored")
			return nil
		}}
	out, err := server.Restore(ctx, o, r)
	p.Done()
	if err != nil {
		return err
	}
	return a.showRestored(out, f)
}

// showPlan says what is about to happen, on standard error: a person reads it before the answer.
func (a *app) showPlan(plan backup.Plan, name string, f restoreFlags) {
	m := &plan.Report.Manifest
	w := a.err
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("Backup %s, verified: every value in it was opened", term.Clean(name))
	line("  instance    %s, epoch %d, of a %s store", term.Clean(m.Instance), m.Epoch, term.Clean(m.Engine))
	line("  made        %s (%s ago)", when(time.UnixMilli(m.CreatedMS)), time.Since(time.UnixMilli(m.CreatedMS)).Round(time.Second))
	line("  holds       %d projects, %d environments, %d secrets, %d rows in all; log of %d entries", m.Count("project"), m.Count("environment"), m.Count("secret"), m.Rows(), m.Log.Size)
	line("  signed by   %s", term.Clean(plan.Report.Signer))
	if len(f.signers) == 0 {
		line("              nobody but the backup says that this is the key of its log: compare it with the one that you know")
	}
	t := plan.Target
	switch {
	case !t.Holds:
		line("It goes into an empty %s database.", t.Engine)
	case plan.Same:
		line("It REPLACES this instance in its %s database (epoch %d, log of %d entries).", t.Engine, t.Epoch, t.LogSize)
		for _, lost := range plan.Lost {
			line("  lost        %d commits of environment %s that are not in the backup", lost.Commits, term.Clean(lost.Environment))
		}
	default:
		line("It REPLACES ANOTHER INSTANCE, %s, in its %s database: all of that is lost.", term.Clean(t.Instance), t.Engine)
	}
	dropped := 0
	for _, s := range m.Slots {
		if s.Kind != kindRecovery {
			dropped++
		}
	}
	line("A new life begins:")
	line("  epoch       %d, with a log-signing key and a log name of its own", plan.Epoch)
	line("  root keys   a new one; %d slots of the old machines go, recovery kits stay", dropped)
	if f.keepTokens {
		line("  tokens      stay valid, here and wherever else the instance runs")
	} else {
		line("  tokens      %d tokens and sessions and %d client secrets: all that still work are revoked", m.Count("token"), m.Count("client_secret"))
	}
}

// rebuilt is what a restore tells.
type rebuilt struct {
	Instance    string   `json:"instance_id"`
	Epoch       int64    `json:"epoch"`
	Revoked     int      `json:"revoked"`
	Dropped     int      `json:"dropped_slots"`
	Slot        string   `json:"slot_id"`
	Fingerprint string   `json:"root_fingerprint"`
	RootKeyFile string   `json:"root_key_file,omitempty"` // that was made
	LogKey      string   `json:"log_key_id"`
	Next        []string `json:"next"`
}

func (a *app) showRestored(r server.Rebuilt, f restoreFlags) error {
	out := rebuilt{Instance: r.Plan.Report.Manifest.Instance, Epoch: r.Epoch, Revoked: r.Revoked, Dropped: r.Dropped, Slot: r.Slot, Fingerprint: r.Fingerprint,
		RootKeyFile: r.Invented, LogKey: r.LogKey}
	if r.Invented != "" {
		out.Next = append(out.Next, "save the root key in "+r.Invented+" to two places away from this machine")
	}
	out.Next = append(out.Next, "start the server with the same database and root key: keyturn server")
	if !f.keepTokens {
		out.Next = append(out.Next, "log in with your password (keyturn login), and make new tokens and client secrets for machines: keyturn token create, keyturn identity secret create")
	}
	out.Next = append(out.Next,
		"on each machine that watched the old log, once you have made sure of the reason: keyturn audit forget",
		"add more ways to unlock: keyturn keys slot add; a kit that was on a machine should be renewed: keyturn keys recovery create",
		"if the old instance still runs anywhere, stop it")
	return a.print(out, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Instance %s is back in %s, epoch %d.\n  root key: %s (fingerprint %s)\n  %d tokens and client secrets revoked, %d old slots dropped\nnext:\n",
			term.Clean(out.Instance), term.Clean(r.Where), out.Epoch, term.Clean(r.RootFrom), out.Fingerprint, out.Revoked, out.Dropped)
		for i, step := range out.Next {
			_, _ = fmt.Fprintf(w, "  %d. %s\n", i+1, strings.TrimSpace(term.Clean(step)))
		}
	})
}
