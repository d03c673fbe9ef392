package proof

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/internal/testpg"
)

// canaries are the secrets that a test plants, by what they are. Each is random, so that eight bytes of it can be nothing else.
type canaries struct {
	tb     testing.TB
	mu     sync.Mutex
	of     map[string][]byte
	search *searcher
	found  []find
}

func newCanaries(tb testing.TB) *canaries {
	return &canaries{tb: tb, of: map[string][]byte{}, search: newSearcher()}
}

// text plants a short text and gives it in a form that says what it is; the search is for the random part.
func (c *canaries) text(name string) string {
	return c.digested(name, "test-value-"+string(c.plant(name, []byte(rand.Text()))))
}

// digested plants the digests that tell a guess from the truth without any key.
func (c *canaries) digested(name, text string) string {
	for kind, h := range map[string]hash.Hash{"MD5": md5.New(), "SHA-1": sha1.New(), "SHA-256": sha256.New(), "SHA-512": sha512.New()} {
		h.Write([]byte(text))
		c.plant("the "+kind+" of "+name, h.Sum(nil))
	}
	return text
}

// long plants n bytes of text.
func (c *canaries) long(name string, n int) string { return string(c.plant(name, latinNoise(n))) }

func (c *canaries) binary(name string, n int) []byte { return c.plant(name, junk(n)) }

func (c *canaries) plant(name string, secret []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[name] = secret
	c.search.plant(name, secret)
	return secret
}

// token plants what the server made; the prefix that all tokens have is left out.
func (c *canaries) token(name, token string) string {
	c.tb.Helper()
	if len(token) != 53 {
		c.tb.Fatalf("%s is no token", name)
	}
	c.plant(name, []byte(token[4:]))
	return token
}

// hear looks through something that must hold no secret.
func (c *canaries) hear(where string, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = append(c.found, c.search.search(where, b)...)
}

func (c *canaries) look(folder string, but ...string) {
	c.tb.Helper()
	found, err := c.search.folder(folder, but...)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.found = append(c.found, found...)
}

// settle tells what was found.
func (c *canaries) settle() {
	c.tb.Helper()
	const most = 40
	for i, f := range c.found {
		if i == most {
			c.tb.Errorf("and %d more", len(c.found)-most)
			break
		}
		c.tb.Errorf("%s lies in %s at %d (%s)", f.of, f.where, f.offset, f.form)
	}
	c.found = nil
}

func TestNoPlaintextLiesAnywhereOnSQLite(t *testing.T) { plantAndSearch(t, nil) }

func TestNoPlaintextLiesAnywhereOnPostgreSQL(t *testing.T) { plantAndSearch(t, testpg.Start(t)) }

var setupToken = regexp.MustCompile(`--setup-token (ktu_[0-9A-Za-z]{49})`)

// plantAndSearch has a server in production mode, with a log at debug level, live through everything that touches secrets,
// and then looks into every file and every word that came of it.
func plantAndSearch(t *testing.T, database *testpg.Server, more ...func(*traffic)) {
	t.Helper()
	c := newCanaries(t)
	root := c.binary("the root key", 32)
	c.plant("the root key in hex", []byte(hex.EncodeToString(root)))
	folder := t.TempDir()
	key := filepath.Join(folder, "in-root.key")
	if err := os.WriteFile(key, []byte(hex.EncodeToString(root)+"\n"), 0o644); err != nil { // so open that the start warns: the log is heard
		t.Fatal(err)
	}
	p := place{folder: folder, env: []string{"KEYTURN_MODE=production", "KEYTURN_ROOT_KEY_FILE=" + key, "KEYTURN_LOG_LEVEL=debug",
		"KEYTURN_OFFLINE_MAX_AGE=24h", "KEYTURN_METRICS_TOKEN=" + c.text("the metrics token"), "KEYTURN_READY_TOKEN=" + c.text("the ready token")}}
	if database != nil {
		p.env = append(p.env, "KEYTURN_DATABASE_URL="+database.Database(t))
	}
	server := p.start(t)
	m := setupToken.FindStringSubmatch(server.out.String())
	if m == nil {
		t.Fatalf("the start prints no set-up token:\n%s", server.out)
	}
	c.token("the set-up token", m[1])
	tr := &traffic{t: t, c: c, site: siteAt(t, server.url), place: p}
	tr.all(m[1], more...)
	tr.evidence()

	server.kill(t) // what lies there in the middle of work: WAL and its index
	lookAtData(t, c, p, database)
	first := server.out.String()
	if strings.Count(first, m[1]) != 1 {
		t.Errorf("the set-up token is printed %d times", strings.Count(first, m[1]))
	}
	c.hear("the server's output", []byte(strings.Replace(first, m[1], "", 1)))

	server = p.start(t)
	tr.site = siteAt(t, server.url)
	tr.evidence()
	server.stop(t) // and what lies there when all is settled
	lookAtData(t, c, p, database)
	c.hear("the server's output after a restart", []byte(server.out.String()))
	if !strings.Contains(first+server.out.String(), "level=") {
		t.Error("the server logs nothing, so its log proves nothing")
	}
	tr.lookAtHome()
	c.settle()
	if len(c.of) < 300 {
		t.Errorf("only %d canaries were planted", len(c.of))
	}
}

func lookAtData(t *testing.T, c *canaries, p place, database *testpg.Server) {
	t.Helper()
	if database == nil {
		if info, err := os.Stat(filepath.Join(p.data(), "keyturn.db")); err != nil || info.Size() == 0 {
			t.Fatalf("there is no database to look at: %v", err)
		}
		c.look(p.data())
		return
	}
	settlePostgres(t, database)
	c.look(database.Folder())
	log, err := os.ReadFile(database.Log())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("INSERT INTO secret ")) {
		t.Error("the database logs no statements, so its log proves nothing")
	}
	if _, err := os.Stat(p.data()); err == nil {
		c.look(p.data())
	}
}

// heard is what a body may hold: a note of why a secret in it is right, or "" for none at all.
type heard string

func (c *canaries) answered(what string, a answer, may heard) {
	c.tb.Helper()
	if a.err != nil {
		c.tb.Fatalf("%s: %v", what, a.err)
	}
	var head bytes.Buffer
	_ = a.header.Write(&head)
	c.hear("the header of "+what, head.Bytes())
	if may == "" || !a.ok() {
		c.hear("the body of "+what, a.body)
	}
}
