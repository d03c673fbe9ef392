package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/keyturntest"
)

func TestTheFrontTakesOnlyWhatIsClear(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t))
	t.Run("strict JSON", func(t *testing.T) { strictBodies(t, w.project(t)) })
	t.Run("strict queries and paths", func(t *testing.T) { strictTargets(t, w.project(t)) })
	t.Run("ambiguous framing", func(t *testing.T) { framing(t, w.project(t)) })
	t.Run("slow headers", func(t *testing.T) { t.Parallel(); slowHeaders(t, w) })
	t.Run("what somebody typed is not repeated", func(t *testing.T) { noEcho(t, w) })
	t.Run("headers of every answer", func(t *testing.T) { everyAnswer(t, w) })
}

func strictBodies(t *testing.T, e env) {
	e.commit(t, set("/", "A", "test-value"))
	const change = `{"op":"set","path":"/","name":"A","value":"x"}`
	for what, body := range map[string]string{
		"nothing":                   ``,
		"no JSON":                   `changes`,
		"another type":              `[]`,
		"a doubled name":            `{"changes":[` + change + `],"changes":[]}`,
		"a doubled name inside":     `{"changes":[{"op":"set","path":"/","name":"A","name":"B","value":"x"}]}`,
		"a name of another case":    `{"Changes":[` + change + `]}`,
		"another case inside":       `{"changes":[{"op":"set","path":"/","Name":"A","value":"x"}]}`,
		"a name nobody knows":       `{"changes":[` + change + `],"more":1}`,
		"something after the value": `{"changes":[` + change + `]}{}`,
		"text after the value":      `{"changes":[` + change + `]} x`,
		"invalid UTF-8":             "{\"changes\":[{\"op\":\"set\",\"path\":\"/\",\"name\":\"A\",\"value\":\"\xff\"}]}",
		"half a surrogate":          `{"changes":[{"op":"set","path":"/","name":"A","value":"\ud800"}]}`,
		"great depth":               `{"changes":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`,
		"a number for a text":       `{"changes":[{"op":"set","path":"/","name":"A","value":1}]}`,
		"a fraction":                `{"changes":[` + change + `],"if_revision":1.5}`,
		"an enormous number":        `{"changes":[` + change + `],"if_revision":99999999999999999999}`,
		"a comment":                 `{"changes":[` + change + `]/**/}`,
		"a byte order mark":         "\ufeff" + `{"changes":[` + change + `]}`,
		"a raw line break":          "{\"changes\":[{\"op\":\"set\",\"path\":\"/\",\"name\":\"A\",\"value\":\"\n\"}]}",
		"no time":                   `{"changes":[{"op":"set","path":"/","name":"A","expires_at":"tomorrow"}]}`,
	} {
		if r := e.do(t, "POST", e.path()+"/commits", body); r.status != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", what, r.status, r.body)
		} else {
			r.refused(t, "invalid")
		}
	}
	for _, kind := range []string{"text/plain", "application/json; charset=iso-8859-1", "application/jsonx", "application/x-www-form-urlencoded", "multipart/form-data", "application/json, text/plain", ";"} {
		e.do(t, "POST", e.path()+"/commits", `{"changes":[`+change+`]}`, "Content-Type", kind).refused(t, "invalid", "JSON")
	}
	e.do(t, "POST", "/projects", `{"slug":"`+strings.Repeat("x", 16<<10)+`"}`).refused(t, "invalid", "too large", "16384")
	if got := e.revision(t); got != 1 {
		t.Fatalf("something of that made revision %d", got)
	}
	for _, kind := range []string{"application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"} {
		var c api.Committed
		e.do(t, "POST", e.path()+"/commits", `{"changes":[`+change+`]}`, "Content-Type", kind).fits(t, &c)
	}
}

