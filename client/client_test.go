package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/httpapi"
)

const testToken = "ktk_test-value"

var place = client.Place{Project: "shop", Env: "dev", Path: "/backend"}

// wire answers requests in the memory of the test.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

func over(t *testing.T, w wire) *client.Client {
	t.Helper()
	c, err := client.New("http://keyturn.example.test", testToken, client.WithHTTPClient(&http.Client{Transport: w}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func respond(status int, kind, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {kind}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func problem(status int, kind client.Kind, header ...string) *http.Response {
	b, _ := json.Marshal(api.Problem{Status: status, Kind: string(kind), Detail: "what is wrong", Hint: "how to mend it",
		Fields: []api.FieldProblem{{Where: "/slug", Problem: "too long"}}})
	return respond(status, "application/problem+json", string(b), header...)
}

// every calls each method once.
func every(ctx context.Context, c *client.Client) []error {
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	add2 := func(_ any, err error) { add(err) }
	add2(c.Get(ctx, place, "NAME", client.GetOptions{Version: 1, Raw: true}))
	add2(c.List(ctx, place, client.ListOptions{Recursive: true, Only: []string{"A", "B"}}))
	add2(c.Commit(ctx, place, api.CommitRequest{}))
	add2(c.Rollback(ctx, place, api.RollbackRequest{To: 1}))
	add2(c.Log(ctx, place, client.LogOptions{Limit: 3}))
	add2(c.History(ctx, place, "NAME"))
	add2(c.Diff(ctx, "shop", "dev", "prod@3", client.DiffOptions{Reveal: true}))
	add2(c.Schema(ctx, place))
	add2(c.Example(ctx, place))
	add(c.SetPersonal(ctx, place, "NAME", []byte("test-value")))
	add(c.RemovePersonal(ctx, place, "NAME"))
	add(c.Purge(ctx, place, "NAME"))
	add2(c.Due(ctx, client.DueOptions{Within: "30d"}))
	add2(c.Reuse(ctx, ""))
	add2(c.Search(ctx, "shop", "text"))
	add2(c.Where(ctx, []byte("test-value")))
	add2(c.Approval(ctx, place))
	add2(c.SetApproval(ctx, place, api.Approval{Need: 1}))
	add2(c.Changes(ctx, client.ChangesOptions{Project: "shop", Env: "prod", All: true}))
	add2(c.Change(ctx, "id"))
	add2(c.ChangeDiff(ctx, "id", true))
	add2(c.EditChange(ctx, "id", api.CommitRequest{}))
	add2(c.ApproveChange(ctx, "id", api.ReviewRequest{}))
	add2(c.RejectChange(ctx, "id", api.ReviewRequest{}))
	add2(c.CommentChange(ctx, "id", "text"))
	add2(c.WithdrawChange(ctx, "id"))
	add2(c.RebaseChange(ctx, "id"))
	add2(c.LinkChange(ctx, "id"))
	add2(c.ShowReviewLink(ctx, "ktv_test-value"))
	add2(c.ApproveReviewLink(ctx, "ktv_test-value", ""))
	add2(c.RequestAccess(ctx, api.AccessAsked{}))
	add2(c.AccessRequests(ctx, true))
	add2(c.ApproveAccess(ctx, "id", ""))
	add2(c.DenyAccess(ctx, "id", ""))
	add2(c.WithdrawAccess(ctx, "id"))
	add2(c.PrepareBreakGlass(ctx, api.BreakGlassRequest{}))
	add2(c.BreakGlass(ctx))
	add2(c.OpenBreakGlass(ctx, "name", "reason"))
	add2(c.ShareBreakGlass(ctx, "name", "ktg_test-value"))
	add2(c.BreakGlassSession(ctx, "name"))
	add2(c.CloseBreakGlass(ctx, "name"))
	add2(c.BreakGlassReport(ctx, "name", "id"))
	add2(c.BreakGlassTasks(ctx))
	add(c.FinishTask(ctx, "id"))
	add2(c.Projects(ctx, true))
	add2(c.Project(ctx, "shop"))
	add2(c.CreateProject(ctx, api.ProjectRequest{}))
	add2(c.RenameProject(ctx, "shop", api.RenameRequest{}))
	add(c.DeleteProject(ctx, "shop"))
	add(c.RestoreProject(ctx, "shop"))
	add(c.PurgeProject(ctx, "shop"))
	add2(c.Env(ctx, place))
	add2(c.CreateEnv(ctx, "shop", api.EnvRequest{}))
	add2(c.RenameEnv(ctx, place, api.RenameRequest{}))
	add(c.DeleteEnv(ctx, place))
	add(c.RestoreEnv(ctx, place))
	add(c.PurgeEnv(ctx, place))
	add2(c.Setup(ctx, api.SetupRequest{}))
	add2(c.Login(ctx, api.LoginRequest{}))
	add2(c.LoginIdentity(ctx, api.IdentityLoginRequest{}))
	add(c.Logout(ctx))
	add2(c.WhoAmI(ctx))
	add2(c.CreateToken(ctx, api.TokenRequest{}))
	add2(c.Tokens(ctx, true))
	add(c.RevokeToken(ctx, "id"))
	add2(c.CreateIdentity(ctx, api.IdentityRequest{}))
	add2(c.Identities(ctx))
	add(c.DisableIdentity(ctx, "backend", true))
	add2(c.CreateClientSecret(ctx, "backend", api.ClientSecretRequest{}))
	add2(c.ClientSecrets(ctx, "backend"))
	add(c.RevokeClientSecret(ctx, "backend", "id"))
	add2(c.CreateUser(ctx, api.UserRequest{}))
	add2(c.Users(ctx))
	add(c.DisableUser(ctx, "id", false))
	add2(c.Grant(ctx, api.GrantRequest{}))
	add2(c.Grants(ctx))
	add(c.Ungrant(ctx, "id"))
	add2(c.LoginMachine(ctx, api.MachineLoginRequest{}))
	add2(c.CreateMethod(ctx, "backend", api.MethodRequest{Settings: []byte("{}")}))
	add2(c.Methods(ctx, "backend"))
	add(c.ChangeMethod(ctx, "backend", "ci", api.MethodChange{}))
	add(c.DeleteMethod(ctx, "backend", "ci"))
	add2(c.RevokeTokensOf(ctx, "backend"))
	add2(c.RenewToken(ctx, api.RenewRequest{}))
	add2(c.IdentityToken(ctx, api.IdentityTokenRequest{}))
	add2(c.CreateAPIKey(ctx, api.APIKeyRequest{}))
	add2(c.APIKeys(ctx, "backend"))
	add(c.RevokeAPIKey(ctx, "id"))
	add2(c.Wrap(ctx, api.WrapRequest{}))
	add2(c.Unwrap(ctx, "ktw_test-value"))
	add2(c.RotateJWT(ctx, place, api.JWTRotation{}))
	add2(c.JWTSecrets(ctx, place))
	add(c.Reauth(ctx, api.Reproof{}))
	add2(c.Factors(ctx))
	add2(c.CreateFactor(ctx, api.FactorRequest{}))
	add2(c.ConfirmFactor(ctx, "id", "123456"))
	add(c.DeleteFactor(ctx, "id"))
	add2(c.RenewRecoveryCodes(ctx))
	add(c.ResetFactors(ctx, "id"))
	add2(c.Settings(ctx))
	add2(c.ChangeSettings(ctx, api.Settings{}))
	add2(c.SSOConnections(ctx))
	add2(c.CreateSSOConnection(ctx, api.SSORequest{}))
	add2(c.UpdateSSOConnection(ctx, api.SSORequest{Name: "corp"}))
	add(c.DeleteSSOConnection(ctx, "corp"))
	add2(c.TestSSOConnection(ctx, "corp"))
	add(c.EnforceSSO(ctx, api.SSOEnforcement{}))
	add2(c.LoginSSO(ctx, api.SSOCodeRequest{}))
	add2(c.LoginLDAP(ctx, api.LDAPLoginRequest{}))
	add2(c.CreateSCIMToken(ctx, api.SCIMTokenRequest{}))
	add2(c.CreateRole(ctx, api.RoleRequest{}))
	add2(c.Roles(ctx))
	add2(c.Role(ctx, "reader"))
	add2(c.UpdateRole(ctx, "reader", api.RoleRequest{}))
	add(c.DeleteRole(ctx, "reader"))
	add2(c.CreateGroup(ctx, api.GroupRequest{}))
	add2(c.Groups(ctx))
	add(c.DeleteGroup(ctx, "ops"))
	add2(c.Members(ctx, "ops"))
	add(c.AddMember(ctx, "ops", api.MemberRequest{}))
	add(c.RemoveMember(ctx, "ops", "user", "id"))
	add2(c.ExplainPolicy(ctx, api.ExplainRequest{}))
	add2(c.WhoCan(ctx, api.WhoCanRequest{}))
	add2(c.DiffPolicy(ctx, api.PolicyDiffRequest{}))
	add2(c.TestPolicy(ctx, api.PolicyTestRequest{}))
	add2(c.Freezes(ctx))
	add2(c.Freeze(ctx, "shop", api.FreezeRequest{}))
	add(c.Thaw(ctx, "shop"))
	add2(c.Freeze(ctx, "", api.FreezeRequest{}))
	add(c.Thaw(ctx, ""))
	add2(c.Invite(ctx, api.InviteRequest{}))
	add2(c.Invites(ctx))
	add(c.Uninvite(ctx, "id"))
	add2(c.ShowReviewLink(ctx, "kti_test-value"))
	add2(c.ShowLink(ctx, "kti_test-value"))
	add2(c.AcceptInvite(ctx, api.AcceptRequest{}))
	add(c.ResetPassword(ctx, api.PasswordResetRequest{}))
	add(c.ConfirmAddress(ctx, "kti_test-value"))
	add2(c.PasswordLink(ctx, "id"))
	add2(c.Profile(ctx))
	add(c.Rename(ctx, "A Developer"))
	add(c.ChangePassword(ctx, api.PasswordRequest{}))
	add(c.ChangeAddress(ctx, "new@example.test"))
	add2(c.Sessions(ctx, ""))
	add2(c.Sessions(ctx, "id"))
	add(c.EndSessions(ctx, ""))
	add(c.EndSessions(ctx, "id"))
	add2(c.User(ctx, "id"))
	add(c.SetUserAddress(ctx, "id", "new@example.test"))
	add2(c.DeactivateUser(ctx, "id"))
	add(c.EraseUser(ctx, "id"))
	add2(c.UserTasks(ctx, "id", true))
	add2(c.Tasks(ctx, true, true))
	add(c.DismissTask(ctx, "id", "reason"))
	add2(c.Entries(ctx, client.EntriesOptions{Who: "me", Since: time.Now()}))
	add2(c.Checkpoint(ctx))
	add2(c.Inclusion(ctx, 0))
	add2(c.Consistency(ctx, 0))
	add2(c.LogPage(ctx, 0))
	add2(c.Verify(ctx, true))
	add2(c.Status(ctx))
	add2(c.Doctor(ctx))
	add2(c.Keys(ctx))
	add2(c.RotateKeys(ctx, api.KeyRotation{}))
	add2(c.KeyTurns(ctx, 3))
	add2(c.KeyTurn(ctx, "id"))
	add2(c.PauseKeyTurn(ctx, "id", true))
	add2(c.PauseKeyTurn(ctx, "id", false))
	add2(c.FinishKeyTurn(ctx, "id"))
	add2(c.KeyCensus(ctx, "id"))
	add2(c.AddKeySlot(ctx, api.KeySlotRequest{}))
	add2(c.TestKeySlot(ctx, "id", nil))
	add2(c.RemoveKeySlot(ctx, "id", true))
	add2(c.Backups(ctx))
	add2(c.CreateBackup(ctx))
	add2(c.VerifyBackup(ctx, "name"))
	add2(c.DrillBackup(ctx, "name"))
	add2(c.DrillBackup(ctx, ""))
	add(c.DeleteBackup(ctx, "name"))
	add2(c.GetBackup(ctx, "name", io.Discard))
	add2(c.BeginPasskeyLogin(ctx))
	add2(c.LoginPasskey(ctx, api.PasskeyAnswer{}))
	add2(c.Passkeys(ctx))
	add2(c.BeginPasskey(ctx))
	add2(c.AddPasskey(ctx, api.PasskeyRequest{}))
	add(c.RenamePasskey(ctx, "id", "name"))
	add(c.RemovePasskey(ctx, "id"))
	add2(c.BeginPasskeyVerify(ctx))
	add(c.VerifyPasskey(ctx, api.PasskeyAnswer{}))
	add2(c.TransitKeys(ctx, ""))
	add2(c.TransitKey(ctx, "", "name"))
	add2(c.CreateTransitKey(ctx, api.TransitKeyRequest{}))
	add2(c.UpdateTransitKey(ctx, "", "name", api.TransitKeyConfig{}))
	add2(c.RotateTransitKey(ctx, "", "name"))
	add(c.DeleteTransitKey(ctx, "", "name"))
	add2(c.Canaries(ctx))
	add2(c.CreateCanary(ctx, api.CanaryRequest{}))
	add(c.DeleteCanary(ctx, "id"))
	add2(c.Archive(ctx, api.ArchiveRequest{}))
	add2(c.Archived(ctx, 0))
	add2(c.Streams(ctx))
	add2(c.CreateStream(ctx, api.StreamRequest{}))
	add2(c.PauseStream(ctx, "name", true))
	add2(c.PauseStream(ctx, "name", false))
	add(c.TestStream(ctx, "name"))
	add(c.RemoveStream(ctx, "name"))
	add2(c.Alerts(ctx, 1))
	add2(c.AlertRules(ctx))
	add2(c.SetAlertRule(ctx, "id", api.AlertRuleRequest{}))
	add2(c.AlertChannels(ctx))
	add2(c.AddAlertChannel(ctx, api.AlertChannelRequest{}))
	add(c.RemoveAlertChannel(ctx, "name"))
	add2(c.TestAlertChannel(ctx, "name"))
	add2(c.AlertDeliveries(ctx, true, 1))
	add2(c.ResendAlert(ctx, "id"))
	add2(c.Consumers(ctx, "p", "e", "/", "name"))
	add2(c.Unused(ctx, 1))
	add2(c.Reads(ctx, "id"))
	add2(c.FirstReads(ctx, 1))
	return errs
}

func TestThereIsAMethodForEveryRoute(t *testing.T) {
	reached := map[string]bool{}
	mux := http.NewServeMux()
	for _, r := range httpapi.Routes() {
		mux.HandleFunc(r.Pattern(), func(w http.ResponseWriter, _ *http.Request) {
			reached[r.Pattern()] = true
			if r.Stream {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			_, _ = io.WriteString(w, "{}")
		})
	}
	c := over(t, func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Result(), nil
	})
	for i, err := range every(t.Context(), c) {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if err := c.Watch(t.Context(), place, nil); err == nil {
		t.Error("a refused watch gave no error")
	}
	if _, err := c.StreamBackup(t.Context(), io.Discard); err == nil {
		t.Error("a backup without its digest gave no error")
	}
	for _, r := range httpapi.Routes() {
		if !reached[r.Pattern()] {
			t.Errorf("no method calls %s", r.Pattern())
		}
	}
}

func TestAProblemBecomesAnErrorOfItsKind(t *testing.T) {
	c := over(t, func(*http.Request) (*http.Response, error) { return problem(404, client.NotFound), nil })
	for _, err := range every(t.Context(), c) {
		var told *client.Error
		if !errors.As(err, &told) || !errors.Is(err, client.NotFound) || errors.Is(err, client.Denied) {
			t.Fatalf("want not found, got %v", err)
		}
		if told.Detail != "what is wrong" || told.Hint != "how to mend it" || len(told.Fields) != 1 {
			t.Fatalf("the problem is not whole: %+v", told)
		}
	}
}

func TestALostWriteIsSentAgainUnderTheSameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys, bodies []string
		c := over(t, func(r *http.Request) (*http.Response, error) {
			b, _ := io.ReadAll(r.Body)
			keys, bodies = append(keys, r.Header.Get("Idempotency-Key")), append(bodies, string(b))
			if len(keys) < 3 {
				return nil, io.ErrUnexpectedEOF
			}
			return respond(200, "application/json", `{"revision":7,"effects":[]}`), nil
		})
		got, err := c.Commit(t.Context(), place, api.CommitRequest{Message: "once"})
		if err != nil || got.Revision != 7 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if len(keys) != 3 || keys[0] == "" || keys[0] != keys[2] || bodies[0] != bodies[2] {
			t.Errorf("keys %q, bodies %q", keys, bodies)
		}
		first := keys[0]
		if _, err := c.Commit(t.Context(), place, api.CommitRequest{Message: "another"}); err != nil || keys[3] == first {
			t.Errorf("another commit went under the key of the first")
		}
	})
}

func TestAFreshProofIsAskedForOnce(t *testing.T) {
	stale := func() *http.Response {
		b, _ := json.Marshal(api.Problem{Status: 401, Kind: string(client.Unauthenticated), Detail: "prove it", Reason: client.ReasonReauthenticate})
		return respond(401, "application/problem+json", string(b))
	}
	for name, tt := range map[string]struct {
		proves bool  // the proof helps
		fails  error // of the person
		paths  string
	}{
		"it helps":        {true, nil, "/grants/1 /reauth /grants/1"},
		"it does not":     {false, nil, "/grants/1 /reauth /grants/1"},
		"nobody is there": {true, errors.New("test"), "/grants/1"},
	} {
		var paths []string
		proved := false
		w := wire(func(r *http.Request) (*http.Response, error) {
			path := strings.TrimPrefix(r.URL.Path, api.Prefix)
			paths = append(paths, path)
			switch {
			case path == "/reauth":
				proved = tt.proves
			case !proved:
				return stale(), nil
			}
			return respond(200, "application/json", `{"done":true}`), nil
		})
		c, err := client.New("http://keyturn.example.test", testToken, client.WithHTTPClient(&http.Client{Transport: w}),
			client.WithReauth(func(ctx context.Context, c *client.Client) error {
				if tt.fails != nil {
					return tt.fails
				}
				return c.Reauth(ctx, api.Reproof{Code: "123456"})
			}))
		if err != nil {
			t.Fatal(err)
		}
		err = c.Ungrant(t.Context(), "1")
		if got := strings.Join(paths, " "); got != tt.paths || (err == nil) != (tt.proves && tt.fails == nil) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestWhatIsShownOnceIsSentOnce(t *testing.T) {
	sent := 0
	c := over(t, func(r *http.Request) (*http.Response, error) {
		sent++
		if r.Header.Get("Idempotency-Key") != "" {
			t.Error("an answer with a token would be kept under an idempotency key")
		}
		return nil, io.ErrUnexpectedEOF
	})
	_, err := c.CreateToken(t.Context(), api.TokenRequest{})
	if sent != 1 || !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("sent %d times, %v", sent, err)
	}
	if !strings.Contains(err.Error(), "not known") {
		t.Errorf("nothing says that the outcome is open: %v", err)
	}
}

func TestWhereNobodyListensOneTryIsEnough(t *testing.T) {
	sent := 0
	c := over(t, func(*http.Request) (*http.Response, error) {
		sent++
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	})
	_, err := c.Commit(t.Context(), place, api.CommitRequest{})
	if sent != 1 || !errors.Is(err, client.ErrUnreachable) || strings.Contains(err.Error(), "not known") {
		t.Errorf("sent %d times, %v", sent, err)
	}
}

func TestAServerThatAsksToWaitIsAskedAgain(t *testing.T) {
	for _, tt := range []struct {
		after string
		sent  int
	}{{"1", 4}, {"60", 1}, {"", 1}} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			c := over(t, func(*http.Request) (*http.Response, error) {
				sent++
				return problem(503, client.Unavailable, "Retry-After", tt.after), nil
			})
			began := time.Now()
			_, err := c.Status(t.Context())
			if sent != tt.sent || !errors.Is(err, client.Unavailable) {
				t.Errorf("Retry-After %q: sent %d times, want %d: %v", tt.after, sent, tt.sent, err)
			}
			if sent > 1 && time.Since(began) < 3*time.Second {
				t.Errorf("did not wait as asked")
			}
		})
	}
}

