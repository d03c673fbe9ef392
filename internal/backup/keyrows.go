package backup

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/store"
)

// slotKind is the kind of the slot that exists in a backup only.
const slotKind = "backup"

// recoveryKind is the kind of the slots that a restore keeps: they are in people's safes, whatever machine serves.
const recoveryKind = "recovery"

func slotRow(s store.KeySlot) (keyring.SlotRow, error) {
	id, err := keyring.ParseKeyID(s.Key)
	if err != nil {
		return keyring.SlotRow{}, fault.Wrap(fault.Invalid, err, "key slot %s is damaged", s.ID)
	}
	return keyring.SlotRow{ID: s.ID, Kind: s.Kind, Fingerprint: s.Fingerprint, Key: id, Wrapped: s.Wrapped, Check: s.Check, CreatedMS: s.CreatedAt}, nil
}

func storedSlot(s keyring.SlotRow) *store.KeySlot {
	return &store.KeySlot{ID: s.ID, Kind: s.Kind, Fingerprint: s.Fingerprint, Key: s.Key.String(), Wrapped: s.Wrapped, Check: s.Check, CreatedAt: s.CreatedMS}
}

func keyRow(k store.KeyGeneration) (keyring.KeyRow, error) {
	row := keyring.KeyRow{Layer: keyring.Layer(k.Layer), Project: string(k.Project), Generation: uint32(k.Generation),
		State: keyring.State(k.State), Wrapped: k.Wrapped, CreatedMS: k.CreatedAt, SealsReserved: k.SealsReserved, Public: k.Public}
	var err error
	if row.ID, err = keyring.ParseKeyID(k.ID); err == nil && k.WrappedBy != "" {
		row.WrappedBy, err = keyring.ParseKeyID(k.WrappedBy)
	}
	if err != nil {
		return row, fault.Wrap(fault.Invalid, err, "key %s is damaged", k.ID)
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

// loadRows reads slots and keys.
func loadRows(ctx context.Context, q store.Queries) (keyring.Rows, error) {
	var rows keyring.Rows
	slots, err := q.KeySlots(ctx)
	if err != nil {
		return rows, err
	}
	keys, err := q.KeyGenerations(ctx)
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
	for _, k := range keys {
		row, err := keyRow(k)
		if err != nil {
			return rows, err
		}
		rows.Keys = append(rows.Keys, row)
	}
	return rows, nil
}