func strictTargets(t *testing.T, e env) {
	e.commit(t, set("/", "A", "test-value"))
	p := e.path()
	for _, target := range []string{
		p + "/secrets?pth=/", p + "/secrets?path=/&path=/a", p + "/secrets?Path=/", p + "/secrets?recursive=yes", p + "/secrets?recursive=1", p + "/secrets?at=-1", p + "/secrets?at=x",
		p + "/secrets?at=99999999999999999999", p + "/secrets?path=%zz", p + "/secrets?a;b", p + "/secrets/A?version=1&x=", p + "?x=1", p + "/secrets?path=/with%20space",
		p + "/secrets/a%2fb", p + "/secrets/%00", "/audit/entries?limit=x", "/whoami?x=1", p + "/secrets?" + strings.Repeat("x", 5000),
		strings.Replace(p, "/envs", "//envs", 1), p + "/x/../secrets", p + "/secrets/..", p + "/./secrets", p + "/secrets/%2e%2e", p + "/secrets/%2e%2e/commits",
	} {
		if r := e.do(t, "GET", target, nil); r.status != http.StatusBadRequest {
			t.Errorf("%.100s: status %d: %s", target, r.status, r.body)
		}
	}
	for _, c := range [][2]string{{"GET", "/nowhere"}, {"GET", ""}, {"GET", "/"}, {"PUT", "/projects"}, {"POST", "/whoami"}, {"OPTIONS", "/projects"}, {"GET", p + "/secrets/"}, {"GET", "/Whoami"}, {"PATCH", "/login"}} {
		e.do(t, c[0], c[1], nil).refused(t, "not_found")
	}
	e.do(t, "GET", e.url+"/nowhere", nil).refused(t, "not_found")
	e.do(t, "TRACE", "/whoami", nil).refused(t, "unsupported")
	e.do(t, "GET", "/whoami", "{}").refused(t, "invalid", "no body")
	e.do(t, "POST", "/logout", "{}").refused(t, "invalid", "no body")
	if r := e.do(t, "HEAD", "/whoami", nil); r.status != http.StatusOK || len(r.body) != 0 {
		t.Errorf("HEAD: status %d, %q", r.status, r.body)
	}
}

// raw sends bytes over a connection of its own and reads what comes until the server closes it.
func raw(t *testing.T, p person, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "pipe") {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("the server does not close the connection: %v after %q", err, got)
	}
	return string(got)
}

func framing(t *testing.T, e env) {
	e.commit(t, set("/", "A", "test-value"))
	body := `{"changes":[{"op":"set","path":"/","name":"SMUGGLED","value":"x"}]}`
	head := "POST " + api.Prefix + e.path() + "/commits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + e.token + "\r\nContent-Type: application/json\r\n"
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	second := "GET " + api.Prefix + "/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + e.token + "\r\n\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	for what, text := range map[string]string{
		"chunked":                           head + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
		"length and chunks":                 head + length + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
		"chunks and length":                 head + "Transfer-Encoding: chunked\r\n" + length + "\r\n" + chunked,
		"two lengths":                       head + length + "Content-Length: 1\r\n\r\n" + body,
		"two tokens":                        head + "Authorization: Bearer x\r\n" + length + "\r\n" + body,
		"two types":                         head + "Content-Type: text/plain\r\n" + length + "\r\n" + body,
		"an unknown encoding":               head + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked,
		"a blank before the colon":          head + "Content-Length : 3\r\n\r\n" + body,
		"a line that goes on":               head + "X-A: 1\r\n b\r\n" + "Content-Length: x\r\n\r\n" + body,
		"a length with a sign":              head + fmt.Sprintf("Content-Length: +%d\r\n\r\n", len(body)) + body,
		"no host":                           strings.Replace(head, "Host: x\r\n", "", 1) + length + "\r\n" + body,
		"no HTTP":                           "HELLO\r\n\r\n",
		"a header that is too large":        head + "X-Long: " + strings.Repeat("x", 40<<10) + "\r\n" + length + "\r\n" + body,
		"many headers that are too large":   head + strings.Repeat("X-Long: "+strings.Repeat("x", 100)+"\r\n", 400) + length + "\r\n" + body,
		"a length beyond what is taken":     head + "Content-Length: 99999999999\r\n\r\n" + body,
		"a target that is no path":          strings.Replace(head, api.Prefix, "http://elsewhere.example.test:x"+api.Prefix, 1) + length + "\r\n" + body,
		"a control character in a header":   head + "X-A: \x00\r\n" + length + "\r\n" + body,
		"a line break inside of the target": strings.Replace(head, "/commits", "/commits\rX", 1) + length + "\r\n" + body,
	} {
		got := raw(t, e.person, text+strings.Repeat(second, 2))
		status, _, _ := strings.Cut(strings.TrimPrefix(got, "HTTP/1.1 "), " ")
		if !strings.HasPrefix(status, "4") && !strings.HasPrefix(status, "5") {
			t.Errorf("%s: %.200q", what, got)
		}
		// Nothing that follows an unclear request is taken for another one.
		if strings.Contains(got, `"token_id"`) {
			t.Errorf("%s: the server read another request out of it: %.400q", what, got)
		}
	}
	if got := names(e.list(t, "/")); fmt.Sprint(got) != "[/A]" {
		t.Errorf("%v", got)
	}
}

