package cli

import (
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/client/jwtsecret"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) jwtCommand() *cobra.Command {
	return groupCommand("jwt", "Change the JWT signing secret of an application without logging its users out", a.jwtRotate(), a.jwtStatus(), a.jwtVerify())
}

// jwtPlace splits a key such as /backend/JWT_SECRET.
func (a *app) jwtPlace(key string) (client.Place, string, error) {
	place, err := a.place()
	if err != nil {
		return place, "", err
	}
	if strings.Contains(key, "/") {
		place.Path = path.Clean("/" + path.Dir(key))
	}
	return place, path.Base(key), nil
}

func (a *app) jwtRotate() *cobra.Command {
	var r api.JWTRotation
	var file string
	c := &cobra.Command{
		Use:   "rotate [PATH/]NAME",
		Short: "Give a signing secret a new value, and keep that before until every token under it has ended",
		Long: `Give a JWT signing secret a new random value. The value before lies beside it as NAME_PREVIOUS, for as long as the longest-lived token
under it, and is deleted then. An application that signs with NAME and accepts both logs nobody out. The lifetime is said once
and remembered with the secret.`,
		Example: "  keyturn jwt rotate /backend/JWT_SECRET --lifetime 24h -p shop -e prod",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, name, err := a.jwtPlace(args[0])
			if err != nil {
				return err
			}
			r.Path, r.Name = place.Path, name
			if file != "" {
				if r.Value, err = a.passwordFrom(file); err != nil {
					return err
				}
			}
			if r.Force {
				if err := a.confirm("Tokens that are older than the last change end now. Go on?"); err != nil {
					return err
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			out, err := c.RotateJWT(cmd.Context(), place, r)
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s has a new value (version %d). The one before is accepted as %s until %s.\n", term.Clean(out.Name), out.Version, term.Clean(out.Name)+"_PREVIOUS", whenMaybe(out.PreviousEndsAt))
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Lifetime, "lifetime", "", "the longest that a token lives; default as said before")
	f.StringVar(&file, "from", "", "file with the new value, - for standard input; default a random one")
	f.BoolVar(&r.Force, "force", false, "although the value before the present one is still in use")
	return c
}

func (a *app) jwtStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the signing secrets of an environment, and how long the values before them are in use",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			place, err := a.place()
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.JWTSecrets(cmd.Context(), place)
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("SECRET", "VERSION", "CHANGED", "TOKENS LIVE", "VALUE BEFORE")
				for _, s := range all.Secrets {
					left := "gone"
					if s.PreviousEndsAt != nil {
						left = "ends in " + max(0, time.Until(*s.PreviousEndsAt)).Round(time.Second).String()
					}
					t.Row(strings.TrimSuffix(s.Path, "/")+"/"+s.Name, fmt.Sprint(s.Version), when(s.RotatedAt), s.Lifetime, left)
				}
				a.table(w, t)
			})
		},
	}
}

// jwtVerified is what jwt verify --json prints.
type jwtVerified struct {
	Valid  bool           `json:"valid"`
	By     string         `json:"by"` // current or previous
	Claims map[string]any `json:"claims"`
}

func (a *app) jwtVerify() *cobra.Command {
	var file, issuer, audience string
	c := &cobra.Command{
		Use:     "verify [PATH/]NAME --token-file FILE",
		Short:   "Tell whether a token is good under a signing secret or the value before it",
		Example: "  keyturn jwt verify /backend/JWT_SECRET --token-file token.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, name, err := a.jwtPlace(args[0])
			if err != nil {
				return err
			}
			token, err := a.passwordFrom(file)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			secret, err := jwtsecret.Fetch(cmd.Context(), c, place, name)
			if err != nil {
				return err
			}
			claims, by, err := secret.Verify(token, jwtsecret.Rules{Issuer: issuer, Audience: audience})
			if err != nil {
				return fault.New(fault.Unauthenticated, "%s", err)
			}
			return a.print(jwtVerified{true, by, claims}, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "The token is good: signed with the %s value, for %s.\n", by, term.Clean(fmt.Sprint(claims["sub"])))
			})
		},
	}
	f := c.Flags()
	f.StringVar(&file, "token-file", "-", "file with the token, - for standard input")
	f.StringVar(&issuer, "issuer", "", "the issuer that the token must name")
	f.StringVar(&audience, "audience", "", "the audience that the token must name")
	return c
}
