package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) keysStatusCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell how keys, slots and turns stand",
		Long: `Tells which ways to unlock there are, which keys with their generation, state, age and how often they sealed, how far the
turns that run are, and what turns by itself when. Destroyed keys are left out, unless --all.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			s, err := c.Keys(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(s, func(w io.Writer) {
				now := time.Now()
				a.slotsTable(w, s.Slots)
				_, _ = fmt.Fprintln(w)
				a.keysTable(w, s.Keys, all, now)
				a.runningTable(w, s.Running, now)
				_, _ = fmt.Fprintln(w)
				a.scheduleTable(w, s.Schedule)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "destroyed keys too")
	return c
}

func (a *app) keysSlotsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "slots",
		Short: "List the ways to unlock the instance",
		Long: `Lists the slots: each is one root key that opens this instance. PROVED is when its root key was last seen to open it; a slot
that was never proved is no way in yet. BY HERE says whether this server was unlocked with it, or could be, because its
configuration names where the root key comes from; the others need a person.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			s, err := c.Keys(cmd.Context())
			if err != nil {
				return err
			}
			out := struct {
				Slots []api.KeySlot `json:"slots"`
			}{s.Slots}
			return a.print(out, func(w io.Writer) { a.slotsTable(w, s.Slots) })
		},
	}
}

func (a *app) slotsTable(w io.Writer, slots []api.KeySlot) {
	t := term.NewTable("SLOT", "KIND", "ROOT KEY", "BY HERE", "PROVED", "MADE", "SOURCE")
	for _, s := range slots {
		here := ""
		switch {
		case s.Unlocked:
			here = "unlocked"
		case s.Reachable:
			here = "could"
		}
		t.Row(s.ID, s.Kind, s.Fingerprint, here, first(when(s.ProvedAt), "never"), when(s.CreatedAt), short(s.Source))
	}
	a.table(w, t)
}

func (a *app) keysTable(w io.Writer, keys []api.Key, all bool, now time.Time) {
	t := term.NewTable("KEY", "LAYER", "PROJECT", "GENERATION", "STATE", "AGE", "SEALS")
	for _, k := range keys {
		if k.State == "destroyed" && !all {
			continue
		}
		seals := ""
		if k.Seals > 0 {
			seals = fmt.Sprintf("at most %d", k.Seals)
		}
		t.Row(k.ID, k.Layer, k.ProjectID, fmt.Sprint(k.Generation), k.State, howOld(k.CreatedAt, now), seals)
	}
	a.table(w, t)
}

func (a *app) runningTable(w io.Writer, running []api.KeyTurn, now time.Time) {
	if len(running) == 0 {
		return
	}
	t := term.NewTable("TURN", "OF", "STAGE", "DONE", "RATE", "LEFT", "PROBLEM")
	for _, r := range running {
		rate := ""
		if r.PerSecond > 0 {
			rate = fmt.Sprintf("%.0f/s", r.PerSecond)
		}
		t.Row(r.ID, scopeName(r.Layer, first(r.Project, r.ProjectID)), stageText(r), doneText(r), rate, leftText(r, now), r.Problem)
	}
	_, _ = fmt.Fprintln(w)
	a.table(w, t)
}

func stageText(t api.KeyTurn) string {
	if t.Paused {
		return t.Stage + ", held"
	}
	return t.Stage
}

// barWidth is how many characters stand for all of a turn.
const barWidth = 20

// doneText shows how much of a turn is done, as a bar and in numbers.
func doneText(t api.KeyTurn) string {
	if t.Stage == stageOverlap || t.Total <= 0 {
		return ""
	}
	full := int(t.Done * barWidth / t.Total)
	if t.Stage != stageMoving {
		full = barWidth
	}
	return fmt.Sprintf("[%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), t.Done, t.Total)
}

// leftText says how long a turn takes yet, as far as that can be told.
func leftText(t api.KeyTurn, now time.Time) string {
	switch {
	case t.Paused:
		return "until resumed"
	case t.Stage == stageOverlap && t.Layer == layerRoot:
		return "until the old slot is removed"
	case t.Stage == stageOverlap:
		return "until " + when(t.DueAt)
	case t.Stage != stageMoving:
		return "counting and cleaning"
	case t.PerSecond > 0:
		return (time.Duration(float64(t.Total-t.Done) / t.PerSecond * float64(time.Second))).Round(time.Second).String()
	}
	return ""
}

func (a *app) scheduleTable(w io.Writer, schedule []api.KeySchedule) {
	t := term.NewTable("LAYER", "TURNS EVERY", "DUE", "")
	for _, s := range schedule {
		note := ""
		switch {
		case s.Overdue && s.ByHand:
			note = "overdue: keyturn keys rotate " + s.Layer
		case s.Overdue:
			note = "overdue: it turns within minutes"
		case s.ByHand:
			note = "by hand"
		}
		t.Row(s.Layer, s.Every, when(s.Due), note)
	}
	a.table(w, t)
}
