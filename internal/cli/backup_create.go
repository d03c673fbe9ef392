package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/crashpoint"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) backupCreateCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a backup now",
		Long: `Makes a backup of the instance as it is at this moment, while it serves: at the server's place, or with --out in a file here.
A file gets its name only when all of it is there and durable.`,
		Example: `  keyturn backup create
  keyturn backup create --out /mnt/usb/keyturn.ktb.age
  keyturn backup create --out - | ssh vault.example.test 'cat > keyturn.ktb.age'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if out == "" {
				return a.backupHere(cmd.Context(), c)
			}
			return a.receiveBackup(out, func(w io.Writer) (client.BackupFile, error) { return c.StreamBackup(cmd.Context(), w) })
		},
	}
	c.Flags().StringVar(&out, "out", "", "write the backup to this new `FILE`, - for standard output, instead of the server's place")
	return c
}

// backupHere makes a backup at the server's place.
func (a *app) backupHere(ctx context.Context, c *client.Client) error {
	done := a.waiting("making a backup")
	made, err := c.CreateBackup(ctx)
	done()
	if err != nil {
		return err
	}
	return a.print(made, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s: %s, %d rows, %d secrets, log of %d entries\n", term.Clean(made.Name), size(made.Bytes), made.Rows, made.Secrets, made.LogSize)
		a.info("  next: prove that it restores: keyturn backup drill %s", term.Clean(made.Name))
	})
}

func (a *app) backupGetCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:               "get NAME",
		Short:             "Fetch a backup from the server's place, as it is, sealed",
		Example:           "  keyturn backup get 2026-11-25t20-00-00z-1-5f3a.ktb.age --out keyturn.ktb.age",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeBackups),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			return a.receiveBackup(out, func(w io.Writer) (client.BackupFile, error) { return c.GetBackup(cmd.Context(), args[0], w) })
		},
	}
	c.Flags().StringVar(&out, "out", "", "new `FILE` for it, - for standard output")
	_ = c.MarkFlagRequired("out") // fails only for flags that are not there
	return c
}

// received is a backup that lies in a file here.
type received struct {
	File   string `json:"file"`
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest"` // SHA-256 of the file, hex
}

// receiveBackup writes what is sent into a new file, or to standard output.
func (a *app) receiveBackup(file string, get func(io.Writer) (client.BackupFile, error)) error {
	if file == "-" {
		if term.IsTerminal(a.out) {
			return fault.New(fault.Invalid, "a backup is no text for a terminal").WithHint("send it into a file or a pipe: keyturn backup create --out FILE")
		}
		_, err := get(&meter{w: a.out, p: term.NewProgress(a.err, "bytes received")})
		return err
	}
	var got client.BackupFile
	err := writeWhole(file, func(w io.Writer) (err error) {
		p := term.NewProgress(a.err, "bytes received")
		defer p.Done()
		got, err = get(&meter{w: w, p: p})
		return err
	})
	if err != nil {
		return err
	}
	out := received{file, got.Name, got.Bytes, got.Digest}
	return a.print(out, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s: %s, SHA-256 %s\n", term.Clean(file), size(got.Bytes), term.Clean(got.Digest))
		a.info("  next: prove it with a recovery kit: keyturn backup verify %s --identity KIT", term.Clean(file))
	})
}

// meter shows how much has come.
type meter struct {
	w io.Writer
	p *term.Progress
	n int64
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.n += int64(n)
	m.p.Update(m.n, 0)
	crashpoint.At("backup.out.writing")
	return n, err
}

// writeWhole makes a new file that has its name only when all of it is there and durable. Until then it lies beside under a
// name that begins with a dot; a process that is killed leaves that one.
func writeWhole(file string, write func(io.Writer) error) error {
	if _, err := os.Lstat(file); err == nil {
		return fault.New(fault.Exists, "%s exists already", file).WithHint("name another file; nothing is written over")
	}
	return swapIn(file, write)
}

// swapIn is writeWhole for a file that may be there: it is replaced in one step.
func swapIn(file string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".partial-*")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "there is no folder for %s", file).WithHint("make it first")
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "couldn't write %s", file).WithHint("may you write into that folder, and is there room?")
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	target := &filed{w: f}
	if err := write(target); err != nil {
		if target.err != nil {
			return fault.Wrap(fault.Unavailable, target.err, "couldn't write %s", file).WithHint("is the disk full?")
		}
		return err
	}
	err = errors.Join(f.Sync(), f.Close())
	crashpoint.At("backup.out.written")
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "couldn't write %s", file).WithHint("is the disk full?")
	}
	return syncAbove(file)
}

// filed remembers that the file was what failed.
type filed struct {
	w   io.Writer
	err error
}

func (f *filed) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err != nil {
		f.err = err
	}
	return n, err
}

// syncAbove makes the name of a file durable, where the system can.
func syncAbove(file string) error {
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "couldn't make the name of %s durable", file)
	}
	_ = dir.Sync() // a folder cannot be synced everywhere; the file itself was
	return dir.Close()
}
