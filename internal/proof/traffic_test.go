package proof

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

// traffic makes a server do everything that touches secrets, rightly and wrongly.
type traffic struct {
	t     *testing.T
	c     *canaries
	site  *site
	place place
	token string // of the admin
}

// does sends a request that has to succeed. may says why its answer holds secrets, "" when it must not.
func (tr *traffic) does(may heard, method, path string, body any) answer {
	tr.t.Helper()
	a := tr.site.call(tr.token, method, path, body)
	if !a.ok() {
		tr.t.Fatalf("%s %s: %s", method, path, a)
	}
	tr.c.answered(method+" "+path, a, may)
	return a
}

// fails sends a request that has to be refused.
func (tr *traffic) fails(what, token, method, path string, body any, header ...string) {
	tr.t.Helper()
	a := tr.site.call(token, method, path, body, header...)
	if a.ok() {
		tr.t.Errorf("%s was let through", what)
	}
	tr.c.answered(what, a, "")
}

func (tr *traffic) all(setup string, more ...func(*traffic)) {
	tr.people(setup)
	tr.values()
	tr.machines()
	tr.mistakes()
	tr.misplaced()
	tr.vaultTokens()
	tr.credentials()
	tr.rawRequests()
	tr.commandLine()
	for _, f := range more {
		f(tr)
	}
}

const home = "home"

// people sets up, logs in, out and in again, and makes users.
func (tr *traffic) people(setup string) {
	c := tr.c
	tr.fails("a set-up with a wrong token", "", "POST", "/setup", api.SetupRequest{Email: adminEmail, Password: c.text("the password of a refused set-up"), SetupToken: c.text("a wrong set-up token")})
	tr.fails("a set-up with a short password", "", "POST", "/setup", api.SetupRequest{Email: adminEmail, Password: string(c.plant("a password that is too short", latinNoise(11))), SetupToken: setup})
	password := c.text("the admin's password")
	first := decoded[api.Setup](tr.t, tr.hears("the token is what set-up is for", "", "POST", "/setup", api.SetupRequest{Email: adminEmail, Password: password, SetupToken: setup}))
	tr.token = c.token("the set-up's session", first.Token)
	tr.fails("a second set-up", "", "POST", "/setup", api.SetupRequest{Email: adminEmail, Password: c.text("the password of a second set-up"), SetupToken: setup})
	if err := os.MkdirAll(filepath.Join(tr.place.folder, home), 0o700); err != nil {
		tr.t.Fatal(err)
	}
	tr.write("password", password)
	session := decoded[api.Session](tr.t, tr.hears("the token is what a login is for", "", "POST", "/login", api.LoginRequest{Email: adminEmail, Password: password}))
	c.token("a session that was ended", session.Token)
	tr.hears("", session.Token, "POST", "/logout", nil)
	tr.fails("the ended session", session.Token, "GET", "/whoami", nil)
	user := decoded[api.User](tr.t, tr.does("", "POST", "/users", api.UserRequest{Email: "dev@example.test", Password: c.text("a user's password")}))
	tr.does("", "PATCH", "/users/"+user.ID, api.EnabledRequest{Disabled: true})
	tr.fails("a user with a simple password", tr.token, "POST", "/users", api.UserRequest{Email: "two@example.test", Password: "aaaaaaaaaaaaaaaaaaaaaa"})
}

// hears is does with another token.
func (tr *traffic) hears(may heard, token, method, path string, body any) answer {
	tr.t.Helper()
	old := tr.token
	defer func() { tr.token = old }()
	tr.token = token
	return tr.does(may, method, path, body)
}

// write keeps a file outside of all that is searched, for the command line to read.
func (tr *traffic) write(name, text string) string {
	tr.t.Helper()
	file := filepath.Join(tr.place.folder, "in-"+name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tr.t.Fatal(err)
	}
	return file
}

