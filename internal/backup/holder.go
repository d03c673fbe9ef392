package backup

import (
	"context"

	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
)

// Holder moves the instance's own secrets when the instance key turns. It implements [keys.Holder].
type Holder struct{ Ring *keyring.Ring }

// Reseal implements [keys.Holder].
func (h Holder) Reseal(ctx context.Context, tx *store.Tx, layer keyring.Layer, old keyring.KeyID, pass *keys.Pass, limit int64) (int64, error) {
	if layer != keyring.LayerInstance {
		return 0, nil
	}
	rows, err := tx.SealedUnder(ctx, store.SealedInstance, old, pass.Damaged(store.SealedInstance), pass.Walk(store.SealedInstance), limit)
	if err != nil {
		return 0, err
	}
	var whole []store.Sealed
	for _, row := range rows {
		fresh, err := h.Ring.Reseal(keyring.Place{Record: row.ID, Field: fieldInstance}, row.Value, old)
		if err != nil {
			if err := pass.Damage(store.SealedInstance, row.ID, err); err != nil {
				return 0, err
			}
			continue
		}
		row.Value = fresh
		whole = append(whole, row)
	}
	return int64(len(whole)), tx.PutSealed(ctx, store.SealedInstance, whole)
}

// Redigest implements [keys.Holder]: the instance's own secrets have no digests.
func (Holder) Redigest(context.Context, *store.Tx, uint32, *keys.Pass, int64) (int64, error) {
	return 0, nil
}

// ForgetSealed implements [keys.Holder]: nothing is kept in memory.
func (Holder) ForgetSealed() {}
