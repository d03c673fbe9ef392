package keys

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/crashpoint"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// idleEvery is how often the worker looks at the schedule, and at turns that wait for something.
	idleEvery = 15 * time.Second
	// retryAfter is the pause after a first failure: the disk may be full, the database away. It doubles with each one after that,
	// up to retryAtMost: a row that does not open waits for a person, and each try is an entry in the log.
	retryAfter  = 2 * time.Second
	retryAtMost = 10 * time.Minute

	// A slice is what one transaction moves. While others use the server it is so small that it hides in the transaction that
	// their entries need anyway: a millisecond on SQLite. On a database behind a network the round trips cost more than the rows.
	// When nobody is about, it is as large as pays.
	minSlice, minSliceShared, maxSlice = 32, 64, 4096
	// maxShare bounds how many times as long as a slice took others have the server for themselves after it: a fifth of the time is
	// the turn's. Without a rest, each of their transactions would carry a slice.
	maxShare = 4
	// maxRest bounds one rest: the first slice that meets others may have been a large one.
	maxRest = 50 * time.Millisecond
)

// Run works on turns until the context ends. Every server of a database runs one.
func (s *Service) Run(ctx context.Context) {
	ctx = s.system(ctx)
	for ctx.Err() == nil {
		wait := idleEvery
		if s.relock.Load() {
			if err := s.reunlock(ctx); err != nil && ctx.Err() == nil {
				slog.Warn("the root key cannot be fetched, so the keys that another server turned cannot be used", "error", err)
				wait = retryAfter
			}
		} else if err := s.Refresh(ctx); err == nil {
			wait = s.work(ctx)
		} else {
			wait = retryAfter
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-time.After(wait):
		}
	}
}

// work takes every turn that runs as far as it goes, and tells when to look again.
func (s *Service) work(ctx context.Context) time.Duration {
	s.beginDue(ctx)
	turns, err := s.db.RunningKeyTurns(ctx)
	if err != nil {
		return retryAfter
	}
	wait := idleEvery
	for _, t := range turns {
		pace := s.speed.of(&t, s.db.Shared())
		if left := pace.waits(time.Now()); left > 0 {
			wait = min(wait, left)
			continue
		}
		for ctx.Err() == nil && !t.Paused {
			went, err := s.step(ctx, &t)
			if err != nil && ctx.Err() == nil {
				slog.Warn("a turn of a key cannot go on", "turn", t.ID, "layer", t.Layer, "error", err)
				s.complain(ctx, t, err)
				wait = min(wait, pace.failed(time.Now()))
			}
			if err != nil || !went {
				break
			}
			pace.succeeded()
			if t, err = s.db.KeyTurn(ctx, t.ID); err != nil || t.EndedAt != 0 {
				s.speed.forget(t.ID)
				break
			}
		}
	}
	return wait
}

// step does the next piece of a turn and tells whether there was any.
func (s *Service) step(ctx context.Context, t *store.KeyTurn) (went bool, err error) {
	switch t.Stage {
	case stageMoving:
		return s.move(ctx, t)
	case stageOverlap:
		if t.DueAt == 0 || now() < t.DueAt {
			return false, nil
		}
		return true, s.advance(ctx, t, "settle", s.settle)
	case stageSettled:
		crashpoint.At("keys.settled")
		return true, s.count(ctx, t)
	case stageCounted:
		crashpoint.At("keys.counted")
		if t.KeepOld {
			return true, s.advance(ctx, t, "end", s.end)
		}
		return true, s.advance(ctx, t, "destroy", s.destroy)
	case stageScrubbing:
		crashpoint.At("keys.destroyed")
		if err := s.scrub(ctx, t); err != nil {
			return false, err
		}
		crashpoint.At("keys.scrubbed")
		return true, s.advance(ctx, t, "end", s.end)
	}
	return false, nil
}

// advance does one transaction of a turn, if it still stands where it was.
func (s *Service) advance(ctx context.Context, t *store.KeyTurn, what string, work func(context.Context, *store.Tx, guard.Permit, *store.KeyTurn) error) error {
	op := guard.Op{Action: policy.KeysTurn, Detail: map[string]string{"turn": t.ID, "keys": what, "layer": t.Layer, "project": string(t.Project)}}
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		now, err := tx.KeyTurn(ctx, t.ID)
		if err != nil {
			return err
		}
		if now.EndedAt != 0 || now.Paused || now.Stage != t.Stage {
			return store.ErrUndo
		}
		if what != "problem" { // that must be told of a turn that does not fit as well
			if err := fits(ctx, tx, &now); err != nil {
				return err
			}
		}
		return work(ctx, tx, p, &now)
	})
	crashpoint.At("keys." + what + ".after")
	return err
}

