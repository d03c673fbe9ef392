package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// Bounds of one listing.
const (
	defaultEntries = 50
	pageEntries    = 1000 // what the server gives at once
	maxShownKeys   = 3
)

// auditListFlags are the filters as they are written.
type auditListFlags struct {
	who, what, outcome, key, since, until string
	limit                                 int64
}

func (a *app) auditListCommand() *cobra.Command {
	var f auditListFlags
	c := &cobra.Command{
		Use:     "list",
		Short:   "List entries of the log, newest first",
		Example: "  keyturn audit list --what 'secret.*' --since 7d\n  keyturn audit list --who backend --key /backend/DATABASE_URL --outcome refused",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.auditList(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.who, "who", "", "name or id of a person or machine")
	c.Flags().StringVar(&f.what, "what", "", "action, for example secret.read or secret.*")
	c.Flags().StringVar(&f.outcome, "outcome", "", "allowed, refused or failed")
	c.Flags().StringVar(&f.key, "key", "", "name of a secret, or /folder/NAME")
	c.Flags().StringVar(&f.since, "since", "", "not before: 2027-01-31, a time as in RFC 3339, or a while ago such as 12h or 7d")
	c.Flags().StringVar(&f.until, "until", "", "before, in the same forms")
	c.Flags().Int64Var(&f.limit, "limit", defaultEntries, "at most so many")
	completeFixed(c, "outcome", []string{audit.Allowed, audit.Refused, audit.Failed})
	_ = c.RegisterFlagCompletionFunc("key", a.completeNames) // fails only for a flag that is not there
	return c
}

func (a *app) auditList(ctx context.Context, f auditListFlags) error {
	now := time.Now()
	since, err := parseMoment("--since", f.since, now)
	if err != nil {
		return err
	}
	until, err := parseMoment("--until", f.until, now)
	if err != nil {
		return err
	}
	if f.limit < 1 {
		return fault.New(fault.Invalid, "--limit is not valid: want a number from 1")
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	o := client.EntriesOptions{Who: f.who, What: f.what, Outcome: f.outcome, Key: f.key, Since: since, Until: until}
	if o.Project, o.Env, err = a.namedPlace(ctx, c); err != nil {
		return err
	}
	all := api.Entries{Entries: []api.Entry{}}
	for left := f.limit; left > 0; {
		o.Limit = min(left, pageEntries)
		page, err := c.Entries(ctx, o)
		if err != nil {
			return err
		}
		all.Size, all.Next = page.Size, page.Next
		all.Entries = append(all.Entries, page.Entries...)
		left -= int64(len(page.Entries))
		if page.Next == nil || *page.Next <= 0 {
			break
		}
		o.Before = *page.Next
	}
	return a.print(all, func(w io.Writer) {
		t := term.NewTable("INDEX", "WHEN", "WHO", "WHAT", "OUTCOME", "KEYS")
		for _, e := range all.Entries {
			t.Row(append([]string{fmt.Sprint(e.Index)}, entryCells(e.Entry)...)...)
		}
		a.table(w, t)
		a.info("%d of %d entries", len(all.Entries), all.Size)
	})
}

// namedPlace gives the ids of project and environment when the command line names them. What a settings file says is no
// filter: whoever looks into the log would not think of it.
func (a *app) namedPlace(ctx context.Context, c *client.Client) (project, env string, err error) {
	if a.flags.project == "" && a.flags.env == "" {
		return "", "", nil
	}
	name, err := a.project()
	if err != nil {
		return "", "", err
	}
	p, err := c.Project(ctx, name)
	if err != nil || a.flags.env == "" {
		return p.ID, "", err
	}
	for _, e := range p.Envs {
		if e.Slug == a.flags.env || e.ID == a.flags.env {
			return p.ID, e.ID, nil
		}
	}
	return "", "", fault.New(fault.NotFound, "no environment %s in %s", a.flags.env, p.Slug)
}

// entryCells shows an entry in a row. One that this version cannot read is shown as such, not left out.
func entryCells(raw json.RawMessage) []string {
	e, err := audit.ParseEntry(raw)
	if err != nil {
		return []string{"", "", "(an entry that this version cannot read)"}
	}
	keys := e.Keys
	more := ""
	if len(keys) > maxShownKeys {
		keys, more = keys[:maxShownKeys], fmt.Sprintf(" and %d more", len(e.Keys)-maxShownKeys)
	}
	outcome := e.Outcome
	if outcome != audit.Allowed && e.Reason != "" {
		outcome += " (" + e.Reason + ")"
	}
	return []string{when(time.UnixMilli(e.At)), first(e.Actor.Name, e.Actor.ID, e.Actor.Kind), e.Action, outcome, strings.Join(keys, " ") + more}
}

// parseMoment takes a day, a time, or a while ago; the zero time for nothing.
func parseMoment(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if d, ok := parseAhead(s); ok {
		return now.Add(-d), nil
	}
	return time.Time{}, fault.New(fault.Invalid, "%s is not valid: want 2027-01-31, a time as in RFC 3339, or a while ago such as 12h or 7d", flag)
}
