package secrets

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// Whatever changes places with whatever: no single write takes a name that another live row has at that moment, and in the
// end everything is as it was meant.
func TestRowsAreWrittenSoThatNoNameIsTakenTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 6).Draw(t, "names")
		name := func(i int) domain.SecretName { return domain.SecretName(fmt.Sprint("N", i)) }
		before := rapid.Permutation(seq(slots)).Draw(t, "before")
		after := rapid.Permutation(seq(slots)).Draw(t, "after")
		var old, rows []*store.Secret
		for i := range slots {
			id := domain.SecretID(fmt.Sprint("id", i))
			was := &store.Secret{ID: id, Folder: "f", Name: name(before[i]), Revision: 1}
			now := &store.Secret{ID: id, Folder: "f", Name: name(after[i]), Revision: 2}
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0: // new
				rows = append(rows, now)
				continue
			case 1: // deleted
				now.Deleted, now.Name = 2, was.Name
			case 2: // was deleted and comes back
				was.Deleted = 1
			}
			old, rows = append(old, was), append(rows, now)
		}
		first, last := secretOrder(old, rows)
		table := map[domain.SecretID]store.Secret{}
		for _, row := range old {
			table[row.ID] = *row
		}
		for _, row := range append(first, last...) {
			for id, other := range table {
				if id != row.ID && other.Deleted == 0 && row.Deleted == 0 && other.Name == row.Name {
					t.Fatalf("%s takes %s while %s has it", row.ID, row.Name, id)
				}
			}
			table[row.ID] = *row
		}
		for _, row := range rows {
			if got := table[row.ID]; got.Name != row.Name || got.Deleted != row.Deleted {
				t.Fatalf("%s is %s %d, want %s %d", row.ID, got.Name, got.Deleted, row.Name, row.Deleted)
			}
		}
	})
}

func TestFoldersAreWrittenSoThatNoPathIsTakenTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 6).Draw(t, "paths")
		path := func(i int) domain.Path { return domain.Path(fmt.Sprint("/p", i)) }
		before := rapid.Permutation(seq(slots)).Draw(t, "before")
		after := rapid.Permutation(seq(slots)).Draw(t, "after")
		var old, rows []*store.Folder
		for i := range slots {
			id := domain.FolderID(fmt.Sprint("id", i))
			was := &store.Folder{ID: id, Path: path(before[i]), Revision: 1}
			now := &store.Folder{ID: id, Path: path(after[i]), Revision: 2}
			if rapid.Bool().Draw(t, "deleted") {
				now.Deleted, now.Path = 2, was.Path
			}
			old, rows = append(old, was), append(rows, now)
		}
		first, last := folderOrder(old, rows)
		table := map[domain.FolderID]store.Folder{}
		for _, row := range old {
			table[row.ID] = *row
		}
		for _, row := range append(first, last...) {
			for id, other := range table {
				if id != row.ID && other.Deleted == 0 && row.Deleted == 0 && other.Path == row.Path {
					t.Fatalf("%s takes %s while %s has it", row.ID, row.Path, id)
				}
			}
			table[row.ID] = *row
		}
		for _, row := range rows {
			if got := table[row.ID]; got.Path != row.Path || got.Deleted != row.Deleted {
				t.Fatalf("%s is %s %d, want %s %d", row.ID, got.Path, got.Deleted, row.Path, row.Deleted)
			}
		}
	})
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
