package vault

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func isText(b []byte) bool { return utf8.Valid(b) }

// appendText appends a value as a JSON string, in base64 when it is no text.
func appendText(to, value []byte) ([]byte, error) {
	if isText(value) {
		return jsontext.AppendQuote(to, value)
	}
	to = append(to, '"')
	to = base64.StdEncoding.AppendEncode(to, value)
	return append(to, '"'), nil
}
