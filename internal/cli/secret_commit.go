package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

// commitFlags are the flags of every command that makes a commit.
type commitFlags struct {
	message string
	dryRun  bool
}

func (c *commitFlags) register(f *pflag.FlagSet) {
	f.StringVarP(&c.message, "message", "m", "", "why; the history keeps it")
	f.BoolVar(&c.dryRun, "dry-run", false, "tell what would change, and change nothing")
}

// request makes a commit of these changes.
func (c *commitFlags) request(changes []api.Change) api.CommitRequest {
	return api.CommitRequest{Message: c.message, DryRun: c.dryRun, Changes: changes}
}

// commitChanges sends a commit and shows what became of it. Failures name secrets in place of positions in the request.
func (a *app) commitChanges(ctx context.Context, c *client.Client, p client.Place, r api.CommitRequest) error {
	out, err := c.Commit(ctx, p, r)
	if err != nil {
		return nameChanges(err, r.Changes)
	}
	return a.showCommitted(p, out, r.DryRun)
}

// showCommitted prints the effects of a commit, and tells where the environment stands.
func (a *app) showCommitted(p client.Place, out api.Committed, dryRun bool) error {
	if err := a.print(out, func(w io.Writer) { a.table(w, effectTable(out.Effects)) }); err != nil {
		return err
	}
	switch {
	case dryRun:
		a.info("nothing was changed: this was a dry run; %s is at revision %d", envName(p), out.Revision)
	case out.ID == "":
		a.info("nothing to change: %s stays at revision %d", envName(p), out.Revision)
	default:
		a.info("%s is at revision %d", envName(p), out.Revision)
	}
	return nil
}

func effectTable(effects []api.Effect) *term.Table {
	t := term.NewTable("RESULT", "NAME", "VERSION")
	for _, e := range effects {
		name := strings.TrimSuffix(e.Path, "/") + "/" + e.Name
		t.Row(e.Outcome, name, numberOrNone(e.Version))
	}
	return t
}

// numberOrNone shows versions and revisions, which count from 1.
func numberOrNone(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// nameChanges replaces "/changes/2" in the fields of a failure by the name of what that change was about.
func nameChanges(err error, changes []api.Change) error {
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err
	}
	for i, f := range e.Fields {
		rest, ok := strings.CutPrefix(f.Where, "/changes/")
		if !ok {
			continue
		}
		digits, field, _ := strings.Cut(rest, "/")
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 || n >= len(changes) {
			continue
		}
		where := strings.TrimSuffix(changes[n].Path, "/") + "/" + changes[n].Name
		if field != "" {
			where = fmt.Sprintf("%s of %s", field, where)
		}
		e.Fields[i].Where = where
	}
	return err
}

// changesOf makes one change of the same sort for each secret.
func changesOf(op string, keys []secretKey) []api.Change {
	out := make([]api.Change, 0, len(keys))
	for _, k := range keys {
		out = append(out, api.Change{Op: op, Path: string(k.path), Name: string(k.name)})
	}
	return out
}
