package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// model is an environment as a naive mind keeps it: a full copy of all rows after each commit.
type model struct {
	world    *World
	revision int64
	secrets  []map[domain.SecretID]store.Secret // by revision
	folders  []map[domain.FolderID]store.Folder
}

// history compares the questions about the past with the model after random commits.
func history(t *testing.T, fresh Fresh) {
	db := Found(t, fresh(t))
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		var w World
		must(rt, db.Write(ctx, Entry("world.create"), func(tx *store.Tx) (err error) {
			w, err = settle(ctx, tx)
			return err
		}))
		m := &model{world: &w}
		m.secrets = append(m.secrets, map[domain.SecretID]store.Secret{})
		m.folders = append(m.folders, map[domain.FolderID]store.Folder{w.Root.ID: w.Root})
		for range rapid.IntRange(1, 6).Draw(rt, "commits") {
			m.commit(rt, ctx, db)
		}
		m.compare(rt, ctx, db)
	})
	Verify(t, db)
}

// commit changes some folders and secrets at random and stores the change.
func (m *model) commit(rt *rapid.T, ctx context.Context, db *store.DB) {
	m.revision++
	secrets, folders := maps.Clone(m.secrets[m.revision-1]), maps.Clone(m.folders[m.revision-1])
	var oldSecrets, newSecrets []*store.Secret
	var oldFolders, newFolders []*store.Folder

	for range rapid.IntRange(0, 2).Draw(rt, "folders") {
		f := m.world.Folder(domain.Path(fmt.Sprintf("/f%d", rapid.IntRange(0, 3).Draw(rt, "path"))))
		if old, ok := pick(rt, folders); ok && old.ID != m.world.Root.ID && old.Revision != m.revision && rapid.Bool().Draw(rt, "old folder") {
			if old.Deleted == 0 && slices.ContainsFunc(slices.Collect(maps.Values(secrets)), func(s store.Secret) bool { return s.Folder == old.ID && s.Deleted == 0 }) {
				continue
			}
			was := old
			path := f.Path
			f = old
			if rapid.Bool().Draw(rt, "delete folder") {
				f.Deleted = m.revision
			} else {
				f.Path, f.Deleted = path, 0
			}
			if m.taken(folders, f) {
				continue
			}
			oldFolders = append(oldFolders, &was)
		} else if m.taken(folders, f) {
			continue
		}
		f.Revision = m.revision
		folders[f.ID] = f
		newFolders = append(newFolders, &f)
	}

	for range rapid.IntRange(0, 5).Draw(rt, "secrets") {
		s := m.world.Secret(fmt.Sprintf("K%d", rapid.IntRange(0, 5).Draw(rt, "name")))
		if old, ok := pick(rt, secrets); ok && old.Revision != m.revision && rapid.Bool().Draw(rt, "old secret") {
			was := old
			name := s.Name
			s = old
			switch rapid.IntRange(0, 3).Draw(rt, "verb") {
			case 0:
				s.Deleted = m.revision
			case 1:
				s.Name, s.Deleted = name, 0
			case 2:
				s.Deleted = 0
				if f, ok := pick(rt, folders); ok && f.Deleted == 0 {
					s.Folder = f.ID
				}
			default:
				s.Version++
				s.Value = []byte(fmt.Sprintf("sealed test-value %d", s.Version))
				s.Deleted = 0
			}
			if folders[s.Folder].Deleted != 0 && s.Deleted == 0 || secretTaken(secrets, s) {
				continue
			}
			oldSecrets = append(oldSecrets, &was)
		} else if secretTaken(secrets, s) {
			continue
		}
		s.Revision = m.revision
		secrets[s.ID] = s
		newSecrets = append(newSecrets, &s)
	}

	must(rt, db.Write(ctx, Entry("commit"), func(tx *store.Tx) error {
		if err := tx.PutFolders(ctx, oldFolders, newFolders); err != nil {
			return err
		}
		return tx.PutSecrets(ctx, oldSecrets, newSecrets)
	}))
	m.secrets, m.folders = append(m.secrets, secrets), append(m.folders, folders)
}

// taken tells whether another live folder has the path, now or in a state that this commit replaces.
func (m *model) taken(folders map[domain.FolderID]store.Folder, f store.Folder) bool {
	for _, rows := range []map[domain.FolderID]store.Folder{folders, m.folders[m.revision-1]} {
		for _, other := range rows {
			if f.Deleted == 0 && other.ID != f.ID && other.Deleted == 0 && other.Path == f.Path {
				return true
			}
		}
	}
	return false
}

