package cli

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) auditExportCommand() *cobra.Command {
	var trust bool
	var archive string
	var kits []string
	c := &cobra.Command{
		Use:   "export DIR",
		Short: "Copy the whole log into a folder, for checks without a server",
		Long: `Copies the whole log into a new folder, in the layout of C2SP tlog-tiles, with the signed checkpoint and the key, and checks
the copy. Anyone with this binary can check it again, without a server: keyturn audit verify --dir DIR --key FILE.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.auditExport(cmd.Context(), args[0], archive, kits, trust)
		},
	}
	c.Flags().StringVar(&archive, "archive", "", "`FOLDER` with the entries that were archived")
	c.Flags().StringArrayVar(&kits, "identity", nil, "with --archive: `FILE` with the identity of a recovery kit; may be repeated")
	trustFlag(c, &trust)
	return c
}

// auditExported is what an export tells.
type auditExported struct {
	Dir  string `json:"dir"`
	Size int64  `json:"size"`
	Root string `json:"root"`
	Key  string `json:"key"`
}

func (a *app) auditExport(ctx context.Context, dir, archive string, kits []string, trust bool) error {
	var files *segmentFiles
	if archive != "" {
		var err error
		if files, err = a.segmentFiles(archive, kits); err != nil {
			return err
		}
	}
	w, err := a.witness(trust)
	if err != nil {
		return err
	}
	now, err := w.client.Checkpoint(ctx)
	if err != nil {
		return err
	}
	seen, err := w.see(ctx, now)
	if err != nil {
		return err
	}
	src := &pagedLog{client: w.client, head: seen.head, progress: term.NewProgress(a.err, "copying the log"), archive: files}
	err = audit.Export(ctx, src, dir, []byte(now.Checkpoint), strings.Join(seen.keys, "\n"))
	src.progress.Done()
	if err != nil {
		return err
	}
	report, err := audit.VerifyDir(dir, strings.Join(seen.keys, "\n"))
	if err != nil {
		return err
	}
	if !report.Sound() {
		return checkFailed("keep the folder as evidence and ask the server's owner", "the copy of the log is not sound: %d problems, the first: %s", len(report.Problems), report.Problems[0].Text)
	}
	out := auditExported{Dir: dir, Size: report.Size, Root: rootText(report.Root), Key: strings.Join(seen.keys, "\n")}
	return a.print(out, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "copied and checked %d entries in %s, root %s\nkey    %s\n", out.Size, out.Dir, out.Root, term.Clean(out.Key))
	})
}

// pagedLog is a server's log as an [audit.Source]: each page is a chunk.
type pagedLog struct {
	client   *client.Client
	head     audit.Head
	progress *term.Progress
	archive  *segmentFiles // entries that the server has no more; nil for none
	archived int64         // that were read from there
}

// Head implements [audit.Source].
func (l *pagedLog) Head(context.Context) (int64, tlog.Hash, error) {
	return l.head.Size, l.head.Root, nil
}

// Tile implements [audit.Source]: tiles are computed from the entries, not believed.
func (l *pagedLog) Tile(context.Context, int, int64) (audit.Tile, bool, error) {
	return audit.Tile{}, false, nil
}

// Chunks implements [audit.Source].
func (l *pagedLog) Chunks(ctx context.Context, from, to int64) iter.Seq2[audit.Chunk, error] {
	return func(yield func(audit.Chunk, error) bool) {
		if l.archive != nil && from == 0 {
			next, on := l.archive.chunks(yield)
			if from, l.archived = next, next; !on {
				return
			}
		}
		for from < to {
			c, err := l.page(ctx, from)
			if !yield(c, err) || err != nil {
				return
			}
			from += int64(c.Count)
			l.progress.Update(min(from, to), to)
		}
	}
}

// page asks for entries from an index on and frames them as the log stores them.
func (l *pagedLog) page(ctx context.Context, from int64) (audit.Chunk, error) {
	p, err := l.client.LogPage(ctx, from)
	if err != nil {
		return audit.Chunk{}, err
	}
	if p.From != from || len(p.Entries) == 0 {
		return audit.Chunk{}, fault.New(fault.Unavailable, "the server gave no entries from %d on", from)
	}
	// Pages carry no times, so the bounds enclose all.
	c := audit.Chunk{First: from, Count: len(p.Entries), ToMS: math.MaxInt64}
	for i, e := range p.Entries {
		if len(e) > audit.MaxEntryBytes {
			return audit.Chunk{}, fault.New(fault.Invalid, "entry %d is larger than an entry can be", from+int64(i))
		}
		c.Data = binary.BigEndian.AppendUint16(c.Data, uint16(len(e)))
		c.Data = append(c.Data, e...)
	}
	return c, nil
}
