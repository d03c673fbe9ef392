package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) auditArchiveCommand() *cobra.Command {
	var before, keep string
	var open, list bool
	c := &cobra.Command{
		Use:   "archive",
		Short: "Move old entries of the log into sealed files; their hashes stay",
		Long: `Moves entries that are older than a day or a time into files at the server's place for archives (KEYTURN_AUDIT_ARCHIVE_TO), sealed
to the recovery kits, or with --open not sealed. Each file is read back before its entries leave the database.

Their hashes stay, and so does what the deep verification needs of them: audit verify, proofs and other machines' checks go on as
before. The entries themselves are read from the files: audit verify --archive DIR checks them against the signed log.

Entries move in whole blocks of 4096 and only when every stream, alert and canary has handled them.`,
		Example: "  keyturn audit archive --keep 400d\n  keyturn audit archive --before 2026-01-01 --open\n  keyturn audit archive --list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				return a.auditArchived(cmd.Context())
			}
			if (before == "") == (keep == "") {
				return fault.New(fault.Invalid, "which entries is not said").WithHint("add --before DATE or --keep 400d")
			}
			flag, text := "--before", before
			if keep != "" {
				flag, text = "--keep", keep
			}
			at, err := parseMoment(flag, text, time.Now())
			if err != nil {
				return err
			}
			return a.auditArchive(cmd.Context(), at, open)
		},
	}
	c.Flags().StringVar(&before, "before", "", "entries older than this: 2026-01-31, or a time as in RFC 3339")
	c.Flags().StringVar(&keep, "keep", "", "entries older than so long ago, for example 400d")
	c.Flags().BoolVar(&open, "open", false, "don't seal the files: whoever reads the place reads names, addresses and people's doings")
	c.Flags().BoolVar(&list, "list", false, "list what is archived instead")
	c.MarkFlagsMutuallyExclusive("before", "keep", "list")
	return c
}

func (a *app) auditArchive(ctx context.Context, before time.Time, open bool) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	if err := a.confirm(fmt.Sprintf("Move entries from before %s out of the database?", when(before))); err != nil {
		return err
	}
	progress := a.waiting("the server archives its log")
	done, err := c.Archive(ctx, api.ArchiveRequest{Before: before, Open: open})
	progress()
	if err != nil {
		return err
	}
	return a.print(done, func(w io.Writer) {
		if len(done.Segments) == 0 {
			_, _ = fmt.Fprintln(w, "There is no whole block of such entries that everybody has handled.")
			return
		}
		a.printSegments(w, done)
	})
}

func (a *app) auditArchived(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var all api.Archive
	for from := int64(0); ; {
		page, err := c.Archived(ctx, from)
		if err != nil {
			return err
		}
		all.Archived, all.Segments = page.Archived, append(all.Segments, page.Segments...)
		if len(page.Segments) == 0 || page.Segments[len(page.Segments)-1].Last+1 >= page.Archived {
			break
		}
		from = page.Segments[len(page.Segments)-1].Last + 1
	}
	return a.print(all, func(w io.Writer) {
		if len(all.Segments) == 0 {
			_, _ = fmt.Fprintln(w, "Nothing is archived.")
			return
		}
		a.printSegments(w, all)
	})
}

func (a *app) printSegments(w io.Writer, all api.Archive) {
	t := term.NewTable("ENTRIES", "FROM", "TO", "SIZE", "SEALED", "FILE")
	for _, s := range all.Segments {
		sealed := "no"
		if s.Sealed {
			sealed = "yes"
		}
		t.Row(fmt.Sprintf("%d to %d", s.First, s.Last), when(s.From), when(s.To), size(s.Bytes), sealed, s.Name)
	}
	a.table(w, t)
	_, _ = fmt.Fprintf(w, "entries 0 to %d are archived\n", all.Archived-1)
}

// segmentFiles are the archived stretches in a folder.
type segmentFiles struct {
	dir        string
	identities []age.Identity
	files      map[int64]string // by the index of the first entry
}

