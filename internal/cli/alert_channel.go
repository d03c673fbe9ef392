package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) alertChannelsCommand() *cobra.Command {
	return groupCommand("channels", "Where alerts are sent", a.alertChannelAddCommand(), a.alertChannelListCommand(), a.alertChannelRemoveCommand())
}

// channelKind is how a kind of channel looks on the command line. Settings that open something are read from files, so that
// they stand in no history of a shell and no list of processes.
type channelKind struct {
	name, short, example string
	public               map[string]string // flag to meaning
	secret               map[string]string // setting to meaning; the flag ends in -file
	main                 string            // the secret that a person is asked for when no file is named
}

var hook = map[string]string{"url": "file with the address of the webhook, - for standard input; asked for otherwise"}

func channelKinds() []channelKind {
	return []channelKind{
		{"slack", "Slack, Mattermost or Rocket.Chat: an incoming webhook", "  keyturn alert channels add slack ops --url-file hook.txt", nil, hook, "url"},
		{"discord", "Discord: a webhook", "  keyturn alert channels add discord ops --url-file -", nil, hook, "url"},
		{"teams", "Microsoft Teams: the webhook of a workflow", "  keyturn alert channels add teams ops --url-file hook.txt", nil, hook, "url"},
		{"webhook", "Signed messages to a program of yours (Standard Webhooks)", "  keyturn alert channels add webhook siem --url-file hook.txt",
			map[string]string{"plaintext": "yes allows http in a network of your own"},
			map[string]string{"url": hook["url"], "secret": "file with the signing secret whsec_..., - for standard input; the server makes one otherwise"}, "url"},
		{"pagerduty", "PagerDuty: a service with an Events API v2 integration", "  keyturn alert channels add pagerduty oncall --routing-key-file key.txt --severity critical",
			map[string]string{"url": "https://events.eu.pagerduty.com/v2/enqueue for accounts in Europe"},
			map[string]string{"routing-key": "file with the integration key, - for standard input; asked for otherwise"}, "routing-key"},
		{"alertmanager", "Prometheus Alertmanager", "  keyturn alert channels add alertmanager prom --url https://alertmanager.example.com",
			map[string]string{"url": "where it is", "plaintext": "yes allows http in a network of your own"},
			map[string]string{"token": "file with a bearer token, - for standard input"}, ""},
		{"smtp", "Mail", "  keyturn alert channels add smtp mail --host mail.example.com --from keyturn@example.com --to ops@example.com --username keyturn --password-file pw.txt",
			map[string]string{"host": "the mail server", "port": "its port; 587, and 465 with --tls implicit", "from": "the address that mails come from", "to": "who gets them, separated by commas",
				"username": "for servers that ask for a login", "tls": "starttls, or implicit"},
			map[string]string{"password": "file with the password of the login, - for standard input"}, ""},
	}
}

func (a *app) alertChannelAddCommand() *cobra.Command {
	var all []*cobra.Command
	for _, k := range channelKinds() {
		all = append(all, a.alertKindCommand(k))
	}
	return groupCommand("add", "Send alerts to one more place", all...)
}

func (a *app) alertKindCommand(k channelKind) *cobra.Command {
	public, secret := map[string]*string{}, map[string]*string{}
	r := api.AlertChannelRequest{Kind: k.name, Settings: map[string]string{}, Secrets: map[string]string{}}
	c := &cobra.Command{
		Use: k.name + " NAME", Short: k.short, Example: k.example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			for name, v := range public {
				if *v != "" {
					r.Settings[name] = *v
				}
			}
			for _, name := range slices.Sorted(maps.Keys(secret)) {
				text, err := a.channelSecret(name, *secret[name], name == k.main)
				if err != nil {
					return err
				}
				if text != "" {
					r.Secrets[name] = text
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.AddAlertChannel(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				if made.Secret != "" {
					_, _ = fmt.Fprintln(w, made.Secret)
					a.info("This is the signing secret. It is not shown again.")
				}
				a.info("Alerts are sent to %s.\n  next: keyturn alert test %s", made.Channel.Place, made.Channel.Name)
			})
		},
	}
	for name, means := range k.public {
		public[name] = c.Flags().String(name, "", means)
	}
	for name, means := range k.secret {
		secret[name] = c.Flags().String(name+"-file", "", means)
	}
	c.Flags().StringVar(&r.Severity, "severity", "warning", "the least that is sent there: critical, warning or info")
	c.Flags().StringSliceVar(&r.Rules, "only", nil, "rules whose alerts are sent there; all otherwise")
	return c
}

// maxChannelSecret bounds an address or a token.
const maxChannelSecret = 4 << 10

// channelSecret reads a setting from a file, or asks a person for the one that there is no channel without.
func (a *app) channelSecret(name, file string, main bool) (string, error) {
	if file != "" {
		text, err := readBounded(file, maxChannelSecret, a.in)
		return strings.TrimSpace(string(text)), err
	}
	if !main {
		return "", nil
	}
	console, err := a.console()
	if err != nil {
		return "", fault.New(fault.Invalid, "the %s is missing, and there is no terminal to ask on", name).WithHint("name a file: --%s-file FILE, - for standard input", name)
	}
	defer console.Close()
	text, err := console.AskSecret("The " + name + " (it is not shown)")
	return strings.TrimSpace(string(text)), err
}

func (a *app) alertChannelListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show where alerts are sent", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.AlertChannels(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				if len(all.Channels) == 0 {
					_, _ = fmt.Fprintln(w, "Nobody is told of anything.")
					a.info("  next: keyturn alert channels add --help")
					return
				}
				t := term.NewTable("NAME", "KIND", "TO", "FROM SEVERITY", "RULES")
				for _, ch := range all.Channels {
					t.Row(ch.Name, ch.Kind, ch.Place, ch.Severity, channelRules(ch))
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) alertChannelRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Send nothing more to a place, not even what waits", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeAlertChannels),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirm("Send no more alerts to " + term.Clean(args[0]) + "?"); err != nil {
				return err
			}
			if err := c.RemoveAlertChannel(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s is gone.\n", term.Clean(args[0])) })
		},
	}
}