// values writes, reads, moves, compares and destroys values of every shape.
func (tr *traffic) values() {
	c := tr.c
	const reads = "reading values is what this is for"
	tr.does("", "POST", "/projects", api.ProjectRequest{Slug: "shop", Envs: []string{"dev", "prod"}})
	commits := at("shop", "dev", "commits")
	encoded := func(b []byte) *string { s := base64.StdEncoding.EncodeToString(b); return &s }
	text := func(s string) *string { return &s }
	short := c.text("a short value")
	block := string(c.plant("a long value that compresses well", latinNoise(64)))
	tr.does("", "POST", commits, api.CommitRequest{Message: "plant", Changes: []api.Change{
		{Op: "set", Path: "/", Name: "SHORT", Value: &short, Comment: text(c.text("a comment"))},
		{Op: "set", Path: "/backend", Name: "LONG", Value: text(c.long("a long value", 10<<10)), Comment: text(c.long("a long comment", 4000))},
		{Op: "set", Path: "/backend", Name: "LONGEST", Value: text(c.long("the longest value", 64<<10))},
		{Op: "set", Path: "/backend", Name: "EVEN", Value: text(strings.Repeat(block, 200))},
		{Op: "set", Path: "/backend", Name: "BINARY", Value: encoded(c.binary("a binary value", 48)), Encoding: "base64"},
		{Op: "set", Path: "/backend", Name: "LONG_BINARY", Value: encoded(c.binary("a long binary value", 20<<10)), Encoding: "base64"},
		{Op: "set", Path: "/", Name: "REFERS", Value: text("prefix ${SHORT} " + c.text("a value with a reference"))},
		{Op: "set", Path: "/", Name: "CHANGES", Value: text(c.text("a first version"))},
		{Op: "set", Path: "/", Name: "GOES", Value: text(c.text("a deleted value"))},
		{Op: "set", Path: "/", Name: "PURGED", Value: text(c.text("a purged value")), Comment: text(c.text("a purged comment"))},
		{Op: "set", Path: "/", Name: "MADE", Generate: 40},
		{Op: "set", Path: "/", Name: "MULTILINE", Value: text("-----BEGIN TEST VALUE-----\r\n" + c.text("a line of a value") + "\r\n\x00\t\"quoted\"\\")},
	}})
	var made api.Secret
	if err := json.Unmarshal(tr.does(reads, "GET", at("shop", "dev", "secrets", "MADE"), nil).body, &made); err != nil || made.Value == nil {
		tr.t.Fatalf("the generated value cannot be read: %v", err)
	}
	c.plant("a generated value", []byte(made.Value.Value))
	for range 3 {
		tr.does("", "POST", commits, set("/", "CHANGES", c.text("a later version")))
	}
	tr.does("", "POST", commits, api.CommitRequest{Changes: []api.Change{{Op: "rename", Path: "/", Name: "SHORT", To: "RENAMED"}}}) // writes the reference anew
	tr.does("", "POST", commits, api.CommitRequest{Changes: []api.Change{{Op: "move", Path: "/backend", Name: "LONG", ToPath: "/moved"}}})
	tr.does("", "POST", at("shop", "prod", "commits"), api.CommitRequest{Changes: []api.Change{{Op: "copy", Path: "/", Name: "RENAMED", To: "RENAMED", From: &api.Place{Env: "dev", Path: "/", Name: "RENAMED"}}}})
	tr.does("", "POST", commits, api.CommitRequest{DryRun: true, Changes: []api.Change{{Op: "set", Path: "/", Name: "NEVER", Value: text(c.text("a value of a dry run")), Comment: text(c.text("a comment of a dry run"))}}})
	tr.does("", "POST", commits, api.CommitRequest{Changes: []api.Change{{Op: "delete", Path: "/", Name: "GOES"}, {Op: "delete", Path: "/", Name: "PURGED"}}})
	tr.does("", "POST", at("shop", "dev", "secrets", "purge"), api.PurgeRequest{Path: "/", Name: "PURGED"})
	tr.does("", "POST", at("shop", "dev", "rollback"), api.RollbackRequest{To: 1, Path: "/", Name: "CHANGES"})
	tr.does("", "PUT", at("shop", "dev", "personal"), api.PersonalRequest{Path: "/", Name: "CHANGES", Value: api.Value{Value: c.text("a personal value")}})
	tr.does("", "PUT", at("shop", "dev", "personal"), api.PersonalRequest{Path: "/", Name: "CHANGES", Value: api.NewValue([]byte(c.long("a long personal value", 9<<10)))})
	for _, query := range []string{"?path=/&recursive=true&reveal=true", "?path=/&recursive=true&reveal=true&raw=true&personal=true", "?path=/&reveal=true&raw=true&at=1"} {
		tr.does(reads, "GET", at("shop", "dev", "secrets")+query, nil)
	}
	for _, query := range []string{"", "?raw=true", "?version=1", "?at=1", "?personal=true"} {
		tr.does(reads, "GET", at("shop", "dev", "secrets", "CHANGES")+query, nil)
	}
	tr.does(reads, "GET", "/projects/shop/diff?from=dev@1&to=dev&reveal=true", nil)
	for _, path := range []string{
		"/projects/shop/diff?from=dev@1&to=dev", "/projects/shop/diff?from=dev&to=prod", "/reuse", "/due?within=3650d", "/search?text=E", at("shop", "dev", "commits"),
		at("shop", "dev", "secrets") + "?recursive=true", at("shop", "dev", "secrets", "CHANGES", "history"), at("shop", "dev", "schema"), at("shop", "dev", "example"),
	} {
		tr.does("", "GET", path, nil)
	}
	tr.does("", "POST", "/where", api.WhereRequest{Value: api.Value{Value: short}})
	tr.does("", "POST", "/where", api.WhereRequest{Value: api.Value{Value: c.text("a value that is nowhere")}})
	tr.does("", "GET", "/search?text="+c.text("a value in a search"), nil)
	again := c.text("a value under an idempotency key")
	for range 2 {
		a := tr.site.call(tr.token, "POST", commits, set("/", "ONCE", again), "Idempotency-Key", c.text("an idempotency key"))
		c.answered("a write under an idempotency key", a, "")
	}
}