// maxSegmentFile bounds one file in memory; see audit.SegmentBytes.
const maxSegmentFile = 128 << 20

// segmentFiles finds the segments in a folder and below it, by their names.
func (a *app) segmentFiles(dir string, kits []string) (*segmentFiles, error) {
	out := &segmentFiles{dir: dir, files: map[int64]string{}}
	if len(kits) > 0 {
		check, err := a.check(sealedFlags{identities: kits})
		if err != nil {
			return nil, err
		}
		out.identities = check.Identities
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return openFault(err, path)
		}
		name := d.Name()
		var first, last int64
		if d.IsDir() || !strings.HasSuffix(name, ".kts") && !strings.HasSuffix(name, ".kts.age") {
			return nil
		}
		if n, _ := fmt.Sscanf(name, "segment-%d-%d-", &first, &last); n == 2 {
			if _, taken := out.files[first]; !taken { // a crash may leave a second file of the same entries
				out.files[first] = path
			}
		}
		return nil
	})
	if err == nil && len(out.files) == 0 {
		err = fault.New(fault.NotFound, "%s holds no segment of a log", dir)
	}
	return out, err
}

// chunks reads the segments that follow each other from entry 0 on.
func (s *segmentFiles) chunks(yield func(audit.Chunk, error) bool) (next int64, on bool) {
	for {
		path, ok := s.files[next]
		if !ok {
			return next, true
		}
		chunks, err := s.read(path)
		if err != nil {
			return next, yield(audit.Chunk{}, err) && false
		}
		for _, c := range chunks {
			if c.First != next || !yield(c, nil) {
				return next, false
			}
			next += int64(c.Count)
		}
	}
}

func (s *segmentFiles) read(path string) ([]audit.Chunk, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openFault(err, path)
	}
	defer f.Close()
	var r io.Reader = io.LimitReader(f, maxSegmentFile)
	if strings.HasSuffix(path, ".age") {
		if len(s.identities) == 0 {
			return nil, fault.New(fault.Invalid, "%s is sealed", filepath.Base(path)).WithHint("add --identity FILE with the recovery kit")
		}
		if r, err = backup.Unseal(r, s.identities); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	_, chunks, err := audit.ReadSegment(r) // the root of the signed checkpoint says more than the signature of the file
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return chunks, nil
}

// auditVerifyArchive puts the archived entries and those of the server together and compares what they give with the signed root.
func (a *app) auditVerifyArchive(ctx context.Context, dir string, kits []string, trust bool) error {
	files, err := a.segmentFiles(dir, kits)
	if err != nil {
		return err
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
	src := &pagedLog{client: w.client, head: seen.head, progress: term.NewProgress(a.err, "reading the log"), archive: files}
	tree := audit.EmptyTree()
	for c, err := range src.Chunks(ctx, 0, seen.head.Size) {
		if err == nil {
			c, err = c.Until(seen.head.Size)
		}
		if err == nil {
			err = tree.CatchUp(c)
		}
		if err != nil {
			src.progress.Done()
			return checkFailed("is a file of the archive missing or damaged? compare with: keyturn audit archive --list", "the archive and the log do not fit at entry %d: %s", tree.Size(), reportOf(err).message)
		}
	}
	src.progress.Done()
	if root := tree.Root(); tree.Size() != seen.head.Size || root != seen.head.Root {
		return checkFailed("keep the folder as it is and find out who could change it", "the entries in %s and those of the server do not give the root that the log's key signed", dir)
	}
	out := auditVerified{Size: seen.head.Size, Root: rootText(seen.head.Root), Problems: []api.Finding{}, Origin: seen.head.Origin, Key: strings.Join(seen.keys, "\n"), Remembered: seen.before, FromArchive: src.archived}
	return a.print(out, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s %d entries, of which %d lie in %s, root %s\n", a.style().Good("sound"), out.Size, out.FromArchive, dir, out.Root)
	})
}
