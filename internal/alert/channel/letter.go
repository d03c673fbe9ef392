package channel

import (
	"context"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// maxLetter bounds the text of a letter, in bytes: an invitation has a few lines.
const maxLetter = 16 << 10

// Letter hands one mail to the server of a mail channel's settings, for one person instead of those who get its alerts. Faults are
// as of [Sender].
func Letter(ctx context.Context, c Config, o Outside, to, subject, text string) error {
	if len(text) > maxLetter || len(subject) > mailSubject {
		return fault.New(fault.Invalid, "the mail is too long")
	}
	s, _, err := mail().Open(c, o)
	if err != nil {
		return err
	}
	m, ok := s.(*mailChannel)
	if !ok {
		return fault.New(fault.Internal, "a mail channel sends no mail")
	}
	letter := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if letter.From(m.from) != nil || letter.To(to) != nil {
		return fault.New(fault.Invalid, "an address of the mail is not one")
	}
	letter.Subject(plain(subject, mailSubject))
	letter.SetDateWithValue(time.Now())
	letter.SetMessageIDWithValue(domain.NewID[string]() + "@keyturn.invalid")
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	letter.SetBodyString(gomail.TypeTextPlain, text)
	return m.deliver(ctx, letter)
}
