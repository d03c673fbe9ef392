package secrets

import (
	"context"
	"crypto/subtle"
	"encoding/json"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Answers to writes may hold a token that is shown once, so what is kept for a client that asks again is sealed.
const fieldAnswer = "idempotency.answer"

func answerPlace(ctx context.Context, i *guard.Idempotency) keyring.Place {
	return answerPlaceOf(i.ID(guard.CallerOf(ctx)))
}

func answerPlaceOf(id string) keyring.Place { return keyring.Place{Record: id, Field: fieldAnswer} }

// kept is what is sealed: the answer, the question that must be allowed for whoever wants it again, and the request's hash.
type kept struct {
	Asked  guard.Asked `json:"asked"`
	Answer []byte      `json:"answer"`
	Hash   []byte      `json:"hash"`
}

// Replay gives the answer to an earlier request with the same key, nil when there was none. It is decided and recorded
// like the request itself: whoever lost the right since gets nothing.
func (s *Service) Replay(ctx context.Context, i *guard.Idempotency) ([]byte, error) {
	sealed, err := s.door.Replay(ctx, i)
	if err != nil || sealed == nil {
		return nil, err
	}
	v, err := s.ring.Open(answerPlace(ctx, i), sealed)
	if err != nil {
		v, err = s.reopen(answerPlace(ctx, i), err, func(ctx context.Context) ([]byte, error) { return s.door.Replay(ctx, i) })
	}
	if err != nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(v.Reveal(), &k); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a kept answer is damaged")
	}
	if subtle.ConstantTimeCompare(k.Hash, i.Hash[:]) != 1 {
		return nil, guard.Reused()
	}
	return k.Answer, s.door.AskAgain(ctx, k.Asked)
}

// Keep stores the answer to the request that was just applied.
func (s *Service) Keep(ctx context.Context, i *guard.Idempotency, answer []byte) error {
	plain, err := json.Marshal(kept{i.Asked, answer, i.Hash[:]})
	if err != nil {
		return err
	}
	return s.door.Keep(ctx, i, func(ctx context.Context, tx *store.Tx) ([]byte, error) {
		sealed, err := s.ring.Seal(answerPlace(ctx, i), sensitive.New(plain))
		if err != nil {
			return nil, err
		}
		return sealed, s.keys.Reserve(ctx, tx)
	})
}

// Idempotency ties a request, by the hash of its method, path and body, to a key of the client's choice. The hash is stored
// under the index key, so that a stolen database cannot be used to guess the values that were in it.
func (s *Service) Idempotency(key string, hash [32]byte) *guard.Idempotency {
	v := sensitive.New(append([]byte("idempotency\x00"), hash[:]...))
	return &guard.Idempotency{Key: key, Hash: hash, Request: func() []byte { return s.ring.Digest(v) }, Fits: func(stored []byte) (fits, known bool) {
		return s.ring.DigestFits(v, stored), s.ring.KnowsDigest(stored)
	}}
}
