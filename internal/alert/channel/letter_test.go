package channel_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/fault"
)

func TestALetterGoesToOnePersonAndNotToThoseWhoGetAlerts(t *testing.T) {
	p := newPlace(t, "smtp")
	o := allowing(t, "127.0.0.0/8")
	if err := channel.Letter(t.Context(), p.config, o, "new@example.test", "Invitation\r\nBcc: other@example.test", "Use https://keyturn.example.test/join#test-value"); err != nil {
		t.Fatal(err)
	}
	if got := p.received(); len(got) != 1 || !slices.Equal(p.headers[0]["Rcpt"], []string{"new@example.test"}) || strings.Contains(got[0], "\nBcc:") || !strings.Contains(got[0], "join#") {
		t.Errorf("%q to %v", got, p.headers)
	}
	for name, err := range map[string]error{
		"no address": channel.Letter(t.Context(), p.config, o, "new@example.test\r\nX: y", "s", "t"),
		"too long":   channel.Letter(t.Context(), p.config, o, "new@example.test", "s", strings.Repeat("x", 17<<10)),
	} {
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := channel.Letter(t.Context(), p.config, allowing(t, ""), "new@example.test", "s", "t"); err == nil {
		t.Error("a mail server inside was reached")
	}
}
