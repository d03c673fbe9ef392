package channel_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/fault"
)

func message() channel.Message {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return channel.Message{ID: "0198c0de-0000-7000-8000-000000000001", Key: "bulk-export/u1", Rule: "bulk-export", Severity: channel.Critical, Title: "ci-deploy read 612 values",
		Facts: []channel.Fact{{Name: "principal", Value: "ci-deploy"}}, Count: 3, At: at, LastAt: at.Add(time.Minute), Instance: "keyturn.example.test"}
}

// each runs a part of the contract for every kind there is.
func each(t *testing.T, part func(t *testing.T, p *place)) {
	for _, k := range channel.Kinds() {
		t.Run(k.Name, func(t *testing.T) { part(t, newPlace(t, k.Name)) })
	}
}

func send(t *testing.T, p *place, m channel.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return open(t, p, allowing(t, "127.0.0.0/8")).Send(ctx, m)
}

func TestAMessageArrivesWithAllThatMatters(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		if err := send(t, p, message()); err != nil {
			t.Fatal(err)
		}
		got := p.received()
		if len(got) != 1 {
			t.Fatalf("%d messages arrived", len(got))
		}
		text := readable(t, p.kind, got[0])
		for _, want := range []string{"ci-deploy read 612 values", "bulk-export", "3"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s", want, text)
			}
		}
	})
}

