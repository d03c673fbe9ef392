package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
)

// Export writes the log as far as checkpoint signs it into dir: plain files in the layout of C2SP tlog-tiles, plus the
// verification keys in the file "key". The folder must be new or empty ([fault.Exists]). vkey holds one or more keys, one
// to a line.
//
// Tiles are computed anew from the entries. A log that does not give the signed root is [fault.Internal]; "checkpoint" and
// "key" are written last, so that an export that failed never looks like one that succeeded.
func Export(ctx context.Context, src Source, dir string, checkpoint []byte, vkey string) error {
	keys := splitKeys(vkey)
	head, err := OpenCheckpoint(checkpoint, keys...)
	if err != nil {
		return err
	}
	out, err := newFolder(dir)
	if err != nil {
		return err
	}
	x := exporter{out: out, tree: EmptyTree()}
	err = x.run(ctx, src, head)
	if err == nil {
		err = x.write(keyFile, []byte(strings.Join(keys, "\n")+"\n"))
	}
	if err == nil {
		err = x.write(checkpointFile, checkpoint)
	}
	return errors.Join(err, out.Close())
}

// newFolder makes dir, or takes it when it is empty.
func newFolder(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make export folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open export folder: %w", err)
	}
	if err := requireEmpty(root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

func requireEmpty(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("open export folder: %w", err)
	}
	_, err = f.ReadDir(1)
	switch closed := f.Close(); {
	case err == nil:
		return fault.New(fault.Exists, "the export folder is not empty").WithHint("name a new folder")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read export folder: %w", err)
	default:
		return closed
	}
}

type exporter struct {
	out    *os.Root
	tree   *Tree
	bundle []byte
}

func (x *exporter) run(ctx context.Context, src Source, head Head) error {
	for c, err := range src.Chunks(ctx, 0, head.Size) {
		if err != nil {
			return fmt.Errorf("read audit entries: %w", err)
		}
		if err := c.Check(); err != nil {
			return err
		}
		if c.First != x.tree.Size() {
			return damaged("entry %d is missing", x.tree.Size())
		}
		if err := x.entries(c, head.Size); err != nil {
			return err
		}
	}
	if x.tree.Size() != head.Size || x.tree.Root() != head.Root {
		return damaged("its entries do not give the root that the checkpoint signs at %d entries", head.Size)
	}
	return x.partials()
}

func (x *exporter) entries(c Chunk, size int64) error {
	var scratch []byte
	for i, e := range c.Entries() {
		if i >= size {
			return nil
		}
		x.bundle = binary.BigEndian.AppendUint16(x.bundle, uint16(len(e)))
		x.bundle = append(x.bundle, e...)
		scratch = leafInput(scratch, e)
		var done []Tile
		x.tree.add(leafHash(scratch), &done)
		for _, t := range done {
			if t.Level == 0 {
				if err := x.write(bundlePath(t.Index, tileWidth), x.bundle); err != nil {
					return err
				}
				x.bundle = x.bundle[:0]
			}
			if err := x.write(tilePath(t.Level, t.Index, tileWidth), t.Hashes); err != nil {
				return err
			}
		}
	}
	return nil
}

// partials writes the incomplete tiles and bundle at the right edge.
func (x *exporter) partials() error {
	for _, t := range x.tree.partials() {
		if t.Level == 0 {
			if err := x.write(bundlePath(t.Index, len(t.Hashes)/tlog.HashSize), x.bundle); err != nil {
				return err
			}
		}
		if err := x.write(tilePath(t.Level, t.Index, len(t.Hashes)/tlog.HashSize), t.Hashes); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file that must not exist, readable by the owner alone: names and addresses are nobody else's business.
func (x *exporter) write(name string, data []byte) error {
	if err := x.out.MkdirAll(path.Dir(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("export %s: %w", name, err)
	}
	f, err := x.out.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("export %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export %s: %w", name, err)
	}
	return nil
}
