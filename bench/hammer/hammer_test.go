package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAnswersEndWhereTheyEnd(t *testing.T) {
	const next = "HTTP/1.1 204 No Content\r\n\r\n"
	for name, c := range map[string]struct {
		answer string
		status int
		err    error
	}{
		"content length":          {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, nil},
		"empty body":              {"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, nil},
		"chunked":                 {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nT: v\r\n\r\n", 200, nil},
		"no content":              {"HTTP/1.1 204 No Content\r\n\r\n", 204, nil},
		"not modified":            {"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n", 304, nil},
		"early hints":             {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 200, nil},
		"failure":                 {"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}", 429, nil},
		"server closes":           {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", 200, errClosing},
		"bare line feeds":         {"HTTP/1.1 200 OK\nContent-Length: 1\n\na", 200, nil},
		"body up to the very end": {"HTTP/1.1 200 OK\r\n\r\n", 200, errClosing},
	} {
		t.Run(name, func(t *testing.T) {
			r := bufio.NewReader(strings.NewReader(c.answer + next))
			status, _, err := readAnswer(r, nil)
			if status != c.status || !errors.Is(err, c.err) {
				t.Fatalf("got %d, %v; want %d, %v", status, err, c.status, c.err)
			}
			if name == "body up to the very end" {
				return
			}
			if status, _, err := readAnswer(r, nil); status != 204 || err != nil {
				t.Errorf("the next answer reads as %d, %v", status, err)
			}
		})
	}
}

func TestBrokenAnswersAreErrors(t *testing.T) {
	for _, answer := range []string{
		"", "HTTP/1.1 200", "SSH-2.0-x\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		if status, _, err := readAnswer(bufio.NewReader(strings.NewReader(answer)), nil); err == nil {
			t.Errorf("%q was read as %d", answer, status)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		if status, _, err := readAnswer(bufio.NewReader(strings.NewReader(in)), nil); err == nil && (status < 200 || status > 999) {
			t.Errorf("status %d without an error", status)
		}
	})
}

func load(server *httptest.Server, requests ...string) Load {
	l := Load{Address: server.Listener.Addr().String(), Connections: 4, Batch: 1, Span: 100 * time.Millisecond}
	for _, path := range requests {
		l.Requests = append(l.Requests, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path))
	}
	return l
}

func TestLoadCountsGoodAndBadAnswers(t *testing.T) {
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprint(w, "hello")
	}))
	defer server.Close()

	r, err := load(server, "/good").Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Every answer but those after the span, one for each connection, counts.
	if n := float64(served.Load()); r.Operations < 1 || r.Operations > n || r.Operations < n-8 || r.Failed != 0 {
		t.Errorf("served %v, counted %+v", n, r)
	}
	if r.P50 <= 0 || r.P99 < r.P50 {
		t.Errorf("percentiles are out of order: %+v", r)
	}
	r, err = load(server, "/bad").Run(t.Context())
	if err != nil || r.Operations != 0 || r.Failed == 0 {
		t.Errorf("only bad answers: %+v, %v", r, err)
	}
}

func TestABatchIsOneOperation(t *testing.T) {
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	defer server.Close()
	l := load(server, "/a", "/b", "/c")
	l.Batch = 10
	r, err := l.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := float64(served.Load()); n/10 < r.Operations || r.Operations <= 0 || int64(n)%10 != 0 {
		t.Errorf("served %v requests, counted %v operations", n, r.Operations)
	}
}

func TestABrokenConnectionIsCountedAndDialledAgain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/break" {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	l := load(server, "/good", "/good", "/good", "/good", "/good", "/good", "/good", "/good", "/break")
	l.Connections, l.Span = 1, 30*time.Millisecond
	r, err := l.Run(t.Context())
	if err != nil || r.Failed == 0 || r.Operations == 0 {
		t.Errorf("counted %+v, %v", r, err)
	}
}

func TestARunEndsWhenItIsInterrupted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := load(server, "/").Run(ctx); err == nil {
		t.Error("an interrupted run succeeded")
	}
}

func TestAServerThatIsNotThereIsAnError(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := lis.Addr().String()
	lis.Close()
	l := Load{Address: address, Requests: [][]byte{[]byte("x")}, Connections: 1, Batch: 1, Span: time.Millisecond}
	if _, err := l.Run(t.Context()); err == nil {
		t.Error("a run without a server succeeded")
	}
}

func TestAnswersAreComparedWithWhatIsExpected(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"
	long := "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + strings.Repeat("abcde", 8)
	for _, c := range []struct {
		answer, expected string
		holds            bool
	}{
		{answer, "", true}, {answer, "bcd", true}, {answer, "abcdef", false}, {answer, "x", false},
		{long, "abc", false}, // longer than the buffer
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc", false},
	} {
		r := bufio.NewReaderSize(strings.NewReader(c.answer+answer), 32)
		if status, holds, err := readAnswer(r, []byte(c.expected)); status != 200 || holds != c.holds || err != nil {
			t.Errorf("%q in %q: %d, %t, %v", c.expected, c.answer, status, holds, err)
		}
		if status, _, err := readAnswer(r, nil); status != 200 || err != nil {
			t.Errorf("the answer behind %q: %d, %v", c.answer, status, err)
		}
	}
}

func TestARateIsKeptAndWrongAnswersAreCounted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	defer server.Close()
	l := load(server, "/a", "/b")
	l.Expected = [][]byte{[]byte("/a"), []byte("/other")}
	l.Rate, l.Span = 200, 200*time.Millisecond
	r, err := l.Run(t.Context())
	if err != nil || r.Failed != 0 || r.Wrong == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Operations > 60 { // 40 are due
		t.Errorf("%v operations at 200 a second in 200 ms", r.Operations)
	}
}
