package bucket_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/fault"
)

// kind is a place that the contract holds for.
type kind struct {
	name string
	open func(t *testing.T) (place bucket.Place, leftovers func() int)
}

func kinds() []kind {
	remote := func(t *testing.T, s *s3Server, address string, client *http.Client) (bucket.Place, func() int) {
		return open(t, address, bucket.Environment{Getenv: env, HTTP: client}), s.uploads
	}
	return []kind{
		{"folder", func(t *testing.T) (bucket.Place, func() int) {
			path := filepath.Join(t.TempDir(), "new", "backups")
			return open(t, path, bucket.Environment{}), func() int { return partials(t, path) }
		}},
		{"folder by URL", func(t *testing.T) (bucket.Place, func() int) {
			path := t.TempDir()
			return open(t, "file://"+filepath.ToSlash(path), bucket.Environment{}), func() int { return partials(t, path) }
		}},
		{"S3", func(t *testing.T) (bucket.Place, func() int) {
			s := newS3Server(t)
			return remote(t, s, s.address(""), nil)
		}},
		{"S3 with a prefix and small pages", func(t *testing.T) (bucket.Place, func() int) {
			s := newS3Server(t)
			s.pageKeys = 2
			return remote(t, s, s.address("Team.A/keyturn~1"), nil)
		}},
		{"S3 with the bucket in the host", func(t *testing.T) (bucket.Place, func() int) {
			s := newS3Server(t)
			// The address is that of a public store; the connection goes to ours.
			client := &http.Client{Transport: &http.Transport{DialTLSContext: func(ctx context.Context, network, to string) (net.Conn, error) {
				if to != bucketName+".s3.example.test:443" {
					return nil, errors.New("another host")
				}
				return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(s.url, "http://"))
			}}}
			return remote(t, s, "s3://"+bucketName+"/x?region="+region+"&endpoint=https://s3.example.test", client)
		}},
	}
}

func open(t *testing.T, address string, e bucket.Environment) bucket.Place {
	t.Helper()
	place, err := bucket.Open(address, e)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

func partials(t *testing.T, path string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(path, func(p string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(p), ".partial-") {
			n++
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}

func put(t *testing.T, place bucket.Place, name string, content []byte) {
	t.Helper()
	n, err := place.Put(t.Context(), name, bytes.NewReader(content))
	if err != nil || n != int64(len(content)) {
		t.Fatalf("put %s: size %d, error %v", name, n, err)
	}
}

func get(t *testing.T, place bucket.Place, name string) []byte {
	t.Helper()
	r, err := place.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func names(t *testing.T, place bucket.Place, prefix string) []string {
	t.Helper()
	objects, err := place.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, o := range objects {
		out = append(out, o.Name)
	}
	return out
}

func absent(t *testing.T, place bucket.Place, name string) {
	t.Helper()
	if r, err := place.Get(t.Context(), name); !errors.Is(err, fault.NotFound) {
		if err == nil {
			_ = r.Close()
		}
		t.Errorf("get %s: want not found, got %v", name, err)
	}
	if slices.Contains(names(t, place, ""), name) {
		t.Errorf("%s is on the list", name)
	}
}

func random(t *testing.T, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	_, _ = rand.Read(b)
	return b
}

func everywhere(t *testing.T, f func(t *testing.T, place bucket.Place, leftovers func() int)) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			place, leftovers := k.open(t)
			f(t, place, leftovers)
			if n := leftovers(); n != 0 {
				t.Errorf("%d half written objects are left over", n)
			}
		})
	}
}

func TestWhatIsPutComesBackWhateverItsSize(t *testing.T) {
	everywhere(t, func(t *testing.T, place bucket.Place, _ func() int) {
		for _, size := range []int{0, 1, bucket.PartBytes - 1, bucket.PartBytes, bucket.PartBytes + 1, 20 << 20} {
			content := random(t, size)
			name := fmt.Sprintf("a/b.c/size_%d-x", size)
			// A reader that gives little at a time, as a cipher does.
			n, err := place.Put(t.Context(), name, iotest.HalfReader(bytes.NewReader(content)))
			if err != nil || n != int64(size) {
				t.Fatalf("%d bytes: size %d, error %v", size, n, err)
			}
			if !bytes.Equal(get(t, place, name), content) {
				t.Fatalf("%d bytes came back changed", size)
			}
			objects, err := place.List(t.Context(), name)
			if err != nil || len(objects) != 1 || objects[0].Name != name || objects[0].Size != int64(size) || objects[0].ModifiedMS < 1e12 {
				t.Fatalf("the list says %v, error %v", objects, err)
			}
		}
	})
}

