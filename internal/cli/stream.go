package cli

import (
	"context"
	"fmt"
	"io"

	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) streamCommand() *cobra.Command {
	c := groupCommand("stream", "Send the audit log on to files, syslog, webhooks and buckets",
		a.streamAddCommand(), a.streamListCommand(), a.streamPauseCommand("pause", "Hold a stream; it keeps its place in the log", true),
		a.streamPauseCommand("resume", "Let a stream go on from where it was held", false), a.streamTestCommand(), a.streamRemoveCommand())
	c.Long = `A stream hands every entry of the audit log to another system, in order and at least once, from a place in the log that outlives
the server. What is slow or out of reach slows no request and loses nothing: its lag grows, and it gets the rest later.`
	return c
}

// streamFlags are those that every kind has.
type streamFlags struct {
	actions    []string
	fromStart  bool
	credential string
	settings   map[string]*string
}

func (a *app) streamAddCommand() *cobra.Command {
	return groupCommand("add", "Send the log on to one more place",
		a.streamKindCommand("file", "Append lines of JSON to a file in the server's folder for streams", "  keyturn stream add file archive --file audit.jsonl", "",
			map[string]string{"file": "name of the file", "max-size": "bytes after which a new file begins"}),
		a.streamKindCommand("syslog", "Send RFC 5424 messages over TLS, TCP or UDP", "  keyturn stream add syslog siem --address tls://logs.example.com:6514 --ca-file ca.pem", "",
			map[string]string{"address": "tls://HOST:6514, tcp://HOST:601 or udp://HOST:514", "ca-file": "file with the certificates (PEM) that the server's is checked against",
				"hostname": "what the messages say that they come from"}),
		a.streamKindCommand("webhook", "Post signed batches of JSON (Standard Webhooks)", "  keyturn stream add webhook siem --url https://siem.example.com/keyturn",
			"file with the signing secret, - for standard input; the server makes one otherwise", map[string]string{"url": "https://HOST/PATH"}),
		a.streamKindCommand("bucket", "Put objects of many entries into a store that speaks the S3 protocol",
			"  keyturn stream add bucket vault --address 's3://logs/keyturn?region=eu-central-1' --credential-file key",
			"file with ACCESS_KEY_ID:SECRET_ACCESS_KEY, - for standard input", map[string]string{"address": "s3://BUCKET/PREFIX?region=REGION"}))
}

// maxStreamFile bounds credentials and certificates.
const maxStreamFile = 64 << 10

func (a *app) streamKindCommand(kind, short, example, credential string, settings map[string]string) *cobra.Command {
	f := streamFlags{settings: map[string]*string{}}
	c := &cobra.Command{
		Use: kind + " NAME", Short: short, Example: example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := api.StreamRequest{Name: args[0], Kind: kind, Settings: map[string]string{}, Actions: f.actions, FromStart: f.fromStart}
			for name, value := range f.settings {
				if *value == "" {
					continue
				}
				if name == "ca-file" {
					pem, err := readBounded(*value, maxStreamFile, a.in)
					if err != nil {
						return err
					}
					name, *value = "ca", string(pem)
				}
				r.Settings[strings.ReplaceAll(name, "-", "_")] = *value
			}
			if f.credential != "" {
				text, err := readBounded(f.credential, maxStreamFile, a.in)
				if err != nil {
					return err
				}
				r.Credential = strings.TrimRight(string(text), "\r\n")
			}
			return a.streamAdd(cmd.Context(), r)
		},
	}
	for name, means := range settings {
		f.settings[name] = c.Flags().String(name, "", means)
	}
	if credential != "" {
		c.Flags().StringVar(&f.credential, "credential-file", "", credential)
	}
	c.Flags().StringSliceVar(&f.actions, "only", nil, "actions to send, for example secret.read or 'secret.*'; all otherwise")
	c.Flags().BoolVar(&f.fromStart, "from-start", false, "begin with the first entry of the log instead of the next one")
	return c
}

func (a *app) streamAdd(ctx context.Context, r api.StreamRequest) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	made, err := c.CreateStream(ctx, r)
	if err != nil {
		return err
	}
	return a.print(made, func(w io.Writer) {
		if made.Credential != "" {
			_, _ = fmt.Fprintln(w, made.Credential)
			a.info("This is the signing secret. It is not shown again.")
		}
		a.info("The log is sent on to %s.\n  next: keyturn stream test %s", made.Stream.Name, made.Stream.Name)
	})
}

func (a *app) streamListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List streams, how far they are behind, and what is wrong", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Streams(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				if len(all.Streams) == 0 {
					_, _ = fmt.Fprintln(w, "The log is not sent on anywhere.")
					return
				}
				t := term.NewTable("NAME", "KIND", "TO", "ONLY", "SENT TO", "BEHIND", "STATE")
				for _, s := range all.Streams {
					t.Row(s.Name, s.Kind, first(s.Settings["address"], s.Settings["url"], s.Settings["file"]), first(strings.Join(s.Actions, " "), "all"),
						fmt.Sprint(s.Position), behindText(s), streamState(s))
				}
				a.table(w, t)
			})
		},
	}
}

func behindText(s api.Stream) string {
	if s.Lag == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d entries, %s", s.Lag, time.Duration(s.BehindSeconds*float64(time.Second)).Round(time.Second))
}

func streamState(s api.Stream) string {
	switch {
	case s.Paused:
		return "paused"
	case s.Problem != "":
		return "fails: " + s.Problem
	}
	return "runs"
}

func (a *app) streamPauseCommand(verb, short string, paused bool) *cobra.Command {
	return a.streamVerb(verb, short, func(ctx context.Context, c *client.Client, name string) error {
		s, err := c.PauseStream(ctx, name, paused)
		if err != nil {
			return err
		}
		return a.print(s, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s: %s\n", term.Clean(s.Name), streamState(s)) })
	})
}

func (a *app) streamTestCommand() *cobra.Command {
	return a.streamVerb("test", "Show that the other side takes what it is sent", func(ctx context.Context, c *client.Client, name string) error {
		if err := c.TestStream(ctx, name); err != nil {
			return err
		}
		return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s takes what it is sent.\n", term.Clean(name)) })
	})
}

func (a *app) streamRemoveCommand() *cobra.Command {
	return a.streamVerb("remove", "End a stream; what it has sent stays where it is", func(ctx context.Context, c *client.Client, name string) error {
		if err := a.confirm("Send nothing more to " + term.Clean(name) + "?"); err != nil {
			return err
		}
		if err := c.RemoveStream(ctx, name); err != nil {
			return err
		}
		return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s is gone.\n", term.Clean(name)) })
	})
}

func (a *app) streamVerb(verb, short string, do func(context.Context, *client.Client, string) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeStreams),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return fault.New(fault.Invalid, "the name of a stream is empty")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			return do(cmd.Context(), c, args[0])
		},
	}
}

func (a *app) completeStreams(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.Streams(ctx)
		var out []string
		for _, s := range all.Streams {
			out = append(out, s.Name)
		}
		return out, err
	})(cmd, args, toComplete)
}
