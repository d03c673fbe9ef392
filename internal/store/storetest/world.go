package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// World is one environment with its root folder, and what is above it.
type World struct {
	Org     store.Org
	Project store.Project
	Env     store.Environment
	Root    store.Folder
}

// Settle makes a world. Several may lie in one database.
func Settle(tb testing.TB, db *store.DB) *World {
	tb.Helper()
	w := &World{}
	err := db.Write(tb.Context(), Entry("world.create"), func(tx *store.Tx) error {
		var err error
		*w, err = settle(tb.Context(), tx)
		return err
	})
	if err != nil {
		tb.Fatalf("settle: %v", err)
	}
	return w
}

func settle(ctx context.Context, tx *store.Tx) (World, error) {
	var w World
	// The end of a fresh id is random: a slug that no other world has.
	unique := domain.NewID[string]()[24:]
	w.Org = store.Org{ID: domain.NewID[domain.OrgID](), Slug: domain.Slug("org-" + unique), Name: "Org", CreatedAt: tx.Now()}
	w.Project = store.Project{ID: domain.NewID[domain.ProjectID](), Org: w.Org.ID, Slug: "shop", Name: "Shop", CreatedAt: tx.Now()}
	w.Env = store.Environment{ID: domain.NewID[domain.EnvID](), Org: w.Org.ID, Project: w.Project.ID, Slug: "prod", Name: "Prod", Position: 2, CreatedAt: tx.Now()}
	w.Root = w.Folder("/")
	if err := tx.PutOrg(ctx, &w.Org); err != nil {
		return w, err
	}
	if err := tx.PutProject(ctx, &w.Project); err != nil {
		return w, err
	}
	if err := tx.PutEnvironment(ctx, &w.Env); err != nil {
		return w, err
	}
	return w, tx.PutFolders(ctx, nil, []*store.Folder{&w.Root})
}

// Folder makes a folder's row; it is not stored.
func (w *World) Folder(path domain.Path) store.Folder {
	return store.Folder{ID: domain.NewID[domain.FolderID](), Org: w.Org.ID, Project: w.Project.ID, Env: w.Env.ID, Path: path}
}

// Secret makes the row of a secret in the root folder; it is not stored. Value and digest are those of no real secret.
func (w *World) Secret(name string) store.Secret {
	digest := sha256.Sum256([]byte("test-value " + name))
	return store.Secret{
		ID: domain.NewID[domain.SecretID](), Org: w.Org.ID, Project: w.Project.ID, Env: w.Env.ID, Folder: w.Root.ID,
		Name: domain.SecretName(name), Revision: 1, Version: 1, At: foundedAt,
		Attrs: domain.Attributes{Owner: "backend", Tags: []domain.Tag{"db"}},
		Value: []byte("sealed test-value of " + name), Digest: digest[:],
	}
}

// Secrets makes many rows.
func (w *World) Secrets(n int) []*store.Secret {
	out := make([]*store.Secret, n)
	for i := range out {
		s := w.Secret(fmt.Sprintf("KEY_%06d", i))
		out[i] = &s
	}
	return out
}

// Entry makes an audit entry.
func Entry(action string) *audit.Entry {
	return &audit.Entry{Action: action, Outcome: audit.Allowed, Actor: audit.Actor{Kind: "system", ID: "storetest"}}
}

// put writes rows of one kind in a transaction of their own and gives its entry.
func put(tb testing.TB, db *store.DB, run func(context.Context, *store.Tx) error) *audit.Entry {
	tb.Helper()
	entry := Entry("rows.put")
	if err := db.Write(tb.Context(), entry, func(tx *store.Tx) error { return run(tb.Context(), tx) }); err != nil {
		tb.Fatalf("put: %v", err)
	}
	return entry
}
