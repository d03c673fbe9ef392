package web_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/pquerna/otp/totp"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/keyturntest"
)

func TestSomebodyLogsInLooksRoundAndLogsOut(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := open(t, s)
	b.visit("/account")
	if b.where() != "/login?next=%2Faccount" {
		t.Errorf("sent to %s", b.where())
	}
	b.shot("login")
	b.fill(`input[name=email]`, s.Email)
	b.fill(`input[name=password]`, "a wrong test-value")
	b.click(`form[action="/login"] button`)
	b.sees("The login is not right")
	b.shot("login-wrong")
	b.fill(`input[name=password]`, s.Password)
	b.click(`form[action="/login"] button`)
	b.sees("Your account", "Passkeys", s.Email)
	if b.where() != "/account" {
		t.Errorf("came to %s", b.where())
	}
	b.shot("account")
	b.click(`nav a[href="/"]`)
	b.sees("Projects")
	b.shot("home")
	b.click(".out button")
	b.sees("You are logged out")
	b.visit("/")
	b.sees("Log in")
}

func TestAPasskeyIsAddedAndLogsIn(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := open(t, s)
	b.authenticator(true)
	b.login(s.Email, s.Password)
	b.sees("Projects")
	b.visit("/account")
	b.fill(`form[data-passkey=create] input[name=name]`, "laptop")
	b.click(`[data-passkey-start]`)
	b.sees("The passkey was added", "laptop")
	b.shot("account-passkey")
	b.dark()
	b.shot("account-passkey-dark")
	b.click(`[data-passkey-start]`)
	b.sees("This device has a passkey for your account already")
	b.click(".out button")
	b.sees("You are logged out")
	b.shot("login-dark")
	b.click(`[data-passkey-start]`)
	b.sees("Projects", s.Email)
	b.visit("/verify?next=%2Faccount")
	b.click(`[data-passkey-start]`)
	b.sees("Your account")
	b.click(`details summary`)
	b.fill(`td input[name=name]`, "old laptop")
	b.click(`form[action="/account/passkeys/rename"] button`)
	b.sees("new name", "old laptop")
	b.click(`form[action="/account/passkeys/remove"] button`)
	b.sees("The passkey was removed")
	b.click(".out button")
	b.click(`[data-passkey-start]`)
	b.sees("The passkey is not right")
}

func TestAnAuthenticatorAppIsSetUpAndAskedFor(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := open(t, s)
	b.login(s.Email, s.Password)
	b.sees("Projects")
	b.visit("/account")
	b.fill(`form[action="/account/factors"] input[name=name]`, "phone")
	b.click(`form[action="/account/factors"] button`)
	b.sees("Scan this")
	b.shot("factor")
	b.do(chromedp.WaitVisible(chromedp.CSS("svg.qr path")))
	secret, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("code.secret")))
	must(t, err)
	code := func(step time.Duration) string {
		c, err := totp.GenerateCode(strings.ReplaceAll(secret, " ", ""), time.Now().Add(step*30*time.Second))
		must(t, err)
		return c
	}
	b.fill(`input[name=code]`, "000000")
	b.click(`form[action="/account/factors/confirm"] button`)
	b.sees("The code is not right")
	b.fill(`input[name=code]`, code(-1))
	b.click(`form[action="/account/factors/confirm"] button`)
	b.sees("Recovery codes")
	b.shot("codes")
	recovery, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(".codes li")))
	must(t, err)
	b.click(`main a.button`)
	b.sees("phone", "10 are left")
	b.shot("account-full")
	b.click(".out button")
	b.sees("You are logged out")

	b.login(s.Email, s.Password)
	b.sees("Six digits from your authenticator app")
	b.shot("login-code")
	if page, err := chromedp.Run(b.ctx, chromedp.OuterHTML(chromedp.CSS("html"))); err != nil || strings.Contains(page, s.Password) {
		t.Errorf("the password is in the page that asks for the code: %v", err)
	}
	b.fill(`input[name=code]`, "000000")
	b.click(`form[action="/login"] button`)
	b.sees("The code is not right")
	b.fill(`input[name=code]`, code(0))
	b.click(`form[action="/login"] button`)
	b.sees("Projects", s.Email)
	b.click(".out button")
	b.sees("You are logged out")
	b.login(s.Email, s.Password)
	b.sees("Six digits")
	b.fill(`input[name=code]`, recovery)
	b.click(`form[action="/login"] button`)
	b.sees("Projects")
	b.visit("/account")
	b.sees("9 are left")
	// The code stands for a fresh proof as well.
	b.visit("/verify?next=%2Faccount")
	b.shot("verify")
	b.fill(`input[name=code]`, code(1))
	b.click(`form[action="/verify"] button`)
	b.sees("Your account")
	b.click(`form[action="/account/factors/remove"] button`)
	b.sees("The authenticator was removed")
}

