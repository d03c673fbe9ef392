package keys

import (
	"context"

	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/store"
)

// SlotRow is a stored slot as the keyring takes it.
func SlotRow(s store.KeySlot) (keyring.SlotRow, error) { return slotRow(s) }

// StoredSlot is a slot as the store takes it.
func StoredSlot(s keyring.SlotRow) *store.KeySlot { return storedSlot(s) }

// KeyRow is a stored key as the keyring takes it.
func KeyRow(k store.KeyGeneration) (keyring.KeyRow, error) { return keyRow(k) }

// AfterRestore ends the running turns of root and log keys: a restore replaces those keys itself. Turns of other layers go on
// where the backup found them.
func AfterRestore(ctx context.Context, tx *store.Tx) error {
	running, err := tx.RunningKeyTurns(ctx)
	if err != nil {
		return err
	}
	for _, t := range running {
		if t.Layer != string(LayerRoot) && t.Layer != string(keyring.LayerLog) {
			continue
		}
		t.Stage, t.EndedAt, t.Problem = stageUndone, tx.Now(), "a restore has replaced these keys"
		if err := tx.PutKeyTurn(ctx, &t); err != nil {
			return err
		}
	}
	return nil
}
