package bucket_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

const (
	bucketName = "backups"
	region     = "eu-test-1"
	keyID      = "AKIDTESTVALUE"
	secretKey  = "test-value-secret-key-of-the-store"
	session    = "test-value-session-token"
)

// trouble is done to a request instead of, or around, serving it. It tells whether it applies; each is used once.
type trouble func(w http.ResponseWriter, r *http.Request, next http.Handler) bool

// s3Server is gofakes3 behind a gate that lets pass only what a strict store would: signed right, over exactly this body.
type s3Server struct {
	t      *testing.T
	url    string
	store  http.Handler
	unfits func(format string, args ...any) // told of requests that the gate refuses

	mu       sync.Mutex // guards the rest
	pageKeys int        // keys on a page of a list, zero for the store's own limit
	troubles []trouble
	requests []string // "METHOD /path?query" of all that came
}

func newS3Server(t *testing.T) *s3Server {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(bucketName); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog()), gofakes3.WithHostBucketBase("s3.example.test"))
	s := &s3Server{t: t, store: fake.Server(), unfits: t.Errorf}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// address is one for this server; env has the credentials.
func (s *s3Server) address(prefix string) string {
	return "s3://" + bucketName + "/" + prefix + "?path_style=true&region=" + region + "&endpoint=" + url.QueryEscape(s.url)
}

func env(name string) string {
	return map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": session}[name]
}

func (s *s3Server) inject(t ...trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles = append(s.troubles, t...)
}

// pending tells how many troubles did not happen.
func (s *s3Server) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.troubles)
}

// count tells how many requests contained a text.
func (s *s3Server) count(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if strings.Contains(r, part) {
			n++
		}
	}
	return n
}

// uploads tells how many multipart uploads the store holds, asked behind the gate.
func (s *s3Server) uploads() int {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.store.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/"+bucketName+"?uploads", nil))
	if w.Code == http.StatusNotFound && strings.Contains(w.Body.String(), "NoSuchUpload") {
		return 0 // gofakes3 says so before the first upload
	}
	if w.Code != http.StatusOK {
		s.t.Fatalf("the uploads cannot be listed: %d", w.Code)
	}
	return strings.Count(w.Body.String(), "<Upload>")
}

func (s *s3Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		return // the client went away in the middle
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if problem := unfit(r, body); problem != "" {
		s.unfits("%s %s: %s", r.Method, r.URL.Path, problem)
		refuse(w, http.StatusForbidden, "SignatureDoesNotMatch")
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	pageKeys := s.pageKeys
	s.mu.Unlock()
	if q := r.URL.Query(); q.Get("list-type") == "2" && pageKeys > 0 {
		q.Set("max-keys", fmt.Sprint(pageKeys))
		r.URL.RawQuery = q.Encode()
	}
	s.mu.Lock()
	defer s.mu.Unlock() // one at a time: the tests want to know what happens when
	for i, trouble := range s.troubles {
		if used(trouble, w, r, s.store, func() { s.troubles = slices.Delete(s.troubles, i, i+1) }) {
			return
		}
	}
	s.store.ServeHTTP(w, r)
}

// used runs a trouble, and calls gone when it applied: also when it cut the connection, which is a panic.
func used(t trouble, w http.ResponseWriter, r *http.Request, next http.Handler, gone func()) (applies bool) {
	applies = true
	defer func() {
		if applies {
			gone()
		}
	}()
	applies = t(w, r, next)
	return applies
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>it holds %s and %s</Message></Error>`, code, secretKey, session)
}

// unfit computes Signature Version 4 from the documentation, without the library that signs:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func unfit(r *http.Request, body []byte) string {
	hash := sha256.Sum256(body)
	if r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(hash[:]) {
		return "the signed hash is not that of the body"
	}
	if len(r.TransferEncoding) > 0 {
		return "S3 wants to know the length"
	}
	if r.Method == http.MethodPut && r.Header.Get("Content-Md5") == "" {
		return "a bucket with object lock wants Content-MD5"
	}
	if r.Header.Get("X-Amz-Security-Token") != session {
		return "the session token is missing"
	}
	date := r.Header.Get("X-Amz-Date")
	if len(date) != len("20060102T150405Z") {
		return "no date"
	}
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return "no signature"
	}
	part := map[string]string{}
	for f := range strings.SplitSeq(fields, ", ") {
		name, value, _ := strings.Cut(f, "=")
		part[name] = value
	}
	scope := strings.Join([]string{date[:8], region, "s3", "aws4_request"}, "/")
	if part["Credential"] != keyID+"/"+scope {
		return "another credential or scope"
	}
	signed := strings.Split(part["SignedHeaders"], ";")
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, r.URL.EscapedPath(), strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20"))
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.TrimSpace(value))
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", part["SignedHeaders"], r.Header.Get("X-Amz-Content-Sha256"))
	for name := range r.Header {
		name = strings.ToLower(name)
		if (strings.HasPrefix(name, "x-amz-") || name == "content-md5" || name == "host") && !slices.Contains(signed, name) {
			return name + " is not signed"
		}
	}
	if !slices.Contains(signed, "host") {
		return "host is not signed"
	}
	sum := sha256.Sum256([]byte(canonical.String()))
	key := []byte("AWS4" + secretKey)
	for _, next := range strings.Split(scope, "/") {
		key = mac(key, next)
	}
	want := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(sum[:])))
	if subtle.ConstantTimeCompare([]byte(want), []byte(part["Signature"])) != 1 {
		return "the signature is wrong"
	}
	return ""
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// when makes a trouble happen only to requests of a method whose query holds a name.
func when(method, query string, t trouble) trouble {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method != method || query != "" && !r.URL.Query().Has(query) {
			return false
		}
		return t(w, r, next)
	}
}

// failing answers with an error instead of serving.
func failing(status int, code string) trouble {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		refuse(w, status, code)
		return true
	}
}

// cutting closes the connection before anything is done.
func cutting(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
	panic(http.ErrAbortHandler)
}

// losing serves, and loses the answer.
func losing(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// shortening sends half of the body under the length of the whole.
func shortening(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", fmt.Sprint(whole.Body.Len()))
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
