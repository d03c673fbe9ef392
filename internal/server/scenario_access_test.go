package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

func TestTheFirstAdminIsMadeOnceAndByNoStranger(t *testing.T) {
	t.Parallel()
	first := api.SetupRequest{Email: "first@example.test", Password: testPassword}
	t.Run("development mode lets this very machine in, and nobody who passes for it", func(t *testing.T) {
		t.Parallel()
		p := person{url: keyturntest.Bare(t).URL}
		for _, header := range [][]string{{"X-Forwarded-For", "127.0.0.1"}, {"Forwarded", "for=127.0.0.1"}, {"X-Real-Ip", "127.0.0.1"}, {"Via", "1.1 proxy"}, {"Origin", "http://127.0.0.1"},
			{"Host", "rebound.example.test"}, {"Host", "127.0.0.1.example.test"}} {
			p.do(t, "POST", "/setup", first, header...).refused(t, "denied", "token")
		}
		weak := first
		for _, weak.Password = range []string{"", "short", strings.Repeat("a", 40), strings.Repeat("long", 300)} {
			p.do(t, "POST", "/setup", weak).refused(t, "invalid", "/password")
		}
		p.do(t, "POST", "/setup", api.SetupRequest{Email: "nobody", Password: testPassword}).refused(t, "invalid")
		made := send[api.Setup](t, p, "POST", "/setup", first)
		who := get[api.Principal](t, p.with(made.Token), "/whoami")
		if who.ID != made.UserID || who.Organization != made.OrganizationID || who.Kind != "user" || who.Name != first.Email || len(who.Grants) != 1 || who.Grants[0].Role != "admin" {
			t.Errorf("%+v of %+v", who, made)
		}
		p.do(t, "POST", "/setup", api.SetupRequest{Email: "second@example.test", Password: testPassword}).refused(t, "exists")
		p.do(t, "POST", "/login", api.LoginRequest{Email: "second@example.test", Password: testPassword}).refused(t, "unauthenticated")
		send[api.Session](t, p, "POST", "/login", api.LoginRequest{Email: "FIRST@example.test ", Password: testPassword})
	})
	t.Run("production mode asks for the token that the start printed", func(t *testing.T) {
		t.Parallel()
		s, err := server.Open(t.Context(), server.Options{Version: "test", Config: config.Config{Mode: config.Production, Data: t.TempDir(), LogLevel: "error"},
			LookupEnv: func(name string) (string, bool) {
				if name == keyring.EnvRoot {
					return strings.Repeat("0123456789abcdef", 4), true
				}
				return "", false
			}})
		if err != nil {
			t.Fatal(err)
		}
		listener := httptest.NewServer(s.Handler())
		defer func() {
			listener.Close()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		token := string(s.SetupToken().Reveal())
		p := person{url: listener.URL}
		p.do(t, "POST", "/setup", first).refused(t, "denied", "token")
		wrong := first
		for _, wrong.SetupToken = range []string{"x", token + "x", token[:len(token)-1], strings.ToUpper(token)} {
			p.do(t, "POST", "/setup", wrong).refused(t, "denied", "token")
		}
		right := first
		right.SetupToken = token
		send[api.Setup](t, p, "POST", "/setup", right)
		p.do(t, "POST", "/setup", right).refused(t, "exists")
	})
	t.Run("two at once make one admin", func(t *testing.T) {
		t.Parallel()
		p := person{url: keyturntest.Bare(t).URL}
		var got [4]int
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				r, err := p.try("POST", "/setup", api.SetupRequest{Email: fmt.Sprintf("p%d@example.test", i), Password: testPassword})
				if err == nil {
					got[i] = r.status
				}
			})
		}
		all.Wait()
		made := 0
		for _, status := range got {
			switch status {
			case http.StatusCreated:
				made++
			case http.StatusConflict:
			default:
				t.Errorf("status %d", status)
			}
		}
		if made != 1 {
			t.Errorf("%d admins were made", made)
		}
	})
}