func TestAnAnswerOfSomethingElseIsToldWithoutItsText(t *testing.T) {
	for _, tt := range []struct {
		status      int
		kind, body  string
		unreachable bool
	}{
		{502, "text/html", "<h1>planted test-value</h1>", true},
		{503, "text/html", "planted test-value", true},
		{404, "text/html", "planted test-value", false},
		{200, "text/html", "planted test-value", false},
		{200, "application/json", `{"revision":"planted test-value"}`, false},
		{500, "application/problem+json", `{"title":"planted test-value"}`, false},
		{307, "text/html", "planted test-value", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := over(t, func(*http.Request) (*http.Response, error) { return respond(tt.status, tt.kind, tt.body), nil })
			_, err := c.List(t.Context(), place, client.ListOptions{})
			if err == nil || strings.Contains(err.Error(), "planted") || errors.Is(err, client.ErrUnreachable) != tt.unreachable {
				t.Errorf("%d %s: %v", tt.status, tt.kind, err)
			}
		})
	}
}

func TestARedirectDoesNotCarryTheToken(t *testing.T) {
	var mu sync.Mutex
	stolen := ""
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		stolen = r.URL.Path
	}))
	defer thief.Close()
	front := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	c, err := client.New(front.URL, testToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Where(t.Context(), []byte("test-value")); err == nil {
		t.Error("a redirect was taken for an answer")
	}
	mu.Lock()
	defer mu.Unlock()
	if stolen != "" {
		t.Error("the redirect was followed")
	}
}

