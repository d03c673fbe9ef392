package backup

import (
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/keyring"
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
			out = append(out, strings.Fields(s.Source)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
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
