package proof

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/keyturn/keyturn/internal/testpg"
)

// A search that finds nothing proves nothing unless it finds what is there.

func junk(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func compressed(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

func TestTheSearcherFindsAPlantedSecretInEveryForm(t *testing.T) {
	for name, secret := range map[string][]byte{"text": []byte(rand.Text()), "binary": junk(40), "long": junk(10 << 10)} {
		s := newSearcher()
		s.plant(name, secret)
		if found := s.search("junk", junk(1<<20)); len(found) > 0 {
			t.Errorf("%s: something is found in noise: %v", name, found)
		}
		var zipped bytes.Buffer
		z := zlib.NewWriter(&zipped)
		_, _ = z.Write(secret)
		_ = z.Close()
		reversed := slices.Clone(secret)
		slices.Reverse(reversed)
		var spread, paged []byte // literals with a control byte before every eight, and pages with a pointer before each
		for i, c := range secret {
			if i%8 == 0 {
				spread = append(spread, 0)
			}
			if i%1000 == 0 {
				paged = append(paged, 0, 0, 7, 1)
			}
			spread, paged = append(spread, c), append(paged, c)
		}
		for form, b := range map[string][]byte{
			"raw": secret, "reversed": reversed, "hex": []byte(hex.EncodeToString(secret)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(secret))),
			"base64": []byte(base64.StdEncoding.EncodeToString(secret)), "base64 shifted by 1": []byte(base64.RawStdEncoding.EncodeToString(append([]byte("x"), secret...))),
			"base64 shifted by 2": []byte(base64.RawStdEncoding.EncodeToString(append([]byte("xy"), secret...))), "base64url": []byte(base64.URLEncoding.EncodeToString(secret)),
			"UTF-16LE": utf16Of(secret, 0), "UTF-16BE": utf16Of(secret, 1), "numbers": []byte(fmt.Sprint(secret)),
			"percent": []byte(percent(secret)), "octal": []byte(octal(secret)), "gzip": compressed(secret), "gzip of base64 in gzip": compressed(compressed([]byte(base64.StdEncoding.EncodeToString(secret)))),
			"zlib": zipped.Bytes(), "spread": spread, "paged": paged,
		} {
			for _, before := range []int{0, 1, 4095, 65537} {
				if found := s.search("here", slices.Concat(junk(before), b, junk(100))); len(found) == 0 || found[0].of != name {
					t.Errorf("%s as %s after %d bytes of noise is not found", name, form, before)
				}
			}
		}
	}
}

func utf16Of(b []byte, at int) []byte {
	out := make([]byte, 2*len(b))
	for i, c := range b {
		out[2*i+at] = c
	}
	return out
}

func percent(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		fmt.Fprintf(&out, "%%%02X", c)
	}
	if got, err := url.PathUnescape(out.String()); err != nil || got != string(b) {
		return ""
	}
	return out.String()
}

func octal(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		out.WriteString(`\` + fmt.Sprintf("%03s", strconv.FormatInt(int64(c), 8)))
	}
	return out.String()
}

// The databases' own ways of storing what they are given in clear: short and long, plain and compressed.
func TestTheSearcherFindsWhatADatabaseWasGivenInClear(t *testing.T) {
	long := strings.Repeat(rand.Text()+rand.Text()+rand.Text(), 200)
	secrets := map[string]string{"short": rand.Text(), "long": string(latinNoise(10 << 10)), "long and even": long}
	t.Run("SQLite", func(t *testing.T) {
		folder := t.TempDir()
		db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "control.db")+"?_pragma=journal_mode(WAL)")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if _, err := db.Exec("CREATE TABLE control (v TEXT)"); err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if _, err := db.Exec("INSERT INTO control VALUES (?)", secret); err != nil {
				t.Fatal(err)
			}
		}
		findsAll(t, folder, secrets)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		server := testpg.Start(t)
		conn, err := pgx.Connect(context.Background(), server.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(context.Background(), "CREATE TABLE control (v TEXT)"); err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if _, err := conn.Exec(context.Background(), "INSERT INTO control VALUES ($1)", secret); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		settlePostgres(t, server)
		findsAll(t, filepath.Join(server.Folder(), "data", "base"), secrets)
		findsAll(t, filepath.Join(server.Folder(), "data", "pg_wal"), secrets)
		b, err := os.ReadFile(server.Log())
		if err != nil {
			t.Fatal(err)
		}
		for name, secret := range secrets {
			s := newSearcher()
			s.plant(name, []byte(secret[:26]))
			if len(s.search("the statement log", b)) == 0 {
				t.Errorf("%s is not found in the statement log", name)
			}
		}
	})
}

// latinNoise is random text that no compression makes shorter by much.
func latinNoise(n int) []byte {
	out := make([]byte, 0, n+26)
	for len(out) < n {
		out = append(out, rand.Text()...)
	}
	return out[:n]
}

func findsAll(t *testing.T, folder string, secrets map[string]string) {
	t.Helper()
	s := newSearcher()
	for name, secret := range secrets {
		s.plant(name, []byte(secret))
	}
	found, err := s.folder(folder)
	if err != nil {
		t.Fatal(err)
	}
	for name := range secrets {
		if !slices.ContainsFunc(found, func(f find) bool { return f.of == name }) {
			t.Errorf("%s is not found in %s", name, filepath.Base(folder))
		}
	}
}

// settlePostgres makes a database server write all that it holds in memory to its files.
func settlePostgres(t *testing.T, server *testpg.Server) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), server.Admin())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(context.Background(), "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
