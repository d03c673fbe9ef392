package storetest

import (
	"context"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// names checks what is unique among the living, and that the deleted free their name.
func names(t *testing.T, fresh Fresh) {
	db := Found(t, fresh(t))
	type change = func(context.Context, *store.Tx) error
	for name, pair := range map[string]func(w *World) (first, second, deleteFirst change){
		"secrets of a folder": func(w *World) (first, second, deleteFirst change) {
			a, b := w.Secret("SAME"), w.Secret("SAME")
			write := func(s *store.Secret) change {
				return func(ctx context.Context, tx *store.Tx) error { return tx.PutSecrets(ctx, nil, []*store.Secret{s}) }
			}
			return write(&a), write(&b), func(ctx context.Context, tx *store.Tx) error {
				old := a
				a.Revision, a.Deleted = 2, 2
				return tx.PutSecrets(ctx, []*store.Secret{&old}, []*store.Secret{&a})
			}
		},
		"folders of an environment": func(w *World) (first, second, deleteFirst change) {
			a, b := w.Folder("/same"), w.Folder("/same")
			write := func(f *store.Folder) change {
				return func(ctx context.Context, tx *store.Tx) error { return tx.PutFolders(ctx, nil, []*store.Folder{f}) }
			}
			return write(&a), write(&b), func(ctx context.Context, tx *store.Tx) error {
				old := a
				a.Revision, a.Deleted = 2, 2
				return tx.PutFolders(ctx, []*store.Folder{&old}, []*store.Folder{&a})
			}
		},
		"environments of a project": func(w *World) (first, second, deleteFirst change) {
			a, b := w.Env, w.Env
			a.ID, a.Slug, b.ID, b.Slug = domain.NewID[domain.EnvID](), "same", domain.NewID[domain.EnvID](), "same"
			write := func(e *store.Environment) change {
				return func(ctx context.Context, tx *store.Tx) error { return tx.PutEnvironment(ctx, e) }
			}
			return write(&a), write(&b), func(ctx context.Context, tx *store.Tx) error {
				a.DeletedAt = tx.Now()
				return tx.PutEnvironment(ctx, &a)
			}
		},
		"projects of an organisation": func(w *World) (first, second, deleteFirst change) {
			a, b := w.Project, w.Project
			a.ID, a.Slug, b.ID, b.Slug = domain.NewID[domain.ProjectID](), "same", domain.NewID[domain.ProjectID](), "same"
			write := func(p *store.Project) change {
				return func(ctx context.Context, tx *store.Tx) error { return tx.PutProject(ctx, p) }
			}
			return write(&a), write(&b), func(ctx context.Context, tx *store.Tx) error {
				a.DeletedAt = tx.Now()
				return tx.PutProject(ctx, &a)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second, deleteFirst := pair(Settle(t, db))
			put(t, db, first)
			err := db.Write(t.Context(), Entry("second"), func(tx *store.Tx) error { return second(t.Context(), tx) })
			Want(t, err, fault.Exists)
			put(t, db, deleteFirst)
			put(t, db, second)
		})
	}

	t.Run("a name differs by case and byte alone", func(t *testing.T) {
		w := Settle(t, db)
		a, b, c := w.Secret("key"), w.Secret("KEY"), w.Secret("k.e.y")
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutSecrets(ctx, nil, []*store.Secret{&a, &b, &c})
		})
		got, err := db.SecretsNamed(t.Context(), w.Root.ID, "KEY")
		same(t, "the secret", got, err, []store.Secret{b})
	})

	t.Run("one that is deleted in a commit frees its name in the same one", func(t *testing.T) {
		w := Settle(t, db)
		a, b := w.Secret("SAME"), w.Secret("SAME")
		put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSecrets(ctx, nil, []*store.Secret{&a}) })
		old := a
		a.Revision, a.Deleted, b.Revision = 2, 2, 2
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutSecrets(ctx, []*store.Secret{&old}, []*store.Secret{&a, &b})
		})
	})

	t.Run("what must be unique for ever stays so", func(t *testing.T) {
		w := Settle(t, db)
		person := func() *store.Person {
			return &store.Person{ID: domain.NewID[domain.UserID](), Org: w.Org.ID, Email: "same@example.test"}
		}
		put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutPerson(ctx, person()) })
		Want(t, db.Write(t.Context(), Entry("x"), func(tx *store.Tx) error { return tx.PutPerson(t.Context(), person()) }), fault.Exists)
		commit := func() *store.Commit {
			return &store.Commit{ID: domain.NewID[domain.CommitID](), Env: w.Env.ID, Revision: 1}
		}
		put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutCommit(ctx, commit()) })
		Want(t, db.Write(t.Context(), Entry("x"), func(tx *store.Tx) error { return tx.PutCommit(t.Context(), commit()) }), fault.Exists)
		// A replaced state is history: it is never written over.
		s := w.Secret("A")
		old := s
		s.Revision = 2
		write := func(tx *store.Tx) error {
			return tx.PutSecrets(t.Context(), []*store.Secret{&old}, []*store.Secret{&s})
		}
		must(t, db.Write(t.Context(), Entry("x"), write))
		Want(t, db.Write(t.Context(), Entry("x"), write), fault.Exists)
	})

	t.Run("a row that points to nothing is refused", func(t *testing.T) {
		w := Settle(t, db)
		s := w.Secret("A")
		s.Folder = domain.NewID[domain.FolderID]()
		err := db.Write(t.Context(), Entry("x"), func(tx *store.Tx) error { return tx.PutSecrets(t.Context(), nil, []*store.Secret{&s}) })
		Want(t, err, fault.Internal)
	})
}
