package server_test

import (
	"time"

	"github.com/keyturn/keyturn/api"
)

var archiveRows = map[string]row{
	"GET /audit/archive":  {want: adminOnly, call: at("/audit/archive")},
	"POST /audit/archive": {want: adminOnly, call: with("/audit/archive", api.ArchiveRequest{Before: time.UnixMilli(1), Open: true})},
}