func TestWhoMayDoWhat(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		t.Run("logins", func(t *testing.T) { logins(t, w) })
		t.Run("machines and their client secrets", func(t *testing.T) { machines(t, w) })
		t.Run("tokens are narrowed by scopes", func(t *testing.T) { scopes(t, w) })
		t.Run("tokens end", func(t *testing.T) { tokensEnd(t, w) })
		t.Run("roles", func(t *testing.T) { roles(t, w) })
		t.Run("nobody grants what he lacks", func(t *testing.T) { grants(t, w) })
		t.Run("refused and missing look the same", func(t *testing.T) { hides(t, w) })
	})
}

func logins(t *testing.T, w *world) {
	p, u := w.userID(t)
	who := get[api.Principal](t, p, "/whoami")
	if who.ID != u.ID || len(who.Grants) != 0 || who.ExpiresAt == nil || time.Until(*who.ExpiresAt) > 7*24*time.Hour {
		t.Errorf("%+v", who)
	}
	nobody := person{url: w.admin.url}
	login := func(email, password string) reply {
		t.Helper()
		return nobody.do(t, "POST", "/login", api.LoginRequest{Email: email, Password: password})
	}
	wrong, unknown := login(u.Email, "not the test-value"), login("nobody@example.test", testPassword)
	wrong.refused(t, "unauthenticated")
	alike(t, wrong, unknown)
	alike(t, wrong, login(u.Email, ""))
	login("not an address", testPassword).refused(t, "invalid")
	send[api.Done](t, w.admin, "PATCH", "/users/"+u.ID, api.EnabledRequest{Disabled: true})
	alike(t, wrong, login(u.Email, testPassword))
	p.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	send[api.Done](t, w.admin, "PATCH", "/users/"+u.ID, api.EnabledRequest{})
	p.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated") // no session comes back
	p = p.with(send[api.Session](t, nobody, "POST", "/login", api.LoginRequest{Email: u.Email, Password: testPassword}).Token)
	get[api.Principal](t, p, "/whoami")
	send[api.Done](t, p, "POST", "/logout", nil)
	p.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	self := get[api.Principal](t, w.admin, "/whoami")
	w.admin.do(t, "PATCH", "/users/"+self.ID, api.EnabledRequest{Disabled: true}).refused(t, "conflict", "yourself")
	w.admin.do(t, "PATCH", "/users/"+who.Organization, api.EnabledRequest{Disabled: true}).refused(t, "not_found")
	w.admin.do(t, "POST", "/users", api.UserRequest{Email: strings.ToUpper(u.Email), Password: testPassword}).refused(t, "exists")
	w.admin.do(t, "POST", "/users", api.UserRequest{Email: "new@example.test", Password: "short"}).refused(t, "invalid", "/password")
}

