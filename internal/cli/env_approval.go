package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
)

func (a *app) envApproval() *cobra.Command {
	var need int64
	var approvers, bypass []string
	var expiry string
	c := &cobra.Command{
		Use:   "approval [ENV]",
		Short: "Show or say whose approval changes of an environment need",
		Long: `Show whose approval changes of an environment need, or with --need say it. While changes need approval, so does a change
of this rule. Approvers are role:NAME, group:ID or user:ID; without any, whoever may write what changes may approve. Nobody
approves his own changes, and machines approve none. --bypass names machine identities by id whose changes apply at once.`,
		Example: "  keyturn env approval prod --need 1\n  keyturn env approval prod --need 2 --approver role:admin --expiry 3d",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := a.envPlace(args)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			var rule api.Approval
			if cmd.Flags().Changed("need") {
				in := api.Approval{Need: need, Expiry: expiry, Bypass: bypass}
				for _, s := range approvers {
					kind, id, _ := strings.Cut(s, ":")
					in.Approvers = append(in.Approvers, api.Approver{Kind: kind, ID: id})
				}
				rule, err = c.SetApproval(cmd.Context(), place, in)
			} else if len(approvers) > 0 || len(bypass) > 0 || expiry != "" {
				return &usageError{text: "say with --need how many others it takes", command: cmd.CommandPath()}
			} else {
				rule, err = c.Approval(cmd.Context(), place)
			}
			if err != nil {
				return err
			}
			return a.print(rule, func(w io.Writer) {
				if rule.Need == 0 {
					_, _ = fmt.Fprintf(w, "Changes of %s apply at once.\n", envName(place))
					return
				}
				who := "whoever may write what changes"
				if len(rule.Approvers) > 0 {
					var names []string
					for _, x := range rule.Approvers {
						names = append(names, x.Kind+" "+x.ID)
					}
					who = strings.Join(names, ", ")
				}
				_, _ = fmt.Fprintf(w, "Changes of %s need the approval of %s: %s.\n", envName(place), people(rule.Need), who)
			})
		},
	}
	f := c.Flags()
	f.Int64Var(&need, "need", 0, "how many others; 0 lets changes apply at once")
	f.StringArrayVar(&approvers, "approver", nil, "role:NAME, group:ID or user:ID; may be repeated")
	f.StringArrayVar(&bypass, "bypass", nil, "id of a machine identity whose changes apply at once; may be repeated")
	f.StringVar(&expiry, "expiry", "", "how long a change waits (default 7d)")
	return c
}
