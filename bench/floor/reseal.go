package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

const (
	// handRows is how many rows one transaction takes.
	handRows = 5_000
	// headerSize and overhead are those of Keyturn's envelopes: format, algorithm, key id and generation in front, and with
	// a nonce of 12 bytes and a tag of 16 beside the value.
	headerSize = 22
	overhead   = headerSize + 12 + 16
)

// reseal measures what moving values to a new key costs by hand: the rows of a
// copy of Keyturn's own database are opened, sealed under another key and
// updated in transactions of handRows. The copy lies under keys that the floor
// does not have, so a first pass, which is not measured, puts values of its own
// of the same sizes in their place.
func reseal(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("floor reseal", flag.ContinueOnError)
	file := flags.String("sqlite", "", "database file: a copy that nobody else uses")
	address := flags.String("postgres", "", "or address of a database that nobody else uses")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var s handStore
	var err error
	switch {
	case *file != "" && *address == "":
		s, err = openHandSQLite(*file)
	case *address != "" && *file == "":
		s, err = openHandPostgres(ctx, *address)
	default:
		err = errors.New("want -sqlite or -postgres")
	}
	if err != nil {
		return err
	}
	err = resealed(ctx, s)
	return errors.Join(err, s.close(ctx))
}

func resealed(ctx context.Context, s handStore) error {
	first, second, err := twoKeys()
	if err != nil {
		return err
	}
	if _, err := pages(ctx, s, func(stored []byte) ([]byte, error) {
		if len(stored) < overhead {
			return nil, errors.New("a stored value is too short to be an envelope")
		}
		return first.seal(make([]byte, len(stored)-overhead)), nil
	}); err != nil {
		return err
	}
	before, start := ownCPU(), time.Now()
	rows, err := pages(ctx, s, func(stored []byte) ([]byte, error) {
		plain, err := first.open(stored)
		if err != nil {
			return nil, err
		}
		return second.seal(plain), nil
	})
	if err != nil {
		return err
	}
	took := time.Since(start)
	r := measure.Summarise([]time.Duration{took}, took, 0)
	r.Operations, r.ServerCPU = float64(rows), (ownCPU() - before).Seconds()
	fmt.Println(r)
	return nil
}

// pages sends every value through change, one transaction for each page.
func pages(ctx context.Context, s handStore, change func([]byte) ([]byte, error)) (rows int, err error) {
	for last := ""; ; {
		page, err := s.page(ctx, last, change)
		if err != nil || page.rows == 0 {
			return rows, err
		}
		rows, last = rows+page.rows, page.last
	}
}

// handStore is the table of secrets in one engine.
type handStore interface {
	// page changes the values of the next rows behind an id in one transaction.
	page(ctx context.Context, last string, change func([]byte) ([]byte, error)) (handPage, error)
	close(ctx context.Context) error
}

type handPage struct {
	rows int
	last string
}

// handKey is a key and the header in front of what lies under it.
type handKey struct {
	aead   cipher.AEAD
	header []byte
}

func twoKeys() (a, b handKey, err error) {
	if a, err = newHandKey(); err == nil {
		b, err = newHandKey()
	}
	return a, b, err
}

func newHandKey() (handKey, error) {
	block, err := aes.NewCipher(random(32))
	if err != nil {
		return handKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return handKey{aead, slices.Concat([]byte{1, 1}, random(16), []byte{0, 0, 0, 1})}, err
}

func (k handKey) seal(plain []byte) []byte {
	out := make([]byte, headerSize, len(plain)+overhead)
	copy(out, k.header)
	return k.aead.Seal(out, nil, plain, k.header)
}

func (k handKey) open(envelope []byte) ([]byte, error) {
	return k.aead.Open(nil, nil, envelope[headerSize:], envelope[:headerSize])
}

type handSQLite struct{ db *sql.DB }

// openHandSQLite opens the file with the settings of Keyturn's writer.
func openHandSQLite(file string) (handStore, error) {
	dsn := url.URL{Scheme: "file", Opaque: file, RawQuery: url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(4000)", "secure_delete(1)", "temp_store(MEMORY)",
	}, "_txlock": {"immediate"}}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return handSQLite{db}, nil
}

func (s handSQLite) close(context.Context) error { return s.db.Close() }

func (s handSQLite) page(ctx context.Context, last string, change func([]byte) ([]byte, error)) (handPage, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return handPage{}, err
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, "SELECT id, value FROM secret WHERE id > ? AND value IS NOT NULL ORDER BY id LIMIT ?", last, handRows)
	if err != nil {
		return handPage{}, err
	}
	defer rows.Close()
	type row struct {
		id    string
		value []byte
	}
	var all []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.value); err != nil {
			return handPage{}, err
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil || len(all) == 0 {
		return handPage{}, err
	}
	update, err := tx.PrepareContext(ctx, "UPDATE secret SET value = ? WHERE id = ?")
	if err != nil {
		return handPage{}, err
	}
	defer update.Close()
	for _, r := range all {
		fresh, err := change(r.value)
		if err != nil {
			return handPage{}, err
		}
		if _, err := update.ExecContext(ctx, fresh, r.id); err != nil {
			return handPage{}, err
		}
	}
	return handPage{len(all), all[len(all)-1].id}, tx.Commit()
}