// fits refuses a turn whose keys are not two generations of its scope: its row was changed by hand, and going on could take a
// key away that is in use.
func fits(ctx context.Context, tx *store.Tx, t *store.KeyTurn) error {
	if t.Layer == string(LayerRoot) {
		return nil
	}
	var generations []int64
	for _, id := range []string{t.Old, t.New} {
		k, err := tx.KeyGeneration(ctx, id)
		if err != nil {
			return err
		}
		if k.Layer != t.Layer || k.Project != t.Project {
			return fault.New(fault.Internal, "turn %s names key %s, which is not of its layer and project", t.ID, id).WithHint("run: keyturn audit verify --deep")
		}
		generations = append(generations, k.Generation)
	}
	if generations[0] >= generations[1] {
		return fault.New(fault.Internal, "turn %s goes from a key to an older one", t.ID).WithHint("run: keyturn audit verify --deep")
	}
	return nil
}

// move moves one slice.
func (s *Service) move(ctx context.Context, t *store.KeyTurn) (bool, error) {
	old, err := keyring.ParseKeyID(t.Old)
	if err != nil {
		return false, fault.Wrap(fault.Internal, err, "turn %s is damaged", t.ID)
	}
	pace := s.speed.of(t, s.db.Shared())
	limit, pass := pace.next(), pace.pass
	var moved int64
	began := time.Now()
	settled := false
	err = s.advance(ctx, t, "move", func(ctx context.Context, tx *store.Tx, p guard.Permit, now *store.KeyTurn) error {
		var err error
		if moved, err = s.slice(ctx, tx, now, old, pass, limit); err != nil {
			return err
		}
		if moved == 0 && len(pass.all) == 0 {
			settled = true
			return s.settle(ctx, tx, p, now)
		}
		if err := s.Reserve(ctx, tx); err != nil {
			return err
		}
		return tx.AdvanceKeyTurn(ctx, now.ID, moved)
	})
	if err != nil {
		return false, err
	}
	took := time.Since(began)
	others := pace.done(moved, took, s.db.Submitted())
	if moved == 0 && !settled && len(pass.all) > 0 {
		problem := pass.text()
		pace.pass = &Pass{} // they are looked at again next time: somebody may have repaired them
		return false, fault.New(fault.Internal, "%s", problem).WithHint("run: keyturn audit verify --deep; the old key stays until this is repaired or purged")
	}
	return true, rest(ctx, max(restFor(others, took), atRate(t.Rate, moved)-took))
}

// slice moves up to limit things in a transaction and gives how many.
func (s *Service) slice(ctx context.Context, tx *store.Tx, t *store.KeyTurn, old keyring.KeyID, pass *Pass, limit int64) (int64, error) {
	var moved int64
	layer := keyring.Layer(t.Layer)
	if layer == keyring.LayerInstance {
		n, err := s.rewrap(ctx, tx, t, limit)
		if err != nil || n >= limit {
			return n, err
		}
		moved = n
	}
	for _, h := range s.holders {
		var n int64
		var err error
		if layer == keyring.LayerIndex {
			n, err = h.Redigest(ctx, tx, s.generation(old), pass, limit-moved)
		} else {
			n, err = h.Reseal(ctx, tx, layer, old, pass, limit-moved)
		}
		if moved += n; err != nil || moved >= limit {
			return moved, err
		}
	}
	return moved, nil
}

// rewrap wraps keys that lie under the old instance key anew, and tells the ring when that is stored.
func (s *Service) rewrap(ctx context.Context, tx *store.Tx, t *store.KeyTurn, limit int64) (int64, error) {
	stored, err := tx.KeysWrappedBy(ctx, t.Old, limit)
	if err != nil || len(stored) == 0 {
		return 0, err
	}
	var rows keyring.Rows
	for _, k := range stored {
		row, err := keyRow(k)
		if err == nil {
			row, err = s.ring.Rewrap(row)
		}
		if err != nil {
			return 0, err
		}
		rows.Keys = append(rows.Keys, row)
	}
	if err := Save(ctx, tx, rows); err != nil {
		return 0, err
	}
	return int64(len(stored)), s.moved(ctx, tx, rows)
}

func (s *Service) generation(id keyring.KeyID) uint32 {
	for _, k := range s.ring.Rows() {
		if k.ID == id {
			return k.Generation
		}
	}
	return 0
}

