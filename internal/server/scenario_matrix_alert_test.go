package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

// channel makes one that may send nowhere: its address lies inside.
func (m *matrix) channel(t *testing.T) string {
	t.Helper()
	name := m.fresh("channel-")
	send[api.AlertChannelMade](t, m.admin, "POST", "/alerts/channels", inside(name))
	return name
}

func inside(name string) api.AlertChannelRequest {
	return api.AlertChannelRequest{Name: name, Kind: "webhook", Secrets: map[string]string{"url": "http://127.0.0.1:1/hook"}, Severity: "critical", Rules: []string{"canary-touched"}}
}

var alertRows = map[string]row{
	"GET /alerts":              {want: adminOnly, call: at("/alerts?limit=1")},
	"GET /alerts/rules":        {want: adminOnly, call: at("/alerts/rules")},
	"PATCH /alerts/rules/{id}": {want: adminOnly, call: with("/alerts/rules/bulk-export", api.AlertRuleRequest{Threshold: ptr(int64(400))})},
	"GET /alerts/channels":     {want: adminOnly, call: at("/alerts/channels")},
	"POST /alerts/channels": {want: adminMake, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		name := m.fresh("channel-")
		return "/alerts/channels", inside(name), func() { m.admin.do(t, "DELETE", "/alerts/channels/"+name, nil) }
	}},
	"DELETE /alerts/channels/{name}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path := "/alerts/channels/" + m.channel(t)
		return path, nil, func() { m.admin.do(t, "DELETE", path, nil) }
	}},
	"POST /alerts/channels/{name}/test": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path := "/alerts/channels/" + m.channel(t)
		return path + "/test", nil, func() { m.admin.do(t, "DELETE", path, nil) }
	}},
	"GET /alerts/deliveries": {want: adminOnly, call: at("/alerts/deliveries?dead=true")},
	"POST /alerts/deliveries/{id}/resend": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path := "/alerts/channels/" + m.channel(t)
		d := send[api.AlertDelivery](t, m.admin, "POST", path+"/test", nil)
		return "/alerts/deliveries/" + d.ID + "/resend", nil, func() { m.admin.do(t, "DELETE", path, nil) }
	}},
}

var consumerRows = map[string]row{
	"GET /projects/{project}/envs/{env}/secrets/{name}/consumers": {want: listers, call: at("HOME/secrets/A/consumers")},
	"GET /unused": {want: everybody, call: at("/unused")},
	"GET /reads": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/reads?principal=" + m.people["developer of dev"].id.ID, nil, nil
	}},
	"GET /reads/first": {want: adminOnly, call: at("/reads/first")},
}
