package backup

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"unicode/utf8"

	"filippo.io/age"
	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// The files of an export. exportReadme documents them; it is copied into each.
const (
	fileManifest = "manifest.json"
	filePlaces   = "places.json"
	fileValues   = "values.jsonl"
	fileHistory  = "history.jsonl"
	fileCommits  = "commits.jsonl"
	filePersonal = "personal.jsonl"
	filePeople   = "people.json"
	filePolicies = "policies.json"
	folderAudit  = "audit"
	fileReadme   = "README.txt"
)

//go:embed export_readme.txt
var exportReadme []byte

// Export writes everything that a backup holds into a new folder in the open, in plain files that need no program of ours:
// values, history, people, grants, and the audit log with what verifies it. The folder must not exist ([fault.Exists]); it
// gets its name only when the whole backup was read and its signature checked, so half an export is never taken for one.
func Export(ctx context.Context, r io.Reader, o Check, folder string) (Report, error) {
	if _, err := os.Lstat(folder); err == nil {
		return Report{}, fault.New(fault.Exists, "the folder for the export is there already").WithHint("name one that does not exist")
	} else if !errors.Is(err, os.ErrNotExist) {
		return Report{}, fault.Wrap(fault.Unavailable, err, "the folder for the export cannot be made")
	}
	part, err := os.MkdirTemp(filepath.Dir(folder), ".keyturn-export-")
	if err != nil {
		return Report{}, fault.Wrap(fault.Unavailable, err, "the folder for the export cannot be made")
	}
	defer func() { _ = os.RemoveAll(part) }() // gone under that name when all went well
	report, err := exportInto(ctx, r, o, part)
	if err != nil {
		return report, err
	}
	if err := os.Rename(part, folder); err != nil {
		return report, fault.Wrap(fault.Unavailable, err, "the export cannot be given its name")
	}
	return report, nil
}

// ExportInstance is [Export] of a running instance as it is now. The backup in between is sealed to a key that exists in this
// call only and is written nowhere.
func ExportInstance(ctx context.Context, src Source, folder string) (Report, error) {
	self, err := age.GenerateX25519Identity()
	if err != nil {
		return Report{}, err
	}
	src.Recipients, src.Own = []string{self.Recipient().String()}, nil
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := Write(ctx, w, src)
		_ = w.CloseWithError(err) // nil is the end of the file
	}()
	report, err := Export(ctx, r, Check{Identities: []age.Identity{self}}, folder)
	_ = r.CloseWithError(io.ErrClosedPipe)
	<-done
	return report, err
}

// exporting is an export under way.
type exporting struct {
	folder string
	files  map[string]*lines
	people struct {
		People     []person   `json:"people"`
		Identities []identity `json:"identities"`
	}
	grants []grant
}

// lines is a file of one JSON value a line.
type lines struct {
	f *os.File
	w *bufio.Writer
}

func (l *lines) put(v any) error {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return err
	}
	if _, err = l.w.Write(append(b, '\n')); err != nil {
		return unexported(err)
	}
	clear(b)
	return nil
}

func unexported(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the export cannot be written")
}

func exportInto(ctx context.Context, r io.Reader, o Check, folder string) (report Report, err error) {
	e := &exporting{folder: folder, files: map[string]*lines{}}
	defer func() {
		for _, l := range e.files {
			_ = l.f.Close() // what matters was flushed and synced
		}
	}()
	for _, name := range []string{fileValues, fileHistory, fileCommits, filePersonal} {
		f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return report, unexported(err)
		}
		e.files[name] = &lines{f, bufio.NewWriter(f)}
	}
	var log *logReader
	x, report, err := openRows(ctx, r, o, func(x *opened, b block) error {
		if b.Table == "audit_chunk" {
			if log == nil {
				log = startLog(ctx, x.manifest.Manifest, filepath.Join(folder, folderAudit))
			}
			return log.feed(b)
		}
		return e.rows(x, b)
	})
	if log != nil {
		if failed := log.end(err); err == nil {
			err = failed
		}
	}
	if err != nil {
		return report, err
	}
	return report, e.finish(x, report)
}