func slowHeaders(t *testing.T, w *world) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.admin.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET "+api.Prefix+"/whoami HTTP/1.1\r\nHost: x\r\n"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(conn)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		t.Errorf("half a header holds a connection for %v and longer", time.Since(began))
	}
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("a header may take only %v", took)
	}
}

// noEcho plants a text everywhere that a person may type a secret into the wrong place.
func noEcho(t *testing.T, w *world) {
	const canary = "canary-test-value-8f2c"
	e := w.project(t)
	e.commit(t, set("/", "A", canary))
	quoted := `"` + canary + `"`
	type try struct{ method, path, body string }
	tries := []try{
		{"POST", "/login", `{"email":` + quoted + `,"password":` + quoted + `}`}, {"POST", "/login", `{"email":"a@example.test","password":` + quoted + `}`},
		{"POST", "/login", `{"email":"a@example.test","password":[` + quoted + `]}`}, {"POST", "/login", `{"email":"a@example.test","password":"x","more":` + quoted + `}`},
		{"POST", "/login/identity", `{"client_id":` + quoted + `,"client_secret":` + quoted + `}`},
		{"POST", "/setup", `{"email":` + quoted + `,"password":` + quoted + `,"setup_token":` + quoted + `}`},
		{"POST", "/projects", `{"slug":` + strings.ToUpper(quoted) + `}`}, {"POST", "/projects", `{"slug":"x","name":"\n` + canary + `"}`}, {"POST", "/projects", quoted},
		{"POST", "/users", `{"email":"a@example.test","password":"a ` + canary + `","name":"\n"}`}, {"POST", "/tokens", `{"project":` + quoted + `,"scopes":` + quoted + `,"ttl":` + quoted + `}`},
		{"POST", "/tokens", `{"project":"` + e.project + `","scopes":"dev:/:` + canary + `","ttl":"1h"}`}, {"POST", "/tokens", `{"project":"` + e.project + `","scopes":"dev:/:read","ttl":` + quoted + `}`},
		{"POST", "/grants", `{"kind":` + quoted + `,"principal":` + quoted + `,"role":` + quoted + `}`}, {"POST", "/grants", `{"kind":"user","principal":` + quoted + `,"role":"viewer"}`},
		{"GET", "/whoami?" + canary + "=1", ""}, {"GET", "/due?within=" + canary, ""}, {"GET", "/" + canary, ""}, {"GET", "/projects/" + canary, ""}, {"GET", e.path() + "/secrets/" + canary, ""},
		{"GET", e.path() + "/secrets?path=/" + canary, ""}, {"GET", e.path() + "/secrets?path=%20" + canary, ""}, {"GET", e.path() + "/secrets?at=" + canary, ""}, {"GET", "/projects/" + e.project + "/diff?from=" + canary + "&to=@" + canary, ""},
		{"POST", "/where", `{"value":` + quoted + `,"encoding":"base64"}`}, {"POST", "/where", `{"value":` + quoted + `,"encoding":` + quoted + `}`}, {"DELETE", "/tokens/" + canary, ""},
		{"PUT", e.path() + "/personal", `{"path":"/","name":"NOTHING","value":` + quoted + `}`}, {"PUT", e.path() + "/personal", `{"path":"/","name":"A","value":` + quoted + `,"encoding":"x"}`},
		{"POST", e.path() + "/rollback", `{"to":` + quoted + `}`},
	}
	for _, change := range []string{
		`"op":"set","path":"/","name":"a b","value":` + quoted, `"op":"set","path":"/","name":"A","value":` + quoted + `,"encoding":"base64"`, `"op":"set","path":"/","name":"A","value":{"x":` + quoted + `}`,
		`"op":"set","path":"/","name":"` + canary + ` ","value":"x"`, `"op":"set","path":"/ ` + canary + `","name":"A","value":"x"`, `"op":"set","path":"/","name":"A","value":"` + canary + strings.Repeat("x", 64<<10) + `"`,
		`"op":"set","path":"/","name":"A","value":"${NOTHING} ` + canary + `"`, `"op":"set","path":"/","name":"A","comment":"` + canary + strings.Repeat("x", 5000) + `"`, `"op":"set","path":"/","name":"A","rotate_every":` + quoted,
		`"op":"set","path":"/","name":"A","owner":"a\n` + canary + `"`, `"op":"set","path":"/","name":"A","tags":["` + strings.ToUpper(canary) + `"]`, `"op":"set","path":"/","name":"A","expires_at":` + quoted,
		`"op":"set","path":"/","name":"A","metadata":{"":` + quoted + `}`, `"op":` + quoted + `,"path":"/","name":"A"`, `"op":"set","path":"/","name":"A","value":` + quoted + `,"generate":5`,
	} {
		tries = append(tries, try{"POST", e.path() + "/commits", `{"changes":[{` + change + `}]}`}, try{"POST", e.path() + "/commits", `{"changes":[{` + change + `}],}`})
	}
	for _, c := range tries {
		var body any
		if c.body != "" {
			body = c.body
		}
		r := e.do(t, c.method, c.path, body)
		if r.status < 400 || r.status > 499 {
			t.Errorf("%s %s %.100s: status %d: %s", c.method, c.path, c.body, r.status, r.body)
		}
		if strings.Contains(strings.ToLower(string(r.body)+fmt.Sprint(r.header)), canary) {
			t.Errorf("%s %s %.100s repeats it: %s", c.method, c.path, c.body, r.body)
		}
	}
	for _, token := range []string{canary, "Bearer " + canary, "Basic " + canary, "Bearer  " + canary} {
		r := w.admin.with("").do(t, "GET", "/whoami", nil, "Authorization", token)
		r.refused(t, "unauthenticated")
		if bytes.Contains(r.body, []byte(canary)) {
			t.Errorf("%s", r.body)
		}
	}
}

