// Package bucket is a place for backups: named objects in a folder or in a store that speaks the S3 protocol.
//
// It knows nothing of what it keeps. Whoever writes a backup seals it first; a place is trusted to keep bytes and not to
// read them.
package bucket

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// Place keeps named objects. A name is one or more segments of [a-z0-9._-], joined by "/"; no segment is "." or "..", or
// begins with ".partial-", which is kept for what is half written. In a folder, a name cannot also be the folder of
// another name: such a Put is [fault.Exists].
//
// Every method may be called from several goroutines. Errors are faults: [fault.Invalid] for a bad name,
// [fault.Unavailable] when trying later may help, [fault.Denied] and [fault.Unauthenticated] when rights are missing. None
// shows a credential.
type Place interface {
	// Put stores what r gives under name, all or nothing, and tells its size in bytes. Until Put returns nil the name
	// does not exist, or has its old content. When the store or the way to it fails in the last step, it may be that the
	// new content is there, whole, although Put returns an error. An error of r itself comes back wrapped.
	Put(ctx context.Context, name string, r io.Reader) (size int64, err error)
	// Get opens an object. A read fails with [fault.Unavailable] when the content ends early. No such object is
	// [fault.NotFound]. The caller closes what it gets; ctx must live until then.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List gives all objects whose names begin with prefix, which may be empty and may end within a segment, sorted by
	// the bytes of their names. What others have put there under names that no Put accepts is left out.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Delete removes an object. It is no error when it is gone already.
	Delete(ctx context.Context, name string) error
	// String names the place for people. It holds no credential.
	String() string
}

// Object says what a place tells about an object without opening it.
type Object struct {
	Name       string
	Size       int64 // bytes
	ModifiedMS int64 // when it was put, by the clock of the place: milliseconds since 1970, UTC
}

// Environment is what [Open] takes from the process.
type Environment struct {
	// Getenv reads an environment variable; for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary
	// credentials, AWS_SESSION_TOKEN. Nil means that none is set.
	Getenv func(string) string
	// HTTP is used for S3 instead of the package's own client, with its transport only: redirects are not followed,
	// cookies are not kept, and time limits are the package's own. Nil is right outside of tests.
	HTTP *http.Client
}

// maxObjects is how many objects a list may hold: hourly backups of ten years, and a list that still fits in memory.
const maxObjects = 100_000

// Open understands the address of a place. It opens no connection and makes no folder, so that it succeeds while the
// place is out of reach.
//
//	/var/backups/keyturn            a folder
//	file:///var/backups/keyturn     the same
//	s3://BUCKET/PREFIX?region=eu-central-1
//	s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION&path_style=true
//
// Addresses that cannot be understood are [fault.Invalid]. The error does not repeat the address, into which people put
// credentials.
func Open(address string, env Environment) (Place, error) {
	if filepath.IsAbs(address) {
		return openFolder(address)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, badAddress("it is neither an absolute path nor a URL") // url's own error would repeat it
	}
	if u.User != nil {
		return nil, badAddress("it holds a credential").
			WithHint("take it out of the address and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
			return nil, badAddress("a file address is file:// and an absolute path, and nothing else")
		}
		path := u.Path
		if runtime.GOOS == "windows" {
			path = strings.TrimPrefix(path, "/") // file:///C:/folder
		}
		return openFolder(filepath.FromSlash(path))
	case "s3":
		return openS3(u, env)
	}
	return nil, badAddress("it is neither an absolute path nor file:// nor s3://")
}

func badAddress(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "the address of the place for backups is wrong: "+format, args...).
		WithHint("write /absolute/path or s3://BUCKET/PREFIX?region=REGION")
}