// finish writes what was gathered, the README last.
func (e *exporting) finish(x *opened, report Report) error {
	for _, l := range e.files {
		if err := errors.Join(l.w.Flush(), l.f.Sync()); err != nil {
			return unexported(err)
		}
	}
	for name, v := range map[string]any{fileManifest: report.Manifest, filePlaces: placesOf(x), filePeople: e.people, filePolicies: e.grants} {
		b, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
		if err != nil {
			return err
		}
		if err := e.file(name, append(b, '\n')); err != nil {
			return err
		}
	}
	return e.file(fileReadme, exportReadme)
}

func (e *exporting) file(name string, b []byte) error {
	if err := os.WriteFile(filepath.Join(e.folder, name), b, 0o600); err != nil {
		return unexported(err)
	}
	return nil
}

// plain is a value in the open: text where it is text.
type plain struct {
	Value *string `json:"value,omitzero"`
	Bytes string  `json:"value_base64,omitzero"`
}

// inTheOpen is the one place where an export turns a value into text.
func inTheOpen(v sensitive.Value) plain {
	b := v.Reveal()
	if utf8.Valid(b) {
		s := string(b)
		return plain{Value: &s}
	}
	return plain{Bytes: base64.StdEncoding.EncodeToString(b)}
}

// logReader hands the chunks of a backup to the exporter of the log, which pulls while the backup pushes.
type logReader struct {
	head   audit.Head
	chunks chan audit.Chunk
	stop   chan struct{} // closed when the exporter has ended
	err    error         // of the exporter
}

func startLog(ctx context.Context, m Manifest, folder string) *logReader {
	l := &logReader{head: audit.Head{Size: m.Log.Size, Root: tlog.Hash(m.Log.Root)}, chunks: make(chan audit.Chunk), stop: make(chan struct{})}
	go func() {
		defer close(l.stop)
		vkey, err := m.Signer()
		if err == nil {
			err = audit.Export(ctx, l, folder, []byte(m.Log.Checkpoint), vkey)
		}
		l.err = err
	}()
	return l
}

// feed passes the chunks of a block on. When the exporter has given up, its error is told at the end.
func (l *logReader) feed(b block) error {
	return b.each(func(cells []cell) error {
		c, err := store.ChunkOf(b.Columns, values(cells))
		if err != nil {
			return err
		}
		select {
		case l.chunks <- c:
			return nil
		case <-l.stop:
			if l.err != nil {
				return l.err
			}
			return malformed("its log is longer than its checkpoint says")
		}
	})
}

// end waits for the exporter; cause is why no more chunks come, nil when all have come.
func (l *logReader) end(cause error) error {
	close(l.chunks)
	<-l.stop
	if cause != nil {
		return cause
	}
	return l.err
}

// Head implements [audit.Source].
func (l *logReader) Head(context.Context) (int64, tlog.Hash, error) {
	return l.head.Size, l.head.Root, nil
}

// Chunks implements [audit.Source], once and from the beginning.
func (l *logReader) Chunks(context.Context, int64, int64) iter.Seq2[audit.Chunk, error] {
	return func(yield func(audit.Chunk, error) bool) {
		for c := range l.chunks {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// Tile implements [audit.Source]. An export computes its tiles.
func (l *logReader) Tile(context.Context, int, int64) (audit.Tile, bool, error) {
	return audit.Tile{}, false, nil
}

// personalValue opens somebody's own value.
func (x *opened) personalValue(p store.Personal) (sensitive.Value, error) {
	return x.ring.Open(keyring.Place{Project: string(p.Project), Record: p.ID, Field: fieldPersonal, Version: p.Version}, p.Value)
}

// address is where a secret or folder is, in names and in ids.
type address struct {
	Project     domain.Slug `json:"project"`
	Environment domain.Slug `json:"environment"`
	Folder      domain.Path `json:"folder,omitzero"`
}

func (x *opened) address(env domain.EnvID, folder domain.FolderID) address {
	e := x.envs[env]
	return address{x.projects[e.Project].Slug, e.Slug, x.folders[folder].Path}
}