// machines makes identities, client secrets and tokens, uses and ends them.
func (tr *traffic) machines() {
	c := tr.c
	i := decoded[api.Identity](tr.t, tr.does("", "POST", "/identities", api.IdentityRequest{Name: "backend"}))
	tr.does("", "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: "backend", Project: "shop", Env: "dev", Role: "developer"})
	const once = "a client secret is shown once"
	secret := decoded[api.ClientSecret](tr.t, tr.does(once, "POST", "/identities/backend/client-secrets", api.ClientSecretRequest{Name: "first"}))
	c.token("a client secret", secret.Secret)
	machine := decoded[api.Session](tr.t, tr.hears("the token is what a login is for", "", "POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: secret.Secret}))
	c.token("a machine's token", machine.Token)
	tr.hears("reading values is what this is for", machine.Token, "GET", at("shop", "dev", "secrets")+"?reveal=true&recursive=true", nil)
	tr.fails("a machine where it may not", machine.Token, "GET", at("shop", "prod", "secrets")+"?reveal=true", nil)
	made := decoded[api.NewToken](tr.t, tr.hears("a token is shown once", machine.Token, "POST", "/tokens", api.TokenRequest{Project: "shop", Scopes: "dev:/:read", TTL: "10m"}))
	c.token("a scoped token", made.Token)
	a := tr.site.call(tr.token, "POST", "/tokens", api.TokenRequest{Project: "shop", Scopes: "dev:/:read", TTL: "1h"}, "Idempotency-Key", "a test-value key")
	c.token("a token made under an idempotency key", decoded[api.NewToken](tr.t, a).Token)
	tr.does("", "GET", "/tokens?all=true", nil)
	tr.does("", "GET", "/identities/backend/client-secrets", nil)
	tr.does("", "DELETE", "/tokens/"+made.ID, nil)
	tr.fails("a revoked token", made.Token, "GET", "/whoami", nil)
	tr.does("", "DELETE", "/identities/backend/client-secrets/"+secret.ID, nil)
	tr.fails("a revoked client secret", "", "POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: secret.Secret})
}

// mistakes sends values in requests that are wrong in some way.
func (tr *traffic) mistakes() {
	c := tr.c
	commits := at("shop", "dev", "commits")
	text := func(s string) *string { return &s }
	for what, body := range map[string]any{
		"a value that is too large":                   set("/", "BIG", c.long("a value that is too large", 64<<10+1)),
		"a comment that is too long":                  api.CommitRequest{Changes: []api.Change{{Op: "set", Path: "/", Name: "X", Value: text("x"), Comment: text(c.long("a comment that is too long", 5000))}}},
		"a value around a reference to nothing":       set("/", "X", c.text("a value before a dangling reference")+"${NO_SUCH}"+c.text("a value after a dangling reference")),
		"a reference that is none":                    api.CommitRequest{Changes: []api.Change{{Op: "set", Path: "/no such path", Name: "X", Value: text("${not a name " + c.text("text in a reference that is none") + "}")}}},
		"a value with a circle":                       set("/", "CIRCLE", "${CIRCLE}"+c.text("a value with a circle")),
		"base64 that is none":                         api.CommitRequest{Changes: []api.Change{{Op: "set", Path: "/", Name: "X", Value: text("%" + c.text("base64 that is none")), Encoding: "base64"}}},
		"an encoding that is none":                    api.CommitRequest{Changes: []api.Change{{Op: "set", Path: "/", Name: "X", Value: text(c.text("a value in an encoding that is none")), Encoding: c.text("an encoding that is none")}}},
		"a value with a name that is none":            set("/", "NO NAME", c.text("a value with a name that is none")),
		"a value for a path that is none":             set("/../etc", "X", c.text("a value for a path that is none")),
		"a value in a verb that is none":              api.CommitRequest{Changes: []api.Change{{Op: "explode", Path: "/", Name: "X", Value: text(c.text("a value in a verb that is none"))}}},
		"a value with a bad attribute":                api.CommitRequest{Changes: []api.Change{{Op: "set", Path: "/", Name: "X", Value: text(c.text("a value with a bad attribute")), RotateEvery: text("often")}}},
		"a value where a stale revision is asked for": api.CommitRequest{IfRevision: new(int64), Changes: []api.Change{{Op: "set", Path: "/", Name: "X", Value: text(c.text("a value at a stale revision"))}}},
		"an object for a value":                       []byte(`{"changes":[{"op":"set","path":"/","name":"X","value":{"is":"` + c.text("a value in an object") + `"}}]}`),
		"a list for a value":                          []byte(`{"changes":[{"op":"set","path":"/","name":"X","value":["` + c.text("a value in a list") + `"]}]}`),
		"a value where a number belongs":              []byte(`{"if_revision":"` + c.text("a value where a number belongs") + `","changes":[]}`),
		"a value where a flag belongs":                []byte(`{"dry_run":"` + c.text("a value where a flag belongs") + `","changes":[]}`),
		"a value in a field that is none":             []byte(`{"no_such_field":"` + c.text("a value in a field that is none") + `"}`),
		"a value given twice":                         []byte(`{"message":"` + c.text("a value given first") + `","message":"` + c.text("a value given twice") + `"}`),
		"a value cut off":                             []byte(`{"changes":[{"op":"set","path":"/","name":"X","value":"` + c.text("a value cut off")),
		"a value after the end":                       []byte(`{"changes":[]} "` + c.text("a value after the end") + `"`),
		"a value that is no UTF-8":                    []byte("{\"message\":\"\xff" + c.text("a value that is no UTF-8") + "\"}"),
		"a body that is no JSON":                      []byte(c.text("a body that is no JSON")),
	} {
		tr.fails(what, tr.token, "POST", commits, body)
		tr.fails(what+", from nobody", "", "POST", commits, body)
	}
	tr.fails("a value of another type of content", tr.token, "POST", commits, []byte("X="+c.text("a value in a form")), "Content-Type", "application/x-www-form-urlencoded")
	tr.fails("a type of content with a value", tr.token, "POST", commits, []byte("{}"), "Content-Type", "text/"+c.text("a type of content"))
	tr.fails("a personal value for nothing", tr.token, "PUT", at("shop", "dev", "personal"), api.PersonalRequest{Path: "/", Name: "NO_SUCH", Value: api.Value{Value: c.text("a personal value for nothing")}})
	tr.fails("a personal value that is too large", tr.token, "PUT", at("shop", "dev", "personal"), api.PersonalRequest{Path: "/", Name: "CHANGES", Value: api.Value{Value: c.long("a personal value that is too large", 64<<10+1)}})
	tr.fails("a value in a route that takes no body", tr.token, "DELETE", "/projects/no-such", map[string]string{"value": c.text("a value in a route that takes no body")})
	for _, query := range []string{"?token=", "?password=", "?version=", "?reveal=", "?at=", "?path=/no%20path/", "?only=no%20name%20"} {
		tr.fails("a secret in the query "+query, tr.token, "GET", at("shop", "dev", "secrets")+query+url.QueryEscape(c.text("a secret in the query "+query)), nil)
	}
	tr.fails("a route that is none", tr.token, "GET", "/"+c.text("a secret as a route"), nil)
	tr.fails("a route that is none, from nobody", "", "GET", "/"+c.text("a secret as a route, from nobody"), nil)
	tr.fails("a verb that is none", tr.token, strings.ToUpper("x"+c.text("a secret as a method")[11:]), "/whoami", nil)
	a := tr.site.raw(tr.token, "GET", "/"+c.text("a secret as a path of its own"), nil)
	c.answered("a path of its own", a, "")
}

// misplaced puts secrets where people put them by mistake.
func (tr *traffic) misplaced() {
	c := tr.c
	token := func(what string) string { return "ktk_" + string(c.plant(what, latinNoise(49))) }
	for what, in := range map[string]api.GrantRequest{
		"a kind": {Kind: token("a token in place of a kind"), Principal: "backend", Role: "viewer"},
		"a role": {Kind: "identity", Principal: "backend", Role: token("a token in place of a role")}, "a granted project": {Kind: "identity", Principal: "backend", Project: token("a token in place of a granted project"), Role: "viewer"},
		"a granted environment": {Kind: "identity", Principal: "backend", Project: "shop", Env: token("a token in place of a granted environment"), Role: "viewer"},
	} {
		tr.fails("a token in place of "+what, tr.token, "POST", "/grants", in)
	}
	for what, in := range map[string]api.TokenRequest{
		"a project": {Project: token("a token in place of a token's project"), Scopes: "dev:/:read", TTL: "1h"}, "scopes": {Project: "shop", Scopes: token("a token in place of scopes"), TTL: "1h"},
		"an environment": {Project: "shop", Scopes: strings.ToLower(c.text("a secret in place of a scope's environment")) + ":/:read", TTL: "1h"}, "a life": {Project: "shop", Scopes: "dev:/:read", TTL: token("a token in place of a life")},
	} {
		tr.fails("a token in place of "+what+" of a token", tr.token, "POST", "/tokens", in)
	}
	commits := at("shop", "dev", "commits")
	text := func(s string) *string { return &s }
	list := []string{"No Tag " + c.text("a secret as a tag")}
	meta := map[string]string{"\x01": c.text("a secret as metadata")}
	for what, change := range map[string]api.Change{
		"an owner": {Owner: text("\x01" + c.text("a secret as an owner"))}, "a tag": {Tags: &list}, "metadata": {Metadata: &meta}, "a cadence": {RotateEvery: text(c.text("a secret as a cadence"))},
	} {
		change.Op, change.Path, change.Name = "set", "/", "CHANGES"
		tr.fails("a secret as "+what, tr.token, "POST", commits, api.CommitRequest{Changes: []api.Change{change}})
	}
	for _, field := range []string{"who", "what", "outcome", "project", "env", "key"} {
		a := tr.site.call(tr.token, "GET", "/audit/entries?"+field+"="+token("a token in the filter "+field), nil)
		c.answered("a filter of the log", a, "")
	}
	for _, path := range []string{"/due?project=", "/due?owner=", "/due?within=", "/reuse?project=", "/search?project=", "/audit/consistency?old_size="} {
		c.answered("a secret in "+path, tr.site.call(tr.token, "GET", path+token("a token in "+path), nil), "")
	}
}

// credentials shows wrong ones in every place where one may be shown.
func (tr *traffic) credentials() {
	c := tr.c
	tr.fails("a wrong password", "", "POST", "/login", api.LoginRequest{Email: adminEmail, Password: c.text("a wrong password")})
	tr.fails("a wrong password for nobody", "", "POST", "/login", api.LoginRequest{Email: "nobody@example.test", Password: c.text("a wrong password for nobody")})
	tr.fails("a password in place of the address", "", "POST", "/login", api.LoginRequest{Email: c.text("a password in place of the address"), Password: "x"})
	tr.fails("a wrong client secret", "", "POST", "/login/identity", api.IdentityLoginRequest{ClientID: "0198c0de-0000-7000-8000-000000000000", ClientSecret: "ktc_" + c.text("a wrong client secret")})
	tr.fails("a client secret in place of the id", "", "POST", "/login/identity", api.IdentityLoginRequest{ClientID: c.text("a client secret in place of the id"), ClientSecret: "x"})
	for what, header := range map[string]string{
		"a wrong token": "Bearer ktk_" + c.text("a wrong token"), "a token of another kind": "Bearer ghp_" + c.text("a token of another kind"),
		"a password by basic authentication": "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+c.text("a password by basic authentication"))),
		"a token without a scheme":           c.text("a token without a scheme"), "a scheme that is none": c.text("a scheme that is none") + " x",
		"a token that is too long": "Bearer " + c.long("a token that is too long", 2000),
	} {
		tr.fails(what, "", "GET", "/whoami", nil, "Authorization", header)
		tr.fails(what+" for metrics", "", "GET", "/../../metrics", nil, "Authorization", header)
		c.answered(what+" for metrics", tr.site.raw("", "GET", "/metrics", nil, "Authorization", header), "")
	}
	for _, name := range []string{"X-Api-Key", "X-Vault-Token", "Cookie", "Proxy-Authorization", "X-Forwarded-For", "If-None-Match", "Idempotency-Key", "Origin", "Referer"} {
		tr.fails("a secret in "+name, "", "GET", "/whoami", nil, name, c.text("a secret in "+name))
		tr.hears("", tr.token, "GET", "/whoami", nil)
		c.answered("a secret in "+name, tr.site.call(tr.token, "GET", at("shop", "dev", "secrets")+"?path=/moved", nil, name, c.text("a secret of somebody in "+name)), "")
	}
}

// rawRequests are such as no client library sends.
func (tr *traffic) rawRequests() {
	c := tr.c
	u, err := url.Parse(tr.site.url)
	if err != nil {
		tr.t.Fatal(err)
	}
	for what, text := range map[string]string{
		"a request line that is none": c.text("a request line that is none") + "\r\n\r\n",
		"a version that is none":      "GET /" + c.text("a version that is none") + " HTTP/9.9\r\n\r\n",
		"a header that is none":       "GET / HTTP/1.1\r\nHost: x\r\n" + c.text("a header that is none") + "\r\n\r\n",
		"a header with a bad name":    "GET / HTTP/1.1\r\nHost: x\r\nX \x01" + c.text("a header with a bad name") + ": 1\r\n\r\n",
		"two lengths":                 "POST /keyturn/v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\n" + c.text("a body of two lengths"),
		"a length that is none":       "POST /keyturn/v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: " + c.text("a length that is none") + "\r\n\r\n",
		"a chunked body":              "POST /keyturn/v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" + c.text("a chunked body"),
		"a body that ends too early":  "POST /keyturn/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{\"password\":\"" + c.text("a body that ends too early"),
		"a header that is too long":   "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + c.long("a header that is too long", 40<<10) + "\r\n\r\n",
		"TLS on a plain port":         "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + c.text("TLS on a plain port"),
	} {
		conn, err := net.DialTimeout("tcp", u.Host, time.Minute)
		if err != nil {
			tr.t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, text) // the server may have hung up
		_ = conn.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(conn)
		c.hear("the answer to "+what, b)
		_ = conn.Close()
	}
}

// commandLine does with the program what people do.
func (tr *traffic) commandLine() {
	c := tr.c
	folder := filepath.Join(tr.place.folder, home)
	run := func(may heard, stdin string, fails bool, args ...string) string {
		tr.t.Helper()
		p := place{folder: folder, env: []string{"XDG_CONFIG_HOME=" + folder + "/config", "XDG_CACHE_HOME=" + folder + "/cache", "KEYTURN_SERVER=" + tr.site.url,
			"KEYTURN_PROJECT=shop", "KEYTURN_ENV=dev"}}
		cmd := p.command(tr.t, args...)
		var out, complaint bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &complaint
		err := cmd.Run()
		if _, exited := err.(*exec.ExitError); err != nil && !exited || (err != nil) != fails {
			tr.t.Fatalf("keyturn %s: %v\n%s", args[0], err, &complaint)
		}
		c.hear("what keyturn "+args[0]+" complains of", complaint.Bytes())
		if may == "" {
			c.hear("what keyturn "+args[0]+" prints", out.Bytes())
		}
		return out.String()
	}
	const shown = "values are what was asked for"
	run("", "", false, "login", "--email", adminEmail, "--password-file", filepath.Join(tr.place.folder, "in-password"))
	run("", c.text("a wrong password on a pipe"), true, "login", "--email", adminEmail, "--password-file", "-")
	run("", c.text("a value on standard input"), false, "set", "--stdin", "PIPED")
	run("", "", false, "set", "--file", "FROM_FILE="+tr.write("value", c.text("a value in a file")), "--comment", c.text("a comment on the command line"))
	run("", "", true, "set", "NO NAME="+c.text("a value beside a bad name"))
	run("", "", true, "PASSWORD="+c.text("a value where set was forgotten"))
	run("", "A="+c.text("an imported value")+"\nB="+c.text("another imported value")+"\n", false, "import", "-", "--format", "dotenv")
	run("", "A="+c.text("a value of a refused import")+"\nthis line "+c.text("a bad line")+" is \"none\n", true, "import", "-", "--format", "dotenv")
	run("", `{"A": {"nested": ["`+c.text("a value of refused JSON")+`"]}`, true, "import", "-", "--format", "json")
	run(shown, "", false, "get", "PIPED")
	run(shown, "", false, "list", "--recursive", "--reveal")
	run("", "", false, "list", "--recursive")
	run(shown, "", false, "export", "--format", "json")
	run("", "", true, "export", "--format", "dotenv", "--path", "/backend") // holds what no dotenv can say
	run("", "", false, "run", "--only", "PIPED,CHANGES", "--", "true")      // leaves a sealed copy
	run("", "", false, "history", "CHANGES")
	run("", "", false, "status")
	run("", "", false, "audit", "verify", "--deep")
	run("", "", true, "whoami", "--token", "ktk_"+c.text("a wrong token on the command line"))
	if entries, err := os.ReadDir(filepath.Join(folder, "cache", "keyturn")); err != nil || len(entries) == 0 {
		tr.t.Errorf("no copy was kept, so the search of it proves nothing: %v", err)
	}
}

// evidence asks for all that the server tells about itself, and looks through it.
func (tr *traffic) evidence() {
	c := tr.c
	for what, path := range map[string]string{"the metrics": "/metrics", "readiness": "/readyz", "health": "/healthz"} {
		a := tr.site.raw("test-value-"+string(c.of["the metrics token"]), "GET", path, nil)
		if !a.ok() {
			tr.t.Errorf("%s: %s", what, a)
		}
		c.answered(what, a, "")
	}
	for _, path := range []string{"/status", "/doctor", "/projects", "/grants", "/users", "/identities", "/tokens?all=true", "/audit/entries?limit=1000", "/audit/checkpoint", "/openapi.json"} {
		tr.does("", "GET", path, nil)
	}
	tr.does("", "POST", "/audit/verify?deep=true", nil)
	for from := int64(0); ; {
		a := tr.does("", "GET", "/audit/log?from="+strconv.FormatInt(from, 10), nil)
		page := decoded[api.LogPage](tr.t, a)
		from += int64(len(page.Entries))
		if from >= page.Size {
			return
		}
	}
}

// lookAtHome searches what the command line left behind. Its own session in a file that nobody else may read is right.
func (tr *traffic) lookAtHome() {
	folder := filepath.Join(tr.place.folder, home)
	credentials := filepath.Join(folder, "config", "keyturn", "credentials.json")
	info, err := os.Stat(credentials)
	if err != nil || info.Mode().Perm() != 0o600 {
		tr.t.Errorf("the credentials are not for the owner alone: %v %v", info, err)
	}
	tr.c.look(folder, credentials)
	b, err := os.ReadFile(credentials)
	if err != nil {
		tr.t.Fatal(err)
	}
	if n := bytes.Count(b, []byte("kts_")); n != 1 {
		tr.t.Errorf("the credentials hold %d sessions", n)
	}
	tr.c.hear("the credentials", b)
}
