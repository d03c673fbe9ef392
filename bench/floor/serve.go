package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/bench/measure"
)

const (
	readPath = "/secrets/" // + name: one value
	listPath = "/list"     // listCount values in one answer

	listCount  = 100
	bufferSize = 1 << 10 // one answer and one audit line fit
)

// ready is the line that serve prints.
type ready struct {
	Address string `json:"address"`
	Token   string `json:"token"`
}

// server is the bare handler.
type server struct {
	tokens     map[[sha256.Size]byte]string // digest to principal
	values     *sealed
	audit      *journal
	answerSize int
	itemSize   int
	lineSize   int
}

func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("floor serve", flag.ContinueOnError)
	var (
		listen  = flags.String("listen", "127.0.0.1:0", "address to serve on")
		audit   = flags.String("audit", "", "audit file (must be given)")
		secrets = flags.Int("secrets", 1000, "number of values")
		s       server
	)
	flags.IntVar(&s.answerSize, "answer", 350, "size of a single answer in bytes")
	flags.IntVar(&s.itemSize, "item", 350, "size of one item of a list answer in bytes")
	flags.IntVar(&s.lineSize, "line", 250, "size of an audit line in bytes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *audit == "" {
		return errors.New("-audit is needed")
	}
	var err error
	if s.values, err = newSealed(*secrets); err != nil {
		return err
	}
	if s.audit, err = newJournal(*audit); err != nil {
		return err
	}
	defer s.audit.Close()
	token := "test-value-" + rand.Text()
	s.tokens = map[[sha256.Size]byte]string{sha256.Sum256([]byte(token)): "machine:bench"}

	lis, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: &s, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(lis) }()
	if err := json.NewEncoder(os.Stdout).Encode(ready{"http://" + lis.Addr().String(), token}); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return srv.Close()
	}
}

// ServeHTTP answers one read or the list of 100, after its audit line is on
// disk.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	who, ok := s.tokens[sha256.Sum256([]byte(token))]
	if !ok {
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	var answer, line []byte
	var err error
	name, single := strings.CutPrefix(r.URL.Path, readPath)
	switch {
	case single:
		answer = make([]byte, 0, bufferSize)
		answer, ok, err = s.values.appendItem(answer, name, s.answerSize)
		line = s.line(make([]byte, 0, bufferSize), who, name)
	case r.URL.Path == listPath:
		names := make([]string, 0, listCount)
		answer = append(make([]byte, 0, listCount*bufferSize), '[')
		for i := 0; i < listCount && ok && err == nil; i++ {
			if i > 0 {
				answer = append(answer, ',')
			}
			names = append(names, measure.Name(i))
			answer, ok, err = s.values.appendItem(answer, names[i], s.itemSize)
		}
		answer = append(answer, ']')
		line = s.line(make([]byte, 0, 2*bufferSize), who, names...)
	default:
		ok = false
	}
	if err == nil && ok {
		err = s.audit.Append(line)
	}
	switch {
	case err != nil:
		http.Error(w, "internal error", http.StatusInternalServerError)
	case !ok:
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		if _, err := w.Write(answer); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// line appends one audit line that names every key, padded to the size of a
// real entry when it is shorter.
func (s *server) line(dst []byte, who string, names ...string) []byte {
	dst = append(dst, `{"time":"`...)
	dst = time.Now().UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","who":"`...)
	dst = append(dst, who...)
	dst = append(dst, `","action":"read","names":["`...)
	for i, n := range names {
		if i > 0 {
			dst = append(dst, `","`...)
		}
		dst = append(dst, n...)
	}
	dst = append(dst, `"],"meta":"`...)
	for want := s.lineSize - len("\"}\n"); len(dst) < want; {
		dst = append(dst, padding[:min(len(padding), want-len(dst))]...)
	}
	return append(dst, "\"}\n"...)
}
