package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// maxBundleBytes is the largest well-formed entry bundle.
	maxBundleBytes = tileWidth * (prefixBytes + MaxEntryBytes)
	// maxKeyFileBytes is room for maxLogKeys keys with long names.
	maxKeyFileBytes = 16 << 10
)

// VerifyDir verifies the offline form of a log (see [Export]) without any server, as [Verify] does, incomplete tiles
// included. vkey holds one or more verification keys, one to a line. With "" the file "key" of the folder is believed:
// that shows only that the folder agrees with itself, so a key learned elsewhere is better. A folder without a readable
// checkpoint or key is [fault.Invalid].
func VerifyDir(dir, vkey string) (Report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Report{}, fmt.Errorf("open exported log: %w", err)
	}
	r, err := verifyFolder(context.Background(), folder{root: root}, vkey)
	return r, errors.Join(err, root.Close())
}

func verifyFolder(ctx context.Context, f folder, vkey string) (Report, error) {
	if vkey == "" {
		var err error
		if vkey, err = f.key(); err != nil {
			return Report{}, err
		}
	}
	checkpoint, err := f.mustRead(checkpointFile, maxCheckpointBytes)
	if err != nil {
		return Report{}, err
	}
	if f.head, err = OpenCheckpoint(checkpoint, splitKeys(vkey)...); err != nil {
		return Report{}, err
	}
	return Verify(ctx, f, checkpoint, vkey, nil)
}

// folder is a log in the offline form. It implements [Source]; its head is what the checkpoint says.
type folder struct {
	root *os.Root // keeps links from leading out of the folder
	head Head
}

// key reads the verification keys in the one form that [Export] writes.
func (f folder) key() (string, error) {
	b, err := f.mustRead(keyFile, maxKeyFileBytes)
	if err != nil {
		return "", err
	}
	if keys := splitKeys(string(b)); len(keys) == 0 || strings.Join(keys, "\n")+"\n" != string(b) {
		return "", fault.New(fault.Invalid, "the file key of the exported log does not hold one verification key to a line")
	}
	return string(b), nil
}

// Head implements [Source].
func (f folder) Head(context.Context) (int64, tlog.Hash, error) { return f.head.Size, f.head.Root, nil }

// Chunks implements [Source]: each bundle is a chunk. The offline form records no times for them, so that none can be wrong.
func (f folder) Chunks(_ context.Context, from, to int64) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		absent := 0
		for n := from / tileWidth; n*tileWidth < to; n++ {
			width := int(min(f.head.Size-n*tileWidth, tileWidth))
			data, ok, err := f.read(bundlePath(n, width), maxBundleBytes)
			if err != nil {
				yield(Chunk{}, err)
				return
			}
			if !ok {
				if absent++; absent > maxGap/tileWidth {
					return
				}
				continue
			}
			absent = 0
			if !yield(Chunk{First: n * tileWidth, Count: width, ToMS: maxInteger, Data: data}, nil) {
				return
			}
		}
	}
}

// Tile implements [Source].
func (f folder) Tile(_ context.Context, level int, index int64) (Tile, bool, error) {
	hashes, ok, err := f.partialTile(level, index, tileWidth)
	return Tile{Level: level, Index: index, Hashes: hashes}, ok, err
}

func (f folder) partialTile(level int, index int64, width int) ([]byte, bool, error) {
	return f.read(tilePath(level, index, width), tileBytes)
}

// read gives the content of a file, cut one byte above the bound so that a longer one is seen to be wrong. A file that is
// not there is false, which is not the same as one that cannot be read.
func (f folder) read(name string, bound int) ([]byte, bool, error) {
	file, err := f.root.Open(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read exported log: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(file, int64(bound)+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, false, fmt.Errorf("read exported log: %w", err)
	}
	return data, true, nil
}

func (f folder) mustRead(name string, bound int) ([]byte, error) {
	b, ok, err := f.read(name, bound)
	if err != nil {
		return nil, err
	}
	if !ok || len(b) > bound {
		return nil, fault.New(fault.Invalid, "the exported log has no file %s, or one that is too long", name)
	}
	return b, nil
}
