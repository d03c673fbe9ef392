package keys

import (
	"context"
	"errors"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// fieldSecret is what binds the envelope of a secret of the server itself, together with its id.
const fieldSecret = "instance.secret"

// maxSecret bounds a secret of the server itself: keys, passwords and certificates of those whom it calls.
const maxSecret = 64 << 10

// KeepSecret stores a secret of the server itself, sealed under the instance key, in the transaction of the change that needs
// it. One that is there under the id is replaced. More than 64 KiB is [fault.Invalid].
func (s *Service) KeepSecret(ctx context.Context, tx *store.Tx, id string, value sensitive.Value) error {
	if value.Len() > maxSecret {
		return fault.New(fault.Invalid, "the credential is longer than %d bytes", maxSecret)
	}
	envelope, err := s.ring.Seal(keyring.Place{Record: id, Field: fieldSecret}, value)
	if err != nil {
		return err
	}
	if err := s.Reserve(ctx, tx); err != nil {
		return err
	}
	return tx.PutInstanceSecret(ctx, &store.InstanceSecret{ID: id, At: tx.Now(), Value: envelope})
}

// OpenSecret gives one; none of this id is [fault.NotFound].
func (s *Service) OpenSecret(ctx context.Context, id string) (sensitive.Value, error) {
	row, err := s.db.InstanceSecret(ctx, id)
	if err != nil {
		return sensitive.Value{}, err
	}
	at := keyring.Place{Record: id, Field: fieldSecret}
	value, err := s.ring.Open(at, row.Value)
	if !errors.Is(err, fault.Unavailable) {
		return value, err
	}
	if err := s.Refresh(ctx); err != nil { // another server has turned the key
		return sensitive.Value{}, err
	}
	if row, err = s.db.InstanceSecret(ctx, id); err != nil { // which may have moved under the new key meanwhile
		return sensitive.Value{}, err
	}
	return s.ring.Open(at, row.Value)
}