// secretTaken tells whether another live secret has the name now. What gives a name up was written before.
func secretTaken(secrets map[domain.SecretID]store.Secret, s store.Secret) bool {
	for _, other := range secrets {
		if s.Deleted == 0 && other.ID != s.ID && other.Deleted == 0 && other.Folder == s.Folder && other.Name == s.Name {
			return true
		}
	}
	return false
}

func pick[K cmp.Ordered, T any](rt *rapid.T, rows map[K]T) (T, bool) {
	if len(rows) == 0 {
		return *new(T), false
	}
	return rows[rapid.SampledFrom(slices.Sorted(maps.Keys(rows))).Draw(rt, "row")], true
}

// compare asks every question at every revision.
func (m *model) compare(rt *rapid.T, ctx context.Context, db *store.DB) {
	env := m.world.Env.ID
	for r := range m.revision + 1 {
		got, err := db.SecretsAt(ctx, env, r)
		equal(rt, fmt.Sprintf("secrets at %d", r), got, err, live(m.secrets[r], func(s store.Secret) int64 { return s.Deleted }), secretOrder)
		folders, err := db.FoldersAt(ctx, env, r)
		equal(rt, fmt.Sprintf("folders at %d", r), folders, err, live(m.folders[r], func(f store.Folder) int64 { return f.Deleted }), folderOrder)
		changed, err := db.ChangedSince(ctx, env, r)
		equal(rt, fmt.Sprintf("secrets changed since %d", r), changed, err, newer(m.secrets[m.revision], r, secretRevision), secretOrder)
		changedFolders, err := db.FoldersChangedSince(ctx, env, r)
		equal(rt, fmt.Sprintf("folders changed since %d", r), changedFolders, err, newer(m.folders[m.revision], r, func(f store.Folder) int64 { return f.Revision }), folderOrder)
		for to := r; to <= m.revision; to++ {
			var want []store.Secret
			for at := r + 1; at <= to; at++ { // by revision and id
				made := newer(m.secrets[at], at-1, secretRevision)
				slices.SortFunc(made, secretOrder)
				want = append(want, made...)
			}
			got, err := db.StatesBetween(ctx, env, r, to)
			equal(rt, fmt.Sprintf("states between %d and %d", r, to), got, err, want, nil)
		}
	}
	for id, now := range m.secrets[m.revision] {
		var want []store.Secret
		for r := m.revision; r > 0; r-- {
			if s, ok := m.secrets[r][id]; ok && s.Revision == r {
				want = append(want, s)
			}
		}
		got, err := db.SecretStates(ctx, id)
		equal(rt, "states of a secret", got, err, want, nil)
		one, err := db.Secret(ctx, id)
		equal(rt, "secret", []store.Secret{one}, err, []store.Secret{now}, nil)
	}
	var deleted []store.Secret
	for _, s := range m.secrets[m.revision] {
		if s.Deleted != 0 {
			deleted = append(deleted, s)
		}
	}
	slices.SortFunc(deleted, func(a, b store.Secret) int { return cmp.Or(cmp.Compare(b.Deleted, a.Deleted), cmp.Compare(a.ID, b.ID)) })
	got, err := db.DeletedSecrets(ctx, env)
	equal(rt, "deleted secrets", got, err, deleted, nil)
	all, err := db.AllFolders(ctx, env)
	equal(rt, "all folders", all, err, slices.Collect(maps.Values(m.folders[m.revision])), folderOrder)
}

func secretRevision(s store.Secret) int64 { return s.Revision }
func secretOrder(a, b store.Secret) int   { return cmp.Compare(a.ID, b.ID) }
func folderOrder(a, b store.Folder) int   { return cmp.Compare(a.ID, b.ID) }
func live[K comparable, T any](rows map[K]T, deleted func(T) int64) []T {
	var out []T
	for _, row := range rows {
		if deleted(row) == 0 {
			out = append(out, row)
		}
	}
	return out
}

func newer[K comparable, T any](rows map[K]T, than int64, revision func(T) int64) []T {
	var out []T
	for _, row := range rows {
		if revision(row) > than {
			out = append(out, row)
		}
	}
	return out
}

// equal compares lists, without regard to their order when there is an order to put them in.
func equal[T any](rt *rapid.T, what string, got []T, err error, want []T, order func(a, b T) int) {
	rt.Helper()
	must(rt, err)
	if order != nil {
		slices.SortFunc(got, order)
		slices.SortFunc(want, order)
	}
	if len(got) == 0 && len(want) == 0 || reflect.DeepEqual(want, got) {
		return
	}
	if d := gocmp.Diff(want, got); d != "" {
		rt.Fatalf("%s differ (-want +got):\n%s", what, d)
	}
}
