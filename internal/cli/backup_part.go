package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// restorePart brings one project or environment back as commits to the running server.
func (a *app) restorePart(ctx context.Context, what string, f restoreFlags) error {
	check, err := a.check(f.sealedFlags)
	if err != nil {
		return err
	}
	src, err := a.source(ctx, what, f.from)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	file, err := src.open(ctx)
	if err != nil {
		return err
	}
	p := term.NewProgress(a.err, "rows verified")
	check.Progress = p.Update
	found, report, err := backup.Select(ctx, file, check, a.flags.project, a.flags.env)
	p.Done()
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if !report.Sound() {
		return checkFailed("see them with: keyturn backup verify", "the backup has %d problems and nothing of it is restored", len(report.Problems))
	}
	made := time.UnixMilli(report.Manifest.CreatedMS)
	message := first(f.message, "restored from the backup of "+when(made))
	plans := make([]*partPlan, 0, len(found))
	for i := range found {
		plan, err := a.planPart(ctx, c, &found[i], message)
		if err != nil {
			return err
		}
		plan.result.File, plan.result.DryRun = src.name, f.dryRun
		plans = append(plans, plan)
	}
	return a.commitParts(ctx, c, plans, f.dryRun)
}

// partPlan is what becomes of one environment.
type partPlan struct {
	place   client.Place
	request api.CommitRequest
	result  importResult
}

// planPart asks the server what the commit would do.
func (a *app) planPart(ctx context.Context, c *client.Client, s *backup.Selection, message string) (*partPlan, error) {
	plan := &partPlan{place: client.Place{Project: string(s.Project.Slug), Env: string(s.Environment.Slug), Path: "/"},
		request: api.CommitRequest{Message: message, Cause: "restore", DryRun: true}}
	for i := range s.Secrets {
		plan.request.Changes = append(plan.request.Changes, changeOf(&s.Secrets[i]))
	}
	plan.result = importResult{Format: "backup", Project: plan.place.Project, Env: plan.place.Env}
	plan.result.take(nil)
	if len(plan.request.Changes) == 0 {
		return plan, nil
	}
	would, err := c.Commit(ctx, plan.place, plan.request)
	if errors.Is(err, client.NotFound) {
		return nil, fault.New(fault.NotFound, "%s of %s is not there any more, or you may not write to it", plan.place.Env, plan.place.Project).
			WithHint("make it again: keyturn project create %s, keyturn env create %s", plan.place.Project, plan.place.Env)
	}
	if err != nil {
		return nil, nameChanges(err, plan.request.Changes)
	}
	plan.result.Revision = would.Revision
	plan.result.take(would.Effects)
	// What was shown is what is done: somebody else's commit in between ends this.
	plan.request.DryRun, plan.request.IfRevision = false, &would.Revision
	return plan, nil
}

// changeOf sets a secret to what it was.
func changeOf(s *backup.Selected) api.Change {
	v := api.NewValue(s.Value.Reveal())
	c := api.Change{Op: "set", Path: string(s.Path), Name: string(s.Name), Value: &v.Value, Encoding: v.Encoding}
	at := &s.Attrs
	comment, owner, cadence := string(s.Comment.Reveal()), at.Owner, string(at.Cadence)
	tags := make([]string, 0, len(at.Tags))
	for _, t := range at.Tags {
		tags = append(tags, string(t))
	}
	meta := at.Meta
	if meta == nil {
		meta = map[string]string{}
	}
	c.Comment, c.Owner, c.Tags, c.Metadata, c.RotateEvery = &comment, &owner, &tags, &meta, &cadence
	c.Public, c.Required, c.Literal = &at.Public, &at.Required, &at.Literal
	var expires time.Time
	if at.ExpiresAt != 0 {
		expires = time.UnixMilli(at.ExpiresAt).UTC()
	}
	c.ExpiresAt = &expires
	return c
}

// commitParts shows all plans, asks once, and makes one commit for each environment.
func (a *app) commitParts(ctx context.Context, c *client.Client, plans []*partPlan, dry bool) error {
	out := struct {
		Environments []importResult `json:"environments"`
	}{[]importResult{}}
	changes := 0
	for _, p := range plans {
		if !a.flags.quiet && !(a.flags.json && dry) {
			_, _ = fmt.Fprintf(a.err, "%s of %s: %s\n", term.Clean(p.place.Env), term.Clean(p.place.Project), p.result.summary())
			p.result.preview(a.err)
		}
		changes += p.result.changes()
	}
	if changes > 0 && !dry {
		if err := a.confirm("Commit this?"); err != nil {
			return err
		}
	}
	for _, p := range plans {
		if p.result.changes() > 0 && !dry {
			did, err := c.Commit(ctx, p.place, p.request)
			if err != nil {
				return nameChanges(err, p.request.Changes)
			}
			p.result.Revision, p.result.ID = did.Revision, did.ID
		}
		out.Environments = append(out.Environments, p.result)
	}
	return a.print(out, func(w io.Writer) {
		for _, p := range plans {
			switch {
			case dry:
				_, _ = fmt.Fprintf(w, "%s of %s would get: %s; nothing was changed: this was a dry run\n", term.Clean(p.place.Env), term.Clean(p.place.Project), p.result.summary())
			case p.result.changes() == 0:
				_, _ = fmt.Fprintf(w, "%s of %s is as it was: nothing to change\n", term.Clean(p.place.Env), term.Clean(p.place.Project))
			default:
				_, _ = fmt.Fprintf(w, "restored %s of %s: %s; revision %d\n", term.Clean(p.place.Env), term.Clean(p.place.Project), p.result.summary(), p.result.Revision)
			}
		}
	})
}
