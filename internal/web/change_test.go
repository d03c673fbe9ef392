package web_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/keyturntest"
)

const testPassword = "a long test-value for people"

// reviewed is a server with an environment whose changes need one other person, and that author.
type reviewed struct {
	*keyturntest.Server
	author *client.Client
	admin  *client.Client
	place  client.Place
}

func startReviewed(t *testing.T) *reviewed {
	t.Helper()
	r := &reviewed{Server: keyturntest.Start(t), place: client.Place{Project: "shop", Env: "prod", Path: "/"}}
	var err error
	r.admin, err = client.New(r.URL, r.Token)
	must(t, err)
	_, err = r.admin.CreateProject(t.Context(), api.ProjectRequest{Slug: "shop", Name: "Shop"})
	must(t, err)
	u, err := r.admin.CreateUser(t.Context(), api.UserRequest{Email: "author@example.test", Name: "Author", Password: testPassword})
	must(t, err)
	_, err = r.admin.Grant(t.Context(), api.GrantRequest{Kind: "user", Principal: u.ID, Project: "shop", Role: "developer"})
	must(t, err)
	s, err := r.admin.Login(t.Context(), api.LoginRequest{Email: u.Email, Password: testPassword})
	must(t, err)
	r.author, err = client.New(r.URL, s.Token)
	must(t, err)
	r.set(t, "LOG_LEVEL", "info-test-value")
	_, err = r.admin.SetApproval(t.Context(), r.place, api.Approval{Need: 1})
	must(t, err)
	return r
}

// set commits a value and gives the change set that waits, if one does.
func (r *reviewed) set(t *testing.T, name, value string) *api.ChangeSet {
	t.Helper()
	_, err := r.author.Commit(t.Context(), r.place, api.CommitRequest{Message: "set <b>" + name + "</b>", Changes: []api.Change{{Op: "set", Path: "/", Name: name, Value: &value}}})
	var waits *client.Waiting
	if errors.As(err, &waits) {
		return waits.ChangeSet
	}
	must(t, err)
	return nil
}

func TestAChangeIsApprovedOnItsPage(t *testing.T) {
	t.Parallel()
	r := startReviewed(t)
	waiting := r.set(t, "LOG_LEVEL", "debug-test-value")
	b := open(t, r.Server)
	b.login(r.Email, r.Password)
	b.sees("Projects")
	b.click(`nav a[href="/changes"]`)
	b.sees("set <b>LOG_LEVEL</b>", "0 of 1")
	b.shot("changes")
	b.click(`td a`)
	b.sees("What it does", "/LOG_LEVEL", "another value")
	b.lacks("debug-test-value", "info-test-value")
	b.do(chromedp.SendKeys(chromedp.CSS(`textarea`), "why now?"))
	b.click(`button[value=comment]`)
	b.sees("Your comment stands below", "why now?")
	b.shot("change")
	b.click(`form[action$="/values"] button`)
	b.sees("debug-test-value", "info-test-value")
	b.shot("change-values")
	b.click(`button[value=approve]`)
	b.sees("the change is applied")
	b.lacks("debug-test-value")
	got, err := r.author.Get(t.Context(), r.place, "LOG_LEVEL", client.GetOptions{})
	must(t, err)
	if v, err := got.Value.Bytes(); err != nil || string(v) != "debug-test-value" {
		t.Errorf("%s, %v", v, err)
	}
	b.visit("/changes/" + waiting.ID)
	b.sees("applied", "Made revision")
	rejected := r.set(t, "LOG_LEVEL", "trace-test-value")
	b.visit("/changes/" + rejected.ID)
	b.click(`button[value=reject]`)
	b.sees("The change was rejected")
}

func TestTheAuthorDoesNotApproveHisOwnChange(t *testing.T) {
	t.Parallel()
	r := startReviewed(t)
	waiting := r.set(t, "TOKEN", "fresh-test-value")
	b := &browser{T: t, url: r.URL}
	b.ask("POST", "/login", url.Values{"email": {"author@example.test"}, "password": {testPassword}})
	page := b.ask("GET", "/changes/"+waiting.ID, nil)
	if page.StatusCode != http.StatusOK || strings.Contains(page.body, `value="approve"`) || !strings.Contains(page.body, "Withdraw it") {
		t.Errorf("%d: %s", page.StatusCode, page.body)
	}
	if a := b.ask("POST", "/changes/"+waiting.ID+"/review", url.Values{"verdict": {"approve"}, "digest": {waiting.Digest}}); a.StatusCode < 400 || a.StatusCode >= 500 {
		t.Errorf("status %d: %s", a.StatusCode, a.body)
	}
	// Nor does anybody approve what he has not looked at.
	admin := enter(t, r.Server)
	for what, digest := range map[string]string{"another content": strings.Repeat("0", 64), "nothing": "", "no digest": "<script>"} {
		if a := admin.ask("POST", "/changes/"+waiting.ID+"/review", url.Values{"verdict": {"approve"}, "digest": {digest}}); a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("%s: status %d", what, a.StatusCode)
		}
	}
	if a := admin.ask("POST", "/changes/"+waiting.ID+"/review", url.Values{"verdict": {"apply"}, "digest": {waiting.Digest}}); a.StatusCode != http.StatusBadRequest {
		t.Errorf("%d", a.StatusCode)
	}
	if a := admin.ask("GET", "/changes/0198c0de-0000-7000-8000-000000000000", nil); a.StatusCode != http.StatusNotFound {
		t.Errorf("%d", a.StatusCode)
	}
	if a := b.ask("POST", "/changes/"+waiting.ID+"/withdraw", url.Values{}); a.StatusCode != http.StatusSeeOther {
		t.Errorf("%d: %s", a.StatusCode, a.body)
	}
}

func TestAReviewLinkApprovesOnceAndWithoutALogin(t *testing.T) {
	t.Parallel()
	r := startReviewed(t)
	waiting := r.set(t, "TOKEN", "fresh-test-value")
	link, err := r.admin.LinkChange(t.Context(), waiting.ID)
	must(t, err)
	b := open(t, r.Server)
	b.do(chromedp.Navigate(b.url + "/approve#" + link.Token))
	b.sees("shop · prod", "/TOKEN", "in your name")
	if b.where() != "/approve" {
		t.Errorf("the address still holds something: %s", b.where())
	}
	b.lacks("fresh-test-value")
	b.shot("approve")
	b.click(`form[action="/approve/confirm"] button`)
	b.sees("the change is applied")
	b.shot("approve-done")
	b.visit("/approve")
	b.fill(`input[name=token]`, b.url+"/approve#"+link.Token)
	b.click(`form[action="/approve"] button`)
	b.do(chromedp.WaitVisible(chromedp.CSS(".problem")))
	b.visit("/account")
	b.sees("Log in")
	entries, err := r.admin.Entries(t.Context(), client.EntriesOptions{})
	must(t, err)
	if raw, err := json.Marshal(entries); err != nil || strings.Contains(string(raw), link.Token) {
		t.Errorf("the log holds the token: %v", err)
	}
}