func TestAnObjectIsReplacedAndDeleted(t *testing.T) {
	everywhere(t, func(t *testing.T, place bucket.Place, _ func() int) {
		absent(t, place, "one")
		if err := place.Delete(t.Context(), "one"); err != nil {
			t.Error("deleting what never was:", err)
		}
		put(t, place, "one", []byte("old and longer"))
		put(t, place, "one", []byte("new"))
		if got := get(t, place, "one"); string(got) != "new" {
			t.Errorf("got %q", got)
		}
		for range 2 {
			if err := place.Delete(t.Context(), "one"); err != nil {
				t.Error(err)
			}
			absent(t, place, "one")
		}
		if err := place.Delete(t.Context(), "one/below/nothing"); err != nil {
			t.Error(err)
		}
	})
}

func TestTheListIsWholeSortedAndOfThePrefix(t *testing.T) {
	everywhere(t, func(t *testing.T, place bucket.Place, _ func() int) {
		if got := names(t, place, ""); len(got) != 0 {
			t.Fatalf("a new place holds %q", got)
		}
		all := []string{"a-b", "a.b", "a/b", "a/b-c", "a/c/d", "a0", "b", "b_", ".hidden/x"}
		for _, name := range all {
			put(t, place, name, []byte(name))
		}
		slices.Sort(all)
		for _, prefix := range []string{"", "a", "a/", "a/b", "a/c/d", "a/c/d/", "a/c/d/e", "b", "c", "x/y/z", "."} {
			want := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, prefix) })
			if got := names(t, place, prefix); !slices.Equal(got, want) {
				t.Errorf("prefix %q: got %q, want %q", prefix, got, want)
			}
		}
	})
}

// badNames are attacks and mistakes.
var badNames = []string{
	"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a/.", "A", "ä", "a b", "a\\b", "a\x00", "a\n", "a?b",
	"a%2e", "a:b", ".partial-x", "a/.partial-x", strings.Repeat("a", 256), strings.Repeat("a/", bucket.MaxName/2) + "a", "..\\a", "~\xff",
}

func TestBadNamesAreRefusedAndNotRepeated(t *testing.T) {
	everywhere(t, func(t *testing.T, place bucket.Place, _ func() int) {
		for _, name := range badNames {
			_, putErr := place.Put(t.Context(), name, strings.NewReader("x"))
			_, getErr := place.Get(t.Context(), name)
			for _, err := range []error{putErr, getErr, place.Delete(t.Context(), name)} {
				if !errors.Is(err, fault.Invalid) {
					t.Errorf("%q: %v", name, err)
				} else if len(name) > 3 && strings.Contains(err.Error(), name) && !strings.HasPrefix(name, ".partial-") {
					t.Errorf("the error repeats %q", name)
				}
			}
		}
		for _, prefix := range []string{"/", "/a", "../", "a/../", "a//", "A", "a b", "./a", strings.Repeat("a", bucket.MaxName+1)} {
			if _, err := place.List(t.Context(), prefix); !errors.Is(err, fault.Invalid) {
				t.Errorf("list %q: %v", prefix, err)
			}
		}
		if got := names(t, place, ""); len(got) != 0 {
			t.Errorf("something was put all the same: %q", got)
		}
	})
}

var errReader = errors.New("the reader broke")

