package web_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/keyturn/keyturn/keyturntest"
)

// chromium is one running browser for all tests; each test gets a profile of its own in it.
var chromium context.Context

// patience bounds one step of a journey, on a machine that does other things too.
const patience = 60 * time.Second

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		fmt.Fprintln(os.Stderr, "these tests need Chromium: scripts/testdeps.sh installs it")
		return 1
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1100, 800))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	var end context.CancelFunc
	chromium, end = chromedp.NewContext(allocator)
	defer end()
	if err := chromedp.Do(chromium); err != nil {
		fmt.Fprintln(os.Stderr, "Chromium does not start:", err)
		return 1
	}
	return m.Run()
}

// tab is a window of a browser that nobody has used yet, before one server.
type tab struct {
	*testing.T
	ctx context.Context
	url string
	// loud is false when the page is meant to be kept from something.
	loud *atomic.Bool
	// shots is where screenshots go; KEYTURN_SCREENSHOTS keeps them.
	shots string
}

func open(t *testing.T, s *keyturntest.Server) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{T: t, ctx: ctx, url: s.PublicURL, shots: os.Getenv("KEYTURN_SCREENSHOTS"), loud: &atomic.Bool{}}
	b.loud.Store(true)
	if b.shots == "" {
		b.shots = t.TempDir()
	}
	must(t, chromedp.Do(ctx)) // the window must not end with the first action's time
	must(t, chromedp.Listen(ctx, func(e any) {
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page's script failed: %s", e.ExceptionDetails.Text)
		case *cdplog.EventEntryAdded: // what the policy of the page keeps from loading stands here
			if b.loud.Load() && (e.Entry.Source == "security" || strings.Contains(e.Entry.Text, "Content Security Policy")) {
				t.Errorf("the browser refused a part of the page: %s", e.Entry.Text)
			}
		}
	}))
	call(b, cdplog.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	return b
}

// tolerate lets the page be kept from something.
func (b *tab) tolerate() { b.loud.Store(false) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call sends a command of the DevTools protocol.
func call[P, R any](b *tab, c cdp.Command[P, R], p P) R {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	out, err := chromedp.Call(ctx, c, p)
	must(b.T, err)
	return out
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.shot("failed")
		b.Fatalf("%v\nat %s:\n%s", err, b.where(), b.text())
	}
}

func (b *tab) visit(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.url+path), chromedp.WaitReady(chromedp.CSS("main")))
}

// text is what a reader sees of the page.
func (b *tab) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	out, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
	return out
}

func (b *tab) where() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	out, _ := chromedp.Run(ctx, chromedp.Location())
	return strings.TrimPrefix(out, b.url)
}

// sees waits until the page shows some words.
func (b *tab) sees(words ...string) {
	b.Helper()
	end := time.Now().Add(patience)
	for _, w := range words {
		for !strings.Contains(b.text(), w) {
			if time.Now().After(end) {
				b.shot("failed")
				b.Fatalf("the page does not say %q but, at %s:\n%s", w, b.where(), b.text())
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (b *tab) lacks(words ...string) {
	b.Helper()
	for _, w := range words {
		if strings.Contains(b.text(), w) {
			b.Errorf("the page at %s says %q", b.where(), w)
		}
	}
}

func (b *tab) fill(field, value string) {
	b.Helper()
	b.do(chromedp.Clear(chromedp.CSS(field)), chromedp.SendKeys(chromedp.CSS(field), value))
}

func (b *tab) click(what string) {
	b.Helper()
	b.do(chromedp.Click(chromedp.CSS(what), chromedp.NodeVisible))
}

// shot keeps a picture of the whole page.
func (b *tab) shot(name string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Logf("no screenshot %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(b.shots, name+".png"), png, 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *tab) dark() {
	b.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
}

// login fills in the form.
func (b *tab) login(email, password string) {
	b.Helper()
	b.visit("/login")
	b.fill(`input[name=email]`, email)
	b.fill(`input[name=password]`, password)
	b.click(`form[action="/login"] button`)
}

// authenticator plugs a virtual one into the window (Web Authentication Level 3, section 11).
func (b *tab) authenticator(verified bool) webauthn.AuthenticatorID {
	b.Helper()
	call(b, webauthn.Enable, webauthn.EnableParams{})
	return call(b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: verified, AutomaticPresenceSimulation: true}}).AuthenticatorID
}
