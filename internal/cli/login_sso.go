package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
)

// ssoWait is how long the command waits for the browser: as long as the server does.
const ssoWait = 15 * time.Minute

// loginSSO logs in with a browser (RFC 8252): the browser brings a code to a listener on this machine, and the code is good
// only with the verifier that never left this process (RFC 7636).
func (a *app) loginSSO(ctx context.Context, c *client.Client, connection string, browser bool) (api.Session, error) {
	if err := checkSegment("connection", connection); err != nil {
		return api.Session{}, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return api.Session{}, fault.Wrap(fault.Unavailable, err, "cannot listen on this machine for the browser")
	}
	verifier, state := rand.Text()+rand.Text(), rand.Text() // 52 characters of base32
	sum := sha256.Sum256([]byte(verifier))
	codes := make(chan string, 1)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 || q.Get("code") == "" {
			http.NotFound(w, r) // some other page of the browser
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Referrer-Policy", "no-referrer")
		_, _ = fmt.Fprintln(w, "You are logged in. This window can be closed.")
		select {
		case codes <- q.Get("code"):
		default:
		}
	})}
	go func() { _ = server.Serve(l) }()
	defer func() { // the answer above must reach the browser
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(stop)
	}()
	address := c.SSOStart(connection, base64.RawURLEncoding.EncodeToString(sum[:]), state, l.Addr().(*net.TCPAddr).Port)
	_, _ = fmt.Fprintf(a.err, "Log in with your browser; if none opens, open this address on this machine:\n  %s\n", address)
	if browser {
		openBrowser(ctx, address)
	}
	ctx, cancel := context.WithTimeout(ctx, ssoWait)
	defer cancel()
	select {
	case code := <-codes:
		return c.LoginSSO(ctx, api.SSOCodeRequest{Code: code, Verifier: verifier})
	case <-ctx.Done():
		return api.Session{}, fault.Wrap(fault.Expired, ctx.Err(), "nobody logged in with the browser").WithHint("try again; what the browser shows tells what is wrong")
	}
}

// openBrowser tries to open an address; a machine without a browser is no failure, since the address was printed.
func openBrowser(ctx context.Context, address string) {
	program := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if program == nil {
		program = []string{"xdg-open"}
	}
	_ = exec.CommandContext(ctx, program[0], append(program[1:], address)...).Start()
}

// loginLDAP logs in with the password of a directory.
func (a *app) loginLDAP(ctx context.Context, c *client.Client, server string, l loginFlags) (api.Session, error) {
	account, err := a.ask(l.account, "Account:", "account")
	if err != nil {
		return api.Session{}, err
	}
	password, err := a.password(l.passwordFile, fmt.Sprintf("Password of %s in the directory, for %s:", account, server), false)
	if err != nil {
		return api.Session{}, err
	}
	return c.LoginLDAP(ctx, api.LDAPLoginRequest{Connection: l.ldap, Account: account, Password: password})
}
