package cli

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "history NAME",
		Short: "List every state of a secret: when, by whom, why",
		Long: `List every state of a secret, newest first, with the commit that made it. No value is shown; get --version shows an older
one, and rollback brings one back.`,
		Example: `  keyturn history DATABASE_URL
  keyturn get DATABASE_URL --version 2
  keyturn rollback --to 12 DATABASE_URL`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, place, key, err := a.reachOne(args[0])
			if err != nil {
				return err
			}
			all, err := c.History(cmd.Context(), place, string(key.name))
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) { a.table(w, historyTable(all.States, key)) })
		},
	}
}

func historyTable(states []api.State, now secretKey) *term.Table {
	t := term.NewTable("VERSION", "REVISION", "WHEN", "BY", "WHAT")
	for i := range states {
		s := &states[i]
		var what []string
		switch {
		case s.Purged:
			what = append(what, "purged")
		case s.Deleted:
			what = append(what, "deleted")
		}
		if was := strings.TrimSuffix(s.Path, "/") + "/" + s.Name; was != now.String() {
			what = append(what, "as "+was)
		}
		if text := commitText(s.Commit); text != "" {
			what = append(what, text)
		}
		t.Row(numberOrNone(s.Version), numberOrNone(s.Revision), when(s.Commit.At), s.Commit.Author, strings.Join(what, "; "))
	}
	return t
}

// commitText says why a commit was made: its message, and its cause where that is not simply a person.
func commitText(c api.Commit) string {
	switch {
	case c.Cause == "" || c.Cause == "person":
		return c.Message
	case c.Message == "":
		return "(" + c.Cause + ")"
	}
	return "(" + c.Cause + ") " + c.Message
}

// defaultCommits is what fits on a screen.
const defaultCommits = 20

func (a *app) logCommand() *cobra.Command {
	limit := counted{n: defaultCommits, least: 0}
	c := &cobra.Command{
		Use:   "log",
		Short: "List the commits of an environment",
		Long:  `List the commits of an environment, newest first. Each made the next revision of the environment.`,
		Example: `  keyturn log --env prod
  keyturn log --limit 0 --json            # all of them
  keyturn diff @11 @12                    # what revision 12 changed`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, place, err := a.reach()
			if err != nil {
				return err
			}
			all, err := commitsOf(cmd.Context(), c, place, limit.n)
			if err != nil {
				return err
			}
			if err := a.print(all, func(w io.Writer) {
				t := term.NewTable("REVISION", "WHEN", "BY", "CHANGES", "MESSAGE")
				for _, c := range all.Commits {
					t.Row(strconv.FormatInt(c.Revision, 10), when(c.At), c.Author, strconv.FormatInt(c.Changes, 10), commitText(c))
				}
				a.table(w, t)
			}); err != nil {
				return err
			}
			switch {
			case len(all.Commits) == 0:
				a.info("no commits in %s yet", envName(place))
			case all.Next > 0:
				a.info("there are older ones: --limit 0 shows all")
			}
			return nil
		},
	}
	c.Flags().Var(&limit, "limit", "at most this `NUMBER` of commits; 0 for all")
	return c
}

// commitsOf reads pages until there are as many commits as wanted; 0 wants all.
func commitsOf(ctx context.Context, c *client.Client, p client.Place, limit int64) (api.Commits, error) {
	out := api.Commits{Commits: []api.Commit{}}
	for {
		page, err := c.Log(ctx, p, client.LogOptions{Below: out.Next, Limit: missing(limit, len(out.Commits))})
		if err != nil {
			return out, err
		}
		out.Commits = append(out.Commits, page.Commits...)
		out.Next = page.Next
		if page.Next == 0 || len(page.Commits) == 0 || limit > 0 && int64(len(out.Commits)) >= limit {
			return out, nil
		}
	}
}

// missing tells how many more are wanted; 0 leaves it to the server.
func missing(limit int64, have int) int64 {
	if limit == 0 {
		return 0
	}
	return limit - int64(have)
}