func machines(t *testing.T, w *world) {
	p, i, first := w.machineID(t)
	nobody := person{url: w.admin.url}
	login := func(id, secret string) reply {
		t.Helper()
		return nobody.do(t, "POST", "/login/identity", api.IdentityLoginRequest{ClientID: id, ClientSecret: secret})
	}
	if who := get[api.Principal](t, p, "/whoami"); who.Kind != "identity" || who.ID != i.ID || who.Name != i.Name || time.Until(*who.ExpiresAt) > time.Hour {
		t.Errorf("%+v", who)
	}
	path := "/identities/" + i.Name + "/client-secrets"
	short := send[api.ClientSecret](t, w.admin, "POST", path, api.ClientSecretRequest{Name: "short", TTL: "1s"})
	second := send[api.ClientSecret](t, w.admin, "POST", path, api.ClientSecretRequest{TTL: "90d"})
	_, other, theirs := w.machineID(t)
	bad := login(i.ID, theirs.Secret)
	bad.refused(t, "unauthenticated")
	alike(t, bad, login(other.ID, first.Secret))
	alike(t, bad, login(i.ID, p.token))
	alike(t, bad, login(i.ID, "ktc_test-value"))
	login("not an id", first.Secret).refused(t, "invalid", "/client_id")
	for _, c := range get[api.ClientSecrets](t, w.admin, path).ClientSecrets {
		if c.Secret != "" {
			t.Error("a client secret is shown a second time")
		}
	}
	nobody.token = first.Secret
	nobody.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	nobody.token = ""
	eventually(t, 10*time.Second, "the short client secret ends", func() bool { return time.Now().After(*short.ExpiresAt) })
	alike(t, bad, login(i.ID, short.Secret))
	send[api.Done](t, w.admin, "DELETE", path+"/"+second.ID, nil)
	alike(t, bad, login(i.ID, second.Secret))
	w.admin.do(t, "DELETE", path+"/"+theirs.ID, nil).refused(t, "not_found")
	send[api.Done](t, w.admin, "PATCH", "/identities/"+i.Name, api.EnabledRequest{Disabled: true})
	alike(t, bad, login(i.ID, first.Secret))
	p.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	send[api.Done](t, w.admin, "PATCH", "/identities/"+i.ID, api.EnabledRequest{})
	get[api.Principal](t, p, "/whoami")
	w.admin.do(t, "POST", "/identities", api.IdentityRequest{Name: i.Name}).refused(t, "exists")
	for _, ttl := range []string{"1ms", "400d", "-1h", "soon"} {
		w.admin.do(t, "POST", "/identities", api.IdentityRequest{Name: w.fresh("machine"), TokenTTL: ttl}).refused(t, "invalid", "/token_ttl")
	}
	w.admin.do(t, "POST", path, api.ClientSecretRequest{Name: "two\nlines"}).refused(t, "invalid")
}

func scopes(t *testing.T, w *world) {
	e := w.project(t)
	other := w.project(t)
	other.commit(t, set("/", "FAR", "test-value"))
	e.commit(t, set("/", "ROOT", "x"), set("/a", "A", "x"), set("/a/deep", "D", "x"), set("/b", "B", "x"), set("/x/a", "XA", "x"))
	e.in("prod").commit(t, set("/a", "A", "x"))
	for _, c := range []struct{ scopes, may, mayNot string }{
		{"dev:/a:read", "get /a A|get /a/deep D|reveal /a", "list /a|get / ROOT|get /b B|set /a A|delete /a A|prod /a A|restore /a|far"},
		{"dev:/a:list", "list /a|history /a A", "get /a A|reveal /a|list /|list /b|set /a A"},
		{"dev:/a:write", "set /a NEW|set /a/deep NEW", "get /a A|list /a|set /b NEW|set / NEW|delete /a A|move /a A /b|own /a A"},
		{"dev:/a:delete", "delete /a A", "set /a NEW|get /a A|delete /b B"},
		{"dev:/*/a:read;dev:/b:*", "get /x/a XA|get /b B|set /b NEW|delete /b B", "get /a A|get / ROOT|set /x/a NEW"},
		{"*:/a:read", "get /a A|prod /a A", "get /b B|far"},
		{"prod:/:*", "prod /a A", "get /a A|set /a NEW|far"},
	} {
		p := e.as(w.admin.scoped(t, e.project, c.scopes))
		for i, list := range []string{c.may, c.mayNot} {
			for what := range strings.SplitSeq(list, "|") {
				r := p.what(t, what, other)
				if ok := r.status == 200; ok != (i == 0) {
					t.Errorf("a token for %q at %q: status %d: %s", c.scopes, what, r.status, r.body)
				}
			}
		}
		// Whatever its scopes, a token of this kind makes no tokens, grants nothing and sees no log.
		p.do(t, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: c.scopes, TTL: "1h"}).refused(t, "denied")
		p.do(t, "POST", "/grants", api.GrantRequest{Kind: "user", Principal: "admin@example.test", Role: "admin"}).refused(t, "denied")
		p.do(t, "GET", "/audit/entries", nil).refused(t, "denied")
		p.do(t, "POST", "/projects", api.ProjectRequest{Slug: w.fresh("never")}).refused(t, "denied")
		p.do(t, "GET", "/projects/"+other.project, nil).refused(t, "not_found")
		p.do(t, "DELETE", "/projects/"+e.project, nil).refused(t, "denied")
	}
	for _, bad := range []api.TokenRequest{{Scopes: "dev:/a:read", TTL: ""}, {Scopes: "dev:/a:read", TTL: "0s"}, {Scopes: "dev:/a:read", TTL: "400d"}, {Scopes: "", TTL: "1h"},
		{Scopes: "dev:/a", TTL: "1h"}, {Scopes: "dev:/a:destroy", TTL: "1h"}, {Scopes: "dev:/a b:read", TTL: "1h"}, {Scopes: "dev:/a:read", TTL: "1h", Name: "two\nlines"}} {
		bad.Project = e.project
		w.admin.do(t, "POST", "/tokens", bad).refused(t, "invalid")
	}
	w.admin.do(t, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "nowhere:/:read", TTL: "1h"}).refused(t, "not_found")
	w.admin.do(t, "POST", "/tokens", api.TokenRequest{Project: "nowhere", Scopes: "dev:/:read", TTL: "1h"}).refused(t, "not_found")
}

