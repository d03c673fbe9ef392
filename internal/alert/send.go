package alert

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// attemptWithin bounds one attempt.
	attemptWithin = 15 * time.Second
	// claimFor is how long an attempt belongs to the server that makes it: longer than one takes. What is not written down by then
	// is tried again, with the same id.
	claimFor = time.Minute
	// firstRetry doubles with each attempt, up to lastRetry; a random part keeps many from coming back at once.
	firstRetry, lastRetry = 5 * time.Second, time.Hour
	// maxAttempts is when a message is given up: after about nine hours.
	maxAttempts = 18
	// maxLetters bounds what is looked at in one turn, maxInRow what one channel is sent before others are looked at again.
	maxLetters, maxInRow = 200, 20
)

// send makes the attempts that are due. Each channel has a goroutine of its own for as long as there is something, so that one
// that hangs holds up nobody else.
func (s *Service) send(ctx context.Context) error {
	due, err := s.db.DueAlertDeliveries(ctx, time.Now().UnixMilli(), maxLetters)
	if err != nil {
		return err
	}
	byChannel := map[string][]store.AlertDelivery{}
	for _, d := range due {
		byChannel[d.Channel] = append(byChannel[d.Channel], d)
	}
	s.busyMu.Lock()
	defer s.busyMu.Unlock()
	for id, letters := range byChannel {
		if s.busy[id] || ctx.Err() != nil {
			continue
		}
		s.busy[id] = true
		s.working.Go(func() {
			s.sendTo(ctx, id, letters[:min(len(letters), maxInRow)])
			s.busyMu.Lock()
			delete(s.busy, id)
			s.busyMu.Unlock()
			s.nudge()
		})
	}
	return nil
}

// sendTo makes attempts for one channel until one fails for now.
func (s *Service) sendTo(ctx context.Context, id string, letters []store.AlertDelivery) {
	for i := range letters {
		d := &letters[i]
		ours := false
		err := s.db.Derive(ctx, func(w *store.Derived) (err error) {
			ours, err = w.ClaimAlertDelivery(ctx, d, w.Now()+claimFor.Milliseconds())
			return err
		})
		if err != nil || ctx.Err() != nil {
			return
		}
		if !ours { // another server's, or gone
			continue
		}
		d.Attempts++
		problem := s.attempt(ctx, d)
		if ctx.Err() != nil { // not known how it ended: it is tried again when the claim is over
			return
		}
		end(d, problem, time.Now())
		if problem != nil {
			level := slog.LevelWarn
			if d.State == store.DeliveryDead {
				level = slog.LevelError
			}
			slog.Log(ctx, level, "an alert was not sent", "delivery", d.ID, "channel", id, "state", d.State, "attempts", d.Attempts, "error", problem)
		}
		if err := s.db.Derive(ctx, func(w *store.Derived) error { _, err := w.EndAlertDelivery(ctx, d); return err }); err != nil {
			return
		}
		if d.State == store.DeliveryWaiting { // what else there is for this channel would fail as well
			return
		}
	}
}

// end writes into a delivery how an attempt ended.
func end(d *store.AlertDelivery, problem error, now time.Time) {
	d.Problem, d.DoneAt = "", now.UnixMilli()
	switch {
	case problem == nil:
		d.State = store.DeliverySent
		return
	case !channel.Retryable(problem), d.Attempts >= maxAttempts:
		d.State = store.DeliveryDead
	default:
		d.NextAt = now.Add(pause(d.Attempts, fault.As(problem).RetryAfter)).UnixMilli()
		d.DoneAt = 0
	}
	d.Problem = fault.As(problem).Message
}

// pause is how long to wait after so many attempts: doubled each time, between half and all of it, and never shorter than the
// other side asks for.
func pause(attempts int64, asked time.Duration) time.Duration {
	d := firstRetry
	for range attempts - 1 {
		if d *= 2; d >= lastRetry {
			d = lastRetry
			break
		}
	}
	return max(d/2+rand.N(d/2+1), asked)
}

// attempt makes one.
func (s *Service) attempt(ctx context.Context, d *store.AlertDelivery) error {
	ctx, cancel := context.WithTimeout(ctx, attemptWithin)
	defer cancel()
	row, err := s.db.AlertChannel(ctx, d.Channel)
	if err != nil {
		if missing(err) {
			return fault.New(fault.Invalid, "the channel is gone")
		}
		return unavailable(err)
	}
	var m channel.Message
	if err := json.Unmarshal([]byte(d.Message), &m); err != nil {
		return fault.New(fault.Internal, "the stored message is damaged")
	}
	to, err := s.open(ctx, &row)
	if err != nil {
		return err
	}
	return to.Send(ctx, m)
}

// open makes the sender of a channel.
func (s *Service) open(ctx context.Context, row *store.AlertChannel) (channel.Sender, error) {
	kind, err := channel.KindNamed(row.Kind)
	if err != nil {
		return nil, err
	}
	secrets, err := s.secretsOf(ctx, row.ID)
	if err != nil {
		return nil, unavailable(err)
	}
	to, _, err := kind.Open(channel.Config{Public: row.Settings, Secret: secrets}, s.outside)
	return to, err
}

// unavailable makes a failure of our own one that is tried again.
func unavailable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the channel could not be opened: %s", fault.As(err).Message)
}

func secretID(channel string) string { return "alert." + channel }

// secretsOf opens the sealed settings of a channel.
func (s *Service) secretsOf(ctx context.Context, id string) (map[string]sensitive.Value, error) {
	out := map[string]sensitive.Value{}
	v, err := s.vault.OpenSecret(ctx, secretID(id))
	if missing(err) { // a kind without any
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	defer v.Wipe()
	var texts map[string][]byte
	if err := json.Unmarshal(v.Reveal(), &texts); err != nil {
		return nil, fault.New(fault.Internal, "the sealed settings of a channel are damaged")
	}
	for name, b := range texts {
		out[name] = sensitive.New(b)
	}
	return out, nil
}

// keepSecrets seals settings of a channel.
func (s *Service) keepSecrets(ctx context.Context, tx *store.Tx, id string, secrets map[string]sensitive.Value) error {
	texts := map[string][]byte{}
	for name, v := range secrets {
		if !v.Empty() {
			texts[name] = v.Reveal()
		}
	}
	if len(texts) == 0 {
		return nil
	}
	b, err := json.Marshal(texts)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "settings could not be written")
	}
	v := sensitive.New(b)
	defer v.Wipe()
	return s.vault.KeepSecret(ctx, tx, secretID(id), v)
}
