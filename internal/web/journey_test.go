package web_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/pquerna/otp/totp"

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
