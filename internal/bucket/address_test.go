package bucket_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/fault"
)

func TestAddressesAreUnderstood(t *testing.T) {
	for address, want := range map[string]string{
		"/var/backups/keyturn":                                        "/var/backups/keyturn",
		"/var//backups/../backups/":                                   "/var/backups",
		"file:///var/backups/a%20b":                                   "/var/backups/a b",
		"file://localhost/var":                                        "/var",
		"s3://my-bucket?region=eu-central-1":                          "s3://my-bucket at my-bucket.s3.eu-central-1.amazonaws.com",
		"s3://my-bucket/a/b/?region=cn-north-1":                       "s3://my-bucket/a/b at my-bucket.s3.cn-north-1.amazonaws.com.cn",
		"s3://my.bucket/a?region=eu-1&path_style=true":                "s3://my.bucket/a at s3.eu-1.amazonaws.com",
		"s3://bucket/a?endpoint=https://S3.example.test:9000/":        "s3://bucket/a at bucket.s3.example.test:9000",
		"s3://bucket?endpoint=http://127.0.0.1:9000&path_style=true":  "s3://bucket at 127.0.0.1:9000",
		"s3://bucket?endpoint=http://[::1]:9000&path_style=true":      "s3://bucket at [::1]:9000",
		"s3://bucket?endpoint=http://localhost:9000&path_style=true":  "s3://bucket at localhost:9000",
		"s3://bucket?endpoint=https://10.0.0.1&path_style=true":       "s3://bucket at 10.0.0.1",
		"s3://bucket?endpoint=https://s3.example.test&region=garage1": "s3://bucket at bucket.s3.example.test",
	} {
		place, err := bucket.Open(address, bucket.Environment{Getenv: env})
		if err != nil {
			t.Errorf("%s: %v", address, err)
		} else if place.String() != want {
			t.Errorf("%s: got %s, want %s", address, place, want)
		}
	}
}

func TestBadAddressesAreRefusedAndNotRepeated(t *testing.T) {
	const planted = "planted-test-value"
	for _, address := range []string{
		"", "backups", "./backups", "~/backups", "http://example.test/x", "ftp://x/y", "s3:bucket", "file:x", "file://host/x", "file:///x?y=" + planted,
		"file:relative", "://", "s3://", "s3:///x", "s3://ab?region=r", "s3://UPPER?region=r", "s3://under_score?region=r", "s3://-bucket?region=r",
		"s3://bu..cket?region=r", "s3://bucket:80?region=r", "s3://bucket/../x?region=r", "s3://bucket/a//b?region=r", "s3://bucket/a b?region=r",
		"s3://bucket/%2e%2e?region=r", "s3://bucket/ä?region=r", "s3://bucket/" + strings.Repeat("a", 300) + "?region=r",
		"s3://bucket", "s3://bucket?region=", "s3://bucket?region=EU", "s3://bucket?region=a/b", "s3://bucket?region=a.evil.test/", "s3://bucket?region=a&region=b",
		"s3://bucket?region=r&path_style=yes", "s3://bucket?region=r&path_style=", "s3://bucket?region=r#x", "s3://bucket?region=r&secret=" + planted, "s3://bucket?region=%zz" + planted,
		"s3://id:" + planted + "@bucket?region=r", "s3://bucket?endpoint=https://id:" + planted + "@host", "s3://bucket?endpoint=",
		"s3://bucket?endpoint=http://example.test", "s3://bucket?endpoint=http://10.0.0.1&path_style=true", "s3://bucket?endpoint=http://127.0.0.1.example.test",
		"s3://bucket?endpoint=http://localhost.example.test", "s3://bucket?endpoint=https://host/path", "s3://bucket?endpoint=https://host?x=1", "s3://bucket?endpoint=https://host%23x",
		"s3://bucket?endpoint=ftp://host", "s3://bucket?endpoint=host:9000", "s3://bucket?endpoint=https://127.0.0.1", "s3://my.bucket?region=r", "s3://bucket?endpoint=https://:80",
		"s3://bucket?endpoint=http://localhost", "/x\x00y",
	} {
		_, err := bucket.Open(address, bucket.Environment{Getenv: env})
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", address, err)
		} else if strings.Contains(err.Error()+fault.As(err).Hint, planted) {
			t.Errorf("%q: the error repeats it", address)
		}
	}
}

