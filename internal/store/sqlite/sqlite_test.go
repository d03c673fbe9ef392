package sqlite_test

import (
	"context"
	"testing"

	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/store/storetest"
)

// in gives a place in a folder.
func in(folder string) storetest.Place {
	return func(ctx context.Context) (*store.Engine, error) { return sqlite.Open(ctx, folder) }
}

func fresh(tb testing.TB) storetest.Place { return in(tb.TempDir()) }

func TestSQLiteKeepsTheContract(t *testing.T) { storetest.Run(t, fresh) }

func BenchmarkRecord(b *testing.B)          { storetest.BenchmarkRecord(b, fresh) }
func BenchmarkPutSecrets10000(b *testing.B) { storetest.BenchmarkPutSecrets10000(b, fresh) }
