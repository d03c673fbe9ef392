package channel

import (
	"context"
	"time"
)

// discordChannel executes a webhook of Discord (discord.com/developers/docs/resources/webhook#execute-webhook).
type discordChannel struct {
	to target
	o  Outside
}

func discord() Kind {
	return Kind{Name: "discord", Title: "Discord webhook", Fields: []Field{
		{Name: "url", Means: "the address of the webhook", Required: true, Secret: true},
	}, open: func(c Config, o Outside) (Sender, string, error) {
		to, err := parseTarget("url", c.Secret["url"], false)
		return &discordChannel{to, o}, to.host, err
	}}
}

// Limits of embeds: a title has 256 characters, a field's name 256 and its value 1024, all together 6000.
const (
	discordTitle = 128 // each character may need a backslash
	discordValue = 240 // so that all together stay below the limit, with backslashes
	discordTotal = 5000
)

// discordMarkup is what means something in Discord's Markdown; a backslash takes the meaning away. Mentions do nothing anyway,
// since allowed_mentions is empty.
const discordMarkup = "\\`*_{}[]()<>#+-.!|~:@&/"

type discordField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Send implements [Sender].
func (d *discordChannel) Send(ctx context.Context, m Message) error {
	title := escaped(m.headline(discordTitle), discordMarkup)
	fields, total := []discordField{}, len(title)
	for _, f := range m.lines() {
		line := discordField{escaped(f.Name, discordMarkup), escaped(plain(f.Value, discordValue), discordMarkup)}
		if total += len(line.Name) + len(line.Value); total > discordTotal {
			break
		}
		fields = append(fields, line)
	}
	return post(ctx, d.o, d.to, map[string]any{
		"username": "Keyturn",
		"embeds": []any{map[string]any{"title": title, "color": m.colour(), "fields": fields,
			"timestamp": m.At.UTC().Format(time.RFC3339)}},
		"allowed_mentions": map[string]any{"parse": []string{}},
	}, nil)
}
