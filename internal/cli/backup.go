package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) backupCommand() *cobra.Command {
	c := groupCommand("backup", "Make, check and restore sealed backups of the whole instance",
		a.backupCreateCommand(), a.backupListCommand(), a.backupGetCommand(), a.backupVerifyCommand(), a.backupDrillCommand(),
		a.backupRestoreCommand(), a.backupResealCommand(), a.backupExportCommand(), a.backupDeleteCommand())
	c.Long = `A backup is one file with everything that the instance holds, sealed to its recovery kits (keyturn keys recovery create): the
place where it lies is trusted to keep it and can read nothing. It restores on another machine and into another store, with no
root key but a new one. The server makes backups by itself, see KEYTURN_BACKUP_TO and KEYTURN_BACKUP_EVERY.`
	return c
}

func (a *app) backupListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show backups, what was proved of them, and when the next is due",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.Backups(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) { a.printBackups(w, found) })
		},
	}
}

func (a *app) printBackups(w io.Writer, found api.Backups) {
	if found.Problem != "" {
		a.warn("the place %s does not answer: %s", term.Clean(found.Place), term.Clean(found.Problem))
	}
	if len(found.Backups) == 0 {
		_, _ = fmt.Fprintln(w, "There is no backup yet.")
	} else {
		t := term.NewTable("NAME", "MADE", "SIZE", "SECRETS", "LOG", "SCHEMA", "SEALED TO", "VERIFIED", "DRILLED", "WHERE")
		for _, b := range found.Backups {
			where := b.Where
			if b.Problem != "" {
				where += ": " + b.Problem
			}
			t.Row(b.Name, when(b.CreatedAt), size(b.Bytes), known(b, b.Secrets), known(b, b.LogSize), known(b, b.Schema), strings.Join(b.Recipients, " "), when(b.VerifiedAt), when(b.DrilledAt), where)
		}
		a.table(w, t)
	}
	s := found.Schedule
	_, _ = fmt.Fprintf(w, "place: %s\nschedule: every %s, keep %s, a drill every %s\n", term.Clean(first(found.Place, "none")), term.Clean(s.Every), term.Clean(s.Keep), term.Clean(s.DrillEvery))
	for _, next := range []struct {
		what string
		at   time.Time
	}{{"next backup", s.NextAt}, {"next drill", s.DrillAt}} {
		if !next.at.IsZero() {
			_, _ = fmt.Fprintf(w, "%s: %s\n", next.what, when(next.at))
		}
	}
	if s.Problem != "" {
		_, _ = fmt.Fprintf(w, "problem: %s\n", term.Clean(s.Problem))
	}
}

// known leaves out numbers of a backup that the server did not make itself.
func known(b api.Backup, n int64) string {
	if b.Schema == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// size shows bytes to people.
func size(n int64) string {
	const unit = 1 << 10
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, names := float64(n)/unit, []string{"KiB", "MiB", "GiB", "TiB"}
	for len(names) > 1 && value >= unit {
		value, names = value/unit, names[1:]
	}
	return fmt.Sprintf("%.1f %s", value, names[0])
}

func (a *app) backupDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Remove a backup from the server's place, for good",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeBackups),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirm("Remove " + term.Clean(args[0]) + " for good?"); err != nil {
				return err
			}
			if err := c.DeleteBackup(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s is gone.\n", term.Clean(args[0])) })
		},
	}
}

func (a *app) completeBackups(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		found, err := c.Backups(ctx)
		var out []string
		for _, b := range found.Backups {
			out = append(out, b.Name)
		}
		return out, err
	})(cmd, args, toComplete)
}
