package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// rotateFlags are what turns share.
type rotateFlags struct {
	wait, dryRun, keepOld bool
	rate                  counted
	overlap               string
}

func (a *app) keysRotateCommand() *cobra.Command {
	c := groupCommand("rotate", "Turn a key: everything moves to a new one, and the old one is destroyed",
		a.rotateLayer(layerInstance, "Turn the instance key, which wraps all others",
			"A new instance key is wrapped for the root key of every slot, and every key below is wrapped anew. No root key is needed."),
		a.rotateLayer(layerProject, "Turn the key of a project, or of all projects",
			"Every value, comment and version of the project is sealed anew under a new key. Without a name, the keys of all projects turn, also those of deleted ones."),
		a.rotateLayer(layerIndex, "Turn the key of digests",
			"Every digest is made anew under a new key. Until that is done, equal values are found under both."),
		a.rotateLayer(layerLog, "Turn the key that signs the log",
			"From now on both keys sign, for the time of the overlap; then the old one is destroyed. The old key signs that the new one\nfollows it, so that machines that remember the old one find their way, also after the overlap."),
		a.rotateLayer(layerTokens, "Turn the key of tokens",
			"Both keys are valid for the time of the overlap; then the old one is destroyed."),
		a.rotateLayer(layerAll, "Turn every key but the root key",
			"Turns the keys of tokens, log, digests, all projects, and the instance key. Keys that turn already are left to it."),
		a.rotateRootCommand())
	c.Long = `Turns a key while the server serves. Everything new is made under the new key from that moment; what lies under the old one moves
in small steps; when nothing is left, a count of everything by key is signed with the log's key (the census) and written into the
audit log; then the old key is destroyed. A turn goes on by itself, also after a crash or on another server: commands only
begin it and watch it.

After a compromise of a key, or of a copy of the database together with a root key: turn all, turn the root key, and then
change the secrets themselves: what somebody has read stays read.`
	c.Example = `  keyturn keys rotate project shop --wait
  keyturn keys rotate all --dry-run
  keyturn keys rotate root --out new-root.key`
	return c
}