func everyAnswer(t *testing.T, w *world) {
	seen := map[string]bool{}
	for _, r := range []reply{w.admin.do(t, "GET", "/whoami", nil), w.admin.do(t, "GET", "/nowhere", nil), w.admin.with("").do(t, "GET", "/whoami", nil), w.admin.do(t, "GET", w.admin.url+"/healthz", nil),
		w.admin.do(t, "GET", "/whoami?x=1", nil), w.admin.do(t, "GET", "/a/../b", nil)} {
		id := r.header.Get("X-Request-Id")
		if r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" || id == "" || seen[id] || r.header.Get("Server") != "" {
			t.Errorf("%s: %v", r.what, r.header)
		}
		seen[id] = true
	}
	if r := w.admin.do(t, "GET", "/whoami", nil, "X-Request-Id", "mine"); r.header.Get("X-Request-Id") == "mine" {
		t.Error("a caller chooses the request id that stands in the log")
	}
}

func TestAnswersCanBeAskedForAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		t.Run("unchanged", func(t *testing.T) { unchanged(t, w) })
		t.Run("under an idempotency key", func(t *testing.T) { again(t, w) })
		t.Run("page by page", func(t *testing.T) { pages(t, w) })
	})
}

func unchanged(t *testing.T, w *world) {
	e, far := w.project(t), w.project(t)
	far.commit(t, set("/", "FAR", "test-value-1"))
	e.commit(t, set("/", "A", "test-value"), set("/", "LINK", "${@"+far.project+".dev.FAR}"))
	for _, target := range []string{e.path() + "/secrets?path=/&reveal=true", e.path() + "/secrets/LINK"} {
		tag := ""
		ask := func(who person) reply {
			t.Helper()
			r := who.do(t, "GET", target, nil, "If-None-Match", tag)
			if r.status == http.StatusNotModified && (len(r.body) > 0 || r.header.Get("ETag") != tag) {
				t.Errorf("304 with %q, %q", r.header.Get("ETag"), r.body)
			}
			return r
		}
		fresh := func(what string) {
			t.Helper()
			r := ask(w.admin)
			if r.status != http.StatusOK || r.header.Get("ETag") == "" {
				t.Errorf("%s: %s: status %d, tag %q", target, what, r.status, r.header.Get("ETag"))
			}
			tag = r.header.Get("ETag")
			entries := len(wholeLog(t, w.admin))
			for range 2 {
				if r := ask(w.admin); r.status != http.StatusNotModified {
					t.Errorf("%s: %s: status %d for what did not change", target, what, r.status)
				}
			}
			if now := len(wholeLog(t, w.admin)); now != entries+1 { // the look at the log itself
				t.Errorf("%s: two answers of 304 left %d entries", target, now-entries-1)
			}
		}
		fresh("at first")
		e.commit(t, set("/", "A", w.fresh("test-value-")))
		fresh("after a commit")
		far.commit(t, set("/", "FAR", w.fresh("test-value-")))
		fresh("after a commit elsewhere")
		e.own(t, "/", "A", w.fresh("test-value-")).fits(t, &api.Done{})
		fresh("after a value of one's own")
		far.commit(t, rename("/", "FAR", "FAR2"))
		far.commit(t, rename("/", "FAR2", "FAR"))
		fresh("after renames elsewhere")
		send[api.Project](t, w.admin, "PATCH", "/projects/"+far.project, api.RenameRequest{Name: api.Project{Slug: w.fresh("name-")}.Slug})
		fresh("after a project changed")
		// A tag is good for the one who got it alone, and in the weak form too.
		if r := ask(w.machine(t, api.GrantRequest{Role: "developer"})); r.status != http.StatusOK {
			t.Errorf("somebody else's tag: status %d", r.status)
		}
		tag = "W/" + tag
		if r := w.admin.do(t, "GET", target, nil, "If-None-Match", tag); r.status != http.StatusNotModified {
			t.Errorf("weak: status %d", r.status)
		}
	}
	// Whoever loses a right does not go on with what he has.
	p, i, _ := w.machineID(t, api.GrantRequest{Project: e.project, Role: "developer"})
	r := p.do(t, "GET", e.path()+"/secrets/A", nil)
	tag := r.header.Get("ETag")
	send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.ID, Project: e.project, Role: "viewer"})
	p.do(t, "GET", e.path()+"/secrets/A", nil, "If-None-Match", tag).refused(t, "denied")
	if r := w.admin.do(t, "GET", e.path()+"/secrets/NOTHING", nil); r.header.Get("ETag") != "" {
		t.Errorf("an error carries the tag %q", r.header.Get("ETag"))
	}
}

