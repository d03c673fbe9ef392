package infisical

import (
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// maxBody bounds a body, in bytes: a batch of secrets with room to spare.
const maxBody = 16 << 20

// call is one request as operations see it.
type call struct {
	http   *http.Request
	writer http.ResponseWriter
	query  url.Values
	body   map[string]jsontext.Value // empty when there was none
}

// aliases are the other names under which clients send a parameter. Each is taken everywhere: Node sends the name of one
// version to the route of another.
var aliases = map[string][]string{
	"projectId":      {"workspaceId"},
	"projectSlug":    {"workspaceSlug"},
	"includeImports": {"include_imports"},
	"path":           {"directory"},
}

func read(w http.ResponseWriter, r *http.Request) (*call, error) {
	c := &call{http: r, writer: w, query: r.URL.Query(), body: map[string]jsontext.Value{}}
	if r.Method == http.MethodGet || r.Method == http.MethodHead { // some say JSON and send nothing
		return c, nil
	}
	raw, err := httpkit.ReadRaw(r, maxBody)
	if err != nil || len(raw) == 0 {
		return c, err
	}
	ct, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch ct {
	case "application/x-www-form-urlencoded": // logins of the GitHub action
		values, err := url.ParseQuery(string(raw))
		if err != nil {
			return nil, fault.New(fault.Invalid, "the form could not be read")
		}
		for name := range values {
			text, err := json.Marshal(values.Get(name))
			if err != nil {
				return nil, fault.New(fault.Invalid, "the form is not UTF-8")
			}
			c.body[name] = text
		}
	case "", "application/json":
		if err := httpkit.ReadFields(raw, &c.body); err != nil {
			return nil, err
		}
	default:
		return nil, fault.New(fault.Invalid, "the body must be JSON").WithHint("send it with Content-Type: application/json")
	}
	return c, nil
}

// raw finds a parameter in the body, then in the query, under any of its names. Null and an empty query parameter are absent.
func (c *call) raw(name string) (jsontext.Value, bool) {
	for _, n := range append([]string{name}, aliases[name]...) {
		if v, ok := c.body[n]; ok && v.Kind() != 'n' {
			return v, true
		}
		if text := c.query.Get(n); text != "" {
			v, err := json.Marshal(text)
			return v, err == nil
		}
	}
	return nil, false
}

// wrong says that a parameter does not fit. The value is not repeated.
func wrong(name, want string) error {
	return fault.New(fault.Invalid, "the request does not fit").WithField("/"+name, "want %s", want)
}

// text gives a parameter as text, "" when it is absent.
func (c *call) text(name string) (string, error) {
	v, ok := c.raw(name)
	if !ok {
		return "", nil
	}
	if v.Kind() != '"' {
		return "", wrong(name, "a string")
	}
	var s string
	err := json.Unmarshal(v, &s)
	return s, err
}

// must gives a parameter that has to be there.
func (c *call) must(name string) (string, error) {
	s, err := c.text(name)
	if err == nil && s == "" {
		err = wrong(name, "a string, it is missing")
	}
	return s, err
}

// flag gives true or false, otherwise when it is absent.
func (c *call) flag(name string, otherwise bool) (bool, error) {
	v, ok := c.raw(name)
	switch {
	case !ok:
		return otherwise, nil
	case string(v) == "true", string(v) == `"true"`:
		return true, nil
	case string(v) == "false", string(v) == `"false"`:
		return false, nil
	}
	return false, wrong(name, "true or false")
}

// integer gives a whole number, 0 when it is absent.
func (c *call) integer(name string) (int64, error) {
	v, ok := c.raw(name)
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(string(v), `"`), 10, 64)
	if err != nil {
		return 0, wrong(name, "a whole number")
	}
	return n, nil
}

// into reads a parameter that is a list or an object; what is absent stays as it is.
func (c *call) into(name string, v any) error {
	raw, ok := c.raw(name)
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return wrong(name, "what the documentation says")
	}
	return nil
}

// folder gives the path of a folder: absent is the root.
func (c *call) folder(name string) (domain.Path, error) {
	s, err := c.text(name)
	if err != nil {
		return "", err
	}
	p, err := domain.ParsePath(s)
	if err != nil {
		return "", fault.As(err).WithField("/"+name, "no path of a folder")
	}
	return p, nil
}

// moment reads a time (RFC 3339) as unix milliseconds, 0 when it is absent.
func (c *call) moment(name string) (int64, error) {
	s, err := c.text(name)
	if err != nil || s == "" {
		return 0, err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, wrong(name, "a time such as 2026-01-02T15:04:05Z")
	}
	return t.UnixMilli(), nil
}

// stamp gives a time as the dialect writes it: RFC 3339 with milliseconds. Go clients refuse an empty one.
func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
