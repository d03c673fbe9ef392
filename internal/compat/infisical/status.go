package infisical

import (
	"context"
	"time"
)

func (s *Surface) statusRoutes() []route {
	return []route{
		{"GET /status", withoutToken, status},
	}
}

// status tells that the server is there, which is all that clients look for.
func status(context.Context, *call) (*answer, error) {
	return with(object{"date": stamp(time.Now().UnixMilli()), "message": "Ok", "emailConfigured": false, "inviteOnlySignup": true, "redisConfigured": false,
		"secretScanningConfigured": false}), nil
}