func TestCredentialsAreNeededAndChecked(t *testing.T) {
	const address = "s3://bucket?region=r"
	with := func(name, value string) func(string) string {
		return func(n string) string {
			if n == name {
				return value
			}
			return env(n)
		}
	}
	for title, getenv := range map[string]func(string) string{
		"none":            nil,
		"no id":           with("AWS_ACCESS_KEY_ID", ""),
		"no secret":       with("AWS_SECRET_ACCESS_KEY", ""),
		"a line end":      with("AWS_SECRET_ACCESS_KEY", "planted-test-value\n"),
		"another header":  with("AWS_SESSION_TOKEN", "planted-test-value\r\nX-Evil: 1"),
		"far too long":    with("AWS_SESSION_TOKEN", strings.Repeat("planted-test-value", 1000)),
		"not even ASCII":  with("AWS_ACCESS_KEY_ID", "planted-test-value-ä"),
		"a space in it":   with("AWS_ACCESS_KEY_ID", "planted-test-value x"),
		"a zero inside":   with("AWS_ACCESS_KEY_ID", "planted-test-value\x00"),
		"nothing but DEL": with("AWS_ACCESS_KEY_ID", "\x7f"),
	} {
		_, err := bucket.Open(address, bucket.Environment{Getenv: getenv})
		if !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", title, err)
		}
	}
	if _, err := bucket.Open(address, bucket.Environment{Getenv: with("AWS_SESSION_TOKEN", "")}); err != nil {
		t.Error("no session token:", err)
	}
}

func FuzzAddressesNeverPanicNorRepeatThemselves(f *testing.F) {
	f.Add("s3://bucket/prefix?endpoint=https://host&region=r&path_style=true")
	f.Add("file:///x")
	f.Add("/x")
	f.Add("s3://a:b@c")
	f.Fuzz(func(t *testing.T, address string) {
		place, err := bucket.Open(address, bucket.Environment{Getenv: env})
		switch {
		case err != nil && (!errors.Is(err, fault.Invalid) || len(address) > 40 && strings.Contains(err.Error(), address)):
			t.Error(err)
		case err == nil && strings.Contains(place.String(), secretKey):
			t.Error("it shows the key")
		}
	})
}

// Whatever the name: a Put is refused, or comes back under this name and no other, and nothing appears beside the folder.
func FuzzNamesStayInTheFolder(f *testing.F) {
	for _, name := range append(badNames, "a", "a/b", "a.b/c_d-e") {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		above := t.TempDir()
		place := open(t, filepath.Join(above, "in"), bucket.Environment{})
		if _, err := place.Put(t.Context(), name, strings.NewReader("x")); err == nil {
			if got := names(t, place, ""); len(got) != 1 || got[0] != name {
				t.Errorf("%q is listed as %q", name, got)
			}
			if string(get(t, place, name)) != "x" {
				t.Errorf("%q came back changed", name)
			}
		} else if !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
		entries, err := os.ReadDir(above)
		if err != nil || len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "in" {
			t.Errorf("%q made something outside: %v, error %v", name, entries, err)
		}
	})
}

func FuzzAnswersOfStoresNeverPanic(f *testing.F) {
	f.Add([]byte(`<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a%2Fb+c</Key><Size>1</Size></Contents></ListBucketResult>`))
	f.Add([]byte(`<Error><Code>SlowDown</Code></Error>`))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "aaaa">]><Error><Code>&a;</Code></Error>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if code := bucket.ErrorCode(b); len(code) > 64 || strings.ContainsAny(code, " \n<>") {
			t.Errorf("code %q", code)
		}
		if keys, err := bucket.ListKeys(b); err != nil && keys != nil {
			t.Error("half a page")
		}
	})
}