func TestATagOfBeforeARestartIsNotTakenForThePresent(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	w := newWorld(s)
	e, far := w.project(t), w.project(t)
	far.commit(t, set("/", "FAR", "test-value-1"))
	e.commit(t, set("/", "LINK", "${@"+far.project+".dev.FAR}"))
	key := []string{"Idempotency-Key", "k1"}
	first := send[api.NewToken](t, w.admin, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "1h"}, key...)
	tags := []string{e.ask(t, "/", "LINK").header.Get("ETag")}
	for i := range 3 {
		s.Stop()
		s = keyturntest.Bare(t, keyturntest.WithData(s.Data))
		e.url, far.url = s.URL, s.URL
		tags = append(tags, e.ask(t, "/", "LINK").header.Get("ETag"))
		far.commit(t, set("/", "FAR", fmt.Sprint("test-value-", i+2)))
		for _, tag := range tags {
			if r := e.do(t, "GET", e.path()+"/secrets/LINK", nil, "If-None-Match", tag); r.status != http.StatusOK {
				t.Errorf("start %d: status %d for a tag of an older value", i, r.status)
			}
		}
	}
	if again := send[api.NewToken](t, e.person, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "1h"}, key...); again.Token != first.Token {
		t.Error("after a restart an idempotency key gives another token")
	}
}

