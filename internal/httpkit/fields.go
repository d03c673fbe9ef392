package httpkit

import (
	"errors"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
)

// maxJSONDepth bounds how deep the JSON of a foreign client may nest: no honest document comes near.
const maxJSONDepth = 100

// ReadRaw reads a body of any type, no more than limit bytes.
func ReadRaw(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the body could not be read")
	}
	if int64(len(body)) > limit {
		return nil, tooLarge(limit)
	}
	return body, nil
}

// ReadFields reads a JSON object into its members, for dialects that take members which they do not know: valid UTF-8, no
// doubled names, not too deep, nothing after the object. Errors name the place and never the value.
func ReadFields(raw []byte, into *map[string]jsontext.Value) error {
	if err := shallow(raw); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return badJSON(err)
	}
	return nil
}

func shallow(raw []byte) error {
	depth := 0
	inText := false
	for i := 0; i < len(raw); i++ {
		switch b := raw[i]; {
		case inText && b == '\\':
			i++
		case b == '"':
			inText = !inText
		case inText:
		case b == '{', b == '[':
			if depth++; depth > maxJSONDepth {
				return fault.New(fault.Invalid, "the JSON nests too deep: at most %d", maxJSONDepth)
			}
		case b == '}', b == ']':
			depth--
		}
	}
	return nil
}

// Sentence gives all that a client may know of a fault as one text: what, where and what to do.
func Sentence(f *fault.Error) string {
	out := f.Message
	for _, field := range f.Fields {
		out += "; " + field.Where + ": " + field.Problem
	}
	if f.Hint != "" {
		out += " (" + f.Hint + ")"
	}
	return out
}

// TooLarge tells whether a fault is about the size of a body.
func TooLarge(err error) bool { return errors.Is(err, errTooLarge) }

var errTooLarge = errors.New("body too large")
