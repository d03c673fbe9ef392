package api

import (
	"encoding/base64"
	"errors"
	"unicode/utf8"
)

// Value carries the bytes of a secret as JSON: as they are when they are UTF-8, else in base64 with encoding "base64".
type Value struct {
	Value    string `json:"value"`
	Encoding string `json:"encoding,omitzero"` // "" or "base64" (RFC 4648, standard alphabet, padded)
}

// NewValue encodes bytes.
func NewValue(b []byte) Value {
	if utf8.Valid(b) {
		return Value{Value: string(b)}
	}
	return Value{base64.StdEncoding.EncodeToString(b), "base64"}
}

// Bytes decodes.
func (v Value) Bytes() ([]byte, error) {
	switch v.Encoding {
	case "":
		return []byte(v.Value), nil
	case "base64":
		b, err := base64.StdEncoding.DecodeString(v.Value)
		if err != nil {
			return nil, errors.New("the value is not base64")
		}
		return b, nil
	}
	return nil, errors.New(`no such encoding: want "" or "base64"`)
}
