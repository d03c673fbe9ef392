package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/fault"
)

// script answers requests in the process, so that the tests see exact times. It checks what any server would.
type script struct {
	t     *testing.T
	calls int
	next  func(call int, r *http.Request) *http.Response
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") == "" || r.ContentLength < 0 {
		s.t.Error("not signed, or without a length")
	}
	if r.Body != nil {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != r.ContentLength {
			s.t.Errorf("the body has %d bytes of %d, error %v", n, r.ContentLength, err)
		}
		_ = r.Body.Close()
	}
	s.calls++
	response := s.next(s.calls, r)
	if response == nil {
		<-r.Context().Done() // a store that does not answer
		return nil, r.Context().Err()
	}
	response.Request = r
	return response, nil
}

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func scripted(t *testing.T, next func(call int, r *http.Request) *http.Response) (*script, bucket.Place) {
	t.Helper()
	s := &script{t: t, next: next}
	return s, open(t, "s3://backups?region=r", bucket.Environment{Getenv: env, HTTP: &http.Client{Transport: s}})
}

const slow = `<Error><Code>SlowDown</Code></Error>`

func TestRetriesWaitAsTheStoreAsksAndEnd(t *testing.T) {
	for _, c := range []struct {
		title    string
		header   func() []string
		min, max time.Duration // until the end
		calls    int
		told     time.Duration // RetryAfter of the fault
	}{
		{"nothing said", func() []string { return nil }, 0, 1400 * time.Millisecond, bucket.MaxTries, 0},
		{"seconds", func() []string { return []string{"Retry-After", "7"} }, 21 * time.Second, 21 * time.Second, bucket.MaxTries, 7 * time.Second},
		{"a date", func() []string {
			return []string{"Retry-After", time.Now().Add(10 * time.Second).UTC().Format(http.TimeFormat)}
		}, 30 * time.Second, 30 * time.Second, bucket.MaxTries, 10 * time.Second},
		{"too long", func() []string { return []string{"Retry-After", "3600"} }, 0, 0, 1, time.Hour},
		{"nonsense", func() []string { return []string{"Retry-After", "-5 soon"} }, 0, 1400 * time.Millisecond, bucket.MaxTries, 0},
		{"more than a number holds", func() []string { return []string{"Retry-After", strings.Repeat("9", 30)} }, 0, 1400 * time.Millisecond, bucket.MaxTries, 0},
	} {
		t.Run(c.title, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, place := scripted(t, func(int, *http.Request) *http.Response { return answer(503, slow, c.header()...) })
				start := time.Now()
				_, err := place.List(t.Context(), "")
				took := time.Since(start)
				if !errors.Is(err, fault.Unavailable) || s.calls != c.calls || took < c.min || took > c.max || fault.As(err).RetryAfter != c.told {
					t.Errorf("%d calls in %v, told %v: %v", s.calls, took, fault.As(err).RetryAfter, err)
				}
			})
		})
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, place := scripted(t, func(int, *http.Request) *http.Response { return answer(503, slow, "Retry-After", "50") })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		if err := place.Delete(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestAStoreThatSaysNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, place := scripted(t, func(int, *http.Request) *http.Response { return nil })
		start := time.Now()
		if _, err := place.Get(t.Context(), "x"); !errors.Is(err, fault.Unavailable) || s.calls != bucket.MaxTries || time.Since(start) > 5*bucket.MaxStall {
			t.Errorf("%d calls in %v: %v", s.calls, time.Since(start), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		// A body that stops in the middle; a reader that takes its time in between is no stall.
		_, place := scripted(t, func(_ int, r *http.Request) *http.Response {
			a := answer(200, "")
			a.ContentLength = 100
			a.Body = io.NopCloser(io.MultiReader(strings.NewReader("some"), readFunc(func([]byte) (int, error) {
				<-r.Context().Done()
				return 0, r.Context().Err()
			})))
			return a
		})
		r, err := place.Get(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		<-time.After(10 * bucket.MaxStall) // of the bubble's time
		start := time.Now()
		b, err := io.ReadAll(r)
		if string(b) != "some" || !errors.Is(err, fault.Unavailable) || errors.Is(err, context.Canceled) || time.Since(start) != bucket.MaxStall {
			t.Errorf("%q after %v: %v", b, time.Since(start), err)
		}
	})
}

func TestErrorsOfTheStoreHaveTheirKinds(t *testing.T) {
	const details = `<Message>` + secretKey + `</Message><StringToSign>` + session + `</StringToSign><AWSAccessKeyId>` + keyID + `</AWSAccessKeyId>`
	for _, c := range []struct {
		status int
		code   string
		want   fault.Kind
	}{
		{404, "NoSuchKey", fault.NotFound},
		{404, "NoSuchBucket", fault.Invalid},
		{404, "", fault.Invalid},
		{403, "AccessDenied", fault.Denied},
		{403, "", fault.Denied},
		{403, "InvalidAccessKeyId", fault.Unauthenticated},
		{403, "SignatureDoesNotMatch", fault.Unauthenticated},
		{400, "ExpiredToken", fault.Unauthenticated},
		{403, "RequestTimeTooSkewed", fault.Unauthenticated},
		{401, "", fault.Unauthenticated},
		{403, "InvalidObjectState", fault.Conflict},
		{400, "AuthorizationHeaderMalformed", fault.Invalid},
		{301, "PermanentRedirect", fault.Invalid},
		{302, "", fault.Invalid},
		{400, "EntityTooLarge", fault.Exhausted},
		{507, "", fault.Exhausted},
		{501, "NotImplemented", fault.Unsupported},
		{400, "SomethingNew", fault.Invalid},
		{503, "SlowDown", fault.Unavailable},
		{502, "", fault.Unavailable},
		{500, "SomethingNew", fault.Unavailable},
		{429, "", fault.Unavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			body := "<html>a page about " + session + "</html>"
			if c.code != "" {
				body = "<Error><Code>" + c.code + "</Code>" + details + "</Error>"
			}
			s, place := scripted(t, func(int, *http.Request) *http.Response { return answer(c.status, body) })
			r, err := place.Get(t.Context(), "x")
			if r != nil || !errors.Is(err, c.want) {
				t.Errorf("%d %s: got %v", c.status, c.code, err)
			}
			silent(t, err)
			want := 1
			if c.want == fault.Unavailable {
				want = bucket.MaxTries
			}
			if s.calls != want {
				t.Errorf("%d %s: %d calls", c.status, c.code, s.calls)
			}
		})
	}
}

