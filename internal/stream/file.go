package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// fileKind appends lines of JSON to a file in the server's folder for streams. When it is full it gets the index of its first
// entry into its name, and a new one begins. The file lies on the server that has the lease.
var fileKind = kind{
	name: "file",
	settings: map[string]string{
		"file":     "name of the file in the server's folder for streams, for example audit.jsonl",
		"max_size": "bytes after which a new file begins, default 67108864",
	},
	open: openFile,
}

const (
	defaultFileSize = 64 << 20
	// minFileSize keeps a slip of the finger from making a file for each entry.
	minFileSize = 64 << 10
	// maxLine is more than the line of any entry takes.
	maxLine = 128 << 10
	// fileNameBytes are what the name of a file may hold: no separators, so that it stays in its folder.
	fileNameBytes = "abcdefghijklmnopqrstuvwxyz0123456789._-"
	maxFileName   = 100
)

type file struct {
	folder, name, origin string
	max                  int64
	f                    *os.File
	size                 int64
	first                int64 // index of the first entry in it, -1 while it is empty
	last                 int64 // index of the last entry in it, -1 for none of this log
}

func openFile(around surroundings, settings map[string]string, _ sensitive.Value) (sink, error) {
	name := settings["file"]
	if name == "" || len(name) > maxFileName || strings.Trim(name, fileNameBytes) != "" || strings.HasPrefix(name, ".") {
		return nil, fault.New(fault.Invalid, "the name of the file is not valid: want a-z, 0-9, dot, underscore and hyphen, and no folder").
			WithHint("the file lies in the server's folder for streams").WithField("/settings/file", "not valid")
	}
	out := &file{folder: around.folder, name: name, origin: around.origin, max: defaultFileSize}
	if text := settings["max_size"]; text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < minFileSize {
			return nil, fault.New(fault.Invalid, "max_size is not a number of bytes from %d", minFileSize).WithField("/settings/max_size", "not valid")
		}
		out.max = n
	}
	return out, nil
}

func (s *file) path() string { return filepath.Join(s.folder, s.name) }

// begin opens the file and finds out what its last line is. A line that a crash cut off goes.
func (s *file) begin() error {
	if s.f != nil {
		return nil
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return unwritable(err)
	}
	f, err := os.OpenFile(s.path(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return unwritable(err)
	}
	if err := s.resume(f); err != nil {
		return errors.Join(err, f.Close())
	}
	s.f = f
	return syncFolder(s.folder)
}

func unwritable(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	return fault.Wrap(fault.Unavailable, err, "the file of the stream cannot be written").WithHint("check the folder for streams: owner, mode, room on the disk")
}

func (s *file) resume(f *os.File) error {
	s.size, s.first, s.last = 0, -1, -1
	info, err := f.Stat()
	if err != nil {
		return unwritable(err)
	}
	if !info.Mode().IsRegular() {
		return fault.New(fault.Invalid, "the file of the stream is no ordinary file")
	}
	end := info.Size()
	from := max(0, end-2*maxLine) // holds a whole line and one that was cut off
	tail := make([]byte, end-from)
	if _, err := io.ReadFull(io.NewSectionReader(f, from, end-from), tail); err != nil {
		return unwritable(err)
	}
	whole := bytes.LastIndexByte(tail, '\n') + 1
	if whole < len(tail) {
		if err := f.Truncate(from + int64(whole)); err != nil {
			return unwritable(err)
		}
	}
	s.size = from + int64(whole)
	if whole > 0 {
		before := tail[:whole-1]
		if e, ok := parseLine(before[bytes.LastIndexByte(before, '\n')+1:]); ok && e.Log == s.origin {
			s.last = e.Index
		}
	}
	head := make([]byte, min(s.size, maxLine))
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, int64(len(head))), head); err != nil {
		return unwritable(err)
	}
	if first, _, ok := bytes.Cut(head, []byte("\n")); ok {
		s.first = 0
		if e, ok := parseLine(first); ok {
			s.first = e.Index
		}
	}
	if _, err := f.Seek(s.size, io.SeekStart); err != nil {
		return unwritable(err)
	}
	return nil
}

func parseLine(b []byte) (line, bool) {
	var e line
	err := json.Unmarshal(b, &e)
	return e, err == nil
}

func (s *file) send(_ context.Context, batch []follow.Entry) error {
	if err := s.begin(); err != nil {
		return err
	}
	for len(batch) > 0 && batch[0].Index <= s.last { // written before a crash that kept the bookmark from moving
		batch = batch[1:]
	}
	if len(batch) == 0 {
		return nil
	}
	if s.size >= s.max {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	text, err := appendLines(nil, s.origin, batch)
	if err != nil {
		return err
	}
	if _, err = s.f.Write(text); err == nil {
		err = s.f.Sync()
	}
	if err != nil { // what is in the file now shows when it is opened again
		return errors.Join(unwritable(err), s.close())
	}
	if s.first < 0 {
		s.first = batch[0].Index
	}
	s.size, s.last = s.size+int64(len(text)), batch[len(batch)-1].Index
	return nil
}

// rotate gives the full file its lasting name. One that is there is never written over.
func (s *file) rotate() error {
	if err := s.close(); err != nil {
		return unwritable(err)
	}
	ext := filepath.Ext(s.name)
	base := fmt.Sprintf("%s-%016d", strings.TrimSuffix(s.name, ext), max(s.first, 0))
	for n := 0; ; n++ {
		name := base + ext
		if n > 0 { // another life of the instance had an entry of this index
			name = fmt.Sprintf("%s-%d%s", base, n, ext)
		}
		to := filepath.Join(s.folder, name)
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(s.path(), to); err != nil { // nobody else writes here
			return unwritable(err)
		}
		last := s.last
		if err := s.begin(); err != nil {
			return err
		}
		s.last = last
		return nil
	}
}

func (s *file) test(context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		return unwritable(err)
	}
	return nil
}

func (s *file) close() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.Close()
}

// syncFolder makes names durable, where the system can.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return unwritable(err)
	}
	_ = d.Sync() // not every system syncs folders
	return d.Close()
}
