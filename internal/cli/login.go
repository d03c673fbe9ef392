package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// loginFlags are the ways to prove who one is.
type loginFlags struct {
	email, passwordFile    string
	clientID, clientSecret string // clientSecret is a file
	code                   string
	printToken, again      bool
	machine                machineFlags
	sso, ldap, account     string // names of connections, and an account there
	noBrowser              bool
}

// loggedIn is what a login tells; the token stays out of it.
type loggedIn struct {
	Server    string    `json:"server"`
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (a *app) loginCommand() *cobra.Command {
	var l loginFlags
	c := &cobra.Command{
		Use:   "login",
		Short: "Log in; the session is stored for this user and server",
		Long: `Log in and store the session, readable by you only. People give address and password; machines give a client id and a
client secret, which is better kept in KEYTURN_CLIENT_SECRET or a file than on a command line. Who has a second factor is asked
for a code of it, or takes a recovery code.

A machine with a login method gives --identity and --method; its JWT comes from a file, from the CI system, the pod or the cloud that it
runs in.

With --again, the session that is there is proved once more, which dangerous acts ask for after a while.`,
		Example: `  keyturn login --email you@example.com
  keyturn login --sso corp
  keyturn login --again
  KEYTURN_CLIENT_SECRET=... keyturn login --client-id ID --print-token
  keyturn login --identity ID --method ci --from github --print-token
  keyturn login --identity ID --method app --jwt-file token.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.trusted()
			if err != nil {
				return err
			}
			if l.again {
				return a.loginAgain(cmd.Context(), l)
			}
			session, err := a.login(cmd.Context(), server, l)
			if err != nil {
				return err
			}
			if l.printToken {
				_, err = fmt.Fprintln(a.out, session.Token)
				return err
			}
			if err := a.remember(server, credential{session.Token, session.Name, &session.ExpiresAt}); err != nil {
				return err
			}
			return a.print(loggedIn{server, session.ID, session.Name, session.ExpiresAt}, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Logged in to %s as %s until %s.\n", server, term.Clean(session.Name), when(session.ExpiresAt))
			})
		},
	}
	f := c.Flags()
	f.StringVar(&l.email, "email", "", "address of a person")
	f.StringVar(&l.passwordFile, "password-file", "", "file with the password, - for standard input; asked for otherwise")
	f.StringVar(&l.clientID, "client-id", "", "id of a machine identity (KEYTURN_CLIENT_ID)")
	f.StringVar(&l.clientSecret, "client-secret-file", "", "file with the client secret, - for standard input (else KEYTURN_CLIENT_SECRET)")
	f.StringVar(&l.sso, "sso", "", "name of a connection: log in with a browser")
	f.BoolVar(&l.noBrowser, "no-browser", false, "with --sso, print the address and open nothing")
	f.StringVar(&l.ldap, "ldap", "", "name of a connection: log in with the password of a directory")
	f.StringVar(&l.account, "account", "", "with --ldap, the account there; asked for otherwise")
	f.StringVar(&l.code, "code", "", "code of the second factor, or a recovery code; asked for otherwise")
	f.BoolVar(&l.again, "again", false, "prove the session that is there once more")
	f.BoolVar(&l.printToken, "print-token", false, "print the token and store nothing")
	l.machine.add(c)
	c.MarkFlagsMutuallyExclusive("email", "client-id", "sso", "ldap")
	c.MarkFlagsMutuallyExclusive("again", "client-id")
	c.MarkFlagsMutuallyExclusive("again", "print-token")
	return c
}

func (a *app) login(ctx context.Context, server string, l loginFlags) (api.Session, error) {
	if l.email == "" && l.clientID == "" && l.machine.complete(a) {
		return a.loginMachine(ctx, server, l.machine)
	}
	c, err := a.dial(server, "")
	if err != nil {
		return api.Session{}, err
	}
	switch {
	case l.sso != "":
		return a.loginSSO(ctx, c, l.sso, !l.noBrowser)
	case l.ldap != "":
		return a.loginLDAP(ctx, c, server, l)
	}
	if id := first(l.clientID, a.getenv("KEYTURN_CLIENT_ID")); id != "" && l.email == "" {
		secret, err := a.clientSecret(l.clientSecret)
		if err != nil {
			return api.Session{}, err
		}
		return c.LoginIdentity(ctx, api.IdentityLoginRequest{ClientID: id, ClientSecret: secret})
	}
	email, err := a.ask(l.email, "E-mail:", "email")
	if err != nil {
		return api.Session{}, err
	}
	password, err := a.password(l.passwordFile, fmt.Sprintf("Password of %s at %s:", email, server), false)
	if err != nil {
		return api.Session{}, err
	}
	session, err := c.Login(ctx, api.LoginRequest{Email: email, Password: password, Code: l.code})
	if e, ok := errors.AsType[*client.Error](err); ok && e.Reason == client.ReasonSecondFactor && l.code == "" {
		code, unasked := a.ask("", "Code of your second factor:", "code")
		if unasked != nil {
			return session, err // its hint tells what is missing
		}
		return c.Login(ctx, api.LoginRequest{Email: email, Password: password, Code: code})
	}
	return session, err
}

// loginAgain proves the present session once more.
func (a *app) loginAgain(ctx context.Context, l loginFlags) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	if err := a.proveAgain(ctx, c, l); err != nil {
		return err
	}
	return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Proved again at %s.\n", c.Server()) })
}

// reprove is asked by the client when the server wants a fresh proof. It asks on a terminal, and else gives up: then the hint
// of the server says what to do.
func (a *app) reprove(ctx context.Context, c *client.Client) error {
	console, err := a.console()
	if err != nil {
		return fault.New(fault.Unauthenticated, "this needs a fresh proof of who you are").WithHint("keyturn login --again, then the same once more")
	}
	_ = console.Close()
	a.info("This needs a fresh proof of who you are.")
	return a.proveAgain(ctx, c, loginFlags{})
}

func (a *app) proveAgain(ctx context.Context, c *client.Client, l loginFlags) error {
	st, err := c.Factors(ctx)
	if err != nil {
		return err
	}
	for _, f := range st.Factors {
		if f.ConfirmedAt == nil {
			continue
		}
		code, err := a.ask(l.code, "Code of your second factor:", "code")
		if err != nil {
			return err
		}
		return c.Reauth(ctx, api.Reproof{Code: code})
	}
	password, err := a.password(l.passwordFile, "Your password at "+c.Server()+":", false)
	if err != nil {
		return err
	}
	return c.Reauth(ctx, api.Reproof{Password: password})
}

func (a *app) clientSecret(file string) (string, error) {
	if file != "" {
		return a.passwordFrom(file)
	}
	if s := strings.TrimSpace(a.getenv("KEYTURN_CLIENT_SECRET")); s != "" {
		return s, nil
	}
	return "", fault.New(fault.Invalid, "there is no client secret").WithHint("set KEYTURN_CLIENT_SECRET, or add --client-secret-file FILE")
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "End the session, on the server and here",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.server()
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			// A token that the server does not know any more is as good as ended.
			if err := c.Logout(cmd.Context()); err != nil && !errors.Is(err, client.Unauthenticated) {
				return err
			}
			if a.flags.token == "" && a.getenv("KEYTURN_TOKEN") == "" {
				if err := a.forget(server.address); err != nil {
					return err
				}
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Logged out of %s.\n", server.address) })
		},
	}
}

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "whoami",
		Short: "Tell who you are and what you were given",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			who, err := c.WhoAmI(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(who, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s (%s) at %s\n", term.Clean(who.Name), who.Kind, c.Server())
				if who.ExpiresAt != nil {
					_, _ = fmt.Fprintf(w, "token ends %s\n", when(*who.ExpiresAt))
				}
				for _, g := range who.Grants {
					_, _ = fmt.Fprintf(w, "role %s in %s\n", g.Role, roleWhere(g.ProjectID, g.EnvID))
				}
				for _, s := range who.Scopes {
					_, _ = fmt.Fprintf(w, "token narrowed to %s\n", scopeText(s))
				}
			})
		},
	}
}

func roleWhere(project, env string) string {
	switch {
	case project == "":
		return "the whole organisation"
	case env == "":
		return "project " + project
	}
	return "project " + project + ", environment " + env
}

func scopeText(s api.Scope) string {
	return fmt.Sprintf("%s: %s (%s)", roleWhere(s.ProjectID, s.EnvID), s.Path, strings.Join(s.Actions, ", "))
}
