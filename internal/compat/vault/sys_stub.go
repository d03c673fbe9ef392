package vault

import "context"

func (s *Surface) sysAuth(_ context.Context, c *call) (*reply, error)   { return nil, nothing(c) }
func (s *Surface) sysEvents(_ context.Context, c *call) (*reply, error) { return nil, nothing(c) }
