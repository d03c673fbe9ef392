package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) alertCommand() *cobra.Command {
	c := groupCommand("alert", "Be told of what you should look at",
		a.alertListCommand(), a.alertRulesCommand(), a.alertChannelsCommand(), a.alertTestCommand(), a.alertDeliveriesCommand(), a.alertResendCommand())
	c.Long = `Rules watch the audit log, and how backups, keys and rotations stand. What they find is sent to channels: once for each matter,
with a number when it happens again. Messages that cannot be sent are tried again for hours and can then be sent by hand.`
	return c
}

func (a *app) alertListCommand() *cobra.Command {
	limit := 0
	c := &cobra.Command{
		Use: "list", Short: "Show what happened in the last month, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.Alerts(cmd.Context(), limit)
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) {
				if len(found.Alerts) == 0 {
					_, _ = fmt.Fprintln(w, "Nothing happened that a rule is for.")
					return
				}
				t := term.NewTable("LAST", "SEVERITY", "RULE", "COUNT", "WHAT")
				for _, e := range found.Alerts {
					t.Row(when(e.LastAt), e.Severity, e.Rule, fmt.Sprint(e.Count), e.Title)
				}
				a.table(w, t)
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", 0, "show at most so many, 50 otherwise")
	return c
}

func (a *app) alertRulesCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "rules", Short: "Show the rules, or change one with set", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.AlertRules(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) { a.printRules(w, all.Rules) })
		},
	}
	c.AddCommand(a.alertRuleSetCommand())
	return c
}

func (a *app) printRules(w io.Writer, rules []api.AlertRule) {
	t := term.NewTable("RULE", "ON", "SEVERITY", "LIMIT", "AGAIN AFTER", "MEANS")
	for _, r := range rules {
		on, limit := "yes", ""
		if !r.Enabled {
			on = "no"
		}
		if r.Threshold > 0 {
			limit = fmt.Sprintf("%d in %s", r.Threshold, r.Within)
		}
		id := r.ID
		if r.Changed {
			id += " *"
		}
		t.Row(id, on, r.Severity, limit, r.Quiet, r.Means)
	}
	a.table(w, t)
}

func (a *app) alertRuleSetCommand() *cobra.Command {
	var on, off, reset bool
	var severity, within, quiet string
	var threshold int64
	c := &cobra.Command{
		Use: "set RULE", Short: "Change a rule", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeAlertRules),
		Example: "  keyturn alert rules set bulk-export --threshold 200 --within 5m\n  keyturn alert rules set first-read-secret --on\n  keyturn alert rules set bulk-export --reset",
		RunE: func(cmd *cobra.Command, args []string) error {
			r := api.AlertRuleRequest{Reset: reset}
			set := func(name string, into **string, v *string) {
				if cmd.Flags().Changed(name) {
					*into = v
				}
			}
			set("severity", &r.Severity, &severity)
			set("within", &r.Within, &within)
			set("quiet", &r.Quiet, &quiet)
			if cmd.Flags().Changed("threshold") {
				r.Threshold = &threshold
			}
			if on || off {
				r.Enabled = &on
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			rule, err := c.SetAlertRule(cmd.Context(), args[0], r)
			if err != nil {
				return err
			}
			return a.print(rule, func(w io.Writer) { a.printRules(w, []api.AlertRule{rule}) })
		},
	}
	f := c.Flags()
	f.BoolVar(&on, "on", false, "switch it on")
	f.BoolVar(&off, "off", false, "switch it off")
	f.BoolVar(&reset, "reset", false, "make it what it was at first, before other changes")
	f.StringVar(&severity, "severity", "", "critical, warning or info")
	f.Int64Var(&threshold, "threshold", 0, "how many make an alert")
	f.StringVar(&within, "within", "", "within which time, such as 10m")
	f.StringVar(&quiet, "quiet", "", "how long more of the same is counted before it is told again, such as 1h")
	c.MarkFlagsMutuallyExclusive("on", "off")
	c.MarkFlagsOneRequired("on", "off", "reset", "severity", "threshold", "within", "quiet")
	return c
}

func (a *app) alertTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test CHANNEL", Short: "Send a test message", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeAlertChannels),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			d, err := c.TestAlertChannel(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := a.print(d, func(w io.Writer) {
				if d.State == "sent" {
					_, _ = fmt.Fprintf(w, "%s took the message.\n", term.Clean(d.Channel))
				}
			}); err != nil || d.State == "sent" {
				return err
			}
			return errors.New("the test message was not sent: " + term.Clean(d.Problem))
		},
	}
}

func (a *app) alertDeliveriesCommand() *cobra.Command {
	dead, limit := false, 0
	c := &cobra.Command{
		Use: "deliveries", Short: "Show messages and how they fared, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.AlertDeliveries(cmd.Context(), dead, limit)
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) {
				if len(found.Deliveries) > 0 {
					t := term.NewTable("ID", "MADE", "CHANNEL", "STATE", "ATTEMPTS", "WHAT", "PROBLEM")
					for _, d := range found.Deliveries {
						t.Row(d.ID, when(d.CreatedAt), d.Channel, d.State, fmt.Sprint(d.Attempts), d.Title, d.Problem)
					}
					a.table(w, t)
				}
				_, _ = fmt.Fprintf(w, "waiting: %d\ndead: %d\n", found.Waiting, found.Dead)
				if found.Dead > 0 {
					a.info("  next: keyturn alert resend ID")
				}
			})
		},
	}
	c.Flags().BoolVar(&dead, "dead", false, "only those that were given up")
	c.Flags().IntVar(&limit, "limit", 0, "show at most so many, 50 otherwise")
	return c
}

func (a *app) alertResendCommand() *cobra.Command {
	return &cobra.Command{
		Use: "resend ID", Short: "Have a message tried again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			d, err := c.ResendAlert(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(d, func(w io.Writer) { _, _ = fmt.Fprintf(w, "It is tried again: %s\n", term.Clean(d.Title)) })
		},
	}
}

func (a *app) completeAlertRules(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.AlertRules(ctx)
		var out []string
		for _, r := range all.Rules {
			out = append(out, r.ID)
		}
		return out, err
	})(cmd, args, toComplete)
}

func (a *app) completeAlertChannels(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.AlertChannels(ctx)
		var out []string
		for _, ch := range all.Channels {
			out = append(out, ch.Name)
		}
		return out, err
	})(cmd, args, toComplete)
}

func channelRules(c api.AlertChannel) string { return first(strings.Join(c.Rules, " "), "all") }