func TestAnswersThatNoStoreGivesAreRefused(t *testing.T) {
	for title, next := range map[string]func(call int, r *http.Request) *http.Response{
		"a login page": func(int, *http.Request) *http.Response { return answer(200, "<html><p>Log in</html>") },
		"nothing":      func(int, *http.Request) *http.Response { return answer(200, "") },
		"endless pages": func(int, *http.Request) *http.Response {
			return answer(200, `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>`)
		},
		"endless other pages": func(call int, _ *http.Request) *http.Response {
			return answer(200, fmt.Sprintf(`<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken></ListBucketResult>`, call))
		},
		"no way on": func(int, *http.Request) *http.Response {
			return answer(200, `<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>`)
		},
		"an endless answer": func(int, *http.Request) *http.Response {
			a := answer(200, "")
			a.ContentLength, a.Body = -1, io.NopCloser(zeros{})
			return a
		},
		"a negative size": func(int, *http.Request) *http.Response {
			return answer(200, `<ListBucketResult><Contents><Key>x</Key><Size>-1</Size></Contents></ListBucketResult>`)
		},
		"entities": func(int, *http.Request) *http.Response {
			return answer(200, `<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult><Contents><Key>&a;</Key></Contents></ListBucketResult>`)
		},
	} {
		t.Run(title, func(t *testing.T) {
			_, place := scripted(t, next)
			objects, err := place.List(t.Context(), "")
			if k := fault.KindOf(err); err == nil || k != fault.Invalid && k != fault.Exhausted {
				t.Errorf("%v, error %v", objects, err)
			}
			if strings.HasPrefix(title, "endless") {
				return // those answers are lists
			}
			if _, err := place.Put(t.Context(), "x", io.LimitReader(zeros{}, bucket.PartBytes+1)); err == nil {
				t.Error("a large Put passes")
			}
		})
	}
	_, place := scripted(t, func(int, *http.Request) *http.Response {
		a := answer(200, "content")
		a.ContentLength = -1
		return a
	})
	if _, err := place.Get(t.Context(), "x"); !errors.Is(err, fault.Unsupported) {
		t.Errorf("an object without a length: %v", err)
	}
}

// The store stays outside of this process, so what is counted is Put's own: one part, however large the object is.
func TestALargePutHoldsOnePartInMemory(t *testing.T) {
	const size = 160 << 20
	var sent int64
	s, place := scripted(t, func(_ int, r *http.Request) *http.Response {
		switch {
		case r.Method == http.MethodPut:
			if r.ContentLength > bucket.PartBytes {
				t.Error("a part is too large")
			}
			sent += r.ContentLength
			return answer(200, "", "ETag", `"tag"`)
		case r.URL.Query().Has("uploads"):
			return answer(200, `<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>`)
		}
		return answer(200, `<CompleteMultipartUploadResult/>`)
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := place.Put(t.Context(), "x", io.LimitReader(zeros{}, size))
	runtime.ReadMemStats(&after)
	if n != size || sent != size || err != nil || s.calls != size/bucket.PartBytes+2 {
		t.Fatalf("%d bytes put, %d sent in %d calls, error %v", n, sent, s.calls, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > bucket.PartBytes*3/2 {
		t.Errorf("%d bytes of memory for parts of %d", took, bucket.PartBytes)
	}
}
