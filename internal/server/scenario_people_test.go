package server_test

import (
	"bytes"

	"github.com/keyturn/keyturn/api"
)

const testPassword = "a long test-value for people"

// user makes a person with roles and logs him in.
func (w *world) user(t tb, roles ...api.GrantRequest) person {
	t.Helper()
	p, _ := w.userID(t, roles...)
	return p
}

func (w *world) userID(t tb, roles ...api.GrantRequest) (person, api.User) {
	t.Helper()
	u := send[api.User](t, w.admin, "POST", "/users", api.UserRequest{Email: w.fresh("person") + "@example.test", Password: testPassword})
	for _, g := range roles {
		g.Kind, g.Principal = "user", u.Email
		send[api.Grant](t, w.admin, "POST", "/grants", g)
	}
	s := send[api.Session](t, w.admin.with(""), "POST", "/login", api.LoginRequest{Email: u.Email, Password: testPassword})
	return w.admin.with(s.Token), u
}

// machine makes an identity with roles and logs it in. That costs no password hashing.
func (w *world) machine(t tb, roles ...api.GrantRequest) person {
	t.Helper()
	p, _, _ := w.machineID(t, roles...)
	return p
}

func (w *world) machineID(t tb, roles ...api.GrantRequest) (person, api.Identity, api.ClientSecret) {
	t.Helper()
	i := send[api.Identity](t, w.admin, "POST", "/identities", api.IdentityRequest{Name: w.fresh("machine")})
	for _, g := range roles {
		g.Kind, g.Principal = "identity", i.Name
		send[api.Grant](t, w.admin, "POST", "/grants", g)
	}
	c := send[api.ClientSecret](t, w.admin, "POST", "/identities/"+i.Name+"/client-secrets", api.ClientSecretRequest{Name: "first"})
	s := send[api.Session](t, w.admin.with(""), "POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: c.Secret})
	return w.admin.with(s.Token), i, c
}

// scoped makes a token of a person with scopes.
func (p person) scoped(t tb, project, scopes string) person {
	t.Helper()
	made := send[api.NewToken](t, p, "POST", "/tokens", api.TokenRequest{Project: project, Scopes: scopes, TTL: "30m"})
	return p.with(made.Token)
}

// alike checks that two answers cannot be told apart: status, header names and body but for the request id.
func alike(t tb, a, b reply) {
	t.Helper()
	blank := func(r reply) []byte {
		return bytes.ReplaceAll(r.body, []byte(r.header.Get("X-Request-Id")), nil)
	}
	if a.status != b.status || !bytes.Equal(blank(a), blank(b)) {
		t.Errorf("these differ:\n%s: %d %s\n%s: %d %s", a.what, a.status, a.body, b.what, b.status, b.body)
	}
	for name := range a.header {
		if _, ok := b.header[name]; !ok {
			t.Errorf("only the first of %s and %s has header %s", a.what, b.what, name)
		}
	}
	for name := range b.header {
		if _, ok := a.header[name]; !ok {
			t.Errorf("only the second of %s and %s has header %s", a.what, b.what, name)
		}
	}
	if a.status < 400 {
		t.Errorf("%s: status %d: %s", a.what, a.status, a.body)
	}
}
