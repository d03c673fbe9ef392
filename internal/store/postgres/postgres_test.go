package postgres_test

import (
	"context"
	"os"
	"testing"

	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/postgres"
	"github.com/keyturn/keyturn/internal/store/storetest"
	"github.com/keyturn/keyturn/internal/testpg"
)

func TestMain(m *testing.M) { os.Exit(testpg.Run(m)) }

// at gives a place at an address.
func at(address string) storetest.Place {
	return func(ctx context.Context) (*store.Engine, error) { return postgres.Open(ctx, address) }
}

func fresh(tb testing.TB) storetest.Place { return at(testpg.Database(tb)) }

func TestPostgreSQLKeepsTheContract(t *testing.T)            { storetest.Run(t, fresh) }
func TestSeveralServersOnOnePostgreSQLAreRight(t *testing.T) { storetest.RunShared(t, fresh) }

func BenchmarkRecord(b *testing.B)          { storetest.BenchmarkRecord(b, fresh) }
func BenchmarkPutSecrets10000(b *testing.B) { storetest.BenchmarkPutSecrets10000(b, fresh) }
