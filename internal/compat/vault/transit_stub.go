package vault

import "context"

// transit answers below the mount of the encryption service.
func (s *Surface) transit(_ context.Context, c *call) (*reply, error) { return nil, noRoute(c) }
