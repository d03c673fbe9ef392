package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// rootSpan says which copies of the database a root key opens: those made while it had a slot.
type rootSpan struct {
	Fingerprint string    `json:"root_fingerprint"`
	From        time.Time `json:"from,omitzero"`  // absent: from before the turns that are listed
	Until       time.Time `json:"until,omitzero"` // absent: it has a slot still
}

// keysHistory is what keys history prints.
type keysHistory struct {
	Turns []api.KeyTurn `json:"turns"`
	Roots []rootSpan    `json:"roots"`
}

func (a *app) keysHistoryCommand() *cobra.Command {
	limit := counted{n: 100, least: 1}
	c := &cobra.Command{
		Use:   "history",
		Short: "List the turns of all keys, newest first",
		Long: `Lists turns with the keys before and after (of the root layer their fingerprints), how far they came, why they began, who began
them, and whether a signed census ended them. Below it says which root key a backup or dump of a day needs: keep those keys for
as long as you keep the copies.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			turns, err := c.KeyTurns(cmd.Context(), limit.n)
			if err != nil {
				return err
			}
			s, err := c.Keys(cmd.Context())
			if err != nil {
				return err
			}
			out := keysHistory{turns.Turns, pastRoots(s.Slots, turns.Turns)}
			return a.print(out, func(w io.Writer) {
				t := term.NewTable("TURN", "BEGUN", "OF", "OLD", "NEW", "STAGE", "CAUSE", "BY", "CENSUS")
				for _, k := range out.Turns {
					census := ""
					if k.Census != "" {
						census = "yes"
					}
					t.Row(k.ID, when(k.StartedAt), scopeName(k.Layer, first(k.Project, k.ProjectID)), k.Old, k.New, stageText(k), k.Cause, k.By, census)
				}
				a.table(w, t)
				if t.Len() > 0 {
					_, _ = fmt.Fprintln(w)
				}
				roots := term.NewTable("ROOT KEY", "OPENS COPIES MADE FROM", "UNTIL")
				for _, r := range out.Roots {
					roots.Row(r.Fingerprint, first(when(r.From), "the beginning"), first(when(r.Until), "now"))
				}
				a.table(w, roots)
			})
		},
	}
	c.Flags().Var(&limit, "limit", "at most so `many`")
	return c
}

// pastRoots goes back from today's slots: each turn of the root layer added one, removed one, or both. It sees as far back as
// the turns that it is given.
func pastRoots(slots []api.KeySlot, newestFirst []api.KeyTurn) []rootSpan {
	var out []rootSpan
	for _, s := range slots {
		out = append(out, rootSpan{Fingerprint: s.Fingerprint, From: s.CreatedAt})
	}
	added := map[string]time.Time{}
	for _, t := range newestFirst {
		if t.Layer == layerRoot && t.New != "" {
			added[t.New] = t.StartedAt
		}
	}
	for _, t := range newestFirst {
		if t.Layer != layerRoot {
			continue
		}
		gone := t.Old
		if t.Stage == stageUndone {
			gone = t.New
		}
		if gone != "" && t.Stage != stageOverlap {
			out = append(out, rootSpan{gone, added[gone], laterOf(t.StartedAt, t.EndedAt)})
		}
	}
	return out
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (a *app) keysShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show TURN",
		Short:             "Show one turn",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeTurns),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkSegment("turn", args[0]); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			t, err := c.KeyTurn(cmd.Context(), args[0])
			if err != nil {
				return turnMissing(err)
			}
			return a.print(t, func(w io.Writer) { showTurn(w, t) })
		},
	}
}

// turnMissing tells where turns are listed, when one was not found.
func turnMissing(err error) error {
	if kindOf(err) == fault.NotFound {
		return fault.New(fault.NotFound, "no such turn").WithHint("see: keyturn keys history")
	}
	return err
}

func showTurn(w io.Writer, t api.KeyTurn) {
	line := func(what, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(w, "%-9s %s\n", what, term.Clean(value))
		}
	}
	line("turn", t.ID)
	line("of", scopeName(t.Layer, first(t.Project, t.ProjectID)))
	line("old", t.Old)
	line("new", t.New)
	line("stage", stageText(t))
	line("cause", t.Cause)
	line("by", t.By)
	line("begun", when(t.StartedAt))
	line("overlap", optional("until ", when(t.DueAt)))
	line("ended", when(t.EndedAt))
	line("done", doneText(t))
	if t.Rate > 0 {
		line("at most", fmt.Sprintf("%d envelopes a second", t.Rate))
	}
	line("problem", t.Problem)
	if t.Census != "" {
		line("census", "sha256 "+censusSum(t.Census))
		_, _ = fmt.Fprintf(w, "\n%s", t.Census)
	}
}

// censusSum is the SHA-256 of a signed census, as the audit log has it.
func censusSum(signed string) string {
	sum := sha256.Sum256([]byte(signed))
	return hex.EncodeToString(sum[:])
}
