package secrets

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// checkTyped refuses to call something JSON that is not: clients of documents get such a value as it stands, without quotes. A
// string is no such value; it is kept as its text.
func checkTyped(now *domain.Attributes, value *sensitive.Value, want *bool) error {
	if want == nil || !*want {
		return nil
	}
	bad := fault.New(fault.Invalid, "not a JSON value other than a string").WithHint("give the value in the same change, or leave json away for plain text")
	if value == nil {
		if now.JSON {
			return nil
		}
		return bad
	}
	text := jsontext.Value(value.Reveal())
	if !text.IsValid() || text.Kind() == '"' {
		return bad
	}
	return nil
}
