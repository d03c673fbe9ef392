package server_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// vaultUser is somebody who talks to a server as clients of Vault do.
type vaultUser struct{ person }

// asVault shows a token in the way of Vault.
func (w *world) asVault(token string) vaultUser {
	return vaultUser{person{url: w.server.URL, token: token}}
}

func (v vaultUser) with(token string) vaultUser { return vaultUser{v.person.with(token)} }

// call sends a request below /v1/.
func (v vaultUser) call(t tb, method, path string, body any, header ...string) reply {
	t.Helper()
	p := v.person
	if p.token != "" {
		header = append([]string{"X-Vault-Token", p.token}, header...)
		p.token = ""
	}
	return p.do(t, method, v.url+"/v1/"+path, body, header...)
}

// vaultAnswer is an envelope.
type vaultAnswer struct {
	RequestID     string          `json:"request_id"`
	LeaseDuration int64           `json:"lease_duration"`
	Data          map[string]any  `json:"data"`
	Warnings      []string        `json:"warnings"`
	Auth          *vaultAuth      `json:"auth"`
	WrapInfo      *vaultWrap      `json:"wrap_info"`
	Raw           json.RawMessage `json:"-"`
}

type vaultAuth struct {
	ClientToken   string            `json:"client_token"`
	Accessor      string            `json:"accessor"`
	Policies      []string          `json:"policies"`
	Metadata      map[string]string `json:"metadata"`
	LeaseDuration int64             `json:"lease_duration"`
	Renewable     bool              `json:"renewable"`
	TokenType     string            `json:"token_type"`
	Orphan        bool              `json:"orphan"`
	NumUses       int64             `json:"num_uses"`
}

type vaultWrap struct {
	Token           string `json:"token"`
	Accessor        string `json:"accessor"`
	TTL             int64  `json:"ttl"`
	CreationTime    string `json:"creation_time"`
	CreationPath    string `json:"creation_path"`
	WrappedAccessor string `json:"wrapped_accessor"`
}

func (r reply) envelope(t tb) vaultAnswer {
	t.Helper()
	var out vaultAnswer
	r.fits(t, &out)
	var keys map[string]json.RawMessage
	r.fits(t, &keys)
	want := []string{"auth", "data", "lease_duration", "lease_id", "renewable", "request_id", "warnings", "wrap_info"}
	if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, want) {
		t.Errorf("%s: the envelope has %v", r.what, got)
	}
	out.Raw = r.body
	return out
}

// saysErrors checks a failure to the letter; no message is an empty list.
func (r reply) saysErrors(t tb, status int, messages ...string) {
	t.Helper()
	want, _ := json.Marshal(map[string]any{"errors": append([]string{}, messages...)})
	if r.status != status || strings.TrimSpace(string(r.body)) != string(want) {
		t.Errorf("%s: %d %s, want %d %s", r.what, r.status, r.body, status, want)
	}
}

// is204 checks for 204 without a body.
func (r reply) is204(t tb) {
	t.Helper()
	if r.status != 204 || len(r.body) != 0 {
		t.Errorf("%s: %d %s, want 204", r.what, r.status, r.body)
	}
}

const vaultDenied = "1 error occurred:\n\t* permission denied\n\n"

// vaultMachine makes a machine with a role in a project and logs it in: a token for an hour, that can be renewed for two.
func (w *world) vaultMachine(t *testing.T, project, role string, change ...func(*api.MethodRequest)) vaultUser {
	t.Helper()
	i, login := w.withMethod(t, append([]func(*api.MethodRequest){func(m *api.MethodRequest) { m.TTL, m.MaxTTL = "1h", "2h" }}, change...)...)
	if role != "" {
		send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.ID, Project: project, Role: role})
	}
	return w.asVault(login().session(t).Token)
}

// child makes a token.
func (v vaultUser) child(t tb, path string, body any) vaultAuth {
	t.Helper()
	a := v.call(t, "POST", "auth/token/"+path, body).envelope(t)
	if a.Auth == nil {
		t.Fatalf("no auth: %s", a.Raw)
	}
	return *a.Auth
}

// works tells whether a token is let in.
func (v vaultUser) works(t tb) bool {
	t.Helper()
	r := v.call(t, "GET", "auth/token/lookup-self", nil)
	if r.status != 200 {
		r.saysErrors(t, 403, "permission denied")
	}
	return r.status == 200
}