// what does one thing that is written in words.
func (e env) what(t *testing.T, what string, other env) reply {
	t.Helper()
	w := strings.Fields(what)
	switch w[0] {
	case "get":
		return e.ask(t, w[1], w[2])
	case "prod":
		return e.in("prod").ask(t, w[1], w[2])
	case "far":
		return env{e.person, other.project, "dev"}.ask(t, "/", "FAR")
	case "list":
		return e.do(t, "GET", e.path()+"/secrets"+query("path", w[1]), nil)
	case "reveal":
		return e.do(t, "GET", e.path()+"/secrets"+query("path", w[1], "reveal", "true"), nil)
	case "history":
		return e.do(t, "GET", e.path()+"/secrets/"+w[2]+"/history"+query("path", w[1]), nil)
	case "set":
		return e.attempt(t, set(w[1], w[2], time.Now().String()))
	case "move":
		return e.attempt(t, move(w[1], w[2], w[3]))
	case "own":
		return e.own(t, w[1], w[2], "x")
	case "restore":
		return e.attempt(t, api.Change{Op: "folder.restore", Path: w[1]})
	case "delete":
		r := e.attempt(t, remove(w[1], w[2]))
		if r.status == 200 {
			r = e.attempt(t, api.Change{Op: "restore", Path: w[1], Name: w[2]})
		}
		return r
	}
	t.Fatalf("no such thing: %s", what)
	return reply{}
}

