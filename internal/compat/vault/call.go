package vault

import (
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// verb is what a call wants. PUT and POST are one verb everywhere; LIST is a method of its own or a GET with list=true.
type verb string

const (
	verbRead   verb = "read"
	verbList   verb = "list"
	verbWrite  verb = "write"
	verbPatch  verb = "patch"
	verbDelete verb = "delete"
)

const (
	// maxBody bounds a body, in bytes, as the originals do by default.
	maxBody = 32 << 20
	// maxOpenBody bounds the body of whoever shows no token, in bytes: a login with room to spare.
	maxOpenBody = 1 << 20
	// mergePatch is the one type that a PATCH may have (RFC 7396).
	mergePatch = "application/merge-patch+json"
)

// call is one request as engines see it.
type call struct {
	verb verb
	// path is what follows /v1/, percent-decoded once, without a slash at the end, without the namespace.
	path string
	// namespace is the prefix that the header named, without slashes at the ends; "" and "root" are the top.
	namespace string
	// prefix is what of it stands in front of the paths of mounts: all but the organisation. The path begins with it already.
	prefix string
	query  url.Values
	fields fields // the body of a write, or the query of a read and delete
	token  string
	wrap   time.Duration // how long the answer shall be kept under a token of its own; zero: not at all
	http   *http.Request
	writer http.ResponseWriter // for the few answers that are no JSON: streams
}

// below gives what follows a prefix that ends in a slash.
func (c *call) below(prefix string) (string, bool) { return strings.CutPrefix(c.path, prefix) }

// read takes a request apart, all but its body.
func read(w http.ResponseWriter, r *http.Request) (*call, error) {
	c := &call{query: r.URL.Query(), http: r, writer: w}
	if strings.Contains(strings.ToLower(r.URL.RawPath), "%2f") {
		return nil, fault.New(fault.Invalid, "a slash inside a segment cannot be kept: the path must not hold %%2F")
	}
	c.path = strings.TrimPrefix(r.URL.Path, Prefix)
	slash := strings.HasSuffix(c.path, "/")
	c.path = strings.Trim(c.path, "/")
	c.namespace = strings.Trim(r.Header.Get("X-Vault-Namespace"), "/")
	if c.namespace == "root" {
		c.namespace = ""
	}
	var err error
	if c.token, err = tokenOf(r); err != nil {
		return nil, err
	}
	if c.wrap, err = wrapTTL(r.Header.Get("X-Vault-Wrap-TTL")); err != nil {
		return nil, err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		c.verb = verbRead
		if yes, err := strconv.ParseBool(c.query.Get("list")); err == nil && yes {
			c.verb = verbList
		} else if slash && c.query.Get("list") == "" && c.path != "" {
			c.verb = verbRead
		}
		c.fields = fromQuery(c.query)
	case "LIST":
		c.verb, c.fields = verbList, fromQuery(c.query)
	case http.MethodDelete:
		c.verb, c.fields = verbDelete, fromQuery(c.query)
	case http.MethodPut, http.MethodPost:
		c.verb = verbWrite
	case http.MethodPatch:
		c.verb = verbPatch
		if ct, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); ct != mergePatch {
			return nil, &shaped{status: http.StatusUnsupportedMediaType, messages: []string{"PATCH requires Content-Type of " + mergePatch + ", provided " + shown(ct)}}
		}
	default:
		return nil, unsupported()
	}
	return c, err
}

// readFields reads the body of a write, once it is known who sends it.
func (c *call) readFields() (err error) {
	if c.verb != verbWrite && c.verb != verbPatch {
		return nil
	}
	limit := int64(maxBody)
	if isOpen(c) {
		limit = maxOpenBody
	}
	c.fields, err = readBody(c.http, limit)
	return err
}

// shown gives a media type as a message may repeat it.
func shown(ct string) string {
	if len(ct) > 100 || strings.Trim(ct, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-+./") != "" {
		return "another"
	}
	return ct
}

// tokenOf gives the credential. X-Vault-Token goes before Authorization.
func tokenOf(r *http.Request) (string, error) {
	if t := strings.TrimSpace(r.Header.Get("X-Vault-Token")); t != "" {
		return domain.BareToken(t), nil
	}
	return httpkit.Bearer(r)
}

// readBody reads the fields of a write. What it is is told by its first byte: the Go client sends no type, curl a wrong one.
func readBody(r *http.Request, limit int64) (fields, error) {
	raw, err := httpkit.ReadRaw(r, limit)
	if err != nil || len(raw) == 0 {
		return fields{}, err
	}
	if raw[0] != '{' && raw[0] != '[' && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return formFields(raw)
	}
	return jsonFields(raw)
}

// wrapTTL reads the header that asks for a wrapped answer: seconds, or a duration.
func wrapTTL(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := parseDuration(text)
	if err != nil || d < 0 {
		return 0, fault.New(fault.Invalid, "the wrapping time is no duration: want seconds or a text such as 5m")
	}
	return d, nil
}
