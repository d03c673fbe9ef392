package vault

import (
	"context"
	"net/http"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// engine answers the calls below one mount. The path of the call is still the whole one.
type engine func(ctx context.Context, c *call) (*reply, error)

// dispatch finds the engine of a path.
func (s *Surface) dispatch(ctx context.Context, c *call) (*reply, error) {
	first, _, _ := strings.Cut(c.path, "/")
	var e engine
	switch first {
	case "sys":
		e = s.sys
	case "auth":
		e = s.auth
	case "cubbyhole":
		e = s.cubbyhole
	default:
		e = s.mounted
	}
	return e(ctx, c)
}

// isOpen tells whether a call needs no token: logins, and what says whether the server works.
func isOpen(c *call) bool {
	switch c.path {
	case "sys/health", "sys/seal-status", "sys/init", "sys/leader", "sys/unseal", "sys/internal/ui/mounts", "sys/wrapping/lookup", "sys/wrapping/unwrap", "sys/wrapping/rewrap":
		return true
	}
	if c.path == oldResponse { // the token of a wrapped answer reads it there
		return strings.HasPrefix(c.token, string(domain.WrapToken))
	}
	if rest, ok := strings.CutPrefix(c.path, "auth/"); ok {
		parts := strings.Split(rest, "/")
		n := len(parts)
		return n >= 2 && parts[n-1] == "login" || n >= 3 && parts[n-2] == "login" || // auth/M/login, auth/M/login/USER
			n >= 3 && parts[n-2] == "oidc" && (parts[n-1] == "auth_url" || parts[n-1] == "callback")
	}
	return false
}

// ignoresToken tells whether an open call looks at no token even when there is one: it may be an old one that the client
// still sends while it logs in again, or the token of a wrapped answer, which is none of anybody.
func ignoresToken(c *call) bool {
	return c.path != "sys/internal/ui/mounts"
}

// noRoute is what a path gets that belongs to nothing.
func noRoute(c *call) error {
	path := c.path
	if _, err := domain.ParseLabel(path); err != nil { // not something to repeat
		path = "..."
	}
	return &shaped{status: http.StatusNotFound, messages: []string{"no handler for route \"" + path + "\". route entry not found."}}
}