func tokensEnd(t *testing.T, w *world) {
	e := w.project(t)
	p, u := w.userID(t, api.GrantRequest{Project: e.project, Role: "developer"})
	made := send[api.NewToken](t, p, "POST", "/tokens", api.TokenRequest{Name: "ci", Project: e.project, Scopes: "dev:/:read", TTL: "1h"})
	if made.PrincipalID != u.ID || made.Name != "ci" || !strings.HasPrefix(made.Token, "ktk_") || len(made.Scopes) != 1 {
		t.Errorf("%+v", made)
	}
	ci := w.admin.with(made.Token)
	short := send[api.NewToken](t, p, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "1s"})
	get[api.Principal](t, ci, "/whoami")
	eventually(t, 10*time.Second, "a token of one second ends", func() bool { return time.Now().After(short.ExpiresAt) })
	w.admin.with(short.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	found := 0
	for _, k := range get[api.Tokens](t, p, "/tokens").Tokens {
		if k.PrincipalID != u.ID {
			t.Errorf("somebody else's token is listed: %+v", k)
		}
		if k.ID == made.ID {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the token is listed %d times", found)
	}
	p.do(t, "GET", "/tokens?all=true", nil).refused(t, "denied")
	if all := get[api.Tokens](t, w.admin, "/tokens?all=true"); len(all.Tokens) < 3 {
		t.Errorf("%+v", all)
	}
	send[api.Done](t, p, "DELETE", "/tokens/"+made.ID, nil)
	ci.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	send[api.Done](t, p, "DELETE", "/tokens/"+made.ID, nil)
	// Somebody else's token is not his to end, nor to know of. The admin ends it.
	stranger := w.machine(t)
	alike(t, stranger.do(t, "DELETE", "/tokens/"+get[api.Principal](t, p, "/whoami").TokenID, nil), stranger.do(t, "DELETE", "/tokens/"+u.ID, nil))
	send[api.Done](t, w.admin, "DELETE", "/tokens/"+get[api.Principal](t, p, "/whoami").TokenID, nil)
	p.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	for _, garbage := range []string{"x", "kts_test-value", made.Token + "x", made.Token[:len(made.Token)-1] + "_", strings.ToUpper(made.Token), strings.Repeat("x", 600)} {
		r := w.admin.with(garbage).do(t, "GET", "/whoami", nil)
		r.refused(t, "unauthenticated")
		if r.header.Get("WWW-Authenticate") == "" || len(garbage) > 4 && bytes.Contains(r.body, []byte(garbage[4:])) {
			t.Errorf("%s", r.body)
		}
	}
}

func roles(t *testing.T, w *world) {
	e := w.project(t)
	other := w.project(t)
	other.commit(t, set("/", "FAR", "x"))
	e.commit(t, set("/", "ROOT", "test-value-of-root"), set("/a", "A", "x"))
	e.in("prod").commit(t, set("/a", "A", "x"))
	role := func(env, role string) api.GrantRequest {
		return api.GrantRequest{Project: e.project, Env: env, Role: role}
	}
	for what, c := range map[string]struct {
		grants      []api.GrantRequest
		may, mayNot string
	}{
		"viewer":                           {[]api.GrantRequest{role("", "viewer")}, "list /|list /a|history /a A", "get /a A|reveal /|set /a A|delete /a A|own /a A|far"},
		"developer":                        {[]api.GrantRequest{role("", "developer")}, "list /|get /a A|reveal /|set /a A|delete /a A|prod /a A", "far"},
		"developer of dev":                 {[]api.GrantRequest{role("dev", "developer")}, "get /a A|set /a A", "prod /a A|far"},
		"viewer, developer of dev":         {[]api.GrantRequest{role("", "viewer"), role("dev", "developer")}, "get /a A|set /a A", "prod /a A"},
		"developer, none in prod":          {[]api.GrantRequest{role("", "developer"), role("prod", "none")}, "get /a A", "prod /a A"},
		"admin, none in the project":       {[]api.GrantRequest{{Role: "admin"}, role("", "none")}, "far", "get /a A|list /|prod /a A"},
		"developer everywhere":             {[]api.GrantRequest{{Role: "developer"}}, "get /a A|far", ""},
		"nobody":                           {nil, "", "get /a A|list /|prod /a A|far|set /a A|delete /a A|history /a A"},
		"developer replaced by a viewer":   {[]api.GrantRequest{role("", "developer"), role("", "viewer")}, "list /", "get /a A"},
		"a developer of the other project": {[]api.GrantRequest{{Project: other.project, Role: "developer"}}, "far", "get /a A|list /"},
	} {
		p := e.as(w.machine(t, c.grants...))
		for i, list := range []string{c.may, c.mayNot} {
			for word := range strings.SplitSeq(list, "|") {
				if word == "" {
					continue
				}
				if r := p.what(t, word, other); (r.status == 200) != (i == 0) {
					t.Errorf("%s at %q: status %d: %s", what, word, r.status, r.body)
				} else if i == 1 && bytes.Contains(r.body, []byte("test-value")) {
					t.Errorf("%s at %q sees a value: %s", what, word, r.body)
				}
			}
		}
	}
	// A viewer sees names and attributes, and a refusal that says why.
	viewer := e.as(w.machine(t, role("", "viewer")))
	viewer.ask(t, "/", "ROOT").refused(t, "denied", "see this")
	if l := viewer.list(t, "/"); len(l.Secrets) != 1 || l.Secrets[0].Value != nil {
		t.Errorf("%+v", l)
	}
	// A token made by a viewer does not get more by its scopes, and gets no more later than it was made for.
	token := viewer.as(viewer.scoped(t, e.project, "dev:/:*"))
	token.ask(t, "/", "ROOT").refused(t, "denied")
	token.attempt(t, set("/", "ROOT", "x")).refused(t, "denied")
}

func grants(t *testing.T, w *world) {
	e, other := w.project(t), w.project(t)
	_, target, _ := w.machineID(t)
	give := func(p person, project, env, role string) reply {
		t.Helper()
		return p.do(t, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: target.Name, Project: project, Env: env, Role: role})
	}
	head := w.machine(t, api.GrantRequest{Project: e.project, Role: "admin"})
	var made api.Grant
	give(head, e.project, "", "developer").fits(t, &made)
	give(head, e.project, "prod", "admin").fits(t, &api.Grant{})
	give(head, "", "", "viewer").refused(t, "denied")
	give(head, "", "", "admin").refused(t, "denied")
	alike(t, give(head, other.project, "", "viewer"), give(head, "nowhere", "", "viewer"))
	alike(t, give(head, other.project, "dev", "viewer"), give(head, other.project, "nowhere", "viewer"))
	for _, role := range []string{"developer", "viewer", "none"} {
		p := w.machine(t, api.GrantRequest{Project: e.project, Role: role})
		if r := give(p, e.project, "", "viewer"); r.status < 400 {
			t.Errorf("a %s granted: %s", role, r.body)
		}
		alike(t, p.do(t, "DELETE", "/grants/"+made.ID, nil), p.do(t, "DELETE", "/grants/"+target.ID, nil))
		p.do(t, "GET", "/grants", nil).refused(t, "denied")
	}
	give(w.admin.scoped(t, e.project, "*:/:*"), e.project, "", "viewer").refused(t, "denied")
	give(w.admin, e.project, "", "king").refused(t, "invalid")
	give(w.admin, e.project, "nowhere", "viewer").refused(t, "not_found")
	give(w.admin, "", "dev", "viewer").refused(t, "invalid", "/project")
	w.admin.do(t, "POST", "/grants", api.GrantRequest{Kind: "system", Principal: "x", Role: "viewer"}).refused(t, "invalid", "/kind")
	w.admin.do(t, "POST", "/grants", api.GrantRequest{Kind: "user", Principal: "nobody@example.test", Role: "viewer"}).refused(t, "not_found")
	send[api.Done](t, head, "DELETE", "/grants/"+made.ID, nil)
	w.admin.do(t, "DELETE", "/grants/"+made.ID, nil).refused(t, "not_found")
	// A role counts from the next request on.
	p := e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: "developer"}))
	p.commit(t, set("/", "A", "x"))
	who := get[api.Principal](t, p.person, "/whoami")
	w.admin.do(t, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: who.ID, Project: e.project, Role: "none"}).fits(t, &api.Grant{})
	p.ask(t, "/", "A").refused(t, "not_found")
}

