package secrets

import (
	"context"

	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Answers to writes may hold a token that is shown once, so what is kept for a client that asks again is sealed.
const fieldAnswer = "idempotency.answer"

func answerPlace(ctx context.Context, i *guard.Idempotency) keyring.Place {
	return keyring.Place{Record: guard.CallerOf(ctx).Principal.ID + "/" + i.Key, Field: fieldAnswer}
}

// Replay gives the answer to an earlier request with the same key, nil when there was none.
func (s *Service) Replay(ctx context.Context, i *guard.Idempotency) ([]byte, error) {
	sealed, err := s.door.Replay(ctx, i)
	if err != nil || sealed == nil {
		return nil, err
	}
	v, err := s.ring.Open(answerPlace(ctx, i), sealed)
	return v.Reveal(), err
}

// Keep stores the answer to the request that was just applied.
func (s *Service) Keep(ctx context.Context, i *guard.Idempotency, answer []byte) error {
	sealed, err := s.ring.Seal(answerPlace(ctx, i), sensitive.New(answer))
	if err != nil {
		return err
	}
	return s.door.Keep(ctx, i, sealed, s.saveReservations)
}
