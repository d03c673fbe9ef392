package vault

import (
	"context"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// cubbyhole is a KV store of the first version that belongs to the token which is shown.
func (s *Surface) cubbyhole(ctx context.Context, c *call) (*reply, error) {
	if c.path == oldResponse && isOpen(c) {
		return s.oldUnwrap(ctx, c)
	}
	path := strings.TrimPrefix(strings.TrimPrefix(c.path, "cubbyhole"), "/")
	if c.verb == verbList {
		keys, err := s.Access.CubbyList(ctx, path)
		if err == nil && len(keys) == 0 {
			err = nothing(c)
		}
		return &reply{data: map[string]any{"keys": keys}}, err
	}
	if path == "" {
		return nil, unsupported()
	}
	switch c.verb {
	case verbRead:
		value, err := s.Access.CubbyRead(ctx, path)
		if err != nil {
			return nil, err
		}
		return &reply{data: jsontext.Value(value.Reveal())}, nil
	case verbWrite:
		if len(c.fields) == 0 {
			return nil, bad("missing data fields")
		}
		content, err := json.Marshal(c.fields, json.Deterministic(true))
		if err != nil {
			return nil, err
		}
		return nil, s.Access.CubbyWrite(ctx, path, sensitive.New(content))
	case verbDelete:
		return nil, s.Access.CubbyDelete(ctx, path)
	}
	return nil, unsupported()
}
