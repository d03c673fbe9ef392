package vault

import (
	"context"
	"errors"
	"net/http"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

// mounted finds the mount that a path lies below and asks its engine.
func (s *Surface) mounted(ctx context.Context, c *call) (*reply, error) {
	m, rest, err := s.Secrets.ResolveMount(ctx, c.path)
	if missing(err) {
		return nil, noRoute(c)
	}
	if err != nil {
		return nil, err
	}
	var out *reply
	switch {
	case m.Kind == secrets.MountTransit:
		return s.transit(ctx, c)
	case m.Version == 1:
		out, err = s.kv1(ctx, c, m, rest)
	default:
		out, err = s.kv2(ctx, c, m, rest)
	}
	if w, ok := errors.AsType[*secrets.Waits](err); ok {
		// A client that is told of a success would go on as if it had happened.
		err = &shaped{status: http.StatusBadRequest, messages: []string{w.Error() + ": changes of this environment need the approval of others"}, cause: err}
	}
	return out, err
}

func missing(err error) bool { return err != nil && fault.KindOf(err) == fault.NotFound }

// orNothing makes what is not there the 404 without words.
func orNothing(c *call, err error) error {
	if missing(err) {
		return nothing(c)
	}
	return err
}
