package backup

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
)

// slotKind is the kind of the slot that exists in a backup only.
const slotKind = "backup"

// recoveryKind is the kind of the slots that a restore keeps: they are in people's safes, whatever machine serves.
const recoveryKind = "recovery"

// RecoveryRecipients gives the age recipients of the instance's recovery kits, each once: what a backup is sealed to.
func RecoveryRecipients(ctx context.Context, q store.Queries) ([]string, error) {
	slots, err := q.KeySlots(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range slots {
		if s.Kind == recoveryKind {
			out = append(out, kitRecipients(s.Source)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// kitRecipients takes the source of a recovery slot apart: its recipients, with spaces or commas between them.
func kitRecipients(source string) []string {
	return strings.FieldsFunc(source, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// rowsIn reads slots and keys out of a snapshot, whose schema may be older than the queries of this program.
func rowsIn(ctx context.Context, snap *store.Snapshot) (keyring.Rows, error) {
	var rows keyring.Rows
	for _, t := range snap.Tables() {
		if t.Name != "key_slot" && t.Name != "key_generation" {
			continue
		}
		err := snap.Rows(ctx, t.Name, func(row []any) error { return addKeyRow(&rows, t.Name, t.Columns, row) })
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// addKeyRow adds a raw row of key_slot or key_generation.
func addKeyRow(rows *keyring.Rows, table string, columns []string, row []any) error {
	if table == "key_slot" {
		stored, err := store.KeySlotOf(columns, row)
		if err != nil {
			return err
		}
		s, err := keys.SlotRow(stored)
		rows.Slots = append(rows.Slots, s)
		return err
	}
	stored, err := store.KeyGenerationOf(columns, row)
	if err != nil {
		return err
	}
	k, err := keys.KeyRow(stored)
	rows.Keys = append(rows.Keys, k)
	return err
}

// LogKeys gives the public keys of every log-signing key that the instance ever had: see [Check.Signers].
func LogKeys(ctx context.Context, q store.Queries) ([][]byte, error) {
	all, err := q.KeyGenerations(ctx)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, k := range all {
		if k.Layer == string(keyring.LayerLog) && len(k.Public) > 0 {
			out = append(out, k.Public)
		}
	}
	return out, nil
}
