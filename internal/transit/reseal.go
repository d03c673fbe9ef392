package transit

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
)

// Reseal implements [keys.Holder]. Keys of projects lie under the key of their project, those of the organisation under the
// instance key; the old key tells which are meant.
func (s *Service) Reseal(ctx context.Context, tx *store.Tx, _ keyring.Layer, old keyring.KeyID, pass *keys.Pass, limit int64) (int64, error) {
	rows, err := tx.SealedUnder(ctx, store.SealedTransit, old, pass.Damaged(store.SealedTransit), pass.Walk(store.SealedTransit), limit)
	if err != nil {
		return 0, err
	}
	whole := rows[:0]
	for _, row := range rows {
		fresh, err := s.ring.Reseal(place(&store.TransitVersion{ID: row.ID, Project: domain.ProjectID(row.Project), Version: row.Version}), row.Value, old)
		if err != nil {
			if err := pass.Damage(store.SealedTransit, row.ID, err); err != nil {
				return 0, err
			}
			continue
		}
		row.Value = fresh
		whole = append(whole, row)
	}
	return int64(len(whole)), tx.PutSealed(ctx, store.SealedTransit, whole)
}

// Redigest implements [keys.Holder]: keys have no digests.
func (*Service) Redigest(context.Context, *store.Tx, uint32, *keys.Pass, int64) (int64, error) {
	return 0, nil
}

// ForgetSealed implements [keys.Holder]: what is at hand and not opened yet may lie under a key that is about to go.
func (s *Service) ForgetSealed() { s.held.clear() }
