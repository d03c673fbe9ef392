package transit

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/store/storetest"
)

// world is a service on a database of its own, with one organisation.
type world struct {
	*Service
	ctx context.Context // of a caller who may do everything
	db  *store.DB
}

// noProjects is an organisation without any: its keys are its own.
type noProjects struct{}

func (noProjects) Place(context.Context, string) (domain.ProjectID, map[domain.Slug]domain.EnvID, error) {
	return "", nil, fault.New(fault.NotFound, "no such project")
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	folder := tb.TempDir()
	db := storetest.Open(tb, func(ctx context.Context) (*store.Engine, error) { return sqlite.Open(ctx, folder) })
	ctx := context.Background()
	instance, now := uuid.Must(uuid.NewV7()).String(), time.Now().UnixMilli()
	must(tb, db.Found(ctx, instance, now))
	ring, rows, err := keyring.Create(keyring.NewRoot(), keyring.SlotFile, instance, now)
	must(tb, err)
	must(tb, db.Write(ctx, storetest.Entry("instance.found"), func(tx *store.Tx) error { return keys.Save(ctx, tx, rows) }))
	door := guard.New(db)
	k := keys.New(db, door, ring, instance, 1, "", nil, keys.Schedule{})
	org := store.Org{ID: domain.NewID[domain.OrgID](), Slug: "main", Name: "Main"}
	must(tb, db.Write(ctx, storetest.Entry("instance.setup"), func(tx *store.Tx) error { return tx.PutOrg(ctx, &org) }))
	who := &domain.Principal{Kind: domain.System, ID: "test", Name: "test", Org: org.ID}
	return &world{Service: New(db, door, k, noProjects{}), db: db, ctx: guard.WithCaller(ctx, &guard.Caller{Principal: who, Dialect: "native"})}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// make makes a key.
func (w *world) make(tb testing.TB, in NewKey) Ref {
	tb.Helper()
	_, err := w.Create(w.ctx, "", in)
	must(tb, err)
	return Ref{Name: in.Name}
}

// row and put read and change the row of a key past the rules.
func (w *world) row(tb testing.TB, ref Ref) store.TransitKey {
	tb.Helper()
	row, err := w.db.TransitKeyByName(w.ctx, guard.CallerOf(w.ctx).Principal.Org, "", ref.Name)
	must(tb, err)
	return row
}

func TestMain(m *testing.M) { os.Exit(m.Run()) }
