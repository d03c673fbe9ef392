package secrets

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// The cache takes in commits as the draft makes them: folders and secrets by id, with what they were before. After each of
// them it must hold what a map of rows would, and count the bytes that it holds.
func TestTheCacheFollowsEveryCommit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCache(nil, 1<<40)
		s := &snapshot{env: "env", folders: map[domain.Path]*folderSnapshot{}, byID: map[domain.FolderID]*folderSnapshot{}}
		c.envs["env"] = s
		folders := map[domain.FolderID]store.Folder{}
		for i := range 4 {
			f := store.Folder{ID: domain.FolderID(fmt.Sprint("f", i)), Path: domain.Path(fmt.Sprint("/p", i))}
			folders[f.ID] = f
			s.setFolder(f)
			s.byID[f.ID].complete = true
		}
		secrets := map[domain.SecretID]store.Secret{}
		for revision := range int64(rapid.IntRange(1, 8).Draw(t, "commits")) {
			var changed []*store.Folder
			if rapid.Bool().Draw(t, "folders move") { // live folders change places with each other
				var live []domain.FolderID
				for i := range 4 {
					if id := domain.FolderID(fmt.Sprint("f", i)); folders[id].Deleted == 0 {
						live = append(live, id)
					}
				}
				order := rapid.Permutation(live).Draw(t, "order")
				was := map[domain.FolderID]domain.Path{}
				for _, id := range live {
					was[id] = folders[id].Path
				}
				for i, id := range live {
					f := folders[id]
					f.Path = was[order[i]]
					folders[id] = f
					changed = append(changed, &f)
				}
			}
			var rows, old []*store.Secret
			inCommit := map[domain.SecretID]*store.Secret{} // a commit has one row of each
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				id := domain.SecretID(fmt.Sprint("s", rapid.IntRange(0, 7).Draw(t, "secret")))
				if inCommit[id] != nil {
					continue
				}
				row := store.Secret{ID: id, Folder: domain.FolderID(fmt.Sprint("f", rapid.IntRange(0, 3).Draw(t, "folder"))), Name: domain.SecretName(fmt.Sprint("N", id)),
					Value: make([]byte, rapid.IntRange(0, 100).Draw(t, "size"))}
				if folders[row.Folder].Deleted != 0 || rapid.IntRange(0, 3).Draw(t, "deleted") == 0 {
					row.Deleted = revision + 1
				}
				if was, ok := secrets[id]; ok {
					old = append(old, &was)
				}
				secrets[id], inCommit[id] = row, &row
				rows = append(rows, &row)
			}
			if gone := domain.FolderID(fmt.Sprint("f", rapid.IntRange(0, 20).Draw(t, "gone"))); folders[gone].ID != "" && folders[gone].Deleted == 0 {
				f := folders[gone]
				f.Deleted = revision + 1
				folders[gone] = f
				changed = append(changed, &f)
				for id, row := range secrets {
					if row.Folder == gone && row.Deleted == 0 {
						was := row
						row.Deleted = revision + 1
						secrets[id] = row
						if again := inCommit[id]; again != nil {
							again.Deleted = row.Deleted
						} else {
							old, rows = append(old, &was), append(rows, &row)
						}
					}
				}
			}
			c.committed("env", revision+1, changed, rows, old, nil)
			check(t, c, s, folders, secrets)
		}
		c.drop("env")
		if left := c.bytes.Load(); left != 0 {
			t.Fatalf("%d bytes are counted of nothing", left)
		}
	})
}

func check(t *rapid.T, c *cache, s *snapshot, folders map[domain.FolderID]store.Folder, secrets map[domain.SecretID]store.Secret) {
	var bytes int64
	for id, f := range folders {
		held := s.byID[id]
		if (held != nil) != (f.Deleted == 0) {
			t.Fatalf("folder %s, deleted at %d, is held: %v", id, f.Deleted, held != nil)
		}
		if held != nil && (s.folders[f.Path] != held || held.row.Path != f.Path) {
			t.Fatalf("folder %s is not at %s", id, f.Path)
		}
	}
	if len(s.folders) != len(s.byID) {
		t.Fatalf("%d paths of %d folders", len(s.folders), len(s.byID))
	}
	live := 0
	for id, row := range secrets {
		held := s.byID[row.Folder]
		if row.Deleted != 0 || held == nil {
			continue
		}
		live++
		if got := held.secrets[row.Name]; got == nil || got.ID != id || len(got.Value) != len(row.Value) {
			t.Fatalf("%s is not held as it is", id)
		}
		bytes += size(&row)
	}
	held := 0
	for _, f := range s.byID {
		held += len(f.secrets)
	}
	if held != live {
		t.Fatalf("%d secrets are held of %d", held, live)
	}
	if got := c.bytes.Load(); got != bytes {
		t.Fatalf("%d bytes are counted of %d", got, bytes)
	}
}
