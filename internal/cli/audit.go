package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) auditCommand() *cobra.Command {
	return groupCommand("audit", "Read, verify and copy the log of every touch",
		a.auditListCommand(), a.auditVerifyCommand(), a.auditProofCommand(), a.auditCheckpointCommand(), a.auditExportCommand(), a.auditArchiveCommand(), a.auditForgetCommand())
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var deep bool
	var dir, key, archive string
	var kits []string
	var trust bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that the log is whole and only grew",
		Long: `The server checks its whole log, with --deep also every stored row against it. Then the signed checkpoint is checked here:
its signature with the key that this machine saw first, and that the log continues the one that this machine saw last. A log
that shrank or forked is refused.

With --archive the entries that were archived are read from a folder, put before those that the server has, and all of them
compared with the root that the log's key signed.

With --dir a copy made by audit export is checked without any server. Anything wrong gives exit code 12.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir != "" {
				return a.auditVerifyDir(dir, key)
			}
			if archive != "" {
				return a.auditVerifyArchive(cmd.Context(), archive, kits, trust)
			}
			return a.auditVerify(cmd.Context(), deep, trust)
		},
	}
	c.Flags().BoolVar(&deep, "deep", false, "also compare the stored data with the log")
	c.Flags().StringVar(&dir, "dir", "", "check an exported copy in this folder instead, without a server")
	c.Flags().StringVar(&key, "key", "", "with --dir: file with the verification keys, learned elsewhere")
	c.Flags().StringVar(&archive, "archive", "", "check the archived entries in this `FOLDER`, with those that the server has")
	c.Flags().StringArrayVar(&kits, "identity", nil, "with --archive: `FILE` with the identity of a recovery kit, - for standard input; may be repeated")
	trustFlag(c, &trust)
	c.MarkFlagsMutuallyExclusive("dir", "archive")
	c.MarkFlagsMutuallyExclusive("deep", "archive")
	c.MarkFlagsMutuallyExclusive("dir", "deep")
	c.MarkFlagsMutuallyExclusive("dir", "trust-key")
	return c
}

func trustFlag(c *cobra.Command, trust *bool) {
	c.Flags().BoolVar(trust, "trust-key", false, "accept a log or key that this machine doesn't know, after comparing it with what the server's owner says")
}

// auditVerified is what audit verify tells.
type auditVerified struct {
	Size     int64         `json:"size"`
	Root     string        `json:"root"`
	Deep     bool          `json:"deep"`
	Rows     int64         `json:"rows,omitempty"`
	Values   int64         `json:"values,omitempty"`
	Problems []api.Finding `json:"problems"`
	Origin   string        `json:"origin,omitempty"`
	Key      string        `json:"key,omitempty"`
	Archived int64         `json:"archived,omitempty"`
	// FromArchive counts the entries that were read from the archive.
	FromArchive int64 `json:"from_archive,omitempty"`
	Remembered  int64 `json:"remembered_size"` // of the checkpoint that this machine saw before; 0 for none
}

func (a *app) auditVerify(ctx context.Context, deep, trust bool) error {
	w, err := a.witness(trust)
	if err != nil {
		return err
	}
	progress := a.waiting("the server verifies its log")
	v, err := w.client.Verify(ctx, deep)
	progress()
	if err != nil {
		return err
	}
	out := auditVerified{Size: v.Size, Root: v.Root, Deep: v.Deep, Rows: v.Rows, Values: v.Values, Problems: v.Problems, Archived: v.Archived}
	if out.Problems == nil {
		out.Problems = []api.Finding{}
	}
	seen, err := w.see(ctx, v.Checkpoint)
	if err != nil {
		return err
	}
	out.Origin, out.Key, out.Remembered = seen.head.Origin, strings.Join(seen.keys, "\n"), seen.before
	err = a.print(out, func(w io.Writer) {
		style := a.style()
		for _, p := range out.Problems {
			where := "log"
			if p.Index >= 0 {
				where = "entry " + strconv.FormatInt(p.Index, 10)
			}
			_, _ = fmt.Fprintf(w, "%s %s%s: %s\n", style.Bad("wrong"), where, optional(" row ", p.Row), term.Clean(p.Text))
		}
		if len(out.Problems) > 0 {
			return
		}
		_, _ = fmt.Fprintf(w, "%s %d entries, root %s\n", style.Good("sound"), out.Size, out.Root)
		if out.Archived > 0 {
			_, _ = fmt.Fprintf(w, "entries 0 to %d are archived, their hashes stand\n", out.Archived-1)
		}
		if out.Deep {
			_, _ = fmt.Fprintf(w, "data   %d rows and %d values are as the log says\n", out.Rows, out.Values)
		}
		_, _ = fmt.Fprintf(w, "signed by %s\n", term.Clean(out.Key))
		if out.Remembered > 0 {
			_, _ = fmt.Fprintf(w, "continues the log of %d entries that this machine saw before\n", out.Remembered)
		} else {
			_, _ = fmt.Fprintln(w, "this machine saw this log for the first time and remembers its key")
		}
	})
	if err != nil || len(out.Problems) == 0 {
		return err
	}
	return checkFailed("keep the data as it is and find out who could change it; audit export makes a copy", "the log or the data is not as it must be: %d problems", len(out.Problems))
}

// optional gives text with a word before it, or nothing.
func optional(before, text string) string {
	if text == "" {
		return ""
	}
	return before + term.Clean(text)
}

// auditCopy is what the check of an exported copy tells.
type auditCopy struct {
	Dir      string        `json:"dir"`
	Size     int64         `json:"size"`
	Root     string        `json:"root"`
	KeyFrom  string        `json:"key_from"` // "folder", which shows only that the folder agrees with itself, or the file
	Problems []api.Finding `json:"problems"`
}

func (a *app) auditVerifyDir(dir, keyFile string) error {
	key, from := "", "folder"
	if keyFile != "" {
		b, err := os.ReadFile(keyFile)
		if err != nil {
			return openFault(err, keyFile)
		}
		key, from = string(b), keyFile
		if strings.TrimSpace(key) == "" {
			return fault.New(fault.Invalid, "%s holds no key", keyFile)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return openFault(err, dir)
	}
	report, err := audit.VerifyDir(dir, key)
	if err != nil {
		return checkFailed("take the copy anew: keyturn audit export DIR", "%s", reportOf(err).message)
	}
	out := auditCopy{Dir: dir, Size: report.Size, Root: base64.StdEncoding.EncodeToString(report.Root[:]), KeyFrom: from, Problems: []api.Finding{}}
	for _, p := range report.Problems {
		out.Problems = append(out.Problems, api.Finding{Index: p.Index, Text: p.Text})
	}
	err = a.print(out, func(w io.Writer) {
		style := a.style()
		for _, p := range out.Problems {
			where := fmt.Sprintf("entry %d", p.Index)
			if p.Index < 0 { // it concerns the log as a whole
				where = "the log"
			}
			_, _ = fmt.Fprintf(w, "%s %s: %s\n", style.Bad("wrong"), where, term.Clean(p.Text))
		}
		if report.Sound() {
			_, _ = fmt.Fprintf(w, "%s %d entries, root %s\n", style.Good("sound"), out.Size, out.Root)
		}
	})
	if from == "folder" {
		a.info("the key lies in the folder itself; with --key FILE a key learned elsewhere also shows who signed")
	}
	if err != nil || report.Sound() {
		return err
	}
	return checkFailed("compare it with another copy", "the copy in %s is not sound: %d problems", dir, len(report.Problems))
}

func (a *app) auditCheckpointCommand() *cobra.Command {
	var trust bool
	c := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print the signed size and root of the log",
		Long: `Prints the signed tree head of the log (C2SP tlog-checkpoint), after checking that it continues the one that this machine
saw last. Keep it elsewhere: it proves later that nothing before it was changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := a.witness(trust)
			if err != nil {
				return err
			}
			now, err := w.client.Checkpoint(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := w.see(cmd.Context(), now); err != nil {
				return err
			}
			return a.print(now, func(out io.Writer) { _, _ = io.WriteString(out, now.Checkpoint) })
		},
	}
	trustFlag(c, &trust)
	return c
}

