package postgres_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store/postgres"
	"github.com/keyturn/keyturn/internal/store/storetest"
	"github.com/keyturn/keyturn/internal/testpg"
)

// parse takes an address apart.
func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// silent checks that neither the message nor any cause tells what the address holds.
func silent(t *testing.T, err error, secrets ...string) {
	t.Helper()
	f := fault.As(err)
	text := fmt.Sprintf("%v %+v %#v %s %s", err, err, err, f.Message, f.Hint)
	for cause := error(f); cause != nil; {
		text += " " + cause.Error()
		next, ok := cause.(interface{ Unwrap() error })
		if !ok {
			break
		}
		cause = next.Unwrap()
	}
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("the error tells part of the address: %s", strings.ReplaceAll(text, s, "[...]"))
		}
	}
}

func TestAnAddressThatDoesNotWorkIsNeverShown(t *testing.T) {
	good := testpg.Database(t)
	const wrong = "test-value-wrong-password"
	change := func(f func(*url.URL)) string {
		u := parse(t, good)
		u.User = url.UserPassword(u.User.Username(), wrong)
		f(u)
		return u.String()
	}
	for name, c := range map[string]struct {
		address string
		kind    fault.Kind
	}{
		"wrong password":      {change(func(*url.URL) {}), fault.Unavailable},
		"unknown user":        {change(func(u *url.URL) { u.User = url.UserPassword("stranger", wrong) }), fault.Unavailable},
		"nobody listens":      {change(func(u *url.URL) { u.Host = "127.0.0.1:1" }), fault.Unavailable},
		"unknown host":        {change(func(u *url.URL) { u.Host = "database.invalid:5432" }), fault.Unavailable},
		"another scheme":      {strings.Replace(change(func(*url.URL) {}), "postgres://", "mysql://", 1), fault.Invalid},
		"no port":             {change(func(u *url.URL) { u.Host = "127.0.0.1:x" }), fault.Invalid},
		"odd TLS mode":        {change(func(u *url.URL) { u.RawQuery = "sslmode=perhaps" }), fault.Invalid},
		"unescaped character": {"postgres://keyturn:" + wrong + "%zz@127.0.0.1/x", fault.Invalid},
		"words and no equals": {"host=127.0.0.1 password=" + wrong + " 'x", fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := postgres.Open(t.Context(), c.address)
			if err == nil {
				_ = e.Close()
			}
			storetest.Want(t, err, c.kind)
			silent(t, err, wrong, c.address, parse(t, good).Host)
		})
	}
}

func TestAMissingDatabaseIsNotAMissingSecret(t *testing.T) {
	u := parse(t, testpg.Database(t))
	u.Path = "/no_such_database"
	_, err := postgres.Open(t.Context(), u.String())
	if k := fault.KindOf(err); k == fault.NotFound || err == nil {
		t.Errorf("error %v of kind %s", err, k)
	}
}

func TestAServerThatDoesNotSyncIsRefused(t *testing.T) {
	t.Run("synchronous_commit", func(t *testing.T) {
		address := testpg.Database(t)
		conn, err := pgx.Connect(t.Context(), testpg.Start(t).Admin())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		for setting, want := range map[string]fault.Kind{"off": fault.Unsupported, "on": ""} {
			name := pgx.Identifier{strings.TrimPrefix(parse(t, address).Path, "/")}.Sanitize()
			if _, err := conn.Exec(t.Context(), "ALTER DATABASE "+name+" SET synchronous_commit = "+setting); err != nil {
				t.Fatal(err)
			}
			e, err := postgres.Open(t.Context(), address)
			if err == nil {
				_ = e.Close()
			}
			if want == "" && err != nil || want != "" && fault.KindOf(err) != want {
				t.Errorf("with synchronous_commit=%s: error %v", setting, err)
			}
		}
	})
	t.Run("fsync", func(t *testing.T) {
		address := testpg.Private(t, "fsync=off").Database(t)
		_, err := postgres.Open(t.Context(), address)
		storetest.Want(t, err, fault.Unsupported)
		if fault.As(err).Hint == "" {
			t.Error("the refusal does not tell what to do")
		}
	})
}
