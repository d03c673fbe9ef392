package server_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

// benchRows is how many secrets the benchmarks of turns work on; KEYTURN_BENCH_ROWS asks for more.
func benchRows() int {
	if n, err := strconv.Atoi(os.Getenv("KEYTURN_BENCH_ROWS")); err == nil {
		return n
	}
	return 20_000
}

// BenchmarkProjectTurn moves every value of a project to a new key, and beside it does the same rows by hand: open, seal and
// update in transactions of 5,000 rows on a copy of the same database. The ratio is what counts.
func BenchmarkProjectTurn(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		w := newWorld(keyturntest.Start(b))
		turnMany(b, w)
		file := filepath.Join(w.server.Data, "keyturn.db")
		w.server.Stop()
		b.Run("by hand", func(b *testing.B) {
			for b.Loop() {
				began := time.Now()
				n := byHand(b, file)
				b.ReportMetric(float64(n)/time.Since(began).Seconds(), "rows/s")
			}
		})
	})
	b.Run("postgres", func(b *testing.B) {
		address := testpg.Database(b)
		w := newWorld(keyturntest.Start(b, keyturntest.WithPostgres(address)))
		turnMany(b, w)
		w.server.Stop()
		b.Run("by hand", func(b *testing.B) {
			for b.Loop() {
				began := time.Now()
				n := byHandOnPostgres(b, address)
				b.ReportMetric(float64(n)/time.Since(began).Seconds(), "rows/s")
			}
		})
	})
}

func turnMany(b *testing.B, w *world) {
	rows := benchRows()
	e := fillMany(b, w, rows)
	b.Run("keyturn", func(b *testing.B) {
		for b.Loop() {
			began := time.Now()
			turn := send[api.KeyRotated](b, w.admin, "POST", "/keys/rotations", api.KeyRotation{Layer: "project", Project: e.project}).Turns[0]
			moved := time.Duration(0)
			for turn.EndedAt.IsZero() {
				<-time.After(50 * time.Millisecond) // each question is an entry, and a turn makes way for others
				turn = send[api.KeyTurn](b, w.admin, "GET", "/keys/turns/"+turn.ID, nil)
				if turn.Stage != "moving" && moved == 0 {
					moved = time.Since(began)
				}
			}
			b.ReportMetric(float64(rows)/moved.Seconds(), "rows/s")
			b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-done")
		}
	})
}

func fillMany(b *testing.B, w *world, rows int) env {
	b.Helper()
	slug := w.fresh("many-")
	send[api.Project](b, w.admin, "POST", "/projects", api.ProjectRequest{Slug: slug})
	e := env{w.admin, slug, "dev"}
	const each = 10_000
	value := make([]byte, 128)
	for at := 0; at < rows; at += each {
		var changes []api.Change
		for i := at; i < min(at+each, rows); i++ {
			_, _ = rand.Read(value)
			changes = append(changes, set(fmt.Sprintf("/f%03d", i/1000), fmt.Sprintf("K%07d", i), fmt.Sprintf("%x", value)))
		}
		e.commit(b, changes...)
	}
	return e
}

// byHand is the floor: the same cipher, the same rows, the same size of transactions, and nothing else.
func byHand(b *testing.B, file string) int {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=secure_delete(1)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	hand := newHand(b)
	const each = handRows
	total, last := 0, ""
	for {
		tx, err := db.Begin()
		if err != nil {
			b.Fatal(err)
		}
		rows, err := tx.Query("SELECT id, value FROM secret WHERE id > ? ORDER BY id LIMIT ?", last, each)
		if err != nil {
			b.Fatal(err)
		}
		type row struct {
			id    string
			value []byte
		}
		var page []row
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.id, &r.value); err != nil {
				b.Fatal(err)
			}
			page = append(page, r)
		}
		_ = rows.Close()
		if len(page) == 0 {
			_ = tx.Rollback()
			return total
		}
		update, err := tx.Prepare("UPDATE secret SET value = ? WHERE id = ?")
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range page {
			if _, err := update.Exec(hand.reseal(b, r.value), r.id); err != nil {
				b.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
		total, last = total+len(page), page[len(page)-1].id
	}
}

// handRows is how many rows one transaction by hand takes.
const handRows = 5_000

// hand is the cipher of the floor: two keys and nothing else.
type hand struct {
	old, fresh cipher.AEAD
	id         [16]byte
}

func newHand(b *testing.B) *hand {
	b.Helper()
	newAEAD := func() cipher.AEAD {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		block, err := aes.NewCipher(key)
		if err != nil {
			b.Fatal(err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			b.Fatal(err)
		}
		return aead
	}
	h := &hand{old: newAEAD(), fresh: newAEAD()}
	_, _ = rand.Read(h.id[:])
	return h
}

// reseal opens and seals a value of the size of a stored one. What is stored lies under a key that the benchmark does not have,
// so it opens an envelope of its own; making that one is work that the floor would not have, and is in the floor's disfavour.
func (h *hand) reseal(b *testing.B, stored []byte) []byte {
	sealed := h.old.Seal(nil, nil, make([]byte, len(stored)-50), stored[:22])
	plain, err := h.old.Open(nil, nil, sealed, stored[:22])
	if err != nil {
		b.Fatal(err)
	}
	header := append(append([]byte{1, 1}, h.id[:]...), 0, 0, 0, 2)
	return append(header, h.fresh.Seal(nil, nil, plain, header)...)
}

// byHandOnPostgres is the floor there: one UPDATE of arrays for each transaction.
func byHandOnPostgres(b *testing.B, address string) int {
	b.Helper()
	ctx := context.Background()
	db, err := pgx.Connect(ctx, address)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close(ctx)
	h := newHand(b)
	total, last := 0, ""
	for {
		tx, err := db.Begin(ctx)
		if err != nil {
			b.Fatal(err)
		}
		rows, err := tx.Query(ctx, "SELECT id, value FROM secret WHERE id > $1 ORDER BY id LIMIT $2", last, handRows)
		if err != nil {
			b.Fatal(err)
		}
		var ids []string
		var values [][]byte
		for rows.Next() {
			var id string
			var value []byte
			if err := rows.Scan(&id, &value); err != nil {
				b.Fatal(err)
			}
			ids, values = append(ids, id), append(values, h.reseal(b, value))
		}
		if rows.Close(); len(ids) == 0 {
			_ = tx.Rollback(ctx)
			return total
		}
		if _, err := tx.Exec(ctx, "UPDATE secret SET value = u.value FROM unnest($1::text[], $2::bytea[]) AS u(id, value) WHERE secret.id = u.id", ids, values); err != nil {
			b.Fatal(err)
		}
		if err := tx.Commit(ctx); err != nil {
			b.Fatal(err)
		}
		total, last = total+len(ids), ids[len(ids)-1]
	}
}