func TestAFailedPutLeavesNothingAndKeepsTheOld(t *testing.T) {
	everywhere(t, func(t *testing.T, place bucket.Place, leftovers func() int) {
		put(t, place, "old", []byte("old content"))
		for _, after := range []int64{0, 1, 100_000, bucket.PartBytes, bucket.PartBytes + 1, 2*bucket.PartBytes + 5} {
			for _, name := range []string{"old", "deep/new"} {
				r := io.MultiReader(io.LimitReader(zeros{}, after), iotest.ErrReader(errReader))
				if _, err := place.Put(t.Context(), name, r); !errors.Is(err, errReader) {
					t.Fatalf("after %d bytes: %v", after, err)
				}
			}
		}
		// The ends that look like a good one.
		for _, end := range []error{io.ErrUnexpectedEOF, fmt.Errorf("wrapped: %w", io.EOF)} {
			for _, after := range []int64{10, bucket.PartBytes + 10} {
				if _, err := place.Put(t.Context(), "deep/new", io.MultiReader(io.LimitReader(zeros{}, after), iotest.ErrReader(end))); err == nil {
					t.Fatalf("%v after %d bytes passes for the end of the content", end, after)
				}
			}
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = place.Put(t.Context(), "deep/new", io.MultiReader(io.LimitReader(zeros{}, bucket.PartBytes+9), panicking{}))
			t.Error("the reader did not panic")
		}()
		if got := get(t, place, "old"); string(got) != "old content" {
			t.Error("the old content is gone")
		}
		absent(t, place, "deep/new")
		if n := leftovers(); n != 0 {
			t.Errorf("%d half written objects are left over", n)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("the reader has a defect") }

func TestACancelledPutLeavesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, place bucket.Place, _ func() int) {
		for _, after := range []int64{0, 10, bucket.PartBytes + 10} {
			ctx, cancel := context.WithCancel(t.Context())
			r := io.MultiReader(io.LimitReader(zeros{}, after), readFunc(func(p []byte) (int, error) {
				cancel()
				return len(p), nil
			}))
			_, err := place.Put(ctx, "x", r)
			if !errors.Is(err, context.Canceled) || !errors.Is(err, fault.Unavailable) {
				t.Errorf("after %d bytes: %v", after, err)
			}
			absent(t, place, "x")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, getErr := place.Get(ctx, "x")
		_, listErr := place.List(ctx, "")
		for _, err := range []error{getErr, listErr, place.Delete(ctx, "x")} {
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestPutsOfOneNameAtOnceLeaveOneWholeContent(t *testing.T) {
	everywhere(t, func(t *testing.T, place bucket.Place, _ func() int) {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if _, err := place.Put(t.Context(), "d/x", bytes.NewReader(bytes.Repeat([]byte{byte(i)}, 3<<20))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := get(t, place, "d/x")
		if len(got) != 3<<20 || len(bytes.TrimLeft(got, string(got[:1]))) != 0 {
			t.Error("contents are mixed")
		}
	})
}

func TestAPlaceBehavesLikeAMap(t *testing.T) {
	type step struct {
		Name    string
		Delete  bool
		Content string
	}
	steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
		return step{
			Name:    rapid.SampledFrom([]string{"a", "b-1", "c/x", "c/y", "c/z/1", "d.tar"}).Draw(rt, "name"),
			Delete:  rapid.Bool().Draw(rt, "delete"),
			Content: rapid.StringN(0, 20, -1).Draw(rt, "content"),
		}
	}), 1, 12)
	everywhere(t, func(t *testing.T, place bucket.Place, _ func() int) {
		rapid.Check(t, func(rt *rapid.T) {
			for _, name := range names(t, place, "") {
				if err := place.Delete(t.Context(), name); err != nil {
					rt.Fatal(err)
				}
			}
			model := map[string]string{}
			for _, step := range steps.Draw(rt, "steps") {
				if step.Delete {
					delete(model, step.Name)
					if err := place.Delete(t.Context(), step.Name); err != nil {
						rt.Fatal(err)
					}
					absent(t, place, step.Name)
				} else {
					model[step.Name] = step.Content
					put(t, place, step.Name, []byte(step.Content))
				}
			}
			if got, want := names(t, place, ""), slices.Sorted(maps.Keys(model)); !slices.Equal(got, want) {
				rt.Fatalf("got %q, want %q", got, want)
			}
			for name, want := range model {
				if got := get(t, place, name); string(got) != want {
					rt.Fatalf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	})
}