func TestNamesCannotReachAnotherRoute(t *testing.T) {
	var paths []string
	c := over(t, func(r *http.Request) (*http.Response, error) {
		paths = append(paths, r.URL.EscapedPath())
		return respond(200, "application/json", "{}"), nil
	})
	for _, name := range []string{"", ".", ".."} {
		if _, err := c.Project(t.Context(), name); err == nil {
			t.Errorf("project %q was sent", name)
		}
		if err := c.Watch(t.Context(), client.Place{Project: "shop", Env: name}, nil); err == nil {
			t.Errorf("environment %q was sent", name)
		}
	}
	if len(paths) != 0 {
		t.Fatalf("sent %q", paths)
	}
	for _, name := range []string{"a/../b", "a?x=1", "a#b", "a%2fb", "a b"} {
		if _, err := c.Project(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range paths {
		if strings.Count(p, "/") != 4 {
			t.Errorf("%s has other parts than it should", p)
		}
	}
}

func TestNewRefusesWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{"", "keyturn.example.test", "ftp://x", "http://", "https://user:test-value@x", "http://x?y=1", "http://x#y", "http://a b"} {
		if _, err := client.New(address, testToken); err == nil {
			t.Errorf("%q was taken", address)
		} else if strings.Contains(err.Error(), "test-value") {
			t.Errorf("the error repeats the address: %v", err)
		}
	}
	for _, token := range []string{"test value", "test-value\n", "tëst-value"} {
		if _, err := client.New("http://x", token); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestAnUnchangedListOpensNothing(t *testing.T) {
	c := over(t, func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("If-None-Match") == `"7"` {
			return respond(304, "", "", "ETag", `"7"`), nil
		}
		return respond(200, "application/json", `{"revision":7,"secrets":[],"folders":[]}`, "ETag", `"7"`), nil
	})
	list, tag, changed, err := c.ListChanged(t.Context(), place, client.ListOptions{}, "")
	if err != nil || !changed || list.Revision != 7 || tag != `"7"` {
		t.Fatalf("first: %+v %s %v %v", list, tag, changed, err)
	}
	if _, tag, changed, err = c.ListChanged(t.Context(), place, client.ListOptions{}, tag); err != nil || changed || tag != `"7"` {
		t.Errorf("second: %s %v %v", tag, changed, err)
	}
}

func TestACallerWhoGivesUpGetsHisOwnReason(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := over(t, func(r *http.Request) (*http.Response, error) {
		cancel()
		return nil, r.Context().Err()
	})
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestEveryCallCarriesTokenAndAgent(t *testing.T) {
	c, err := client.New("http://keyturn.example.test/", testToken, client.WithUserAgent("test/1"), client.WithHTTPClient(&http.Client{Transport: wire(
		func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") != "Bearer "+testToken || r.UserAgent() != "test/1" {
				t.Errorf("%s %s lacks token or agent", r.Method, r.URL)
			}
			if r.Body != nil && r.ContentLength <= 0 {
				t.Errorf("%s %s would go in chunks, which the server refuses", r.Method, r.URL)
			}
			return respond(200, "application/json", "{}"), nil
		})}))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range every(t.Context(), c) {
		if err != nil {
			t.Error(err)
		}
	}
	if c.Server() != "http://keyturn.example.test" {
		t.Errorf("server is %s", c.Server())
	}
}

func TestWatchConnectsAgainAndMissesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event := func(revision string) string {
			return "event: commit\ndata: {\"kind\":\"commit\",\"revision\":" + revision + "}\n\n"
		}
		streams := []string{event("3") + ": ping\n\n" + event("4"), "", event("4"), event("6")}
		c := over(t, func(*http.Request) (*http.Response, error) {
			if len(streams) == 0 {
				return problem(401, client.Unauthenticated), nil
			}
			s := streams[0]
			streams = streams[1:]
			if s == "" {
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			return respond(200, "text/event-stream", s), nil
		})
		var seen []int64
		err := c.Watch(t.Context(), place, func(e api.Event) error {
			seen = append(seen, e.Revision)
			return nil
		})
		if !errors.Is(err, client.Unauthenticated) || !slices.Equal(seen, []int64{3, 4, 6}) {
			t.Errorf("saw %v, ended with %v", seen, err)
		}
	})
}

func TestWatchLeavesALineThatWentQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		c := over(t, func(r *http.Request) (*http.Response, error) {
			if connections++; connections > 1 {
				return problem(403, client.Denied), nil
			}
			quiet, w := io.Pipe()
			context.AfterFunc(r.Context(), func() { _ = w.CloseWithError(r.Context().Err()) })
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: quiet}, nil
		})
		if err := c.Watch(t.Context(), place, nil); !errors.Is(err, client.Denied) || connections != 2 {
			t.Errorf("%d connections, %v", connections, err)
		}
	})
}

func TestWatchEndsWithItsListener(t *testing.T) {
	enough := errors.New("enough")
	c := over(t, func(*http.Request) (*http.Response, error) {
		return respond(200, "text/event-stream", "data: {\"revision\":1}\n\n"), nil
	})
	if err := c.Watch(t.Context(), place, func(api.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

func TestACertificateFileMustHoldOne(t *testing.T) {
	file := t.TempDir() + "/ca.pem"
	if _, err := client.New("https://x", "", client.WithCA(file)); err == nil {
		t.Error("a missing file was taken")
	}
	if err := writeFile(file, []byte("test-value")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.New("https://x", "", client.WithCA(file)); err == nil || bytes.Contains([]byte(err.Error()), []byte("test-value")) {
		t.Errorf("got %v", err)
	}
}