func again(t *testing.T, w *world) {
	e := w.project(t)
	request := api.CommitRequest{Changes: []api.Change{set("/", "A", "test-value")}}
	post := func(key string, body any) reply {
		t.Helper()
		return e.do(t, "POST", e.path()+"/commits", body, "Idempotency-Key", key)
	}
	first, second := post("key-1", request), post("key-1", request)
	if first.status != 200 || second.status != 200 || !bytes.Equal(first.body, second.body) || second.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%d %s\n%d %s", first.status, first.body, second.status, second.body)
	}
	e.commit(t, set("/", "A", "test-value-2"))
	if third := post("key-1", request); !bytes.Equal(first.body, third.body) || e.value(t, "/", "A") != "test-value-2" {
		t.Errorf("the same key did the work again: %s", third.body)
	}
	post("key-1", api.CommitRequest{Changes: []api.Change{set("/", "A", "other")}}).refused(t, "conflict", "another request")
	e.do(t, "POST", e.in("prod").path()+"/commits", request, "Idempotency-Key", "key-1").refused(t, "conflict")
	post(strings.Repeat("k", 129), request).refused(t, "invalid", "128")
	// What failed is not kept: the key is free for the mended request.
	post("key-2", api.CommitRequest{Changes: []api.Change{set("/", "B", "${NOTHING}")}}).refused(t, "invalid")
	post("key-2", api.CommitRequest{Changes: []api.Change{set("/", "B", "test-value")}}).fits(t, &api.Committed{})
	// A key is its caller's own.
	p := w.machine(t, api.GrantRequest{Project: e.project, Role: "developer"})
	if r := p.do(t, "POST", e.path()+"/commits", api.CommitRequest{Changes: []api.Change{set("/", "C", "test-value")}}, "Idempotency-Key", "key-1"); r.status != 200 || r.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	// A token that is shown once is shown to whom asks again, as the same one.
	token := func() api.NewToken {
		return send[api.NewToken](t, w.admin, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "1h"}, "Idempotency-Key", "key-3")
	}
	if a, b := token(), token(); a.Token != b.Token || a.ID != b.ID {
		t.Error("two tokens under one key")
	}
	// A dry run, and routes without a body.
	dry := api.CommitRequest{DryRun: true, Changes: []api.Change{set("/", "DRY", "test-value")}}
	post("key-4", dry).fits(t, &api.Committed{})
	post("key-4", dry).fits(t, &api.Committed{})
	for range 2 {
		send[api.Done](t, w.admin, "DELETE", e.in("staging").path(), nil, "Idempotency-Key", "key-5")
	}
	// Many at once do it once.
	before := e.revision(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 8 {
		all.Go(func() {
			r, err := e.try("POST", e.path()+"/commits", api.CommitRequest{Changes: []api.Change{{Op: "set", Path: "/", Name: "MANY", Generate: 20}}}, "Idempotency-Key", "key-6")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				statuses[r.status]++
			}
		})
	}
	all.Wait()
	if got := e.revision(t); got != before+1 || statuses[200] == 0 || statuses[200]+statuses[409] != 8 {
		t.Errorf("revision %d after %d, %v", got, before, statuses)
	}
}

