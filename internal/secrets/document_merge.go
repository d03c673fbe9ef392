package secrets

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
)

// mergePatch applies a JSON merge patch (RFC 7396) to the text of a JSON value, nil for none. Numbers keep their text. Both must be
// valid JSON that does not nest deeper than a request may.
func mergePatch(now, patch []byte) ([]byte, error) {
	p := jsontext.Value(patch)
	if p.Kind() != '{' {
		return patch, nil
	}
	var changes, out map[string]jsontext.Value
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, fault.New(fault.Invalid, "a part of the patch is not valid JSON") // the cause may quote a value
	}
	if n := jsontext.Value(now); len(now) > 0 && n.Kind() == '{' {
		if err := json.Unmarshal(now, &out); err != nil {
			return nil, fault.New(fault.Internal, "a value that is marked as JSON is none")
		}
	}
	if out == nil {
		out = map[string]jsontext.Value{}
	}
	for name, change := range changes {
		if change.Kind() == 'n' {
			delete(out, name)
			continue
		}
		merged, err := mergePatch(out[name], change)
		if err != nil {
			return nil, err
		}
		out[name] = merged
	}
	text, err := json.Marshal(out, json.Deterministic(true))
	if err != nil {
		return nil, fault.New(fault.Internal, "a merged value cannot be written")
	}
	return text, nil
}
