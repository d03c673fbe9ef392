package server_test

import (
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

	_ "modernc.org/sqlite"

	"github.com/keyturn/keyturn/api"
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
	rows := benchRows()
	w := newWorld(keyturntest.Start(b))
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
	w.server.Stop()
	b.Run("by hand", func(b *testing.B) {
		for b.Loop() {
			began := time.Now()
			n := byHand(b, filepath.Join(w.server.Data, "keyturn.db"))
			b.ReportMetric(float64(n)/time.Since(began).Seconds(), "rows/s")
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
	old, fresh := newAEAD(), newAEAD()
	var freshID [16]byte
	_, _ = rand.Read(freshID[:])
	const each = 5_000
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
			// What is stored lies under a key that this benchmark does not have, so it opens an envelope of its own of that size.
			sealed := old.Seal(nil, nil, make([]byte, len(r.value)-50), r.value[:22])
			plain, err := old.Open(nil, nil, sealed, r.value[:22])
			if err != nil {
				b.Fatal(err)
			}
			header := append(append([]byte{1, 1}, freshID[:]...), 0, 0, 0, 2)
			if _, err := update.Exec(append(header, fresh.Seal(nil, nil, plain, header)...), r.id); err != nil {
				b.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
		total, last = total+len(page), page[len(page)-1].id
	}
}
