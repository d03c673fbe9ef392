package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) changeCommand() *cobra.Command {
	return groupCommand("change", "Review changes that wait for approval",
		a.changeList(), a.changeShow(), a.changeDiff(), a.changeReview("approve", "Approve a change as it is now; the last approval applies it"),
		a.changeReview("reject", "Reject a change; that ends it"), a.changeComment(), a.changeOwn("withdraw", "Take your own change back"),
		a.changeOwn("rebase", "Make your own change anew for what stands there now"), a.changeLink())
}

// showWaiting says that a change waits. It takes the place of a failure.
func (a *app) showWaiting(w *client.Waiting) error {
	return a.print(w.Waiting, func(out io.Writer) {
		c := w.ChangeSet
		_, _ = fmt.Fprintf(out, "%s/%s is unchanged: this waits for approval by %s, until %s.\n  keyturn change show %s\n", c.Project, c.Env, people(c.Need), when(c.ExpiresAt), c.ID)
	})
}

func people(n int64) string {
	if n == 1 {
		return "another person"
	}
	return strconv.FormatInt(n, 10) + " others"
}

// settled shows a change that waits as what it is, not as a failure; it gives other errors back.
func (a *app) settled(err error) error {
	if w, ok := errors.AsType[*client.Waiting](err); ok && w.ChangeSet != nil {
		if err := a.showWaiting(w); err != nil {
			return err
		}
		return exitWith(exitWaits)
	}
	return err
}

func (a *app) changeList() *cobra.Command {
	var o client.ChangesOptions
	c := &cobra.Command{
		Use:     "list",
		Short:   "List changes that wait",
		Long:    "List changes that wait, in every project that you see, or in the one that --project or --env on the command line names.",
		Example: "  keyturn change list\n  keyturn change list --project shop --env prod --all",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Project, o.Env = a.flags.project, a.flags.env
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Changes(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("ID", "WHERE", "KIND", "STATE", "APPROVALS", "BY", "MADE", "MESSAGE")
				for _, c := range all.Changes {
					t.Row(c.ID, c.Project+"/"+c.Env, c.Kind, c.State, fmt.Sprintf("%d of %d", c.Approvals, c.Need), c.Author, when(c.CreatedAt), c.Message)
				}
				a.table(w, t)
			})
		},
	}
	c.Flags().BoolVar(&o.All, "all", false, "also those that are over")
	return c
}

func (a *app) changeShow() *cobra.Command {
	return a.onChange("show ID", "Show a change: who wants what, and what others said", func(ctx context.Context, c *client.Client, id string) error {
		return a.showChange(c.Change(ctx, id))
	})
}

// onChange makes a command about one change.
func (a *app) onChange(use, short string, work func(context.Context, *client.Client, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			return work(cmd.Context(), c, args[0])
		},
	}
}

func (a *app) showChange(c api.ChangeSet, err error) error {
	if err != nil {
		return err
	}
	return a.print(c, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s of %s/%s by %s: %s\n", term.Clean(c.Kind), c.Project, c.Env, term.Clean(c.Author), c.State)
		if c.Message != "" {
			_, _ = fmt.Fprintf(w, "  %s\n", term.Clean(c.Message))
		}
		if c.Problem != "" {
			_, _ = fmt.Fprintf(w, "  why: %s\n", term.Clean(c.Problem))
		}
		switch c.State {
		case "open":
			_, _ = fmt.Fprintf(w, "  %d of %d approvals; it waits until %s\n", c.Approvals, c.Need, when(c.ExpiresAt))
		case "applied":
			_, _ = fmt.Fprintf(w, "  applied as revision %d\n", c.Revision)
		}
		t := term.NewTable("RESULT", "NAME", "VALUE", "ALSO")
		for _, i := range c.Items {
			value := ""
			if i.Value {
				value = "new"
			}
			also := strings.Join(i.Changed, ", ")
			if i.From != "" {
				also = strings.TrimPrefix(also+", was "+i.From, ", ")
			}
			t.Row(i.Outcome, strings.TrimSuffix(i.Path, "/")+"/"+i.Name, value, also)
		}
		a.table(w, t)
		if c.Hidden > 0 {
			_, _ = fmt.Fprintf(w, "and %d that you may not see\n", c.Hidden)
		}
		for _, r := range c.Reviews {
			note := ""
			if r.Verdict != "comment" && r.Digest != c.Digest {
				note = " (of what it was before)"
			}
			_, _ = fmt.Fprintf(w, "%s  %s: %s%s %s\n", when(r.At), term.Clean(r.Reviewer), r.Verdict, note, term.Clean(r.Comment))
		}
		_, _ = fmt.Fprintf(w, "digest %s\n", c.Digest)
	})
}