// readable undoes what JSON and mail do to text.
func readable(t *testing.T, kind, body string) string {
	t.Helper()
	if kind == "smtp" {
		m, err := netmail.ReadMessage(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if err != nil {
			t.Fatal(err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil {
			t.Fatal(err)
		}
		return subject + "\n" + string(text)
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	collect(v, &b)
	return strings.ReplaceAll(b.String(), `\`, "")
}

func collect(v any, b *strings.Builder) {
	switch v := v.(type) {
	case string:
		b.WriteString(v + "\n")
	case float64:
		_ = json.NewEncoder(b).Encode(v)
	case []any:
		for _, x := range v {
			collect(x, b)
		}
	case map[string]any:
		for _, x := range v {
			collect(x, b)
		}
	}
}

func TestWhatTheOtherSideDoesDecidesWhetherAnotherAttemptHelps(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		for _, c := range []struct {
			does  behaviour
			kind  fault.Kind
			after time.Duration
		}{
			{refuses, fault.Invalid, 0},
			{busy, fault.Exhausted, putOff * time.Second},
			{broken, fault.Unavailable, 0},
			{redirects, fault.Denied, 0},
		} {
			if p.kind == "smtp" { // knows neither redirects nor Retry-After
				switch c.does {
				case redirects:
					continue
				case busy:
					c.kind, c.after = fault.Unavailable, 0
				}
			}
			p.act(c.does)
			err := send(t, p, message())
			if fault.KindOf(err) != c.kind || fault.As(err).RetryAfter != c.after || channel.Retryable(err) != (c.kind == fault.Unavailable || c.kind == fault.Exhausted) {
				t.Errorf("%s: %v, retry after %s", c.does, err, fault.As(err).RetryAfter)
			}
			silentAbout(t, p, err)
		}
		if got := p.received(); len(got) != 0 {
			t.Errorf("%d messages arrived", len(got))
		}
		p.act(takes)
		if err := send(t, p, message()); err != nil {
			t.Errorf("after all that: %v", err)
		}
	})
}

// silentAbout looks for what a failure may not tell, also in what only the log sees.
func silentAbout(t *testing.T, p *place, err error) {
	t.Helper()
	texts := []string{err.Error(), fault.As(err).Message, fault.As(err).Hint}
	for e := err; e != nil; e = errors.Unwrap(e) {
		texts = append(texts, e.Error())
	}
	for _, secret := range p.hidden {
		for _, text := range texts {
			if strings.Contains(text, secret) {
				t.Errorf("the failure tells %q: %s", secret, text)
			}
		}
	}
}

func TestAPlaceThatHangsIsGivenUp(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		p.act(hangs)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		begun := time.Now()
		err := open(t, p, allowing(t, "127.0.0.0/8")).Send(ctx, message())
		if !channel.Retryable(err) || err == nil || time.Since(begun) > patience {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		silentAbout(t, p, err)
	})
}

func TestAnAnswerWithoutEndIsNotReadToItsEnd(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		p.act(floods)
		begun := time.Now()
		err := send(t, p, message())
		if time.Since(begun) > patience/2 {
			t.Errorf("it took %s", time.Since(begun))
		}
		if p.kind == "smtp" && !channel.Retryable(err) || p.kind != "smtp" && err != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestAPlaceThatIsNotThereCanBeTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		o := allowing(t, "127.0.0.0/8")
		for name := range p.config.Public {
			if name == "url" {
				p.config.Public[name] = "http://127.0.0.1:1/" + testToken
			}
			if name == "port" {
				p.config.Public[name] = "1"
			}
		}
		if _, ok := p.config.Secret["url"]; ok {
			p.config.Secret["url"] = value("http://127.0.0.1:1/" + testToken)
		}
		err := open(t, p, o).Send(t.Context(), message())
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("got %v", err)
		}
		silentAbout(t, p, err)
	})
}

// hostile is a name as an attacker would choose it.
const hostile = "<!channel> <https://evil.example|click> @everyone <@123> [click](https://evil.example) **loud** `code` \r\nBcc: all@example.test\r\n\r\nforged \u202etxt.exe"

func TestMarkupInNamesDoesNothing(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		m := message()
		m.Title, m.Facts = hostile+" read 612 values", []channel.Fact{{Name: hostile, Value: hostile}}
		if err := send(t, p, m); err != nil {
			t.Fatal(err)
		}
		body := p.received()[0]
		for _, c := range []string{"\u202e", `\u202e`, "\r\nBcc:", `\r\nBcc`, `\nBcc`} {
			if p.kind != "webhook" && strings.Contains(body, c) { // the webhook's receiver is a program and gets what there is
				t.Errorf("%q got through: %s", c, body)
			}
		}
		switch p.kind {
		case "slack":
			var got struct {
				Text   string
				Blocks []struct {
					Text struct {
						Type  string
						Emoji bool
					}
				}
			}
			decode(t, body, &got)
			if strings.ContainsAny(got.Text, "<>") {
				t.Errorf("the text has markup: %s", got.Text)
			}
			for _, b := range got.Blocks {
				if b.Text.Type != "plain_text" || b.Text.Emoji {
					t.Errorf("a block is not plain: %+v", b)
				}
			}
		case "discord":
			var got struct {
				Content  string
				Mentions struct{ Parse []string } `json:"allowed_mentions"`
				Embeds   []struct{ Title string }
			}
			decode(t, body, &got)
			if got.Content != "" || got.Mentions.Parse == nil || len(got.Mentions.Parse) != 0 {
				t.Errorf("mentions may work: %s", body)
			}
			for _, raw := range []string{"[click](", "**loud", "<@123", "https://"} {
				if strings.Contains(got.Embeds[0].Title, raw) {
					t.Errorf("%q has its meaning in %s", raw, got.Embeds[0].Title)
				}
			}
		case "teams":
			if strings.Contains(body, `"TextBlock"`) || strings.Contains(body, "FactSet") || !strings.Contains(body, "TextRun") {
				t.Errorf("text may be read as Markdown: %s", body)
			}
		case "smtp":
			parsed, err := netmail.ReadMessage(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Header.Get("Bcc") != "" || !strings.HasPrefix(parsed.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("headers were forged: %v", parsed.Header)
			}
		}
	})
}

func decode(t *testing.T, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatal(err)
	}
}

func TestALongMessageIsCutNotRefused(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		m := message()
		m.Title = strings.Repeat("<long *title* ", 500)
		for range 200 {
			m.Facts = append(m.Facts, channel.Fact{Name: strings.Repeat("&name", 100), Value: strings.Repeat("\x00välue<", 2000)})
		}
		if err := send(t, p, m); err != nil {
			t.Fatal(err)
		}
		body := p.received()[0]
		if limit := 28 << 10; p.kind != "webhook" && len(body) > limit { // of Teams, the lowest
			t.Errorf("%d bytes", len(body))
		}
		if p.kind == "slack" {
			var got struct {
				Blocks []struct{ Text struct{ Text string } }
			}
			decode(t, body, &got)
			if len([]rune(got.Blocks[0].Text.Text)) > 150 || len([]rune(got.Blocks[1].Text.Text)) > 3000 {
				t.Error("longer than Block Kit takes")
			}
		}
		if p.kind == "discord" {
			var got struct {
				Embeds []struct {
					Title  string
					Fields []struct{ Name, Value string }
				}
			}
			decode(t, body, &got)
			total := len([]rune(got.Embeds[0].Title))
			for _, f := range got.Embeds[0].Fields {
				total += len([]rune(f.Name)) + len([]rune(f.Value))
				if len([]rune(f.Name)) > 256 || len([]rune(f.Value)) > 1024 || f.Value == "" {
					t.Errorf("a field of %d and %d", len(f.Name), len(f.Value))
				}
			}
			if total > 6000 || len(got.Embeds[0].Fields) > 25 || len([]rune(got.Embeds[0].Title)) > 256 {
				t.Errorf("an embed of %d characters, %d fields", total, len(got.Embeds[0].Fields))
			}
		}
	})
}

func TestAttemptsCarryTheSameId(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		m := message()
		for range 2 {
			if err := send(t, p, m); err != nil {
				t.Fatal(err)
			}
		}
		for i, body := range p.received() {
			want := m.ID
			switch p.kind {
			case "slack", "discord", "teams": // have no such thing
				continue
			case "pagerduty", "alertmanager":
				want = "dedup_key"
				if p.kind == "alertmanager" {
					want = `"matter"`
				}
			}
			if !strings.Contains(body, want) {
				t.Errorf("attempt %d lacks %s: %s", i, want, body)
			}
		}
	})
}

func TestSettingsAreCheckedAndNeverRepeated(t *testing.T) {
	each(t, func(t *testing.T, p *place) {
		kind, err := channel.KindNamed(p.kind)
		if err != nil {
			t.Fatal(err)
		}
		try := func(what string, change func(c *channel.Config)) {
			t.Helper()
			fresh := newPlace(t, p.kind)
			change(&fresh.config)
			_, _, err := kind.Open(fresh.config, allowing(t, ""))
			if fault.KindOf(err) != fault.Invalid || err == nil {
				t.Errorf("%s: %v", what, err)
				return
			}
			silentAbout(t, fresh, err)
			if strings.Contains(err.Error(), testToken) {
				t.Errorf("%s: the failure repeats it: %v", what, err)
			}
		}
		for _, f := range kind.Fields {
			if f.Required {
				try("without "+f.Name, func(c *channel.Config) { delete(c.Public, f.Name); delete(c.Secret, f.Name) })
			}
			if f.Secret {
				try(f.Name+" in the open", func(c *channel.Config) { c.Public[f.Name] = testToken })
			}
			if f.Name == "url" {
				for _, address := range []string{"ftp://example.test/" + testToken, "http://example.test/" + testToken, "https://u:" + testToken + "@example.test/", "javascript:" + testToken,
					"https:///" + testToken, testToken, "https://example.test/#" + testToken, "https://exa mple.test/" + testToken} {
					if p.kind == "alertmanager" && strings.Contains(address, "#") {
						continue // the path is appended to it, so it is a fragment there as well
					}
					try("address "+address, func(c *channel.Config) {
						if f.Secret {
							c.Secret["url"] = value(address)
						} else {
							c.Public["url"] = address
						}
					})
				}
			}
			try("a long "+f.Name, func(c *channel.Config) {
				if f.Secret {
					c.Secret[f.Name] = value(strings.Repeat("x", 5<<10))
				} else {
					c.Public[f.Name] = strings.Repeat("x", 5<<10)
				}
			})
		}
		try("an unknown setting", func(c *channel.Config) { c.Public[testToken] = "x" })
		try("an unknown secret", func(c *channel.Config) { c.Secret[testToken] = value("x") })
	})
}
