package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/bench/measure"
)

const testToken = "test-value-token"

func newServer(t *testing.T) (*server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit")
	values, err := newSealed(listCount)
	if err != nil {
		t.Fatal(err)
	}
	audit, err := newJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { audit.Close() })
	return &server{
		tokens: map[[sha256.Size]byte]string{sha256.Sum256([]byte(testToken)): "machine:bench"},
		values: values, audit: audit, answerSize: 350, itemSize: 340, lineSize: 250,
	}, path
}

func get(s *server, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func lines(t *testing.T, path string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.SplitAfter(b, []byte("\n"))[:bytes.Count(b, []byte("\n"))]
}

func TestASingleReadGivesTheValueAndLeavesALine(t *testing.T) {
	s, audit := newServer(t)
	w := get(s, "/secrets/K7", testToken)
	var answer struct{ Name, Value string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
		t.Fatalf("%d, %v", w.Code, err)
	}
	if answer.Name != "K7" || answer.Value != measure.Value(7, 0) {
		t.Error("the answer holds another secret")
	}
	if w.Body.Len() != 350 {
		t.Errorf("the answer has %d bytes, want 350", w.Body.Len())
	}
	got := lines(t, audit)
	if len(got) != 1 || len(got[0]) != 250 || !json.Valid(got[0]) || !bytes.Contains(got[0], []byte(`"K7"`)) {
		t.Errorf("audit lines: %q", got)
	}
}

func TestTheListNamesAllKeysInOneLine(t *testing.T) {
	s, audit := newServer(t)
	w := get(s, "/list", testToken)
	var answer []struct{ Name, Value string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer) != listCount {
		t.Fatalf("%d items, %v", len(answer), err)
	}
	got := lines(t, audit)
	if len(got) != 1 || !json.Valid(got[0]) {
		t.Fatalf("%d audit lines", len(got))
	}
	for i, item := range answer {
		if item.Value != measure.Value(i, 0) || !bytes.Contains(got[0], []byte(`"`+item.Name+`"`)) {
			t.Errorf("item %d is wrong or not in the line", i)
		}
	}
}

func TestRefusedAndMissingReadsLeaveNoLine(t *testing.T) {
	s, audit := newServer(t)
	for _, c := range []struct {
		path, token string
		status      int
	}{
		{"/secrets/K1", "test-value-wrong", http.StatusUnauthorized},
		{"/secrets/K1", "", http.StatusUnauthorized},
		{"/secrets/K100", testToken, http.StatusNotFound},
		{"/other", testToken, http.StatusNotFound},
	} {
		if w := get(s, c.path, c.token); w.Code != c.status || strings.Contains(w.Body.String(), "test-value") {
			t.Errorf("%s answered %d, want %d", c.path, w.Code, c.status)
		}
	}
	if got := lines(t, audit); len(got) != 0 {
		t.Errorf("%d audit lines", len(got))
	}
}

func TestAReadFailsWhenItsLineCannotBeWritten(t *testing.T) {
	s, _ := newServer(t)
	s.audit.file.Close()
	for range 2 { // the failure is final
		if w := get(s, "/secrets/K1", testToken); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), measure.Value(1, 0)) {
			t.Errorf("a read without its audit line answered %d", w.Code)
		}
	}
}

func TestTheJournalKeepsEveryLineOfManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	j, err := newJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 16, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := j.Append([]byte(measure.Name(w*each+i) + "\n")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, line := range lines(t, path) {
		seen[string(line)] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d different lines, want %d", len(seen), writers*each)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := j.Append([]byte("late\n")); err == nil {
		t.Error("a closed journal took a line")
	}
}

func TestSQLByHandKeepsHistoryHeadAndAudit(t *testing.T) {
	s, err := openStore(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.db.Close()
	if err := s.create(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if err := s.put(t.Context(), s.ids[3], 2); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"SELECT count(*) FROM secrets":                    "10",
		"SELECT count(*) FROM versions":                   "11",
		"SELECT count(*) FROM audit":                      "2",
		"SELECT sum(version) FROM secrets":                "11",
		"SELECT min(length(sealed)) FROM versions":        "308",
		"SELECT * FROM pragma_journal_mode":               "wal",
		"SELECT * FROM pragma_synchronous":                "2", // FULL
		"SELECT count(*) FROM secrets WHERE name = 'K3'":  "1",
		"SELECT count(DISTINCT project_id) FROM versions": "1",
	} {
		var got string
		if err := s.db.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %s", query, got, err, want)
		}
	}
}

func TestEveryRowIsResealedByHandOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hand.db")
	s, err := openHandSQLite(file)
	if err != nil {
		t.Fatal(err)
	}
	db := s.(handSQLite).db
	const rows = handRows + 3 // more than one transaction
	if _, err := db.Exec("CREATE TABLE secret (id TEXT PRIMARY KEY, value BLOB)"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?) INSERT INTO secret SELECT printf('%08d', i), randomblob(?) FROM n", rows, overhead+256); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO secret VALUES ('purged', NULL)"); err != nil {
		t.Fatal(err)
	}
	if err := resealed(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var total, keys, sizes int
	if err := db.QueryRow("SELECT count(*), count(DISTINCT substr(value, 3, 16)), count(DISTINCT length(value)) FROM secret WHERE value IS NOT NULL").Scan(&total, &keys, &sizes); err != nil {
		t.Fatal(err)
	}
	if total != rows || keys != 1 || sizes != 1 {
		t.Errorf("%d rows lie under %d keys, in %d sizes", total, keys, sizes)
	}
	if err := s.close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := reseal(t.Context(), nil); err == nil {
		t.Error("a floor without a database ran")
	}
}
