package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) backupVerifyCommand() *cobra.Command {
	var f sealedFlags
	c := &cobra.Command{
		Use:   "verify [NAME|FILE]",
		Short: "Open everything in a backup and compare it with its signature, counts and log",
		Long: `Reads a backup to its end and opens every value in it. With a name, the server checks what lies at its place. With --identity, the
backup is opened here, without a server: a file, an s3:// address, or with --from one at a place, the newest unless it is named.`,
		Example: `  keyturn backup verify 2026-11-25t20-00-00z-1-5f3a.ktb.age
  keyturn backup verify keyturn.ktb.age --identity kit.txt
  keyturn backup verify --from 's3://backups/keyturn?region=eu-central-1' --identity kit.txt`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completeBackups),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := first(args...)
			if len(f.identities) > 0 {
				return a.verifyHere(cmd.Context(), what, f)
			}
			if _, err := os.Stat(what); f.from != "" || err == nil {
				_, err := a.check(f)
				return err
			}
			if what == "" {
				return fault.New(fault.Invalid, "no backup is named").WithHint("see the names with: keyturn backup list")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			done := a.waiting("verifying")
			found, err := c.VerifyBackup(cmd.Context(), what)
			done()
			if err != nil {
				return err
			}
			return a.showCheck(found)
		},
	}
	f.register(c)
	return c
}

func (a *app) verifyHere(ctx context.Context, what string, f sealedFlags) error {
	o, err := a.check(f)
	if err != nil {
		return err
	}
	src, err := a.source(ctx, what, f.from)
	if err != nil {
		return err
	}
	p := term.NewProgress(a.err, "rows verified")
	o.Progress = p.Update
	begun := time.Now()
	file, err := src.open(ctx)
	if err != nil {
		return err
	}
	report, err := backup.Verify(ctx, file, o)
	p.Done()
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	out := checkOf(src.name, report)
	out.Seconds = time.Since(begun).Seconds()
	if len(f.signers) == 0 {
		a.warn("nobody but the backup itself says that %s is the key of its log: compare it with the one that you know, or give that with --signer", term.Clean(report.Signer))
	}
	return a.showCheck(out)
}

func checkOf(name string, r backup.Report) api.BackupCheck {
	m := &r.Manifest
	out := api.BackupCheck{Name: name, Sound: r.Sound(), Rows: r.Rows, Values: r.Values, LogSize: m.Log.Size, LogRoot: hex.EncodeToString(m.Log.Root),
		Content: hex.EncodeToString(r.Content[:]), Signer: r.Signer, CreatedAt: time.UnixMilli(m.CreatedMS).UTC(), Problems: []api.BackupProblem{}}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, api.BackupProblem(p))
	}
	return out
}

// showCheck tells what was found; what is not sound ends with an exit code of its own.
func (a *app) showCheck(c api.BackupCheck) error {
	err := a.print(c, func(w io.Writer) {
		for _, p := range c.Problems {
			_, _ = fmt.Fprintf(w, "%s: %s\n", term.Clean(p.Row), term.Clean(p.Text))
		}
		if c.Sound {
			_, _ = fmt.Fprintf(w, "%s is sound: made %s, %d rows, %d values opened, log of %d entries with root %s\n", term.Clean(c.Name), when(c.CreatedAt), c.Rows, c.Values, c.LogSize, term.Clean(c.LogRoot))
			if c.Restore > 0 {
				_, _ = fmt.Fprintf(w, "restored in %.2f s, with the check of everything in it %.2f s\n", c.Restore, c.Seconds)
			}
		}
	})
	if err == nil && !c.Sound {
		err = checkFailed("use another backup, and find out what happened to this one", "the backup has %d problems", len(c.Problems))
	}
	return err
}

func (a *app) backupDrillCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "drill [NAME]",
		Short: "Have the server restore a backup into a throw-away instance",
		Long: `The server restores the newest backup, or the one that is named, into a throw-away instance in its own process, unlocks that as at a
start, opens every value, and compares counts and the root of the log. It does so by itself too, see KEYTURN_BACKUP_DRILL_EVERY.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completeBackups),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			done := a.waiting("restoring into a throw-away instance")
			found, err := c.DrillBackup(cmd.Context(), first(args...))
			done()
			if err != nil {
				return err
			}
			return a.showCheck(found)
		},
	}
}
