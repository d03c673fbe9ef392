package secrets

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// turned is a cache with an environment of two complete folders with two secrets each, all under the key "old".
func turned() (*cache, *snapshot) {
	c := newCache(nil, 1<<40)
	s := &snapshot{env: "env", revision: 7, folders: map[domain.Path]*folderSnapshot{}, byID: map[domain.FolderID]*folderSnapshot{}}
	c.envs["env"] = s
	for i := range 4 {
		folder := domain.FolderID(fmt.Sprint("f", i/2))
		if s.byID[folder] == nil {
			s.setFolder(store.Folder{ID: folder, Path: domain.Path("/" + folder)})
			s.byID[folder].complete = true
		}
		row := &store.Secret{ID: domain.SecretID(fmt.Sprint("s", i)), Folder: folder, Name: domain.SecretName(fmt.Sprint("N", i)), Revision: int64(i), Value: []byte("old value")}
		s.byID[folder].secrets[row.Name] = row
		c.count(s, size(row))
	}
	for _, fs := range s.byID {
		fs.sorted = sortedRows(fs.secrets)
	}
	return c, s
}

func (s *snapshot) values() (out []string) {
	for _, fs := range s.byID {
		for name, row := range fs.secrets {
			out = append(out, string(name)+" "+string(row.Value))
		}
	}
	slices.Sort(out)
	return out
}

func isFresh(row *store.Secret) bool { return bytes.HasPrefix(row.Value, []byte("new")) }

func movedRow(i int, revision int64) store.Sealed {
	return store.Sealed{ID: fmt.Sprint("s", i), Env: "env", Folder: domain.FolderID(fmt.Sprint("f", i/2)), Name: domain.SecretName(fmt.Sprint("N", i)), Revision: revision, Value: []byte("new value")}
}

func TestTheCacheFollowsATurn(t *testing.T) {
	c, s := turned()
	before := s.byID["f0"].sorted
	other := movedRow(0, 0)
	other.ID = "another of that name"
	elsewhere := movedRow(1, 1)
	elsewhere.Env = "not kept"
	gone := movedRow(2, 2)
	gone.Folder = "gone"
	c.resealed([]store.Sealed{movedRow(0, 0), other, elsewhere, gone, movedRow(3, 2 /* an older state */)})
	if got, want := s.values(), []string{"N0 new value", "N1 old value", "N2 old value", "N3 old value"}; !slices.Equal(got, want) {
		t.Fatalf("held: %q", got)
	}
	if string(before[0].Value) != "old value" || s.byID["f0"].sorted != nil || s.byID["f1"].sorted == nil {
		t.Error("lists that readers hold were changed, or lists that are kept were not")
	}
	if s.revision != 7 || !s.byID["f0"].complete {
		t.Error("a turn changed what the environment is")
	}

	c.keep(isFresh)
	if got := s.values(); !slices.Equal(got, []string{"N0 new value"}) {
		t.Fatalf("at the end of the turn: %q", got)
	}
	if s.byID["f0"].complete || s.byID["f1"].complete {
		t.Error("a folder that misses secrets says that it is complete")
	}
	if got, want := c.bytes.Load(), size(s.byID["f0"].secrets["N0"]); got != want {
		t.Errorf("%d bytes are counted of %d", got, want)
	}
	c.drop("env")
	if c.bytes.Load() != 0 {
		t.Errorf("%d bytes are counted of nothing", c.bytes.Load())
	}
}

func TestAWholeTurnLeavesTheCacheFull(t *testing.T) {
	c, s := turned()
	bytes, era := c.bytes.Load(), c.era.Load()
	var all []store.Sealed
	for i := range 4 {
		all = append(all, movedRow(i, int64(i)))
	}
	c.resealed(all)
	c.keep(isFresh)
	if len(s.values()) != 4 || !s.byID["f0"].complete || c.bytes.Load() != bytes {
		t.Errorf("held: %q, %d bytes of %d", s.values(), c.bytes.Load(), bytes)
	}
	if c.era.Load() == era {
		t.Error("what was loaded before the end of the turn may still be entered")
	}
}
