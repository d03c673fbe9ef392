package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) policyCommand() *cobra.Command {
	return groupCommand("policy", "Ask, compare and test who may do what", a.policyExplain(), a.policyWhoCan(), a.policyDiff(), a.policyTest())
}

const resourceHelp = `RESOURCE is PROJECT/ENV:/folder/NAME for a secret, PROJECT/ENV:/folder/ for a folder, PROJECT/ENV, PROJECT, or * for the
organisation. PRINCIPAL is an address, the name of a machine, or user:, identity: or group: with a name.`

// circumstanceFlags are those of commands that ask about a moment.
type circumstanceFlags struct {
	address, at, mfa string
	attributes       []string
}

func (f *circumstanceFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.address, "address", "", "as if the client had this address")
	c.Flags().StringVar(&f.at, "at", "", "as if it were this moment: 2026-11-25T09:00:00Z")
	c.Flags().StringVar(&f.mfa, "mfa", "", "as if a second factor had been shown so long ago: 5m")
	c.Flags().StringArrayVar(&f.attributes, "attribute", nil, "as if the login had proved this: NAME=VALUE")
}

func (f *circumstanceFlags) read() (api.Circumstances, error) {
	out := api.Circumstances{Address: f.address, MFA: f.mfa}
	if f.at != "" {
		t, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return out, fault.New(fault.Invalid, "not a moment: want for example 2026-11-25T09:00:00Z").WithField("--at", "not a time")
		}
		out.At = &t
	}
	for _, text := range f.attributes {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return out, fault.New(fault.Invalid, "not an attribute: want NAME=VALUE").WithField("--attribute", "no '='")
		}
		if out.Attributes == nil {
			out.Attributes = map[string]string{}
		}
		out.Attributes[name] = value
	}
	return out, nil
}

func (a *app) policyExplain() *cobra.Command {
	var f circumstanceFlags
	c := &cobra.Command{
		Use:               "explain PRINCIPAL ACTION RESOURCE",
		Short:             "Tell what the policy says, and which grant, role and rule say so",
		Long:              "Tell what the policy says to somebody, and which grant, role and rule say so. A token with scopes may do less.\n\n" + resourceHelp,
		Example:           "  keyturn policy explain backend secret.read shop/prod:/backend/DATABASE_URL --address 10.1.2.3",
		Args:              cobra.ExactArgs(3),
		ValidArgsFunction: oneOf(a.completePrincipals),
		RunE: func(cmd *cobra.Command, args []string) error {
			about, err := f.read()
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			e, err := c.ExplainPolicy(cmd.Context(), api.ExplainRequest{Principal: args[0], Action: args[1], Resource: args[2], Circumstances: about})
			if err != nil {
				return err
			}
			return a.print(e, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s %s: %s on %s: %s (%s)\n", e.Kind, term.Clean(e.Name), args[1], args[2], allowText(e.Allowed), e.Reason)
				if e.Halted != "" {
					_, _ = fmt.Fprintf(w, "But it is %s\n", term.Clean(e.Halted))
				}
				t := term.NewTable("ROLE", "RULE", "EFFECT", "HOLDS", "WHERE", "ENDS", "GRANT")
				for _, r := range e.Rules {
					holds := "yes"
					if !r.Holds {
						holds = "no: " + r.Why
					}
					t.Row(r.Role, fmt.Sprint(r.Rule), r.Effect, holds, grantWhere(r.ProjectID, r.EnvID, r.Path), whenMaybe(r.ExpiresAt), r.GrantID)
				}
				a.table(w, t)
			})
		},
	}
	f.add(c)
	return c
}

func allowText(allowed bool) string {
	if allowed {
		return "allowed"
	}
	return "refused"
}

func (a *app) policyWhoCan() *cobra.Command {
	var f circumstanceFlags
	c := &cobra.Command{
		Use:     "who-can ACTION RESOURCE",
		Short:   "List who may do something somewhere",
		Long:    "List the live users and machines who may do something somewhere, by their roles.\n\n" + resourceHelp,
		Example: "  keyturn policy who-can secret.read shop/prod:/backend/DATABASE_URL",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			about, err := f.read()
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.WhoCan(cmd.Context(), api.WhoCanRequest{Action: args[0], Resource: args[1], Circumstances: about})
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("KIND", "NAME", "WHY", "CERTAIN")
				for _, h := range all.Holders {
					certain := "yes"
					if h.Conditional {
						certain = "under conditions"
					}
					t.Row(h.Kind, h.Name, h.Reason, certain)
				}
				a.table(w, t)
			})
		},
	}
	f.add(c)
	return c
}

