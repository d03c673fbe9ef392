package proof

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
)

// witness is an outsider who reads the log, builds the tree by himself and never forgets a checkpoint.
type witness struct {
	key     string // of the log, as it was first seen
	hashes  []tlog.Hash
	entries []entry
	heads   []audit.Head
}

// entry is what the proofs ask of an entry of the log.
type entry struct {
	Action, Outcome, Request string
	Revision                 int64
	Keys                     []string
	Actor                    struct{ Kind, ID, Token string }
	Org, Project, Env        string
}

// ReadHashes implements [tlog.HashReader].
func (w *witness) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, 0, len(indexes))
	for _, i := range indexes {
		if i < 0 || i >= int64(len(w.hashes)) {
			return nil, fmt.Errorf("there is no hash %d", i)
		}
		out = append(out, w.hashes[i])
	}
	return out, nil
}

// see fetches a checkpoint, checks its signature and remembers it.
func (w *witness) see(s *site, token string) error {
	a := s.call(token, "GET", "/audit/checkpoint", nil)
	if !a.ok() {
		return fmt.Errorf("no checkpoint: %s", a)
	}
	var c api.Checkpoint
	if err := json.Unmarshal(a.body, &c); err != nil {
		return err
	}
	_, err := w.remember(c)
	return err
}

// follow takes the key of the log when it is seen for the first time, and from then on only a key that the one before it signed.
func (w *witness) follow(c api.Checkpoint) {
	if w.key == "" {
		w.key, _, _ = strings.Cut(c.Key, "\n")
	}
	for _, h := range c.Handovers {
		if next, err := audit.OpenHandover([]byte(h), w.key); err == nil {
			w.key = next
		}
	}
}

func (w *witness) remember(c api.Checkpoint) (audit.Head, error) {
	w.follow(c)
	h, err := audit.OpenCheckpoint([]byte(c.Checkpoint), w.key)
	if err == nil && !slices.Contains(w.heads, h) {
		w.heads = append(w.heads, h)
	}
	return h, err
}

// read takes in what the log holds beyond what is known.
func (w *witness) read(tb rapid.TB, s *site, token string) {
	tb.Helper()
	for {
		page := must[api.LogPage](tb, s, token, "GET", fmt.Sprintf("/audit/log?from=%d", len(w.entries)), nil)
		for _, raw := range page.Entries {
			hashes, err := tlog.StoredHashes(int64(len(w.entries)), raw, w)
			if err != nil {
				tb.Fatal(err)
			}
			w.hashes = append(w.hashes, hashes...)
			var e entry
			if err := json.Unmarshal(raw, &e); err != nil {
				tb.Fatalf("entry %d cannot be read: %v", len(w.entries), err)
			}
			w.entries = append(w.entries, e)
		}
		if int64(len(w.entries)) >= page.Size {
			return
		}
		if len(page.Entries) == 0 {
			tb.Fatalf("the log has %d entries and gives none from %d on", page.Size, len(w.entries))
		}
	}
}

// judge reads the log and checks it against all that was ever seen of it: the witness's own tree must have the root of every
// remembered checkpoint, and the server must prove its own consistency with them.
func (w *witness) judge(tb testing.TB, s *site, token string, deep bool) {
	tb.Helper()
	if err := w.see(s, token); err != nil {
		tb.Fatal(err)
	}
	w.read(tb, s, token)
	for _, h := range w.heads {
		if h.Size > int64(len(w.entries)) {
			tb.Errorf("the log shrank: a checkpoint signs %d entries, there are %d", h.Size, len(w.entries))
			continue
		}
		if root, err := tlog.TreeHash(h.Size, w); err != nil || root != h.Root {
			tb.Errorf("the entries do not give the root of the checkpoint at %d: %v", h.Size, err)
		}
	}
	for _, h := range w.recent() {
		if err := w.consistent(s, token, h); err != nil {
			tb.Errorf("consistency with the checkpoint at %d: %v", h.Size, err)
		}
	}
	path := "/audit/verify"
	if deep {
		path += "?deep=true"
	}
	v := must[api.Verification](tb, s, token, "POST", path, nil)
	for _, p := range v.Problems {
		tb.Errorf("the log does not verify: entry %d row %q: %s", p.Index, p.Row, p.Text)
	}
	if deep && (v.Rows == 0 || v.Values == 0) {
		tb.Errorf("the deep verification looked at %d rows and %d values", v.Rows, v.Values)
	}
}

// recent gives the oldest checkpoint and the newest ones: the server's own proofs cost a request each.
func (w *witness) recent() []audit.Head {
	const few = 4
	if len(w.heads) <= few {
		return w.heads
	}
	return append([]audit.Head{w.heads[0]}, w.heads[len(w.heads)-few:]...)
}

// consistent has the server prove that its log continues an older one, and checks the proof as a client does.
func (w *witness) consistent(s *site, token string, old audit.Head) error {
	a := s.call(token, "GET", fmt.Sprintf("/audit/consistency?old_size=%d", old.Size), nil)
	if !a.ok() {
		return fmt.Errorf("%s", a)
	}
	var p api.ConsistencyProof
	if err := json.Unmarshal(a.body, &p); err != nil {
		return err
	}
	w.follow(p.Checkpoint)
	now, err := audit.OpenCheckpoint([]byte(p.Checkpoint.Checkpoint), w.key)
	if err != nil {
		return err
	}
	proof, err := hashesIn(p.Proof)
	if err != nil {
		return err
	}
	return audit.CheckConsistency(proof, old, now)
}

// included has the server prove that an entry is in its log.
func (w *witness) included(tb testing.TB, s *site, token string, index int) {
	tb.Helper()
	p := must[api.InclusionProof](tb, s, token, "GET", fmt.Sprintf("/audit/entries/%d/proof", index), nil)
	w.follow(p.Checkpoint)
	h, err := audit.OpenCheckpoint([]byte(p.Checkpoint.Checkpoint), w.key)
	if err != nil {
		tb.Fatal(err)
	}
	proof, err := hashesIn(p.Proof)
	if err != nil {
		tb.Fatal(err)
	}
	if err := audit.CheckInclusion(proof, h.Size, h.Root, int64(index), p.Entry); err != nil {
		tb.Errorf("inclusion of entry %d: %v", index, err)
	}
}

func hashesIn(texts []string) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, text := range texts {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(b) != tlog.HashSize {
			return nil, fmt.Errorf("a hash of the proof is malformed")
		}
		out = append(out, tlog.Hash(b))
	}
	return out, nil
}

// byRequest finds entries by request id, from an index on.
func (w *witness) byRequest(from int) map[string][]entry {
	out := map[string][]entry{}
	for _, e := range w.entries[from:] {
		if e.Request != "" {
			out[e.Request] = append(out[e.Request], e)
		}
	}
	return out
}
