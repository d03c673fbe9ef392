package alert

import (
	"context"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// mailKind is the kind of channels whose mail server also sends to single people.
const mailKind = "smtp"

// Ready is [fault.Unsupported] when no channel has a mail server.
func (s *Service) Ready(ctx context.Context) error {
	_, err := s.mailChannel(ctx)
	return err
}

// Mail sends a text to one person by the mail server of the oldest mail channel.
func (s *Service) Mail(ctx context.Context, to, subject, text string) error {
	row, err := s.mailChannel(ctx)
	if err != nil {
		return err
	}
	secrets, err := s.secretsOf(ctx, row.ID)
	if err != nil {
		return unavailable(err)
	}
	return channel.Letter(ctx, channel.Config{Public: row.Settings, Secret: secrets}, s.outside, to, subject, text)
}

func (s *Service) mailChannel(ctx context.Context) (store.AlertChannel, error) {
	rows, err := s.db.AlertChannels(ctx)
	if err != nil {
		return store.AlertChannel{}, err
	}
	for _, row := range rows {
		if row.Kind == mailKind {
			return row, nil
		}
	}
	return store.AlertChannel{}, fault.New(fault.Unsupported, "the server has no way to send mail").WithHint("an admin can add a mail channel: keyturn alert channel add --help")
}
