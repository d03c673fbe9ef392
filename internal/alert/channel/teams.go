package channel

import (
	"context"
)

// teamsChannel posts an adaptive card to a workflow of Microsoft Teams that begins with "When a Teams webhook request is
// received" (learn.microsoft.com, Create incoming webhooks with Workflows for Microsoft Teams).
type teamsChannel struct {
	to target
	o  Outside
}

func teams() Kind {
	return Kind{Name: "teams", Title: "Microsoft Teams workflow webhook", Fields: []Field{
		{Name: "url", Means: "the address of the workflow's trigger", Required: true, Secret: true},
	}, open: func(c Config, o Outside) (Sender, string, error) {
		to, err := parseTarget("url", c.Secret["url"], false)
		return &teamsChannel{to, o}, to.host, err
	}}
}

const (
	cardSchema  = "http://adaptivecards.io/schemas/adaptive-card.json"
	cardType    = "application/vnd.microsoft.card.adaptive"
	cardVersion = "1.4" // the newest that every client of Teams shows
	teamsTitle  = 200
)

// textRun is the one text of adaptive cards without Markdown (adaptivecards.io/explorer/TextRun.html); a TextBlock and the
// facts of a FactSet have links.
type textRun struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Weight string `json:"weight,omitzero"`
	Size   string `json:"size,omitzero"`
	Color  string `json:"color,omitzero"`
}

type richText struct {
	Type    string    `json:"type"`
	Inlines []textRun `json:"inlines"`
}

// Send implements [Sender].
func (t *teamsChannel) Send(ctx context.Context, m Message) error {
	colour := map[Severity]string{Critical: "attention", Warning: "warning", Info: "accent"}[m.Severity]
	card := []richText{{"RichTextBlock", []textRun{{Type: "TextRun", Text: m.headline(teamsTitle), Weight: "bolder", Size: "medium", Color: colour}}}}
	for _, f := range m.lines() {
		card = append(card, richText{"RichTextBlock", []textRun{{Type: "TextRun", Text: f.Name + ": ", Weight: "bolder"}, {Type: "TextRun", Text: f.Value}}})
	}
	return post(ctx, t.o, t.to, map[string]any{"type": "message", "attachments": []any{map[string]any{
		"contentType": cardType, "contentUrl": nil,
		"content": map[string]any{"$schema": cardSchema, "type": "AdaptiveCard", "version": cardVersion, "body": card},
	}}}, nil)
}
