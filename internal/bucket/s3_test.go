package bucket_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/fault"
)

func openStore(t *testing.T) (*s3Server, bucket.Place) {
	t.Helper()
	s := newS3Server(t)
	return s, open(t, s.address("p"), bucket.Environment{Getenv: env})
}

func TestPassingTroublesOfTheStoreAreRidden(t *testing.T) {
	content := random(t, bucket.PartBytes+1000)
	for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodPost, http.MethodDelete} {
		for title, what := range map[string]trouble{
			"slow down": failing(http.StatusServiceUnavailable, "SlowDown"),
			"internal":  failing(http.StatusInternalServerError, "InternalError"),
			"too many":  failing(http.StatusTooManyRequests, "TooManyRequests"),
			"timeout":   failing(http.StatusBadRequest, "RequestTimeout"),
			"damaged":   failing(http.StatusBadRequest, "BadDigest"),
			"cut":       cutting,
		} {
			t.Run(method+" "+title, func(t *testing.T) {
				s, place := openStore(t)
				s.inject(when(method, "", what), when(method, "", what))
				for _, size := range []int{10, len(content)} {
					put(t, place, "x", content[:size])
					if !bytes.Equal(get(t, place, "x"), content[:size]) {
						t.Fatal("it came back changed")
					}
				}
				if got := names(t, place, ""); len(got) != 1 {
					t.Errorf("the list is %q", got)
				}
				if err := place.Delete(t.Context(), "x"); err != nil {
					t.Error(err)
				}
				if s.pending() != 0 || s.uploads() != 0 {
					t.Errorf("%d troubles did not happen, %d uploads are left", s.pending(), s.uploads())
				}
			})
		}
	}
}

func TestALostAnswerOfTheLastStepIsFoundOut(t *testing.T) {
	s, place := openStore(t)
	s.inject(when(http.MethodPost, "uploadId", losing))
	content := random(t, bucket.PartBytes+1)
	put(t, place, "x", content)
	if !bytes.Equal(get(t, place, "x"), content) || s.pending() != 0 || s.count("HEAD ") != 1 {
		t.Error("the Put is not done")
	}

	// When somebody else's upload is there instead, ours is lost and Put says so.
	s.inject(when(http.MethodPost, "uploadId", func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		abort := httptest.NewRequest(http.MethodDelete, r.URL.String(), nil)
		next.ServeHTTP(httptest.NewRecorder(), abort)
		panic(http.ErrAbortHandler)
	}))
	if _, err := place.Put(t.Context(), "x", bytes.NewReader(random(t, bucket.PartBytes+1))); !errors.Is(err, fault.Conflict) {
		t.Errorf("got %v", err)
	}
	if !bytes.Equal(get(t, place, "x"), content) {
		t.Error("the old content is gone")
	}
}

func TestAnUploadThatFailsInTheMiddleIsTakenBack(t *testing.T) {
	for title, steps := range map[string][]trouble{
		"a part is denied":              {when(http.MethodPut, "partNumber", failing(http.StatusForbidden, "AccessDenied"))},
		"the store stays down":          always(when(http.MethodPut, "partNumber", failing(http.StatusServiceUnavailable, "SlowDown"))),
		"the connection is always cut":  always(when(http.MethodPut, "partNumber", cutting)),
		"no room":                       {when(http.MethodPost, "uploadId", failing(http.StatusInsufficientStorage, "XMinioStorageFull"))},
		"an error under the status 200": {when(http.MethodPost, "uploadId", failing(http.StatusOK, "AccessDenied"))},
		"no end under the status 200":   always(when(http.MethodPost, "uploadId", failing(http.StatusOK, "InternalError"))),
	} {
		t.Run(title, func(t *testing.T) {
			s, place := openStore(t)
			put(t, place, "old", []byte("old"))
			s.inject(steps...)
			_, err := place.Put(t.Context(), "x", io.LimitReader(zeros{}, 3*bucket.PartBytes))
			if err == nil {
				t.Fatal("the Put succeeded")
			}
			if k := fault.KindOf(err); k != fault.Denied && k != fault.Unavailable && k != fault.Exhausted {
				t.Errorf("got %s: %v", k, err)
			}
			silent(t, err)
			absent(t, place, "x")
			if n := s.uploads(); n != 0 || s.pending() != 0 {
				t.Errorf("%d uploads are left, %d troubles did not happen", n, s.pending())
			}
			if string(get(t, place, "old")) != "old" {
				t.Error("the old object is gone")
			}
		})
	}
}