func pages(t *testing.T, w *world) {
	e := w.project(t)
	const n = 25
	for i := range n {
		e.commit(t, set("/", "A", fmt.Sprint("test-value-", i)))
	}
	want := int64(n)
	for next := ""; ; {
		page := get[api.Commits](t, w.admin, e.path()+"/commits?limit=10"+next)
		for _, c := range page.Commits {
			if c.Revision != want {
				t.Fatalf("revision %d where %d belongs", c.Revision, want)
			}
			want--
		}
		if page.Next == 0 {
			break
		}
		if len(page.Commits) != 10 {
			t.Errorf("a page of %d that is not the last", len(page.Commits))
		}
		next = fmt.Sprint("&below=", page.Next)
	}
	if want != 0 {
		t.Errorf("the pages end at %d", want)
	}
	var last, seen int64 = -1, 0
	size := int64(0)
	for before := ""; ; {
		page := get[api.Entries](t, w.admin, "/audit/entries?limit=7"+before)
		if last == -1 {
			size = page.Size
		}
		for _, x := range page.Entries {
			if last != -1 && x.Index != last-1 {
				t.Fatalf("entry %d after %d", x.Index, last)
			}
			last = x.Index
			seen++
		}
		if page.Next == nil {
			break
		}
		before = fmt.Sprint("&before=", *page.Next)
	}
	if last != 0 || seen != size {
		t.Errorf("%d of %d entries, the last is %d", seen, size, last)
	}
	if page := get[api.Entries](t, w.admin, "/audit/entries"+query("what", "secret.write", "project", get[api.Project](t, w.admin, "/projects/"+e.project).ID, "limit", "1000")); len(page.Entries) != n {
		t.Errorf("%d entries of %d commits", len(page.Entries), n)
	}
}

// stream is an open event stream.
type stream struct {
	resp  *http.Response
	lines chan string // closed when the stream ends
}

func (e env) stream(t *testing.T) *stream {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", e.url+api.Prefix+e.path()+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+e.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d", resp.StatusCode)
	}
	t.Cleanup(func() { resp.Body.Close() })
	s := &stream{resp, make(chan string, 100)}
	go func() {
		defer close(s.lines)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				s.lines <- data
			}
		}
	}()
	return s
}

// next gives the next event, "" when the stream ended.
func (s *stream) next(t *testing.T, within time.Duration) string {
	t.Helper()
	select {
	case line := <-s.lines:
		return line
	case <-time.After(within):
		t.Fatalf("no event within %v", within)
		return ""
	}
}

func (s *stream) ends(t *testing.T, within time.Duration) {
	t.Helper()
	if line := s.next(t, within); line != "" {
		t.Errorf("instead of its end the stream tells %s", line)
	}
}

func TestEventStreamsTellCommits(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, other := w.project(t), w.project(t)
		e.commit(t, set("/", "A", "test-value-secret"))
		id := get[api.Env](t, w.admin, e.path()).ID
		s := e.stream(t)
		want := func(revision int64) {
			t.Helper()
			line := s.next(t, 5*time.Second)
			if !strings.Contains(line, fmt.Sprintf(`"revision":%d}`, revision)) || !strings.Contains(line, `"kind":"commit"`) || !strings.Contains(line, id) || strings.Contains(line, "test-value") {
				t.Fatalf("%s, want revision %d", line, revision)
			}
		}
		want(1)
		for i := range int64(5) {
			other.commit(t, set("/", "A", fmt.Sprint(i)))
			e.own(t, "/", "A", fmt.Sprint(i)).fits(t, &api.Done{})
			e.commit(t, set("/", "A", fmt.Sprint("test-value-", i)))
			want(i + 2)
		}
		// A slow one may miss some, never the last.
		for i := range 20 {
			e.commit(t, set("/", "A", fmt.Sprint("test-value-fast-", i)))
		}
		last := ""
		for !strings.Contains(last, `"revision":26}`) {
			last = s.next(t, 5*time.Second)
		}
		token := w.admin.scoped(t, e.project, "dev:/:list")
		theirs := e.as(token).stream(t)
		theirs.next(t, 5*time.Second)
		p, i, _ := w.machineID(t, api.GrantRequest{Project: e.project, Role: "viewer"})
		viewer := e.as(p).stream(t)
		viewer.next(t, 5*time.Second)
		send[api.Done](t, w.admin, "DELETE", "/tokens/"+get[api.Principal](t, token, "/whoami").TokenID, nil)
		send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.ID, Project: e.project, Role: "none"})
		const ping = 15*time.Second + 10*time.Second // and some time on a busy machine
		theirs.ends(t, ping)
		viewer.ends(t, ping)
		// A server that stops ends the others at once and does not wait for them.
		began := time.Now()
		w.server.Stop()
		s.ends(t, 10*time.Second)
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("the server took %v to stop", took)
		}
	})
}
