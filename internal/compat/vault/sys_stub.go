package vault

import "context"

func (s *Surface) sysEvents(_ context.Context, c *call) (*reply, error) { return nil, nothing(c) }
