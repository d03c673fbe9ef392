package secrets

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/store"
)

// LoadKeys reads all slots and keys.
func LoadKeys(ctx context.Context, q store.Queries) (keyring.Rows, error) {
	var rows keyring.Rows
	slots, err := q.KeySlots(ctx)
	if err != nil {
		return rows, err
	}
	for _, s := range slots {
		id, err := keyring.ParseKeyID(s.Key)
		if err != nil {
			return rows, fault.Wrap(fault.Internal, err, "key slot %s is damaged", s.ID)
		}
		rows.Slots = append(rows.Slots, keyring.SlotRow{ID: s.ID, Kind: s.Kind, Fingerprint: s.Fingerprint, Key: id, Wrapped: s.Wrapped, Check: s.Check, CreatedMS: s.CreatedAt})
	}
	keys, err := q.KeyGenerations(ctx)
	if err != nil {
		return rows, err
	}
	for _, k := range keys {
		row, err := keyRow(k)
		if err != nil {
			return rows, err
		}
		rows.Keys = append(rows.Keys, row)
	}
	return rows, nil
}

func keyRow(k store.KeyGeneration) (keyring.KeyRow, error) {
	row := keyring.KeyRow{Layer: keyring.Layer(k.Layer), Project: string(k.Project), Generation: uint32(k.Generation),
		State: keyring.State(k.State), Wrapped: k.Wrapped, CreatedMS: k.CreatedAt, SealsReserved: k.SealsReserved, Public: k.Public}
	var err error
	if row.ID, err = keyring.ParseKeyID(k.ID); err == nil && k.WrappedBy != "" {
		row.WrappedBy, err = keyring.ParseKeyID(k.WrappedBy)
	}
	if err != nil {
		return row, fault.Wrap(fault.Internal, err, "key %s is damaged", k.ID)
	}
	return row, nil
}

// SaveKeys stores slots and keys.
func SaveKeys(ctx context.Context, tx *store.Tx, rows keyring.Rows) error {
	var slots []*store.KeySlot
	for _, s := range rows.Slots {
		slots = append(slots, &store.KeySlot{ID: s.ID, Kind: s.Kind, Fingerprint: s.Fingerprint, Key: s.Key.String(), Wrapped: s.Wrapped, Check: s.Check, CreatedAt: s.CreatedMS})
	}
	var keys []*store.KeyGeneration
	for _, k := range rows.Keys {
		g := &store.KeyGeneration{ID: k.ID.String(), Layer: string(k.Layer), Project: domain.ProjectID(k.Project), Generation: int64(k.Generation),
			State: string(k.State), Wrapped: k.Wrapped, CreatedAt: k.CreatedMS, SealsReserved: k.SealsReserved, Public: k.Public}
		if !k.WrappedBy.IsZero() {
			g.WrappedBy = k.WrappedBy.String()
		}
		keys = append(keys, g)
	}
	if err := tx.PutKeySlots(ctx, slots...); err != nil {
		return err
	}
	return tx.PutKeyGenerations(ctx, keys...)
}

// saveReservations persists the blocks of seals that were begun in this transaction, so that a crash cannot make a
// generation forget how often it was used. Servers on one database add to the same count.
func (s *Service) saveReservations(ctx context.Context, tx *store.Tx) error {
	rows := s.ring.Reservations()
	for i := range rows {
		reserved, err := tx.ReserveSeals(ctx, rows[i].ID.String(), keyring.SealBlock)
		if err != nil {
			return err
		}
		rows[i].SealsReserved = reserved
	}
	if len(rows) > 0 {
		tx.After(func() { s.ring.Reserved(rows) })
	}
	return nil
}
