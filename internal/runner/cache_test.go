package runner

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const fetched = int64(1_700_000_000_000)

func cacheKey() CacheKey {
	return CacheKey{Server: "https://keyturn.test", Project: "shop", Env: "dev", Paths: []string{"/", "/api"}, Only: []string{"A", "B"}}
}

func cacheToken() sensitive.Value { return sensitive.FromString("token-test-value") }

func cacheSnapshot() Snapshot {
	return Snapshot{
		Vars: []Var{
			text("DATABASE_URL", "postgres://test-value@db"),
			text("EMPTY", ""),
			{Name: "MODE", Value: sensitive.FromString("test-value\x00binary\xff"), Public: true},
		},
		Revision: "42", FetchedMS: fetched, MaxAge: time.Hour, Source: "https://keyturn.test",
	}
}

// saved gives a cache that holds cacheSnapshot, and the path of its file.
func saved(t *testing.T) (Cache, string) {
	t.Helper()
	c := Cache{Dir: filepath.Join(t.TempDir(), "deep", "cache")}
	if err := c.Save(cacheKey(), cacheToken(), cacheSnapshot()); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(c.Dir, "*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("got files %q, %v", names, err)
	}
	return c, names[0]
}

func sameSnapshot(a, b Snapshot) bool {
	return a.Revision == b.Revision && a.FetchedMS == b.FetchedMS && a.MaxAge == b.MaxAge && a.Source == b.Source &&
		slices.EqualFunc(a.Vars, b.Vars, func(x, y Var) bool {
			return x.Name == y.Name && x.Public == y.Public && x.Value.Equal(y.Value)
		})
}

func TestCacheGivesBackWhatWasSaved(t *testing.T) {
	c, path := saved(t)
	for _, now := range []int64{fetched, fetched + time.Hour.Milliseconds(), fetched - 1000} {
		got, err := c.Load(cacheKey(), cacheToken(), now)
		if err != nil || !sameSnapshot(got, cacheSnapshot()) {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	next := cacheSnapshot()
	next.Revision = "43"
	if err := c.Save(cacheKey(), cacheToken(), next); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Load(cacheKey(), cacheToken(), fetched); err != nil || got.Revision != "43" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Fatalf("something is left over: %v, %v", entries, err)
	}
}

func TestNothingIsOnDiskInClear(t *testing.T) {
	_, path := saved(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"test-value", "DATABASE_URL", "MODE", "keyturn.test", "shop", "dev", "/api"} {
		if bytes.Contains(b, []byte(word)) || strings.Contains(filepath.Base(path), word) {
			t.Errorf("%q is readable", word)
		}
	}
}

func TestCacheOpensForNobodyElse(t *testing.T) {
	c, path := saved(t)
	_, err := c.Load(cacheKey(), sensitive.FromString("other-test-value"), fetched)
	if !errors.Is(err, ErrDamaged) || !errors.Is(err, fault.Invalid) {
		t.Fatalf("wrong token: got %v", err)
	}
	for name, change := range map[string]func(*CacheKey){
		"server":         func(k *CacheKey) { k.Server += "/" },
		"project":        func(k *CacheKey) { k.Project = "shop2" },
		"environment":    func(k *CacheKey) { k.Env = "prod" },
		"order of paths": func(k *CacheKey) { slices.Reverse(k.Paths) },
		"fewer names":    func(k *CacheKey) { k.Only = nil },
		"shifted border": func(k *CacheKey) { k.Project, k.Env = "shopd", "ev" },
		"moved list":     func(k *CacheKey) { k.Paths, k.Only = []string{"/"}, []string{"/api", "A", "B"} },
	} {
		other := cacheKey()
		change(&other)
		if _, err := c.Load(other, cacheToken(), fetched); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: got %v", name, err)
		}
		// The attack: the file of one environment is put in the place of another.
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.Dir, other.fileName()), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Load(other, cacheToken(), fetched); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s, file moved: got %v", name, err)
		}
	}
	same := cacheKey()
	same.Only = []string{"B", "A", "B"}
	if _, err := c.Load(same, cacheToken(), fetched); err != nil {
		t.Errorf("order of names: got %v", err)
	}
}