// invite makes an invitation and gives what is behind the # of its link.
func invite(t *testing.T, s *keyturntest.Server, email string) string {
	t.Helper()
	c, err := client.New(s.URL, s.Token)
	must(t, err)
	made, err := c.Invite(t.Context(), api.InviteRequest{Email: email})
	must(t, err)
	if want := s.PublicURL + "/join#" + made.Token; made.Link != want {
		t.Errorf("the link is %s, want %s", made.Link, want)
	}
	return made.Token
}

func TestSomebodyWhoIsInvitedMakesHisAccount(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	token := invite(t, s, "new@example.test")
	b := open(t, s)
	b.do(chromedp.Navigate(b.url + "/join#" + token))
	b.sees("Join", "new@example.test")
	if b.where() != "/join" {
		t.Errorf("the address still holds something: %s", b.where())
	}
	b.shot("join")
	b.fill(`input[name=name]`, "Newcomer")
	b.fill(`input[name=password]`, "new@example.test")
	b.click(`form[action="/join/invite"] button`)
	b.do(chromedp.WaitVisible(chromedp.CSS(".problem")))
	b.shot("join-refused")
	const password = "seven marble test-value kettles"
	b.fill(`input[name=password]`, password)
	b.click(`form[action="/join/invite"] button`)
	b.sees("Your account", "new@example.test")
	if history, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`performance.getEntries().map(e => e.name).join(" ") + " " + location.href + " " + document.referrer`)); err != nil || strings.Contains(history, token) {
		t.Errorf("the browser remembers the token: %v", err)
	}
	b.fill(`input[name=old]`, password)
	b.fill(`input[name=new]`, "eight wooden test-value kettles")
	b.click(`form[action="/account/password"] button`)
	b.sees("The new password is set")
	b.fill(`form[action="/account/name"] input`, "Somebody new")
	b.click(`form[action="/account/name"] button`)
	b.sees("You have your new name")
	// The link is used up.
	b.visit("/logout")
	b.click(".narrow button")
	b.sees("You are logged out")
	b.do(chromedp.Navigate(b.url + "/join#" + token))
	b.sees("The link is not good")
	b.login("new@example.test", "eight wooden test-value kettles")
	b.sees("Projects")
}

func TestALinkIsPastedWhereThereAreNoScripts(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	token := invite(t, s, "new@example.test")
	b := open(t, s)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.visit("/join")
	b.shot("join-paste")
	b.fill(`input[name=token]`, "  "+s.PublicURL+"/join#"+token+" ")
	b.click(`form[action="/join"] button`)
	b.sees("Join", "new@example.test")
	b.fill(`input[name=password]`, "seven marble test-value kettles")
	b.click(`form[action="/join/invite"] button`)
	b.sees("Your account")
}

func TestAnAuthenticatorThatDoesNotVerifyItsUserLogsNobodyIn(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := open(t, s)
	b.authenticator(false)
	b.login(s.Email, s.Password)
	b.sees("Projects")
	b.visit("/account")
	b.click(`[data-passkey-start]`)
	b.sees("It was cancelled")
}

func TestAtAnotherAddressThereAreNoPasskeysToTry(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := open(t, s)
	b.url = s.URL
	b.visit("/login")
	b.lacks("passkey")
}

func TestLoginWorksWithoutScripts(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := open(t, s)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.login(s.Email, s.Password)
	b.sees("Projects", s.Email)
	b.visit("/account")
	b.sees("Passkeys", "needs the page's script")
	b.click(".out button")
	b.sees("You are logged out")
}

func TestLoginWorksWithTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := open(t, s)
	b.visit("/login")
	b.do(chromedp.KeyEvent(s.Email), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(s.Password), chromedp.KeyEvent(kb.Enter))
	b.sees("Projects", s.Email)
	// The first thing that Tab reaches leads past the bar; Enter there goes to the content.
	b.visit("/account")
	b.do(chromedp.KeyEvent(kb.Tab))
	focused, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.activeElement.className + " " + getComputedStyle(document.activeElement).outlineStyle`))
	must(t, err)
	if focused != "skip solid" {
		t.Errorf("the first stop is %q", focused)
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	if !strings.HasSuffix(b.where(), "#main") {
		t.Errorf("came to %s", b.where())
	}
}