func (a *app) changeDiff() *cobra.Command {
	var reveal bool
	c := a.onChange("diff ID", "Compare a change with what is there", func(ctx context.Context, c *client.Client, id string) error {
		d, err := c.ChangeDiff(ctx, id, reveal)
		if err != nil {
			return err
		}
		return a.print(d, func(w io.Writer) {
			t := term.NewTable("RESULT", "NAME", "NOW", "THEN")
			for _, x := range d.Differences {
				t.Row(x.Outcome, strings.TrimSuffix(x.Path, "/")+"/"+x.Name, shownValue(x.From), shownValue(x.To))
			}
			a.table(w, t)
		})
	})
	c.Flags().BoolVar(&reveal, "reveal", false, "with values, where you may read them; it is recorded as a read")
	return c
}

func shownValue(s *api.Secret) string {
	if s == nil || s.Value == nil {
		return ""
	}
	return s.Value.Value
}

func (a *app) changeReview(verdict, short string) *cobra.Command {
	var r api.ReviewRequest
	c := a.onChange(verdict+" ID", short, func(ctx context.Context, c *client.Client, id string) error {
		now, err := c.Change(ctx, id)
		if err != nil {
			return err
		}
		if r.Digest == "" {
			r.Digest = now.Digest
			if err := a.confirm(fmt.Sprintf("%s the %s of %s/%s by %s (%d changes)?", strings.ToUpper(verdict[:1])+verdict[1:], now.Kind, now.Project, now.Env, now.Author, len(now.Items)+now.Hidden)); err != nil {
				return err
			}
		}
		if verdict == "approve" {
			return a.showChange(c.ApproveChange(ctx, id, r))
		}
		return a.showChange(c.RejectChange(ctx, id, r))
	})
	c.Flags().StringVar(&r.Digest, "digest", "", "digest of what you looked at; without it, it asks about the change as it is now")
	c.Flags().StringVarP(&r.Comment, "comment", "m", "", "why")
	return c
}

func (a *app) changeComment() *cobra.Command {
	var text string
	c := a.onChange("comment ID", "Say something about a change", func(ctx context.Context, c *client.Client, id string) error {
		return a.showChange(c.CommentChange(ctx, id, text))
	})
	c.Flags().StringVarP(&text, "comment", "m", "", "what you have to say")
	_ = c.MarkFlagRequired("comment") // fails only for flags that are not there
	return c
}

func (a *app) changeOwn(verb, short string) *cobra.Command {
	return a.onChange(verb+" ID", short, func(ctx context.Context, c *client.Client, id string) error {
		if verb == "rebase" {
			return a.showChange(c.RebaseChange(ctx, id))
		}
		return a.showChange(c.WithdrawChange(ctx, id))
	})
}

func (a *app) changeLink() *cobra.Command {
	return a.onChange("link ID", "Make a link that approves a change in your name, once and without a login", func(ctx context.Context, c *client.Client, id string) error {
		link, err := c.LinkChange(ctx, id)
		if err != nil {
			return err
		}
		a.info("whoever has this token approves in your name, once, until %s; it is not shown again", when(link.ExpiresAt))
		return a.print(link, func(w io.Writer) { _, _ = fmt.Fprintln(w, link.Token) })
	})
}
