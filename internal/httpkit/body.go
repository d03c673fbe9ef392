package httpkit

import (
	"errors"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
)

// ReadBody reads a JSON body into v, strictly: exact content type, valid UTF-8, no doubled or unknown or other-case names,
// nothing after the value, no more than limit bytes. Errors name the place and never the value. It gives the bytes too.
func ReadBody(r *http.Request, limit int64, v any) ([]byte, error) {
	if ct, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || ct != "application/json" ||
		params["charset"] != "" && params["charset"] != "utf-8" && params["charset"] != "UTF-8" {
		return nil, fault.New(fault.Invalid, "the body must be JSON").WithHint("send it with Content-Type: application/json")
	}
	body, err := ReadRaw(r, limit)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
		return nil, badJSON(err)
	}
	return body, nil
}

func tooLarge(limit int64) error {
	return fault.Wrap(fault.Invalid, errTooLarge, "the body is too large: at most %d bytes", limit)
}

// badJSON says where and what kind of thing was expected. The library's own message may quote what it found.
func badJSON(err error) error {
	if s, ok := errors.AsType[*json.SemanticError](err); ok {
		problem := "not what is expected here"
		switch {
		case errors.Is(err, json.ErrUnknownName):
			problem = "no such field"
			if !plainName(s.JSONPointer.LastToken()) { // it may be a value that slipped into the place of a name
				return fault.New(fault.Invalid, "the body does not fit").WithField(pointer(s.JSONPointer.Parent()), "there is a field that is not known here")
			}
		case s.GoType != nil:
			problem = "want " + kindName(s.GoType)
		}
		return fault.New(fault.Invalid, "the body does not fit").WithField(pointer(s.JSONPointer), "%s", problem)
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		problem := "not JSON"
		if errors.Is(err, jsontext.ErrDuplicateName) {
			problem = "the name stands there twice"
		}
		return fault.New(fault.Invalid, "the body is not strict JSON").WithField(pointer(s.JSONPointer), "%s, near byte %d", problem, s.ByteOffset)
	}
	return fault.New(fault.Invalid, "the body is not strict JSON")
}

// plainName tells whether a name of a field looks like one that a person misspelt.
func plainName(name string) bool {
	return name != "" && len(name) <= 24 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// pointer cuts what came from outside short: an unknown name is part of the place.
func pointer(p jsontext.Pointer) string {
	if len(p) > 100 {
		p = p[:100]
	}
	if p == "" {
		return "/"
	}
	return string(p)
}

func kindName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// WriteJSON answers with a value.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the answer could not be written")
	}
	WriteBody(w, status, body)
	return nil
}

// WriteBody answers with JSON that is ready.
func WriteBody(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

var jsonType = []string{"application/json"}