// settle retires the old key: nothing is left under it, and nothing can be made under it any more.
func (s *Service) settle(ctx context.Context, tx *store.Tx, p guard.Permit, t *store.KeyTurn) error {
	old, err := s.restate(ctx, tx, t.Old, keyring.StateRetired)
	if err != nil {
		return err
	}
	if t.Layer == string(keyring.LayerIndex) {
		if err := tx.ForgetRequests(ctx, keyring.DigestPrefix(old.Generation), keyring.DigestPrefix(old.Generation+1)); err != nil {
			return err
		}
	}
	t.Stage, t.Problem = stageSettled, ""
	p.Note("settled", "true")
	if err := tx.PutKeyTurn(ctx, t); err != nil {
		return err
	}
	return s.moved(ctx, tx, keyring.Rows{Keys: []keyring.KeyRow{old}})
}

// destroy takes the wrapped key away. The census stands before it, and is repeated here, where nobody else can write: what was
// put back by hand since, or a turn whose row was changed by hand, must not cost a value.
func (s *Service) destroy(ctx context.Context, tx *store.Tx, p guard.Permit, t *store.KeyTurn) error {
	left, err := s.left(ctx, tx.Queries, t)
	if err != nil {
		return err
	}
	if left != 0 {
		p.Note("left", "true")
		return s.unsettle(ctx, tx, t)
	}
	p.Note("destroyed", t.Old)
	t.Stage = stageScrubbing
	if t.Layer == string(LayerRoot) { // a slot is gone already
		return tx.PutKeyTurn(ctx, t)
	}
	stored, err := tx.KeyGeneration(ctx, t.Old)
	if err != nil {
		return err
	}
	t.Trace += trace(stored.Wrapped)
	if err := tx.PutKeyTurn(ctx, t); err != nil {
		return err
	}
	old, err := s.restate(ctx, tx, t.Old, keyring.StateDestroyed)
	if err != nil {
		return err
	}
	return s.moved(ctx, tx, keyring.Rows{Keys: []keyring.KeyRow{old}})
}

func (s *Service) end(ctx context.Context, tx *store.Tx, _ guard.Permit, t *store.KeyTurn) error {
	t.Stage, t.EndedAt, t.Problem = stageDone, tx.Now(), ""
	return tx.PutKeyTurn(ctx, t)
}

// scrub makes sure that nothing of the old key, nor anything that it opens, is left in the files.
func (s *Service) scrub(ctx context.Context, t *store.KeyTurn) error {
	var needles [][]byte
	if t.Layer != string(LayerRoot) {
		id, err := keyring.ParseKeyID(t.Old)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "turn %s is damaged", t.ID)
		}
		needles = append(needles, keyring.EnvelopesUnder(id))
	}
	for text := range strings.FieldsSeq(t.Trace) {
		needle, err := hex.DecodeString(text)
		if err != nil || len(needle) < traceSize {
			return fault.New(fault.Internal, "turn %s is damaged", t.ID)
		}
		needles = append(needles, needle)
	}
	return s.db.Scrub(ctx, needles...)
}

const (
	// traceFrom and traceSize say which bytes of a wrapping are looked for: those after its header, which names the key that
	// wraps and not the one inside. They are its nonce or the beginning of its encapsulated key: random, so that no chance
	// repeats them; useless, so that they may be kept; and without them nobody opens the rest.
	traceFrom, traceSize = 22, 12
)

// trace gives what must not be found of a wrapping once it is gone, as one word of a turn's traces.
func trace(wrapped []byte) string {
	if len(wrapped) < traceFrom+traceSize {
		return ""
	}
	return hex.EncodeToString(wrapped[traceFrom:traceFrom+traceSize]) + " "
}

// complain notes what keeps a turn from going on, where people see it, and in the log.
func (s *Service) complain(ctx context.Context, t store.KeyTurn, cause error) {
	problem := fault.As(cause).Message
	if t.Problem == problem || errors.Is(cause, context.Canceled) {
		return
	}
	err := s.advance(ctx, &t, "problem", func(ctx context.Context, tx *store.Tx, p guard.Permit, now *store.KeyTurn) error {
		p.Note("problem", problem)
		return tx.NoteKeyTurnProblem(ctx, now.ID, problem) // the rest of the row may be what is wrong, and must not be vouched for
	})
	if err != nil {
		slog.Warn("the problem of a turn cannot be noted", "turn", t.ID, "error", err)
	}
}
