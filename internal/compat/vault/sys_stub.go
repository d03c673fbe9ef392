package vault

import "context"

func (s *Surface) sysWrapping(_ context.Context, c *call) (*reply, error) { return nil, nothing(c) }
func (s *Surface) sysLeases(_ context.Context, c *call) (*reply, error)   { return nil, nothing(c) }
func (s *Surface) sysTools(_ context.Context, c *call) (*reply, error)    { return nil, nothing(c) }
func (s *Surface) sysEvents(_ context.Context, c *call) (*reply, error)   { return nil, nothing(c) }
