package keys

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/store"
)

// Load reads all slots and keys.
func Load(ctx context.Context, q store.Queries) (keyring.Rows, error) {
	var rows keyring.Rows
	slots, err := q.KeySlots(ctx)
	if err != nil {
		return rows, err
	}
	for _, s := range slots {
		row, err := slotRow(s)
		if err != nil {
			return rows, err
		}
		rows.Slots = append(rows.Slots, row)
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

func slotRow(s store.KeySlot) (keyring.SlotRow, error) {
	id, err := keyring.ParseKeyID(s.Key)
	if err != nil {
		return keyring.SlotRow{}, fault.Wrap(fault.Internal, err, "key slot %s is damaged", s.ID)
	}
	return keyring.SlotRow{ID: s.ID, Kind: s.Kind, Fingerprint: s.Fingerprint, Key: id, Wrapped: s.Wrapped, Check: s.Check, CreatedMS: s.CreatedAt,
		Source: s.Source, Kept: s.Kept, Public: s.Public, Proof: s.Proof, ProvedMS: s.ProvedAt}, nil
}

func storedSlot(s keyring.SlotRow) *store.KeySlot {
	return &store.KeySlot{ID: s.ID, Kind: s.Kind, Fingerprint: s.Fingerprint, Key: s.Key.String(), Wrapped: s.Wrapped, Check: s.Check, CreatedAt: s.CreatedMS,
		Source: s.Source, Kept: s.Kept, Public: s.Public, Proof: s.Proof, ProvedAt: s.ProvedMS}
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

func storedKey(k keyring.KeyRow) *store.KeyGeneration {
	g := &store.KeyGeneration{ID: k.ID.String(), Layer: string(k.Layer), Project: domain.ProjectID(k.Project), Generation: int64(k.Generation),
		State: string(k.State), Wrapped: k.Wrapped, CreatedAt: k.CreatedMS, SealsReserved: k.SealsReserved, Public: k.Public}
	if !k.WrappedBy.IsZero() {
		g.WrappedBy = k.WrappedBy.String()
	}
	return g
}

// Save stores slots and keys.
func Save(ctx context.Context, tx *store.Tx, rows keyring.Rows) error {
	var slots []*store.KeySlot
	for _, s := range rows.Slots {
		slots = append(slots, storedSlot(s))
	}
	var keys []*store.KeyGeneration
	for _, k := range rows.Keys {
		keys = append(keys, storedKey(k))
	}
	if err := tx.PutKeySlots(ctx, slots...); err != nil {
		return err
	}
	return tx.PutKeyGenerations(ctx, keys...)
}

// Reserve persists the blocks of seals that were begun in this transaction, so that a crash cannot make a
// generation forget how often it was used. Servers on one database add to the same count.
func (s *Service) Reserve(ctx context.Context, tx *store.Tx) error {
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
