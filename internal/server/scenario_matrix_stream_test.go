package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

// stream makes one that writes nothing but a file.
func (m *matrix) stream(t *testing.T) string {
	t.Helper()
	name := m.fresh("stream-")
	send[api.StreamMade](t, m.admin, "POST", "/audit/streams", api.StreamRequest{Name: name, Kind: "file", Settings: map[string]string{"file": name + ".jsonl"}})
	return name
}

// streamed calls a route of a stream of its own, which is gone afterwards: there may be so many only.
func streamed(tail string) func(*testing.T, *matrix, string) (string, any, func()) {
	return func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path := "/audit/streams/" + m.stream(t)
		return path + tail, nil, func() { m.admin.do(t, "DELETE", path, nil) }
	}
}

var streamRows = map[string]row{
	"GET /audit/streams": {want: adminOnly, call: at("/audit/streams")},
	"POST /audit/streams": {want: adminMake, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		name := m.fresh("stream-")
		return "/audit/streams", api.StreamRequest{Name: name, Kind: "file", Settings: map[string]string{"file": name + ".jsonl"}}, func() { m.admin.do(t, "DELETE", "/audit/streams/"+name, nil) }
	}},
	"POST /audit/streams/{name}/pause":  {want: adminOnly, call: streamed("/pause")},
	"POST /audit/streams/{name}/resume": {want: adminOnly, call: streamed("/resume")},
	"POST /audit/streams/{name}/test":   {want: adminOnly, call: streamed("/test")},
	"DELETE /audit/streams/{name}":      {want: adminOnly, call: streamed("")},
}
