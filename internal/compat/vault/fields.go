package vault

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// fields are the named parts of a call as JSON. Clients send numbers and booleans as text and lists as one text with commas, so
// each is taken in all spellings that the originals take.
type fields map[string]jsontext.Value

func jsonFields(raw []byte) (fields, error) {
	out := fields{}
	if string(raw) == "null" {
		return out, nil
	}
	if err := httpkit.ReadFields(raw, (*map[string]jsontext.Value)(&out)); err != nil {
		f := fault.As(err)
		if strings.HasPrefix(f.Message, "the body is not strict JSON") {
			return nil, fault.New(fault.Invalid, "failed to decode JSON input: %s", httpkit.Sentence(f))
		}
		return nil, err
	}
	return out, nil
}

func formFields(raw []byte) (fields, error) {
	values, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, fault.New(fault.Invalid, "failed to decode the form")
	}
	return fromQuery(values), nil
}

func fromQuery(values url.Values) fields {
	out := fields{}
	for name, all := range values {
		var v any = all[0]
		if len(all) > 1 {
			v = all
		}
		if text, err := json.Marshal(v); err == nil { // text that is not UTF-8 names nothing here
			out[name] = text
		}
	}
	return out
}

// has tells whether a field is there and is not null.
func (f fields) has(name string) bool {
	v, ok := f[name]
	return ok && v.Kind() != 'n'
}

// wrong says that a field does not fit. The value is not repeated.
func wrong(name, want string) error {
	return fault.New(fault.Invalid, "field %q: want %s", name, want)
}

// text gives a field as text; numbers and booleans as they are written; "" when it is not there.
func (f fields) text(name string) (string, error) {
	v := f[name]
	switch {
	case !f.has(name):
		return "", nil
	case v.Kind() == '"':
		var s string
		err := json.Unmarshal(v, &s)
		return s, err
	case v.Kind() == '0', v.Kind() == 't', v.Kind() == 'f':
		return string(v), nil
	}
	return "", wrong(name, "a text")
}

// integer gives a whole number that may be written as text, 0 when it is not there.
func (f fields) integer(name string) (int64, error) {
	s, err := f.text(name)
	if err != nil || s == "" {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, wrong(name, "a whole number")
	}
	return n, nil
}

// boolean gives true or false, which may be written as text; otherwise is what counts when it is not there.
func (f fields) boolean(name string, otherwise bool) (bool, error) {
	s, err := f.text(name)
	if err != nil || s == "" {
		return otherwise, err
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, wrong(name, "true or false")
	}
	return b, nil
}

// list gives a list of texts: a JSON list, or one text with commas; nil when it is not there.
func (f fields) list(name string) ([]string, error) {
	v := f[name]
	if !f.has(name) {
		return nil, nil
	}
	if v.Kind() == '[' {
		var raw []jsontext.Value
		if err := json.Unmarshal(v, &raw); err != nil {
			return nil, wrong(name, "a list of texts")
		}
		out := []string{}
		for _, item := range raw {
			s, err := (fields{name: item}).text(name)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	}
	s, err := f.text(name)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out, nil
}

// texts gives an object whose values are texts; nil when it is not there.
func (f fields) texts(name string) (map[string]string, error) {
	if !f.has(name) {
		return nil, nil
	}
	var raw map[string]jsontext.Value
	if err := json.Unmarshal(f[name], &raw); err != nil {
		return nil, wrong(name, "an object of texts")
	}
	out := map[string]string{}
	for k, v := range raw {
		s, err := (fields{k: v}).text(k)
		if err != nil {
			return nil, wrong(name, "an object of texts")
		}
		out[k] = s
	}
	return out, nil
}

// duration gives a time span: whole seconds, text of whole seconds, or a text such as "1h30m" or "1d"; 0 when it is not there.
func (f fields) duration(name string) (time.Duration, error) {
	s, err := f.text(name)
	if err != nil || s == "" {
		return 0, err
	}
	d, err := parseDuration(s)
	if err != nil {
		return 0, wrong(name, `a duration such as 3600 or "1h"`)
	}
	return d, nil
}

// maxSeconds bounds a duration that is given in seconds: a century.
const maxSeconds = 100 * 365 * 24 * 3600

func parseDuration(s string) (time.Duration, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n > maxSeconds || n < -maxSeconds {
			return 0, fault.New(fault.Invalid, "the duration is too long")
		}
		return time.Duration(n) * time.Second, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseInt(days, 10, 32); err == nil && n <= maxSeconds/86400 && n >= 0 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	return time.ParseDuration(s)
}
