package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// fieldInstance binds an envelope to the table of the server's own secrets. Package backup moves them when keys turn, and
// knows them by the same word.
const fieldInstance = "instance.secret"

// SealWith gives the keys under which seeds of second factors lie. It is called before the first request.
func (s *Service) SealWith(k *keys.Service) { s.keys = k }

// keep seals a secret of the server itself under an id.
func (s *Service) keep(ctx context.Context, tx *store.Tx, id string, v sensitive.Value) error {
	if s.keys == nil {
		return fault.New(fault.Unavailable, "there are no keys to seal a seed with")
	}
	envelope, err := s.keys.Ring().Seal(keyring.Place{Record: id, Field: fieldInstance}, v)
	if err != nil {
		return err
	}
	if err := s.keys.Reserve(ctx, tx); err != nil {
		return err
	}
	return tx.PutInstanceSecret(ctx, &store.InstanceSecret{ID: id, At: tx.Now(), Value: envelope})
}

// kept opens one. Wipe it after use.
func (s *Service) kept(ctx context.Context, q store.Queries, id string) (sensitive.Value, error) {
	if s.keys == nil {
		return sensitive.Value{}, fault.New(fault.Unavailable, "there are no keys to open a seed with")
	}
	row, err := q.InstanceSecret(ctx, id)
	if err != nil {
		return sensitive.Value{}, err
	}
	place := keyring.Place{Record: id, Field: fieldInstance}
	v, err := s.keys.Ring().Open(place, row.Value)
	if fault.KindOf(err) == fault.Unavailable && err != nil { // a turn that this server has not heard of yet
		if err := s.keys.Refresh(ctx); err != nil {
			return sensitive.Value{}, err
		}
		return s.keys.Ring().Open(place, row.Value)
	}
	return v, err
}
