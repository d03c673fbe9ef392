package channel

import (
	"context"
	"strings"
)

// slackChannel posts to an incoming webhook (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks). Mattermost and
// Rocket.Chat take the same form.
type slackChannel struct {
	to target
	o  Outside
}

func slack() Kind {
	return Kind{Name: "slack", Title: "Slack incoming webhook", Fields: []Field{
		{Name: "url", Means: "the address of the incoming webhook", Required: true, Secret: true},
	}, open: func(c Config, o Outside) (Sender, string, error) {
		to, err := parseTarget("url", c.Secret["url"], false)
		return &slackChannel{to, o}, to.host, err
	}}
}

// Limits of Block Kit: a header has 150 characters, a section text 3000.
const (
	slackHeader  = 150
	slackSection = 2800
)

// slackText is a text object of Block Kit. plain_text is shown as it is, but for emoji, which are switched off.
type slackText struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji bool   `json:"emoji"`
}

type slackBlock struct {
	Type string    `json:"type"`
	Text slackText `json:"text"`
}

// Send implements [Sender].
func (s *slackChannel) Send(ctx context.Context, m Message) error {
	text := func(t string) slackText { return slackText{Type: "plain_text", Text: t} }
	return post(ctx, s.o, s.to, map[string]any{
		// The text is what notifications show. It is mrkdwn, where these three open links, mentions and commands.
		"text": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(m.headline(slackHeader)),
		"blocks": []slackBlock{
			{"header", text(m.headline(slackHeader))},
			{"section", text(within(m.body(), slackSection))},
		},
		"unfurl_links": false, "unfurl_media": false,
	}, nil)
}