// entryOf finds the one entry of a request in the log.
func (w *world) entryOf(t *testing.T, r reply) map[string]any {
	t.Helper()
	for _, e := range get[api.Entries](t, w.admin, "/audit/entries?limit=20").Entries {
		var entry map[string]any
		if err := json.Unmarshal(e.Entry, &entry); err != nil {
			t.Fatal(err)
		}
		if entry["request"] == r.header.Get("X-Request-Id") {
			return entry
		}
	}
	t.Fatalf("%s left no entry", r.what)
	return nil
}

func hides(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/open", "A", "x"), set("/shut/deep", "S", "test-value"))
	stranger := w.machine(t)
	narrow := w.machine(t, api.GrantRequest{Project: e.project, Env: "prod", Role: "developer"})
	folder := w.admin.scoped(t, e.project, "dev:/open:*")
	absent := env{project: "nowhere", name: "dev"}
	for _, p := range []person{stranger, narrow} {
		for _, path := range []string{"/secrets?path=/shut", "/secrets?path=/shut&reveal=true&recursive=true", "/secrets/S?path=/shut/deep", "/secrets/S/history?path=/shut/deep", "/commits", "/schema", "/example", "/events", ""} {
			there := p.do(t, "GET", e.path()+path, nil)
			missing := p.do(t, "GET", "/projects/"+e.project+"/envs/nowhere"+path, nil)
			alike(t, there, missing)
			alike(t, there, p.do(t, "GET", absent.path()+path, nil))
			if a, b := w.entryOf(t, there), w.entryOf(t, missing); a["outcome"] != "refused" || b["outcome"] != "failed" || b["reason"] != "not_found" {
				t.Errorf("the log does not tell them apart: %v and %v", a, b)
			}
		}
		alike(t, p.do(t, "POST", e.path()+"/commits", api.CommitRequest{Changes: []api.Change{set("/", "A", "x")}}), p.do(t, "POST", absent.path()+"/commits", api.CommitRequest{Changes: []api.Change{set("/", "A", "x")}}))
		alike(t, p.do(t, "POST", e.path()+"/rollback", api.RollbackRequest{To: 1}), p.do(t, "POST", absent.path()+"/rollback", api.RollbackRequest{To: 1}))
		alike(t, p.do(t, "DELETE", e.path(), nil), p.do(t, "DELETE", absent.path(), nil))
		alike(t, p.do(t, "PATCH", e.path(), api.RenameRequest{Slug: "x"}), p.do(t, "PATCH", absent.path(), api.RenameRequest{Slug: "x"}))
		alike(t, p.do(t, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "1h"}), p.do(t, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "nowhere:/:read", TTL: "1h"}))
		alike(t, p.do(t, "GET", "/projects/"+e.project+"/diff?from=dev&to=dev", nil), p.do(t, "GET", "/projects/"+e.project+"/diff?from=nowhere&to=nowhere", nil))
		if strings.Contains(string(p.do(t, "GET", "/projects", nil).body), `"dev"`) {
			t.Error("the list of projects shows an environment that he has no right in")
		}
	}
	alike(t, stranger.do(t, "GET", "/projects/"+e.project, nil), stranger.do(t, "GET", "/projects/nowhere", nil))
	alike(t, stranger.do(t, "DELETE", "/projects/"+e.project, nil), stranger.do(t, "DELETE", "/projects/nowhere", nil))
	alike(t, stranger.do(t, "POST", "/projects/"+e.project+"/restore", nil), stranger.do(t, "POST", "/projects/nowhere/restore", nil))
	// The same inside an environment, for a token that reaches one folder of it.
	f := e.as(folder)
	for _, path := range []string{"/secrets/S?path=%s", "/secrets?path=%s", "/secrets?path=%s&reveal=true", "/secrets?path=%s&recursive=true", "/secrets?path=%s&recursive=true&at=1", "/secrets/S?path=%s&at=1", "/secrets/S?path=%s&version=1",
		"/secrets/S/history?path=%s", "/schema?path=%s", "/example?path=%s"} {
		there := f.do(t, "GET", e.path()+fmt.Sprintf(path, "/shut/deep"), nil)
		alike(t, there, f.do(t, "GET", e.path()+fmt.Sprintf(path, "/shut/none"), nil))
		there.refused(t, "not_found")
	}
	for _, pair := range [][2]api.Change{
		{remove("/shut/deep", "S"), remove("/shut/none", "S")}, {rename("/shut/deep", "S", "T"), rename("/shut/deep", "U", "T")}, {move("/open", "A", "/shut"), move("/open", "A", "/none")},
		{moveFolder("/shut", "/open/x"), moveFolder("/none", "/open/x")}, {{Op: "folder.delete", Path: "/shut"}, {Op: "folder.delete", Path: "/none"}},
		{{Op: "copy", Path: "/open", From: &api.Place{Path: "/shut/deep", Name: "S"}}, {Op: "copy", Path: "/open", From: &api.Place{Path: "/none", Name: "S"}}},
		{showIn("/open", api.Place{Path: "/shut"}), showIn("/open", api.Place{Path: "/none"})},
	} {
		alike(t, f.attempt(t, pair[0]), f.attempt(t, pair[1]))
	}
	// A roll back brings nothing in from a folder that he may not touch.
	e.commit(t, move("/open", "A", "/shut"))
	f.refusedBack(t, api.RollbackRequest{To: 1, Path: "/open"}, "not_found")
	if got := names(e.list(t, "/shut")); fmt.Sprint(got) != "[/shut/A]" {
		t.Errorf("%v", got)
	}
}

