package secrets

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// openAnew opens a state of a secret that did not open as it was at hand.
func (s *Service) openAnew(at keyring.Place, row *store.Secret, column func(*store.Secret) []byte, cause error) (sensitive.Value, error) {
	return s.reopen(at, cause, func(ctx context.Context) ([]byte, error) {
		states, err := s.db.SecretStates(ctx, row.ID)
		for i := range states {
			if states[i].Revision == row.Revision {
				return column(&states[i]), err
			}
		}
		return nil, err
	})
}

// reopen opens what did not open as it was at hand: another server may have moved it to a key that this one has not heard of,
// or the key that it lies under may be gone since the row was read. cause is what Open said the first time; again reads the
// envelope anew.
func (s *Service) reopen(at keyring.Place, cause error, again func(context.Context) ([]byte, error)) (sensitive.Value, error) {
	ctx := context.Background() // short questions, and their answers serve others too
	err := s.keys.Refresh(ctx)
	if err != nil {
		return sensitive.Value{}, cause
	}
	envelope, err := again(ctx)
	if err != nil {
		return sensitive.Value{}, err
	}
	v, err := s.ring.Open(at, envelope)
	if errors.Is(err, keyring.ErrDamaged) && s.onDamage != nil {
		s.onDamage(at.Record, at.Field)
	}
	return v, err
}

// sealedPlaces tells for each table with envelopes of this service where a row's value belongs. Comments have a place of
// their own.
var sealedPlaces = map[string]func(*store.Sealed) keyring.Place{
	store.SealedSecrets: statePlace,
	store.SealedHistory: statePlace,
	store.SealedPersonal: func(r *store.Sealed) keyring.Place {
		return personalPlace(store.Personal{ID: r.ID, Project: r.Project, Version: r.Version})
	},
	store.SealedChanges: func(r *store.Sealed) keyring.Place {
		return changePlace(&store.ChangePart{ID: r.ID, Project: r.Project, Part: r.Version})
	},
	store.SealedAnswers: func(r *store.Sealed) keyring.Place { return answerPlaceOf(r.ID) },
}

func statePlace(r *store.Sealed) keyring.Place {
	return valuePlace(&store.Secret{ID: domain.SecretID(r.ID), Project: r.Project, Version: r.Version})
}

func sealedCommentPlace(r *store.Sealed) keyring.Place {
	row := store.Secret{ID: domain.SecretID(r.ID), Project: r.Project}
	row.Attrs.CommentRev = r.CommentRev
	return commentPlace(&row)
}

// Reseal implements [keys.Holder].
func (s *Service) Reseal(ctx context.Context, tx *store.Tx, layer keyring.Layer, old keyring.KeyID, pass *keys.Pass, limit int64) (int64, error) {
	tables := []string{store.SealedSecrets, store.SealedHistory, store.SealedPersonal, store.SealedChanges}
	if layer == keyring.LayerInstance {
		tables = []string{store.SealedAnswers}
	}
	var moved int64
	for _, table := range tables {
		rows, err := tx.SealedUnder(ctx, table, old, pass.Damaged(table), pass.Walk(table), limit-moved)
		if err != nil {
			return moved, err
		}
		whole := rows[:0]
		for i := range rows {
			if err := s.resealRow(&rows[i], sealedPlaces[table](&rows[i]), old); err != nil {
				if err := pass.Damage(table, rows[i].ID, err); err != nil {
					return moved, err
				}
				continue
			}
			whole = append(whole, rows[i])
		}
		if err := tx.PutSealed(ctx, table, whole); err != nil {
			return moved, err
		}
		if table == store.SealedSecrets {
			tx.After(func() { s.cache.resealed(whole) })
		}
		if moved += int64(len(whole)); moved >= limit {
			break
		}
	}
	return moved, nil
}

// resealRow moves those envelopes of a row that lie under the old key to the primary one.
func (s *Service) resealRow(r *store.Sealed, value keyring.Place, old keyring.KeyID) error {
	for _, e := range []struct {
		at       keyring.Place
		envelope *[]byte
	}{{value, &r.Value}, {sealedCommentPlace(r), &r.Comment}} {
		if len(*e.envelope) == 0 {
			continue
		}
		fresh, err := s.ring.Reseal(e.at, *e.envelope, old)
		if err != nil {
			return err
		}
		*e.envelope = fresh
	}
	return nil
}

// Redigest implements [keys.Holder].
func (s *Service) Redigest(ctx context.Context, tx *store.Tx, generation uint32, pass *keys.Pass, limit int64) (int64, error) {
	var moved int64
	for _, table := range []string{store.SealedSecrets, store.SealedHistory} {
		rows, err := tx.DigestedUnder(ctx, table, keyring.DigestPrefix(generation), keyring.DigestPrefix(generation+1), pass.Damaged(table), limit-moved)
		if err != nil {
			return moved, err
		}
		fresh := make([]store.Digested, 0, len(rows))
		for i := range rows {
			v, err := s.ring.Open(statePlace(&rows[i]), rows[i].Value)
			if err != nil {
				if err := pass.Damage(table, rows[i].ID, fmt.Errorf("open it for its digest: %w", err)); err != nil {
					return moved, err
				}
				continue
			}
			fresh = append(fresh, store.Digested{Sealed: rows[i], Digest: s.ring.Digest(v)})
			v.Wipe()
		}
		if err := tx.PutDigests(ctx, table, fresh); err != nil {
			return moved, err
		}
		if moved += int64(len(fresh)); moved >= limit {
			break
		}
	}
	return moved, nil
}

// ForgetSealed implements [keys.Holder]: what is at hand may lie under a key that is about to go. What lies under a primary key
// stays.
func (s *Service) ForgetSealed() {
	s.cache.keep(func(row *store.Secret) bool {
		key, ok := s.ring.Primary(keyring.LayerProject, string(row.Project))
		return ok && under(key, row.Value) && under(key, row.Comment)
	})
}

// under tells whether an envelope lies under the key; an absent one lies under any.
func under(key keyring.KeyID, envelope []byte) bool {
	if len(envelope) == 0 {
		return true
	}
	h, err := keyring.ParseHeader(envelope)
	return err == nil && h.Key == key
}

// emptyDigests gives the digests of the empty value.
func (s *Service) emptyDigests() map[string]bool {
	out := map[string]bool{}
	for _, d := range s.ring.DigestAll(sensitive.Value{}) {
		out[string(d)] = true
	}
	return out
}
