package httpapi

import (
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// params knows the parameters of a route from the tags of a struct: `path:"name"`, `query:"name"`, with `doc:"..."`.
type params struct {
	list []param
}

type param struct {
	Name   string
	Query  bool
	Doc    string
	Type   string // string, integer, boolean
	field  int
	assign func(reflect.Value, string) bool
}

func paramsOf[P any]() *params {
	t := reflect.TypeFor[P]()
	out := &params{}
	for i := range t.NumField() {
		f := t.Field(i)
		p := param{field: i, Doc: f.Tag.Get("doc")}
		if p.Name = f.Tag.Get("path"); p.Name == "" {
			p.Name, p.Query = f.Tag.Get("query"), true
		}
		switch f.Type.Kind() {
		case reflect.Bool:
			p.Type, p.assign = "boolean", func(v reflect.Value, s string) bool {
				v.SetBool(s == "true")
				return s == "true" || s == "false"
			}
		case reflect.Int64:
			p.Type, p.assign = "integer", func(v reflect.Value, s string) bool {
				n, err := strconv.ParseInt(s, 10, 64)
				v.SetInt(n)
				return err == nil && n >= 0
			}
		default:
			p.Type, p.assign = "string", func(v reflect.Value, s string) bool {
				v.SetString(s)
				return true
			}
		}
		out.list = append(out.list, p)
	}
	return out
}

// check makes sure that the path and the struct name the same parameters.
func (p *params) check(path string) error {
	for _, x := range p.list {
		if !x.Query && !strings.Contains(path, "{"+x.Name+"}") {
			return fault.New(fault.Internal, "route %s has no {%s}", path, x.Name)
		}
	}
	return nil
}

// read fills a struct from a request. A parameter that the route does not know is refused: a misspelt filter must not
// silently match everything.
func (p *params) read(r *http.Request, into any) error {
	v := reflect.ValueOf(into).Elem()
	var query url.Values
	if r.URL.RawQuery != "" {
		var err error
		if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return fault.New(fault.Invalid, "the query string is not well formed")
		}
	}
	used := 0
	for _, x := range p.list {
		s := ""
		if x.Query {
			values, ok := query[x.Name]
			if !ok {
				continue
			}
			used++
			if len(values) > 1 {
				return fault.New(fault.Invalid, "a query parameter stands there twice").WithField("?"+x.Name, "want it once")
			}
			s = values[0]
			if s == "" && x.Type != "string" {
				continue
			}
		} else {
			s = r.PathValue(x.Name)
		}
		if !x.assign(v.Field(x.field), s) {
			return fault.New(fault.Invalid, "a query parameter is not valid").WithField("?"+x.Name, "want %s", x.Type)
		}
	}
	if used != len(query) {
		return fault.New(fault.Invalid, "there is a query parameter that this route does not know").WithHint("it knows: %s", strings.Join(p.queries(), ", "))
	}
	return nil
}

func (p *params) queries() []string {
	var out []string
	for _, x := range p.list {
		if x.Query {
			out = append(out, x.Name)
		}
	}
	return out
}

// maxDuration is ten years; more is a mistake.
const maxDuration = 10 * 366 * 24 * time.Hour

// parseDuration takes what Go takes, and days: "90d".
func parseDuration(where, s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok && err != nil {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < 0 || d > maxDuration {
		return 0, fault.New(fault.Invalid, "not a duration").WithField(where, "want for example 30m, 12h or 90d")
	}
	return d, nil
}
