package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) consumersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "consumers NAME", Short: "Show who uses a secret, and who holds the current version",
		Long: `Show who was given a secret: which user or machine, where, with which client, which version, when first and when last. It is
made of the audit log, a second or so after each read; the last time and the count may be a minute old.`,
		Example:           "  keyturn consumers DATABASE_URL\n  keyturn consumers shop/prod:/backend/DATABASE_URL",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, place, name, err := a.reachAnywhere(args[0])
			if err != nil {
				return err
			}
			found, err := c.Consumers(cmd.Context(), place.Project, place.Env, place.Path, name)
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) { a.printConsumers(w, found) })
		},
	}
}

// reachAnywhere takes "PROJECT/ENV:/folder/NAME", or a name in the place of the moment.
func (a *app) reachAnywhere(arg string) (*client.Client, client.Place, string, error) {
	at, key, ok := strings.Cut(arg, ":")
	if !ok {
		c, place, k, err := a.reachOne(arg)
		return c, place, string(k.name), err
	}
	project, env, ok := strings.Cut(at, "/")
	if !ok || project == "" || env == "" || !strings.HasPrefix(key, "/") {
		return nil, client.Place{}, "", fault.New(fault.Invalid, "that names no secret").WithHint("write PROJECT/ENV:/folder/NAME, or NAME alone")
	}
	k, err := parseSecretKey("/", key)
	if err != nil {
		return nil, client.Place{}, "", err
	}
	c, err := a.client()
	return c, client.Place{Project: project, Env: env, Path: string(k.path)}, string(k.name), err
}

func (a *app) printConsumers(w io.Writer, found api.Consumers) {
	if len(found.Consumers) == 0 {
		_, _ = fmt.Fprintln(w, "Nobody was given it yet.")
		return
	}
	t := term.NewTable("WHO", "KIND", "ADDRESS", "CLIENT", "VERSION", "READS", "FIRST", "LAST")
	for _, c := range found.Consumers {
		version := fmt.Sprint(c.Version)
		if !c.Current {
			version += " (old)"
		}
		t.Row(c.Name, c.Kind, c.Address, c.Agent, version, fmt.Sprint(c.Reads), when(c.FirstSeen), when(c.LastSeen))
	}
	a.table(w, t)
	if found.Behind == 0 {
		_, _ = fmt.Fprintf(w, "all hold version %d, the current one\n", found.Version)
	} else {
		_, _ = fmt.Fprintf(w, "%d of %d do not hold version %d, the current one\n", found.Behind, len(found.Consumers), found.Version)
	}
}

func (a *app) unusedCommand() *cobra.Command {
	days := 0
	c := &cobra.Command{
		Use: "unused", Short: "List secrets that nobody reads", Args: cobra.NoArgs,
		Long: "List the secrets that nobody has read or changed for so many days, among those whose names you may see, the longest unused first.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.Unused(cmd.Context(), days)
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) {
				if len(found.Secrets) == 0 {
					_, _ = fmt.Fprintf(w, "Everything was read or changed within %d days.\n", found.Days)
					return
				}
				t := term.NewTable("SECRET", "LAST READ", "CHANGED")
				for _, s := range found.Secrets {
					t.Row(s.Project+"/"+s.Env+":"+strings.TrimSuffix(s.Path, "/")+"/"+s.Name, first(whenMaybe(s.LastSeen), "never"), when(s.ChangedAt))
				}
				a.table(w, t)
			})
		},
	}
	c.Flags().IntVar(&days, "days", 0, "how long, 90 days otherwise")
	return c
}

func (a *app) readsCommand() *cobra.Command {
	firsts, days := false, 0
	c := &cobra.Command{
		Use: "reads [PRINCIPAL]", Short: "List what somebody was given, what was not rotated since first", Args: cobra.MaximumNArgs(1),
		Long: `List the secrets that a user or machine, named by id, was given, with the newest version of each. What was not rotated since
stands first: that is what he may still know. With --first, list instead who read a secret for the first time.`,
		Example: "  keyturn reads 0198c0de-0000-7000-8000-000000000000\n  keyturn reads --first --days 7",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if firsts == (len(args) == 1) {
				return fault.New(fault.Invalid, "name a user or machine by id, or ask for --first")
			}
			if firsts {
				found, err := c.FirstReads(cmd.Context(), days)
				if err != nil {
					return err
				}
				return a.print(found, func(w io.Writer) {
					t := term.NewTable("FIRST", "WHO", "ADDRESS", "SECRET")
					for _, r := range found.Reads {
						t.Row(when(r.Consumer.FirstSeen), r.Consumer.Name, r.Consumer.Address, first(r.Place, "(gone)"))
					}
					a.table(w, t)
				})
			}
			found, err := c.Reads(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) {
				t := term.NewTable("SECRET", "OWNER", "GIVEN", "CURRENT", "ROTATED SINCE", "LAST")
				for _, r := range found.Reads {
					rotated := "no"
					if r.RotatedSince {
						rotated = "yes"
					}
					t.Row(r.Place, r.Owner, fmt.Sprint(r.Version), fmt.Sprint(r.Current), rotated, when(r.LastSeen))
				}
				a.table(w, t)
				_, _ = fmt.Fprintf(w, "not rotated since: %d of %d\n", found.NotRotated, len(found.Reads))
			})
		},
	}
	c.Flags().BoolVar(&firsts, "first", false, "who read a secret for the first time")
	c.Flags().IntVar(&days, "days", 0, "with --first, how far back, 7 days otherwise")
	return c
}