func (a *app) policyDiff() *cobra.Command {
	var role, file, principal, ttl, remove string
	var everywhere bool
	c := &cobra.Command{
		Use:   "diff --role ROLE --file RULES | diff --principal PRINCIPAL --role ROLE | diff --ungrant ID",
		Short: "Tell who would gain and lose what by a change, before it is made",
		Long: `Tell who would gain and lose what by a change, before it is made: other rules of a role (--role and --file), one more grant
(--principal and --role, with --project, --env, --path or --organization as for grant), or one less (--ungrant).`,
		Example: "  keyturn policy diff --role database-reader --file new.yaml\n  keyturn policy diff --principal backend --role developer --project shop --env prod",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r api.PolicyDiffRequest
			var err error
			switch {
			case remove != "" && role == "" && file == "" && principal == "":
				r.Remove = remove
			case role != "" && file != "" && principal == "" && remove == "":
				r.Role = role
				if r.Rules, err = a.ruleFile(file); err != nil {
					return err
				}
			case role != "" && principal != "" && file == "" && remove == "":
				kind, name := principalText(principal)
				g, err := (&grantFlags{role: role, ttl: ttl, everywhere: everywhere}).request(a, cmd, kind, name)
				if err != nil {
					return err
				}
				r.Grant = &g
			default:
				return &usageError{text: "compare one change: --role with --file, --principal with --role, or --ungrant", command: cmd.CommandPath()}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.DiffPolicy(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) { a.writeDifferences(w, all) })
		},
	}
	c.Flags().StringVar(&role, "role", "", "the role that changes or is given")
	c.Flags().StringVar(&file, "file", "", "its new rules, - for standard input")
	c.Flags().StringVar(&principal, "principal", "", "who would be given the role")
	c.Flags().StringVar(&ttl, "for", "", "for how long it would be given")
	c.Flags().StringVar(&remove, "ungrant", "", "id of the grant that would be taken away")
	c.Flags().BoolVar(&everywhere, "organization", false, "as if given in every project")
	_ = c.RegisterFlagCompletionFunc("role", a.completeRoles) // these fail only for flags that are not there
	_ = c.RegisterFlagCompletionFunc("principal", a.completePrincipals)
	return c
}

func (a *app) writeDifferences(w io.Writer, all api.PolicyDifferences) {
	if len(all.Differences) == 0 {
		_, _ = fmt.Fprintln(w, "Nobody gains or loses anything.")
		return
	}
	t := term.NewTable("WHO", "CHANGE", "WHERE", "ACTIONS")
	for _, d := range all.Differences {
		change := "loses"
		if d.Gains {
			change = "gains"
		}
		if d.Conditional {
			change += " under conditions"
		}
		t.Row(d.Kind+" "+d.Name, change, d.Place, strings.Join(d.Actions, ", "))
	}
	a.table(w, t)
}

func (a *app) policyTest() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE",
		Short: "Compare a file of expectations with the policy; made for CI",
		Long: `Compare a file of expectations, YAML or JSON, with the policy. Each test has principal, action, resource and expect (allow or
deny), and may have address, at, mfa and attributes. A test that fails makes the command end with code 12.

` + resourceHelp,
		Example: "  keyturn policy test policy-test.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.ruleFile(args[0])
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.TestPolicy(cmd.Context(), api.PolicyTestRequest{Tests: text})
			if err != nil {
				return err
			}
			err = a.print(all, func(w io.Writer) {
				for _, t := range all.Tests {
					if t.Passed {
						continue
					}
					got := "got " + t.Got + " (" + t.Reason + ")"
					if t.Problem != "" {
						got = t.Problem
					}
					_, _ = fmt.Fprintf(w, "line %d: %s, %s on %s: want %s, %s\n", t.Line, term.Clean(t.Principal), t.Action, t.Resource, t.Expect, term.Clean(got))
				}
				_, _ = fmt.Fprintf(w, "%d of %d tests passed.\n", len(all.Tests)-all.Failed, len(all.Tests))
			})
			if err == nil && all.Failed > 0 {
				return checkFailed("ask why with: keyturn policy explain PRINCIPAL ACTION RESOURCE", "%d of %d policy tests failed", all.Failed, len(all.Tests))
			}
			return err
		},
	}
}
