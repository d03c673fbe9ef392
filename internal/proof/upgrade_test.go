package proof

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// A database that was made before keys could turn: the program of today starts on it, reads all, and turns every key of it.
func TestADatabaseOfTheFirstSchemaOpensAndItsKeysTurn(t *testing.T) {
	t.Parallel()
	p := onSQLite(t)
	if err := os.MkdirAll(p.data(), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join("testdata", "first-schema.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(p.data(), "keyturn.db")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	before := files(t, p.data())
	if e := p.with("KEYTURN_ROOT_KEY=", otherKey).refused(t); e.code != codeSealed { // a wrong key migrates nothing
		t.Errorf("exit code %d:\n%s", e.code, e.out)
	}
	delete(before, filepath.Join(p.data(), "keyturn.lock"))
	after := files(t, p.data())
	delete(after, filepath.Join(p.data(), "keyturn.lock"))
	sameFiles(t, before, after)

	server := p.start(t)
	s := siteAt(t, server.url)
	v := &vault{token: must[api.Session](t, s, "", "POST", "/login", api.LoginRequest{Email: adminEmail, Password: adminPassword}).Token}
	v.want = v.read(t, s)
	want := map[string]string{"V01 own": "test-value own 1"}
	for i := range 4 {
		for round := range 3 {
			want[fmt.Sprintf("V%02d@%d", i, round+1)] = fmt.Sprintf("test-value %d %d", i, round)
			if i%3 == 0 {
				want[fmt.Sprintf("V%02d@%d comment", i, round+1)] = fmt.Sprintf("test-value comment %d %d", i, round)
			}
		}
	}
	for name, value := range want {
		if v.want[name] != value {
			t.Errorf("%s is %q, was %q", name, v.want[name], value)
		}
	}
	v.kept = v.again(t, s)
	sound(t, s, v.token)
	for _, layer := range []string{"instance", "all"} {
		rotate(t, s, v.token, rotationOf(layer))
		settleTurns(t, s, v.token)
		v.unchanged(t, s)
		turned(t, s, v.token)
	}
	server.stop(t)
	server = p.start(t)
	v.unchanged(t, siteAt(t, server.url))
	server.stop(t)
}

// again asks for another project, since the migration forgets answers that the first schema kept.
func (v *vault) again(tb testing.TB, s *site) string {
	tb.Helper()
	v.slug = "kept-again"
	return v.answer(tb, s)
}
