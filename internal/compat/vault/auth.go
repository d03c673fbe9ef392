package vault

import (
	"context"
	"strings"
)

// auth answers the calls below auth/: those on tokens here, those on logins elsewhere.
func (s *Surface) auth(ctx context.Context, c *call) (*reply, error) {
	if c.path == "auth/token" || strings.HasPrefix(c.path, "auth/token/") {
		return s.authToken(ctx, c)
	}
	return s.login(ctx, c)
}
