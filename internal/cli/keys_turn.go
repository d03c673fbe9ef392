package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
)

func (a *app) keysPauseCommand() *cobra.Command {
	return a.turnCommand("pause", "Hold a turn", "Holds a turn of a key where it is. Both keys open what lies under them, so nothing hangs on when it goes on.",
		true, func(t api.KeyTurn) string {
			return "held; go on with: keyturn keys resume " + t.ID
		})
}

func (a *app) keysResumeCommand() *cobra.Command {
	return a.turnCommand("resume", "Let a turn go on", "Lets a turn that was held go on.", false, func(api.KeyTurn) string {
		return "goes on; watch it with: keyturn keys status"
	})
}

func (a *app) turnCommand(use, about, long string, paused bool, say func(api.KeyTurn) string) *cobra.Command {
	return &cobra.Command{
		Use:               use + " TURN|LAYER [PROJECT]",
		Short:             about,
		Long:              long,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeRunning,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			id, err := findTurn(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			t, err := c.PauseKeyTurn(cmd.Context(), id, paused)
			if err != nil {
				return turnMissing(err)
			}
			return a.print(t, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "the turn of the %s %s\n", scopeName(t.Layer, first(t.Project, t.ProjectID)), say(t))
			})
		},
	}
}

func (a *app) keysFinishCommand() *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   "finish TURN|LAYER",
		Short: "End the overlap of a turn now",
		Long: `Ends the overlap of a turn of the log's or the tokens' key before its time. The old key is destroyed then. Machines that remember
the old key of the log follow its signed handover to the new one.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeRunning),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			id, err := findTurn(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			t, err := c.KeyTurn(cmd.Context(), id)
			if err != nil {
				return turnMissing(err)
			}
			if t.Stage == stageOverlap && !t.DueAt.IsZero() {
				a.info("the old %s, %s, is valid until %s; what only it verifies is refused from now on", scopeName(t.Layer, ""), t.Old, when(t.DueAt))
				if err := a.confirm("End that now, and destroy the key?"); err != nil {
					return err
				}
			}
			if t, err = c.FinishKeyTurn(cmd.Context(), id); err != nil {
				return err
			}
			if wait {
				return a.waitForTurns(cmd.Context(), c, []api.KeyTurn{t}, false)
			}
			return a.print(t, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "the overlap of the %s is over; watch the rest with: keyturn keys status\n", scopeName(t.Layer, ""))
			})
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait until the census is signed, and show it")
	return c
}
