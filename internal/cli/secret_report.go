package cli

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// located names where a secret is, in one word: "shop/prod:/backend/DATABASE_URL".
func located(l *api.Located) string {
	return l.Project + "/" + l.Env + ":" + strings.TrimSuffix(l.Path, "/") + "/" + l.Name
}

// reported gives the project that a report is about: the current one, or "" for all when that is wanted or none is named.
func (a *app) reported(all bool) (string, error) {
	if all {
		return "", nil
	}
	found, err := a.settings()
	if err != nil {
		return "", err
	}
	if first(a.flags.project, a.getenv("KEYTURN_PROJECT"), found.Project) == "" {
		return "", nil
	}
	return a.project()
}

const allProjectsHelp = "look in all projects that you may see (as when no project is named)"

func (a *app) dueCommand() *cobra.Command {
	var o client.DueOptions
	var all bool
	c := &cobra.Command{
		Use:   "due",
		Short: "List what is overdue or must be replaced soon",
		Long: `List secrets whose value is overdue or must be replaced soon, soonest first: by their cadence (set --rotate-every) or since
they expire (set --expires).`,
		Example: `  keyturn due
  keyturn due --within 90d --owner platform --all-projects
  keyturn due --within 0d                 # only what is overdue`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			within, err := parseWithin(o.Within)
			if err != nil {
				return err
			}
			ask := o
			ask.Within = within.String()
			if ask.Project, err = a.reported(all); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.Due(cmd.Context(), ask)
			if err != nil {
				return err
			}
			if err := a.print(found, func(w io.Writer) {
				t := term.NewTable("DUE", "SECRET", "OWNER", "ROTATE EVERY")
				for i := range found.Secrets {
					l := &found.Secrets[i]
					t.Row(dueText(l.DueAt, time.Now()), located(l), l.Owner, l.RotateEvery)
				}
				a.table(w, t)
			}); err != nil {
				return err
			}
			if len(found.Secrets) == 0 {
				a.info("nothing is due within %s", o.Within)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.Within, "within", "30d", "how far to look ahead: 30d, 12w, 36h; 0d shows only what is overdue")
	f.StringVar(&o.Owner, "owner", "", "only what this person or group answers for")
	f.BoolVar(&all, "all-projects", false, allProjectsHelp)
	return c
}

// parseWithin takes a duration from now, or none at all.
func parseWithin(s string) (time.Duration, error) {
	if strings.TrimRight(s, "smhdw") == "0" {
		return 0, nil
	}
	d, ok := parseAhead(s)
	if !ok {
		return 0, fault.New(fault.Invalid, "not a duration").WithField("--within", "want for example 30d, 12w, 36h, or 0d for what is overdue")
	}
	return d, nil
}

func (a *app) reuseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reuse",
		Short: "List values that are stored in more than one place",
		Long: `List secrets whose value is stored in more than one place, in all projects that you may see, or with --project in one. Equal
values stand in one group. They are compared by digest and nothing is opened; public ones do not count.`,
		Example: `  keyturn reuse
  keyturn reuse --project shop --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSegment("project", a.flags.project); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.Reuse(cmd.Context(), a.flags.project)
			if err != nil {
				return err
			}
			if err := a.print(found, func(w io.Writer) {
				t := term.NewTable("GROUP", "SECRET", "OWNER", "CHANGED")
				for i := range found.Secrets {
					l := &found.Secrets[i]
					t.Row(l.Group, located(l), l.Owner, when(l.ChangedAt))
				}
				a.table(w, t)
			}); err != nil {
				return err
			}
			if len(found.Secrets) == 0 {
				a.info("no value is stored in more than one place that you may read")
			}
			return nil
		},
	}
}