func TestEveryAlteredByteIsNoticed(t *testing.T) {
	c, path := saved(t)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(b []byte, what string, at int) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Load(cacheKey(), cacheToken(), fetched); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s at %d: got %v", what, at, err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		try(bad, "altered", i)
		try(good[:i], "cut", i)
	}
	try(append(bytes.Clone(good), 0), "longer", len(good))
}

func TestCacheEndsWhenTheServerSaid(t *testing.T) {
	c, path := saved(t)
	for name, now := range map[string]int64{
		"a moment too old": fetched + time.Hour.Milliseconds() + 1,
		"far too old":      1<<63 - 1,
		"clock set back":   fetched - maxSkew.Milliseconds() - 1,
		"clock at zero":    0,
		"clock below zero": -1 << 63,
	} {
		if _, err := c.Load(cacheKey(), cacheToken(), now); !errors.Is(err, fault.Expired) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// The server forbids keeping: what is there goes.
	s := cacheSnapshot()
	s.MaxAge = 0
	if err := c.Save(cacheKey(), cacheToken(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the file is still there: %v", err)
	}
}

func TestSaveRefusesWhatCouldNotBeOpened(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	old, large := cacheSnapshot(), cacheSnapshot()
	old.FetchedMS = -1
	large.Vars = []Var{{Name: "A", Value: sensitive.New(make([]byte, maxFile))}}
	for name, err := range map[string]error{
		"no token":    c.Save(cacheKey(), sensitive.Value{}, cacheSnapshot()),
		"before 1970": c.Save(cacheKey(), cacheToken(), old),
		"too large":   c.Save(cacheKey(), cacheToken(), large),
	} {
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestForgetRemovesOurFilesOnly(t *testing.T) {
	c, path := saved(t)
	foreign := filepath.Join(c.Dir, "notes.sealed")
	crashed := filepath.Join(c.Dir, tempPrefix+"123"+fileSuffix)
	for _, p := range []string{foreign, crashed} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Forget(); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]bool{path: false, crashed: false, foreign: true} {
		if _, err := os.Stat(p); (err == nil) != want {
			t.Errorf("%s: %v", filepath.Base(p), err)
		}
	}
	if _, err := c.Load(cacheKey(), cacheToken(), fetched); !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if err := (Cache{Dir: filepath.Join(c.Dir, "none")}).Forget(); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotsOfAllShapesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Snapshot{
			Revision: rapid.String().Draw(t, "revision"), Source: rapid.String().Draw(t, "source"),
			FetchedMS: rapid.Int64Min(0).Draw(t, "fetched"),
			MaxAge:    time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "age")) * time.Millisecond,
		}
		for range rapid.IntRange(0, 5).Draw(t, "count") {
			s.Vars = append(s.Vars, Var{
				Name: rapid.String().Draw(t, "name"), Public: rapid.Bool().Draw(t, "public"),
				Value: sensitive.New(rapid.SliceOf(rapid.Byte()).Draw(t, "value")),
			})
		}
		got, err := parseSnapshot(appendSnapshot(nil, s))
		if err != nil || !sameSnapshot(got, s) {
			t.Fatalf("got %+v, %v", got, err)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	good := appendSnapshot(nil, cacheSnapshot())
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSnapshot(b)
		if err == nil && !bytes.Equal(appendSnapshot(nil, s), b) {
			t.Fatal("parsed bytes that are not written that way")
		}
	})
}

func FuzzCacheFile(f *testing.F) {
	good, err := os.ReadFile("testdata/cache_v1.sealed") // the same in every fuzzing process
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:headerSize])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := open(cacheKey(), cacheToken(), b); err == nil && !bytes.Equal(b, good) {
			t.Fatalf("opened a forged file of %d bytes", len(plain))
		}
	})
}

func TestFormatOfReleasedFilesStaysReadable(t *testing.T) {
	b, err := os.ReadFile("testdata/cache_v1.sealed")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := open(cacheKey(), cacheToken(), b)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseSnapshot(plain)
	if err != nil || !sameSnapshot(s, cacheSnapshot()) {
		t.Fatalf("got %+v, %v", s, err)
	}
}
