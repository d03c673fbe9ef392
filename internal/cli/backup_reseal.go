package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) backupResealCommand() *cobra.Command {
	var f sealedFlags
	var recipients []string
	c := &cobra.Command{
		Use:   "reseal [FILE|ADDRESS|NAME]",
		Short: "Seal an old backup to other recovery kits",
		Long: `Opens a backup with an old kit and seals it to the recipients that are given, unchanged and still signed by its instance. The new
file takes the place of the old one in one step, when all of it is there. Name every recipient that shall open it from now on; so
that the server can verify it and hold drills with it, also the drill_recipient that keyturn backup list --json shows.

What was copied elsewhere before still opens with the old kit.`,
		Example: `  keyturn backup reseal keyturn.ktb.age --identity old.txt --recipient age1pq1...
  keyturn backup reseal --from /var/backups/keyturn 2026-11-25t20-00-00z-1-5f3a.ktb.age --identity old.txt --recipient age1pq1...`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.reseal(cmd.Context(), first(args...), f, recipients)
		},
	}
	f.register(c)
	c.Flags().StringArrayVar(&recipients, "recipient", nil, "age `RECIPIENT` that opens it from now on; may be repeated")
	_ = c.MarkFlagRequired("recipient") // fails only for flags that are not there
	return c
}

// resealed is a backup with other recipients.
type resealed struct {
	Name       string   `json:"name"`
	Bytes      int64    `json:"bytes"`
	Digest     string   `json:"digest"`  // SHA-256 of the file, hex
	Content    string   `json:"content"` // SHA-256 of the stream inside, hex, as before
	Recipients []string `json:"recipients"`
}

func (a *app) reseal(ctx context.Context, what string, f sealedFlags, recipients []string) error {
	if len(f.signers) > 0 {
		return fault.New(fault.Invalid, "--signer is for verify and restore")
	}
	o, err := a.check(f)
	if err != nil {
		return err
	}
	src, err := a.source(ctx, what, f.from)
	if err != nil {
		return err
	}
	if err := a.confirm("Replace " + term.Clean(src.name) + " by itself, sealed to " + fmt.Sprint(len(recipients)) + " other recipients?"); err != nil {
		return err
	}
	var w backup.Written
	write := func(to io.Writer) error {
		file, err := src.open(ctx)
		if err != nil {
			return err
		}
		w, err = backup.Reseal(ctx, file, to, o.Identities, recipients)
		return errors.Join(err, file.Close())
	}
	if src.place == nil {
		err = swapIn(src.name, write)
	} else {
		err = putThrough(ctx, src, write)
	}
	if err != nil {
		return err
	}
	out := resealed{Name: src.name, Bytes: w.Bytes, Digest: hex.EncodeToString(w.Digest[:]), Content: hex.EncodeToString(w.Content[:])}
	for _, r := range recipients {
		out.Recipients = append(out.Recipients, backup.Fingerprint(r))
	}
	return a.print(out, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s is sealed to %d recipients now; what is in it is what was in it (%s)\n", term.Clean(out.Name), len(recipients), out.Content)
		a.info("  next: keyturn backup verify, with the new kit; and remove copies that the old kit opens")
	})
}

// putThrough writes to a place while it reads from it: the old object stays until the new one is whole.
func putThrough(ctx context.Context, src sealedSource, write func(io.Writer) error) error {
	r, w := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		err := write(w)
		_ = w.CloseWithError(err)
		failed <- err
	}()
	_, err := src.place.Put(ctx, src.key, r)
	_ = r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	if first := <-failed; first != nil && (err == nil || !errors.Is(first, err)) {
		return first
	}
	return err
}

func (a *app) backupExportCommand() *cobra.Command {
	var f sealedFlags
	var out string
	c := &cobra.Command{
		Use:   "export [FILE|ADDRESS|NAME]",
		Short: "Write everything of a backup or an instance into a folder, in the open",
		Long: `Writes a new folder of plain files that need no program of ours: values, history, people, grants, and the audit log with what
verifies it; README.txt in it describes them. They are from a backup, or with --data or --database from the database of a server that
is stopped, which is opened with its root key.

NOTHING IN THAT FOLDER IS ENCRYPTED.`,
		Example: `  keyturn backup export keyturn.ktb.age --identity kit.txt --out /mnt/ramdisk/export
  keyturn backup export --data /var/lib/keyturn --out /mnt/ramdisk/export`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := first(args...)
			direct := cmd.Flags().Changed("data") || cmd.Flags().Changed("database")
			if direct && (what != "" || f.from != "" || len(f.identities) > 0) {
				return fault.New(fault.Invalid, "a backup and a database are named").WithHint("name one of them")
			}
			if err := a.confirm("Write every secret in the open into " + term.Clean(out) + "?"); err != nil {
				return err
			}
			if direct {
				o, err := a.stopped(cmd)
				if err != nil {
					return err
				}
				report, err := server.Export(cmd.Context(), o, out)
				return a.showExport(report, out, err)
			}
			report, err := a.exportBackup(cmd.Context(), what, f, out)
			return a.showExport(report, out, err)
		},
	}
	f.register(c)
	stoppedFlags(c)
	c.Flags().StringVar(&out, "out", "", "new `FOLDER` for the export")
	_ = c.MarkFlagRequired("out") // fails only for flags that are not there
	return c
}

func (a *app) exportBackup(ctx context.Context, what string, f sealedFlags, out string) (backup.Report, error) {
	o, err := a.check(f)
	if err != nil {
		return backup.Report{}, err
	}
	src, err := a.source(ctx, what, f.from)
	if err != nil {
		return backup.Report{}, err
	}
	p := term.NewProgress(a.err, "rows exported")
	defer p.Done()
	o.Progress = p.Update
	file, err := src.open(ctx)
	if err != nil {
		return backup.Report{}, err
	}
	report, err := backup.Export(ctx, file, o, out)
	return report, errors.Join(err, file.Close())
}

func (a *app) showExport(r backup.Report, folder string, err error) error {
	if err != nil {
		return err
	}
	a.warn("nothing in %s is encrypted: keep it on no disk that you do not destroy", term.Clean(folder))
	out := checkOf(folder, r)
	return a.print(out, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s holds the instance %s as of %s: %d rows, log of %d entries\n", term.Clean(folder), term.Clean(r.Manifest.Instance), when(out.CreatedAt), out.Rows, out.LogSize)
	})
}
