package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// settleFor bounds how long the checkpoint waits for readers that still look at older pages.
	settleFor = 30 * time.Second
	// settleEvery is how often it tries.
	settleEvery = 20 * time.Millisecond
	// searchBlock is how much of the file is looked at in one piece.
	searchBlock = 1 << 20
)

// raw is the database file as bytes. It is opened once and closed with the pools: on Unix, closing any descriptor of a file
// gives up the locks that the process holds on it (fcntl(2)), SQLite's among them.
type raw struct{ file *os.File }

// scrub empties the WAL into the file and truncates it, then looks for the needles in the file. What was deleted is overwritten
// with zeros as it is deleted (PRAGMA secure_delete), except where SQLite moved it within a page before; when something is
// found, the file is written anew by VACUUM.
func scrub(ctx context.Context, w *sql.DB, file string, r *raw, needles [][]byte) error {
	if err := checkpoint(ctx, w); err != nil {
		return err
	}
	found, err := r.holds(ctx, file, needles)
	if err != nil || !found {
		return err
	}
	if _, err := w.ExecContext(ctx, "VACUUM"); err != nil {
		return err
	}
	if err := checkpoint(ctx, w); err != nil {
		return err
	}
	if found, err = r.holds(ctx, file, needles); err == nil && found {
		err = fault.New(fault.Internal, "what was destroyed is still found in the database file").WithHint("this is a defect of ours: please tell us")
	}
	return err
}

// checkpoint copies the WAL into the file and cuts it to nothing. Cutting keeps writers out, so nearly all of it is copied before,
// beside them.
func checkpoint(ctx context.Context, w *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	if _, err := w.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		return err
	}
	for {
		var busy, pages, copied int
		if err := w.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &copied); err != nil {
			return err
		}
		if busy == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, ctx.Err(), "readers keep the write-ahead log of the database from being emptied")
		case <-time.After(settleEvery):
		}
	}
}

// holds looks for byte strings in the file.
func (r *raw) holds(ctx context.Context, file string, needles [][]byte) (bool, error) {
	longest := 0
	for _, n := range needles {
		longest = max(longest, len(n))
	}
	if longest == 0 {
		return false, nil
	}
	if r.file == nil {
		f, err := os.Open(file)
		if err != nil {
			return false, err
		}
		r.file = f
	}
	block := make([]byte, searchBlock+longest)
	for at := int64(0); ; at += searchBlock { // blocks overlap, so that nothing hides at a border
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, err := r.file.ReadAt(block, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		for _, needle := range needles {
			if bytes.Contains(block[:n], needle) {
				return true, nil
			}
		}
		if n < len(block) {
			return false, nil
		}
	}
}

func (r *raw) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