func (a *app) auditProofCommand() *cobra.Command {
	var trust bool
	c := &cobra.Command{
		Use:   "proof INDEX",
		Short: "Prove that an entry is in the log",
		Long:  "Fetches an entry with its proof of inclusion (RFC 6962) and checks it here against the signed checkpoint.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || index < 0 {
				return fault.New(fault.Invalid, "not the index of an entry: want a number from 0")
			}
			return a.auditProof(cmd.Context(), index, trust)
		},
	}
	trustFlag(c, &trust)
	return c
}

func (a *app) auditProof(ctx context.Context, index int64, trust bool) error {
	w, err := a.witness(trust)
	if err != nil {
		return err
	}
	p, err := w.client.Inclusion(ctx, index)
	if err != nil {
		return err
	}
	seen, err := w.see(ctx, p.Checkpoint)
	if err != nil {
		return err
	}
	hashes, err := decodeHashes(p.Proof)
	if err == nil && p.Index != index {
		err = errors.New("the server answered about another entry")
	}
	if err == nil {
		err = audit.CheckInclusion(tlog.RecordProof(hashes), seen.head.Size, seen.head.Root, index, p.Entry)
	}
	if err != nil {
		return checkFailed("keep this answer: with the checkpoint it shows that the server signed two different logs", "entry %d is not in the log that the server signed: %s", index, reportOf(err).message)
	}
	return a.print(p, func(out io.Writer) {
		_, _ = fmt.Fprintf(out, "%s\nentry %d is in the log of %d entries\nproof:\n", p.Entry, index, seen.head.Size)
		for _, h := range p.Proof {
			_, _ = fmt.Fprintf(out, "  %s\n", term.Clean(h))
		}
		_, _ = fmt.Fprintf(out, "checkpoint:\n%s", p.Checkpoint.Checkpoint)
	})
}

// decodeHashes reads the hashes of a proof.
func decodeHashes(texts []string) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, 0, len(texts))
	for _, s := range texts {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) != tlog.HashSize {
			return nil, errors.New("the proof is not a list of hashes")
		}
		out = append(out, tlog.Hash(b))
	}
	return out, nil
}
