package access

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// How long links live that work once.
const (
	defaultInviteTTL = 3 * 24 * time.Hour
	maxInviteTTL     = 30 * 24 * time.Hour // an invitation that nobody took in a month is forgotten, not lent
	minInviteTTL     = time.Minute
	passwordLinkTTL  = 24 * time.Hour // handed over while somebody waits
	addressLinkTTL   = 24 * time.Hour
	maxOpenLinks     = 1000 // of an organisation and purpose
)

// Mailer sends text to people.
type Mailer interface {
	// Ready is [fault.Unsupported] when there is no way to send mail at the moment.
	Ready(ctx context.Context) error
	// Mail gives a fault when the text could not be handed over.
	Mail(ctx context.Context, to, subject, text string) error
}

// MailWith gives what sends mail and the address that links in it begin with, without a path. Without the address links are
// copied by hand. It is called before the first request.
func (s *Service) MailWith(m Mailer, publicURL string) { s.mailer, s.publicURL = m, publicURL }

// mayMail tells what keeps the server from sending links.
func (s *Service) mayMail(ctx context.Context) error {
	switch {
	case s.mailer == nil:
		return fault.New(fault.Unsupported, "the server has no way to send mail")
	case s.publicURL == "":
		return fault.New(fault.Unsupported, "the server does not know under which address people reach it").WithHint("set KEYTURN_PUBLIC_URL")
	}
	return s.mailer.Ready(ctx)
}

// linkOf is the address that a person opens. What is behind the # no browser sends to a server or in a Referer.
func (s *Service) linkOf(token sensitive.Value) string {
	return s.publicURL + "/join#" + string(token.Reveal())
}

// mail sends a link. The text names no secret but the link itself, which ends soon and works once.
func (s *Service) mail(ctx context.Context, row store.Invite, token sensitive.Value, subject, text string) error {
	until := time.UnixMilli(row.ExpiresAt).UTC().Format("2006-01-02 15:04 UTC")
	return s.mailer.Mail(ctx, string(row.Email), subject, text+"\n\n"+s.linkOf(token)+"\n\nIt works once, until "+until+". If you did not expect this, do nothing.\n")
}

func newLink(row store.Invite) (store.Invite, sensitive.Value) {
	token := domain.NewToken(domain.LinkToken)
	hash := domain.TokenHash(string(token.Reveal()))
	row.ID, row.Hash = domain.NewID[string](), hash[:]
	return row, token
}

// badLink is the one answer for a link that is unknown, used, taken back or over.
func badLink() *fault.Error {
	return fault.New(fault.Unauthenticated, "the link is not good: it was used, taken back or has expired").WithHint("ask for a new one whoever gave it to you")
}

// link finds one that is good at this moment.
func link(ctx context.Context, q store.Queries, token sensitive.Value, purpose string, nowMS int64) (store.Invite, error) {
	text := string(token.Reveal())
	if kind, err := domain.CheckToken(text); err != nil || kind != domain.LinkToken {
		return store.Invite{}, badLink()
	}
	hash := domain.TokenHash(text)
	row, err := q.InviteByHash(ctx, hash[:])
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return row, badLink()
	}
	if err == nil && (row.UsedAt != 0 || row.RevokedAt != 0 || nowMS >= row.ExpiresAt || purpose != "" && row.Purpose != purpose) {
		return row, badLink()
	}
	return row, err
}

// LinkInfo is what a page shows before somebody uses a link.
type LinkInfo struct {
	Purpose string // one of the store.Link constants
	Email   domain.Email
	Name    domain.Label
	Org     domain.Label
	Expires int64
}

// Link tells what a link is for, to whoever has it.
func (s *Service) Link(ctx context.Context, token sensitive.Value) (LinkInfo, error) {
	ctx = guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
	op := guard.Op{Action: policy.InviteAccept, Detail: map[string]string{"link": "shown"}}
	row, err := link(ctx, s.db.Queries, token, "", time.Now().UnixMilli())
	if err != nil {
		return LinkInfo{}, s.fail(ctx, op, err)
	}
	out := LinkInfo{Purpose: row.Purpose, Email: row.Email, Name: row.Name, Expires: row.ExpiresAt}
	err = s.door.Read(ctx, op, func(guard.Permit) error {
		org, err := s.db.Org(ctx, row.Org)
		out.Org = org.Name
		return err
	})
	return out, err
}

// useLink does the work of a link in one transaction with marking it as used, so that of two at once only one comes through.
// The password, where the purpose has one, is stretched before; check is asked before that.
func (s *Service) useLink(ctx context.Context, token sensitive.Value, purpose string, check func(store.Invite) error, work func(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Invite) error) error {
	ctx = guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
	op := guard.Op{Action: policy.InviteAccept, Detail: map[string]string{"link": purpose}}
	row, err := link(ctx, s.db.Queries, token, purpose, time.Now().UnixMilli())
	if err == nil && check != nil {
		err = check(row)
	}
	if err != nil {
		return s.fail(ctx, op, err)
	}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		row, err := link(ctx, tx.Queries, token, purpose, tx.Now())
		if err != nil {
			return err
		}
		row.UsedAt = tx.Now()
		if err := work(ctx, tx, p, row); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
}
