package access

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/store/storetest"
)

const testPassword = "a long test-value"

// world is a service on a database of its own with one admin, and the context in which he acts.
type world struct {
	*Service
	admin context.Context
	first FirstAdmin
}

func newWorld(t *testing.T) *world {
	t.Helper()
	folder := t.TempDir()
	db := storetest.Found(t, func(ctx context.Context) (*store.Engine, error) { return sqlite.Open(ctx, folder) })
	w := &world{Service: New(db, guard.New(db), Setup{Loopback: true})}
	var err error
	w.first, err = w.SetUp(t.Context(), SetupInput{Email: "admin@example.test", Password: sensitive.FromString(testPassword), Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	w.admin = w.as(t, w.first.Token)
	return w
}

// as gives the context of whoever shows a token.
func (w *world) as(t *testing.T, token sensitive.Value) context.Context {
	t.Helper()
	p, err := w.Authenticate(t.Context(), string(token.Reveal()), "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return guard.WithCaller(t.Context(), &guard.Caller{Principal: p, Address: "192.0.2.1"})
}

func (w *world) tryLogin(t *testing.T, email, password string) error {
	t.Helper()
	ctx := guard.WithCaller(t.Context(), &guard.Caller{Principal: &domain.Principal{Kind: domain.Anonymous}, Address: "192.0.2.9"})
	_, err := w.Login(ctx, LoginInput{Email: email, Password: sensitive.FromString(password)})
	return err
}

func TestEveryFailedLoginCostsTheSame(t *testing.T) {
	w := newWorld(t)
	disabled, err := w.CreateUser(w.admin, "left@example.test", "", sensitive.FromString(testPassword))
	if err == nil {
		err = w.DisableUser(w.admin, disabled.ID, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ email, password string }{
		"unknown":                {"nobody@example.test", testPassword},
		"known, wrong password":  {"admin@example.test", "a wrong test-value"},
		"disabled":               {"left@example.test", testPassword},
		"refused characters":     {"admin@example.test", "a\x00wrong test-value"},
		"a very long password":   {"nobody@example.test", strings.Repeat("x", 4000)},
		"an empty one":           {"admin@example.test", ""},
		"an address in capitals": {"ADMIN@Example.Test", "a wrong test-value"},
	} {
		before := w.stretched.Load()
		err := w.tryLogin(t, tt.email, tt.password)
		if f := fault.As(err); !errors.Is(err, fault.Unauthenticated) || f.Reason != "" || f.Message != badLogin().Message {
			t.Errorf("%s: %v", name, err)
		}
		if n := w.stretched.Load() - before; n != 1 {
			t.Errorf("%s: %d computations", name, n)
		}
	}
}

func TestNoSpellingOfAnAddressGivesMoreTries(t *testing.T) {
	w := newWorld(t)
	looked := 0
	for i := range 4 {
		for _, email := range []string{"admin@example.test", "ADMIN@example.test", " admin@Example.TEST ", "Admin@example.test", "\tadmin@example.test"} {
			switch err := w.tryLogin(t, email, "a wrong test-value"); {
			case errors.Is(err, fault.Unauthenticated):
				looked++
			case !errors.Is(err, fault.Exhausted):
				t.Fatalf("try %d as %q: %v", i, email, err)
			}
		}
	}
	if looked > pairBurst {
		t.Errorf("%d passwords were looked at", looked)
	}
	// What is not ASCII, or looks like the address, is no address at all: it reaches no account and counts for none.
	for _, email := range []string{"ａdmin@example.test", "аdmin@example.test", "admin@example.test.", "admin@@example.test", "\u212Aelvin@example.test", "admin\u200b@example.test"} {
		if err := w.tryLogin(t, email, testPassword); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", email, err)
		}
	}
	// From another place its owner gets in all the same.
	ctx := guard.WithCaller(t.Context(), &guard.Caller{Principal: &domain.Principal{Kind: domain.Anonymous}, Address: "198.51.100.1"})
	if _, err := w.Login(ctx, LoginInput{Email: "admin@example.test", Password: sensitive.FromString(testPassword)}); err != nil {
		t.Error(err)
	}
}

func TestASessionEndsWhenNobodyUsesIt(t *testing.T) {
	w := newWorld(t)
	row, err := w.db.Token(t.Context(), guard.CallerOf(w.admin).Principal.Token)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	hours := func(n time.Duration) int64 { return now - (n * time.Hour).Milliseconds() }
	b := func(usedAt int64) *bearer {
		b := &bearer{who: &domain.Principal{Token: row.ID}, idle: time.Hour.Milliseconds(), born: hours(5)}
		b.last.Store(usedAt)
		return b
	}
	alive := func(b *bearer) bool {
		t.Helper()
		err := w.use(t.Context(), b, "192.0.2.1")
		if err != nil && fault.KindOf(err) != fault.Unauthenticated {
			t.Fatal(err)
		}
		return err == nil
	}
	w.used.take()
	for range 2 { // nor does it live again because somebody tried
		if alive(b(hours(2))) {
			t.Error("it lives after two hours")
		}
	}
	if !alive(b(now - 30*time.Minute.Milliseconds())) {
		t.Error("it ends after half an hour")
	}
	if !alive(b(hours(2))) {
		t.Error("its last use is forgotten")
	}
	// Used on another server meanwhile, as its row tells.
	w.used.take()
	row.LastUsedAt = now - time.Minute.Milliseconds()
	if err := w.manage(w.admin, nil, func(tx *store.Tx, _ guard.Permit) error { return tx.PutToken(w.admin, &row) }); err != nil {
		t.Fatal(err)
	}
	if !alive(b(hours(2))) {
		t.Error("another server's use does not count")
	}
}

func TestNarrowerLimitsHoldForSessionsThatAreThere(t *testing.T) {
	w := newWorld(t)
	idle, most := 10*time.Minute, time.Hour
	if _, err := w.ChangeSettings(w.admin, SettingsChange{Idle: &idle, SessionMax: &most}); err != nil {
		t.Fatal(err)
	}
	p := guard.CallerOf(w.as(t, w.first.Token)).Principal
	if p.Idle != idle.Milliseconds() || p.ExpiresAt > time.Now().Add(most).UnixMilli() {
		t.Errorf("idle %d, ends %d", p.Idle, p.ExpiresAt)
	}
}

// outbox is a mail server that everything arrives at.
type outbox struct {
	mu   sync.Mutex
	sent []string
	fail error
}

func (o *outbox) Ready(context.Context) error { return nil }

func (o *outbox) Mail(_ context.Context, to, subject, text string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, to+"\n"+subject+"\n"+text)
	return o.fail
}

// linkIn gives the token of the link in a mail.
func linkIn(t *testing.T, mail string) sensitive.Value {
	t.Helper()
	_, rest, ok := strings.Cut(mail, "https://keyturn.example.test/join#")
	if !ok {
		t.Fatalf("no link in %q", mail)
	}
	token, _, _ := strings.Cut(rest, "\n")
	return sensitive.FromString(token)
}

func TestInvitationsAreMailed(t *testing.T) {
	w := newWorld(t)
	box := &outbox{}
	w.MailWith(box, "https://keyturn.example.test")
	made, err := w.Invite(w.admin, nil, InviteInput{Email: "new@example.test", Mail: true})
	if err != nil || len(box.sent) != 1 || !strings.HasPrefix(box.sent[0], "new@example.test\n") || !strings.HasPrefix(made.Link, "https://keyturn.example.test/join#kti_") {
		t.Fatalf("%v, %q", err, box.sent)
	}
	if _, err := w.AcceptInvite(t.Context(), linkIn(t, box.sent[0]), "", sensitive.FromString("another long test-value")); err != nil {
		t.Error(err)
	}
	box.fail = errors.New("test")
	if _, err := w.Invite(w.admin, nil, InviteInput{Email: "other@example.test", Mail: true}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

func TestAnAddressIsChangedByWhoReadsMailThere(t *testing.T) {
	w := newWorld(t)
	box := &outbox{}
	w.MailWith(box, "https://keyturn.example.test")
	if _, err := w.CreateUser(w.admin, "taken@example.test", "", sensitive.FromString(testPassword)); err != nil {
		t.Fatal(err)
	}
	if err := w.ChangeAddress(w.admin, "New@example.test"); err != nil {
		t.Fatal(err)
	}
	if len(box.sent) != 2 || !strings.HasPrefix(box.sent[0], "new@example.test\n") || !strings.HasPrefix(box.sent[1], "admin@example.test\n") || strings.Contains(box.sent[1], "#kti_") {
		t.Fatalf("%q", box.sent)
	}
	if p, err := w.Profile(w.admin); err != nil || p.Row.Email != "admin@example.test" {
		t.Errorf("%v, %v", p.Row.Email, err)
	}
	if err := w.ConfirmAddress(t.Context(), linkIn(t, box.sent[0])); err != nil {
		t.Fatal(err)
	}
	if p, err := w.Profile(w.admin); err != nil || p.Row.Email != "new@example.test" {
		t.Errorf("%v, %v", p.Row.Email, err)
	}
	if err := w.ConfirmAddress(t.Context(), linkIn(t, box.sent[0])); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("twice: %v", err)
	}
	// That an address is somebody else's is told to its owner, not to who asks for it.
	if err := w.ChangeAddress(w.admin, "taken@example.test"); err != nil {
		t.Fatal(err)
	}
	if err := w.ConfirmAddress(t.Context(), linkIn(t, box.sent[2])); !errors.Is(err, fault.Exists) {
		t.Errorf("%v", err)
	}
}

func TestALinkEndsByItself(t *testing.T) {
	w := newWorld(t)
	made, err := w.Invite(w.admin, nil, InviteInput{Email: "new@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := link(t.Context(), w.db.Queries, made.Token, store.LinkInvite, made.Row.ExpiresAt-1); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"over":          second(link(t.Context(), w.db.Queries, made.Token, store.LinkInvite, made.Row.ExpiresAt)),
		"other purpose": second(link(t.Context(), w.db.Queries, made.Token, store.LinkPassword, made.Row.CreatedAt)),
		"a session":     second(link(t.Context(), w.db.Queries, w.first.Token, "", made.Row.CreatedAt)),
	} {
		if !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[A, B any](_ A, b B) B { return b }

func TestCodesOfAPhoneAreTakenOnce(t *testing.T) {
	// RFC 6238, appendix B: the seed of SHA-1, six of the eight digits.
	seed := sensitive.FromString("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	for _, tt := range []struct {
		unix int64
		code string
	}{{59, "287082"}, {1111111109, "081804"}, {1111111111, "050471"}, {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}} {
		now, step := time.Unix(tt.unix, 0), tt.unix/totpPeriod
		for name, got := range map[string]int64{
			"now":              totpStep(seed, tt.code, 0, now) - step,
			"with blanks":      totpStep(seed, " "+tt.code[:3]+" "+tt.code[3:], 0, now) - step,
			"a step late":      totpStep(seed, tt.code, 0, now.Add(totpPeriod*time.Second)) - step,
			"a step early":     totpStep(seed, tt.code, 0, now.Add(-totpPeriod*time.Second)) - step,
			"two steps late":   totpStep(seed, tt.code, 0, now.Add(2*totpPeriod*time.Second)),
			"used":             totpStep(seed, tt.code, step, now),
			"before a later":   totpStep(seed, tt.code, step+1, now),
			"digits of others": totpStep(seed, "１23456", 0, now),
			"too long":         totpStep(seed, tt.code+"0", 0, now),
			"signed":           totpStep(seed, "+"+tt.code[1:], 0, now),
		} {
			if got != 0 {
				t.Errorf("%d, %s: %d", tt.unix, name, got)
			}
		}
	}
}

func TestRecoveryCodesAreReadAsPeopleTypeThem(t *testing.T) {
	for range 100 {
		code := string(newRecoveryCode().Reveal())
		want := recoveryHash(code)
		if want == nil || len(code) != recoveryLen+3 {
			t.Fatal(len(code))
		}
		for _, typed := range []string{strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", " ") + " ", strings.ReplaceAll(code, "0", "O"), strings.ReplaceAll(code, "1", "l")} {
			if got := recoveryHash(typed); string(got) != string(want) {
				t.Errorf("%q is not %q", typed, code)
			}
		}
	}
	for _, bad := range []string{"", "123456", "0000-0000-0000-000", "0000-0000-0000-0000-0", "uuuu-uuuu-uuuu-uuuu", strings.Repeat("0", 5000)} {
		if recoveryHash(bad) != nil {
			t.Errorf("%.20q is taken", bad)
		}
	}
}
