package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// provedWithin is how old the proof of a slot may be: a recovery kit is tried once a year, with some weeks of grace.
const provedWithin = "400d"

// turnAction is under which the log has what turns do; see package policy.
const turnAction = "keys.turn"

// sumDetail is where an entry has the hash of the census that it records.
const sumDetail = "census_sha256"

// keysVerified is what keys verify prints.
type keysVerified struct {
	Counted  int64    `json:"counted"`
	Slots    int      `json:"slots"`
	Turns    int      `json:"turns"` // that ended with a census, each found in the log
	LogSize  int64    `json:"log_size"`
	Key      string   `json:"key"`
	Problems []string `json:"problems"`
}

func (v *keysVerified) wrong(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

func (a *app) keysVerifyCommand() *cobra.Command {
	var trust bool
	var within string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that everything lies under a key that may hold it, and that every turn left its proof",
		Long: `Asks for a fresh census and checks it here: its signature with the keys that this machine trusts, that it counts the log that this
machine sees, and that nothing lies under a key that is unknown, retired or destroyed. Then it checks that every slot was proved to
open not too long ago, and that the log has the hash of the census of every turn that ended.

It says what the server shows. A server that lies about what it counts is found by audit verify --deep on a copy of its database.
Anything wrong gives exit code 12.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, ok := parseAhead(within)
			if !ok {
				return fault.New(fault.Invalid, "--proved-within is not valid: want for example 90d or 720h")
			}
			return a.keysVerify(cmd.Context(), d, trust)
		},
	}
	c.Flags().StringVar(&within, "proved-within", provedWithin, "how long ago a slot may have been proved")
	trustFlag(c, &trust)
	return c
}

func (a *app) keysVerify(ctx context.Context, within time.Duration, trust bool) error {
	w, err := a.witness(trust)
	if err != nil {
		return err
	}
	out := keysVerified{Problems: []string{}}
	done := a.waiting("the server counts")
	k, err := w.client.KeyCensus(ctx, "")
	done()
	if err != nil {
		return err
	}
	now, err := w.client.Checkpoint(ctx)
	if err != nil {
		return err
	}
	seen, err := w.see(ctx, now)
	if err != nil {
		return err
	}
	if err := w.verifyCensus(ctx, k.Census, seen, &out); err != nil {
		return err
	}
	s, err := w.client.Keys(ctx)
	if err != nil {
		return err
	}
	out.verifySlots(s.Slots, time.Now().Add(-within))
	turns, err := w.client.KeyTurns(ctx, 0)
	if err != nil {
		return err
	}
	if err := a.verifyTurns(ctx, w.client, turns.Turns, &out); err != nil {
		return err
	}
	err = a.print(out, func(w io.Writer) {
		style := a.style()
		for _, p := range out.Problems {
			_, _ = fmt.Fprintf(w, "%s %s\n", style.Bad("wrong"), term.Clean(p))
		}
		if len(out.Problems) == 0 {
			_, _ = fmt.Fprintf(w, "%s %d envelopes, all under keys in use\n%s %d slots, each proved within %d days\n%s %d turns, each with its census in the log\nsigned by %s\n", style.Good("sound"), out.Counted,
				style.Good("sound"), out.Slots, int(within.Hours()/24), style.Good("sound"), out.Turns, term.Clean(out.Key))
		}
	})
	if err != nil || len(out.Problems) == 0 {
		return err
	}
	return checkFailed("keep what this shows; then keyturn audit verify --deep, and keyturn keys status", "the keys are not as they must be: %d problems", len(out.Problems))
}

// verifyCensus checks signature and counts, and that the log at the time of the count is the beginning of the one that this
// machine sees.
func (w *witness) verifyCensus(ctx context.Context, signed string, seen sighting, out *keysVerified) error {
	r, err := checkCensus(signed, seen.keys, keyRemembered)
	if err != nil {
		out.wrong("the census does not hold: %s", reportOf(err).message)
		return nil
	}
	out.Counted, out.LogSize, out.Key = r.Counted, r.LogSize, r.Key
	for _, n := range r.Counts {
		switch n.State {
		case "retired", "destroyed", "unknown":
			out.wrong("%d of %s lie under key %s, which is %s", n.Count, n.Where, n.KeyID, n.State)
		}
	}
	c, err := audit.OpenCensus([]byte(signed), r.Key)
	if err != nil || c.LogSize == 0 {
		return err
	}
	if c.Origin != seen.head.Origin {
		out.wrong("the census is of another log")
		return nil
	}
	_, err = w.proven(ctx, audit.Head{Origin: c.Origin, Size: c.LogSize, Root: c.LogRoot}, seen.head.Size, seen.keys)
	return err
}

func (v *keysVerified) verifySlots(slots []api.KeySlot, since time.Time) {
	v.Slots = len(slots)
	for _, s := range slots {
		switch {
		case s.ProvedAt.IsZero():
			v.wrong("key slot %s (%s) was never proved to open: keyturn keys slot test %s", s.ID, s.Kind, s.ID)
		case s.ProvedAt.Before(since):
			v.wrong("key slot %s (%s) was last proved to open at %s: keyturn keys slot test %s", s.ID, s.Kind, when(s.ProvedAt), s.ID)
		}
	}
}

// verifyTurns looks for the entry of each census that ended a turn. One without a census is wrong too, unless nothing was
// there to be counted: a slot that was only added, or a turn that was taken back.
func (a *app) verifyTurns(ctx context.Context, c *client.Client, turns []api.KeyTurn, out *keysVerified) error {
	wanted := map[string]api.KeyTurn{}
	oldest := time.Time{}
	for _, t := range turns {
		switch {
		case t.EndedAt.IsZero() || t.Stage == stageUndone || t.Layer == layerRoot && t.Old == "":
			continue
		case t.Census == "":
			out.wrong("turn %s of the %s ended without a census", t.ID, scopeName(t.Layer, t.Project))
			continue
		}
		wanted[t.ID] = t
		if oldest.IsZero() || t.StartedAt.Before(oldest) {
			oldest = t.StartedAt
		}
	}
	out.Turns = len(wanted)
	if len(wanted) == 0 {
		return nil
	}
	progress := term.NewProgress(a.err, "looking for "+fmt.Sprint(len(wanted))+" turns in the log")
	defer progress.Done()
	o := client.EntriesOptions{What: turnAction, Since: oldest, Limit: pageEntries}
	for read := int64(0); ; {
		page, err := c.Entries(ctx, o)
		if err != nil {
			return err
		}
		for _, raw := range page.Entries {
			e, err := audit.ParseEntry(raw.Entry)
			t, ours := wanted[e.Detail["turn"]]
			if err != nil || !ours || e.Detail[sumDetail] == "" || e.Outcome != audit.Allowed {
				continue
			}
			if e.Detail[sumDetail] != censusSum(t.Census) {
				out.wrong("the census of turn %s is not the one that entry %d of the log has the hash of", t.ID, raw.Index)
			}
			delete(wanted, t.ID)
		}
		read += int64(len(page.Entries))
		progress.Update(read, 0)
		if len(wanted) == 0 || page.Next == nil || *page.Next <= 0 {
			break
		}
		o.Before = *page.Next
	}
	for id, t := range wanted {
		out.wrong("the log has no entry of the census of turn %s of the %s", id, scopeName(t.Layer, t.Project))
	}
	return nil
}