func (a *app) rotateLayer(layer, about, long string) *cobra.Command {
	f := rotateFlags{rate: counted{least: 1}}
	c := &cobra.Command{
		Use:   layer,
		Short: about,
		Long: long + `

The command returns when the turn runs, and says how to watch it. --wait shows how far it is, until the census is signed.
Interrupting the command does not interrupt the turn.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			project := a.flags.project
			if len(args) > 0 {
				project = args[0]
			}
			return a.rotate(cmd.Context(), layer, project, f)
		},
	}
	if layer == layerProject {
		c.Use += " [PROJECT]"
		c.Args = cobra.MaximumNArgs(1)
		c.ValidArgsFunction = oneOf(a.completeProjects)
	}
	f.register(c.Flags(), layer)
	return c
}

func (f *rotateFlags) register(flags *pflag.FlagSet, layer string) {
	flags.BoolVar(&f.wait, "wait", false, "wait until the census is signed, and show it")
	flags.BoolVar(&f.dryRun, "dry-run", false, "tell what would be moved and how long it would take")
	flags.Var(&f.rate, "rate", "move at most so many `envelopes` a second; without it, as fast as readers allow")
	flags.BoolVar(&f.keepOld, "keep-old", false, "stop before the old key is destroyed: it stays retired, and nothing lies under it")
	if layer == layerLog || layer == layerTokens || layer == layerAll {
		flags.StringVar(&f.overlap, "overlap", "", "how `long` both keys of log and tokens are valid, such as 30d; without it, as configured")
	}
}

func (a *app) rotate(ctx context.Context, layer, project string, f rotateFlags) error {
	if project != "" && layer != layerProject {
		return fault.New(fault.Invalid, "only the layer project takes a project").WithHint("leave --project away, or: keyturn keys rotate project NAME")
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	out, err := c.RotateKeys(ctx, api.KeyRotation{Layer: layer, Project: project, KeepOld: f.keepOld, Rate: f.rate.n, Overlap: f.overlap, DryRun: f.dryRun})
	if err != nil {
		return err
	}
	if f.dryRun {
		return a.print(out, func(w io.Writer) { a.plansTable(w, out.Plans) })
	}
	if f.wait {
		return a.waitForTurns(ctx, c, out.Turns, f.keepOld)
	}
	return a.print(out, func(w io.Writer) {
		t := term.NewTable("TURN", "OF", "OLD", "NEW", "STAGE")
		for _, k := range out.Turns {
			t.Row(k.ID, scopeName(k.Layer, first(k.Project, k.ProjectID)), k.Old, k.New, stageText(k))
		}
		a.table(w, t)
		for _, k := range out.Turns {
			if k.Stage == stageOverlap {
				a.info("both keys of the layer %s are valid until %s; sooner with: keyturn keys finish %s", k.Layer, when(k.DueAt), k.Layer)
			}
		}
		if len(out.Turns) > 0 {
			a.info("watch it with: keyturn keys status")
		} else {
			a.info("there is no key to turn")
		}
	})
}

func (a *app) plansTable(w io.Writer, plans []api.KeyPlan) {
	t := term.NewTable("KEY", "OF", "NEXT GENERATION", "ENVELOPES", "ABOUT", "")
	for _, p := range plans {
		note := ""
		if p.Conflict != "" {
			note = "turns already: " + p.Conflict
		}
		t.Row(p.Old, scopeName(p.Layer, first(p.Project, p.ProjectID)), fmt.Sprint(p.Generation), fmt.Sprint(p.Envelopes), seconds(p.Seconds), note)
	}
	a.table(w, t)
	a.info("nothing was done: that was a dry run")
}

// seconds shows how long something is expected to take.
func seconds(s float64) string {
	return max(time.Second, time.Duration(s*float64(time.Second))).Round(time.Second).String()
}

// waited is what waiting for turns prints.
type waited struct {
	Turns  []api.KeyTurn  `json:"turns"`
	Census []censusResult `json:"census"`
}

// waitEvery is how often a turn is looked at: each look is an entry in the log.
const waitEvery = time.Second

// firstLook is the pause before the second look, since a small turn is over at once.
const firstLook = 200 * time.Millisecond

// waitForTurns watches turns until each has its census, or stands in its overlap, and shows what came of it.
func (a *app) waitForTurns(ctx context.Context, c *client.Client, turns []api.KeyTurn, keepOld bool) error {
	out := waited{Turns: []api.KeyTurn{}, Census: []censusResult{}}
	for _, t := range turns {
		now, err := a.waitForTurn(ctx, c, t)
		if err != nil {
			a.info("the turn of the %s goes on at the server; watch it with: keyturn keys status", scopeName(t.Layer, first(t.Project, t.ProjectID)))
			return err
		}
		out.Turns = append(out.Turns, now)
		if now.Census == "" {
			continue
		}
		r, err := a.turnCensus(ctx, c, now)
		if err != nil {
			return err
		}
		out.Census = append(out.Census, r)
	}
	return a.print(out, func(w io.Writer) {
		for _, t := range out.Turns {
			what := scopeName(t.Layer, first(t.Project, t.ProjectID))
			switch {
			case t.Stage == stageOverlap:
				_, _ = fmt.Fprintf(w, "%s: both keys are valid until %s; then the old one, %s, is destroyed\n", what, when(t.DueAt), t.Old)
			case t.Stage == stageUndone:
				_, _ = fmt.Fprintf(w, "%s: the new one was taken back\n", what)
			case t.Census == "":
				_, _ = fmt.Fprintf(w, "%s: done\n", what)
			}
		}
		for i := range out.Census {
			out.Census[i].summary(w, keepOld)
		}
	})
}

func (a *app) waitForTurn(ctx context.Context, c *client.Client, t api.KeyTurn) (api.KeyTurn, error) {
	progress := term.NewProgress(a.err, "turning the "+scopeName(t.Layer, first(t.Project, t.ProjectID)))
	defer progress.Done()
	told := ""
	for pause := firstLook; ; pause = waitEvery {
		switch {
		case t.Census != "" || !t.EndedAt.IsZero() || t.Stage == stageOverlap && t.DueAt.After(time.Now()):
			return t, nil
		case t.Paused:
			return t, fault.New(fault.Conflict, "turn %s is held", t.ID).WithHint("let it go on: keyturn keys resume %s", t.ID)
		case t.Problem != "" && t.Problem != told:
			told = t.Problem
			progress.Done()
			a.warn("the turn meets a problem and tries again: %s", term.Clean(told))
		}
		progress.Update(t.Done, t.Total)
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case <-time.After(pause):
		}
		now, err := c.KeyTurn(ctx, t.ID)
		if err != nil {
			return t, err
		}
		t = now
	}
}