func TestFailedLoginsAreSlowedDown(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t))
	p := person{url: w.admin.url}
	_, i, right := w.machineID(t)
	_, other, theirs := w.machineID(t)
	// Many at once get no more tries than one after the other.
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			r, err := p.try("POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: "ktc_test-value"})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				got[r.status]++
			}
		})
	}
	all.Wait()
	if got[http.StatusUnauthorized] != 10 || got[http.StatusTooManyRequests] != 30 {
		t.Errorf("%v", got)
	}
	r := p.do(t, "POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: right.Secret})
	r.refused(t, "exhausted", "too many")
	if r.header.Get("Retry-After") != "30" {
		t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
	}
	// Another account is not locked by that, nor is a token that exists already.
	for range 20 {
		send[api.Session](t, p, "POST", "/login/identity", api.IdentityLoginRequest{ClientID: other.ID, ClientSecret: theirs.Secret})
	}
	get[api.Principal](t, w.admin, "/whoami")
}

func TestARevocationReachesTheOtherServerWithinASecond(t *testing.T) {
	t.Parallel()
	database := testpg.Database(t)
	a := newWorld(keyturntest.Start(t, keyturntest.WithPostgres(database)))
	b := keyturntest.Bare(t, keyturntest.WithPostgres(database), keyturntest.WithData(a.server.Data))
	e := a.project(t)
	e.commit(t, set("/", "A", "test-value"))
	p, i, secret := a.machineID(t, api.GrantRequest{Project: e.project, Role: "developer"})
	there := func(p person) person { return person{url: b.URL, token: p.token} }
	far := env{there(p), e.project, "dev"}
	eventually(t, time.Second, "the other server knows the project, its key and the role", func() bool { return far.ask(t, "/", "A").status == 200 })
	refused := func(what string, p person) {
		t.Helper()
		eventually(t, time.Second, what, func() bool { return there(p).do(t, "GET", "/whoami", nil).status == http.StatusUnauthorized })
	}
	token := a.admin.scoped(t, e.project, "dev:/:read")
	if got := (env{there(token), e.project, "dev"}).value(t, "/", "A"); got != "test-value" {
		t.Errorf("%q", got)
	}
	send[api.Done](t, a.admin, "DELETE", "/tokens/"+get[api.Principal](t, token, "/whoami").TokenID, nil)
	token.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	refused("a revoked token", token)
	a.admin.do(t, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.ID, Project: e.project, Role: "viewer"}).fits(t, &api.Grant{})
	eventually(t, time.Second, "a lesser role", func() bool { return far.ask(t, "/", "A").status == http.StatusForbidden })
	second := send[api.Session](t, person{url: b.URL}, "POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: secret.Secret})
	get[api.Principal](t, person{url: b.URL, token: second.Token}, "/whoami")
	send[api.Done](t, a.admin, "PATCH", "/identities/"+i.ID, api.EnabledRequest{Disabled: true})
	refused("a disabled machine", p)
	refused("its other token", person{url: b.URL, token: second.Token})
}
