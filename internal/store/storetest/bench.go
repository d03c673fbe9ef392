package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/internal/store"
)

// BenchmarkRecord measures audit entries per second with 1, 16 and 64 callers that each wait for theirs.
func BenchmarkRecord(b *testing.B, fresh Fresh) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := Found(b, fresh(b))
			var wg sync.WaitGroup
			b.ResetTimer()
			for c := range callers {
				wg.Go(func() {
					for i := c; i < b.N; i += callers {
						e := Entry("secret.read")
						e.Keys = []string{"/backend/DATABASE_URL"}
						if err := db.Record(e); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkPutSecrets10000 measures an import of 10,000 rows with everything that belongs to it, and beside it the same
// rows written by hand: one transaction of multi-row inserts, no digests, no log.
func BenchmarkPutSecrets10000(b *testing.B, fresh Fresh) {
	const n = 10_000
	b.Run("store", func(b *testing.B) {
		db := Found(b, fresh(b))
		for b.Loop() {
			b.StopTimer()
			w := Settle(b, db)
			rows := w.Secrets(n)
			b.StartTimer()
			if err := db.Write(b.Context(), Entry("import"), func(tx *store.Tx) error { return tx.PutSecrets(b.Context(), nil, rows) }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("by hand", func(b *testing.B) {
		place := fresh(b)
		db := Found(b, place)
		// The worlds are settled before: on SQLite the server must be gone when somebody else writes.
		worlds := make([]*World, 0, 64)
		for range cap(worlds) {
			worlds = append(worlds, Settle(b, db))
		}
		shut(b, db)
		e, err := place(b.Context())
		must(b, err)
		b.Cleanup(func() { _ = e.Close() })
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			if i == len(worlds) {
				b.Fatal("too few worlds were settled: use a shorter -benchtime")
			}
			rows := worlds[i].Secrets(n)
			b.StartTimer()
			if err := insert(b.Context(), e, rows); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// insert writes rows as one would by hand.
func insert(ctx context.Context, e *store.Engine, rows []*store.Secret) error {
	const perStatement, columns = 500, 14
	var text strings.Builder
	text.WriteString("INSERT INTO secret (id, org_id, project_id, env_id, folder_id, name, revision, version, deleted, at, attrs, comment, value, digest) VALUES ")
	for i := range perStatement {
		text.WriteString(map[bool]string{true: "(", false: ", ("}[i == 0])
		for c := range columns {
			if c > 0 {
				text.WriteByte(',')
			}
			if e.Numbered {
				text.WriteString("$" + strconv.Itoa(i*columns+c+1))
			} else {
				text.WriteByte('?')
			}
		}
		text.WriteByte(')')
	}
	tx, err := e.Writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	stmt, err := tx.PrepareContext(ctx, text.String())
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		args := make([]any, 0, perStatement*columns)
		for _, s := range rows[:perStatement] {
			attrs, err := json.Marshal(s.Attrs)
			if err != nil {
				return err
			}
			args = append(args, string(s.ID), string(s.Org), string(s.Project), string(s.Env), string(s.Folder), string(s.Name),
				s.Revision, s.Version, s.Deleted, s.At, string(attrs), s.Comment, s.Value, s.Digest)
		}
		if _, err := stmt.ExecContext(ctx, args...); err != nil {
			return err
		}
		rows = rows[perStatement:]
	}
	return tx.Commit()
}