// always is a trouble for all tries of a request.
func always(what trouble) []trouble { return slices.Repeat([]trouble{what}, bucket.MaxTries) }

// silent tells that an error shows no credential, in its sentence or in its cause.
func silent(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v %s", err, err, err, fault.As(err).Hint)
	for _, secret := range []string{keyID, secretKey, session} {
		if strings.Contains(text, secret) {
			t.Errorf("the error shows a credential: %s", text)
		}
	}
}

func TestAShortBodyIsAnErrorAndNotTheEnd(t *testing.T) {
	s, place := openStore(t)
	put(t, place, "x", random(t, 100_000))
	s.inject(when(http.MethodGet, "", shortening))
	r, err := place.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if !errors.Is(err, fault.Unavailable) || n != 50_000 {
		t.Errorf("%d bytes, error %v", n, err)
	}
	if s.count("GET ") != 1 {
		t.Error("it was resumed")
	}
}

func TestWhatOthersPutIntoTheBucketIsLeftOut(t *testing.T) {
	s, place := openStore(t)
	put(t, place, "ours", nil)
	for _, key := range []string{"p/", "p/Upper", "p/with space", "p/a//b", "p/x/", "pours", "other/ours", "p/.partial-1", "p/%41"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPut, "http://127.0.0.1/", strings.NewReader("x"))
		r.URL.Path = "/" + bucketName + "/" + key
		r.Header.Set("Content-Length", "1")
		s.store.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d", key, w.Code)
		}
	}
	if got := names(t, place, ""); len(got) != 1 || got[0] != "ours" {
		t.Errorf("the list is %q", got)
	}
}

func TestTheListCrossesPages(t *testing.T) {
	s, place := openStore(t)
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("o/%d", i))
		put(t, place, want[i], nil)
	}
	for keys, pages := range map[int]int{1: 7, 3: 3, 7: 1} {
		before := s.count("list-type=2")
		s.mu.Lock()
		s.pageKeys = keys
		s.mu.Unlock()
		s.inject(when(http.MethodGet, "list-type", failing(http.StatusServiceUnavailable, "SlowDown")))
		if got := names(t, place, "o/"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("pages of %d: %q", keys, got)
		}
		if got := s.count("list-type=2") - before; got != pages+1 {
			t.Errorf("pages of %d: %d requests, want %d and one again", keys, got, pages)
		}
	}
}

func TestAWrongKeyIsNotAccepted(t *testing.T) {
	for title, wrong := range map[string][2]string{
		"secret":  {"AWS_SECRET_ACCESS_KEY", "test-value-of-another-store"},
		"session": {"AWS_SESSION_TOKEN", "test-value-of-another-session"},
	} {
		s := newS3Server(t)
		s.unfits = t.Logf // here the gate is right
		place := open(t, s.address(""), bucket.Environment{Getenv: func(name string) string {
			if name == wrong[0] {
				return wrong[1]
			}
			return env(name)
		}})
		_, err := place.Put(t.Context(), "x", strings.NewReader("x"))
		if !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", title, err)
		}
		silent(t, err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		s, place := openStore(t)
		away := func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			w.Header().Set("Location", other.URL+r.URL.Path)
			refuse(w, status, "TemporaryRedirect")
			return true
		}
		s.inject(away, away)
		_, getErr := place.Get(t.Context(), "x")
		_, putErr := place.Put(t.Context(), "x", strings.NewReader("x"))
		if !errors.Is(getErr, fault.Invalid) || !errors.Is(putErr, fault.Invalid) {
			t.Errorf("%d: %v, %v", status, getErr, putErr)
		}
	}
	if reached {
		t.Error("a signed request went to another server")
	}
}

func TestABucketThatIsMissingIsNotAnEmptyOne(t *testing.T) {
	s := newS3Server(t)
	place := open(t, strings.Replace(s.address(""), bucketName, "another", 1), bucket.Environment{Getenv: env})
	_, listErr := place.List(t.Context(), "")
	_, getErr := place.Get(t.Context(), "x")
	_, putErr := place.Put(t.Context(), "x", strings.NewReader("x"))
	for _, err := range []error{listErr, getErr, putErr, place.Delete(t.Context(), "x")} {
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("got %v", err)
		}
	}
}
