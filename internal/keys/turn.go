package keys

import (
	"context"
	"fmt"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/crashpoint"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// LayerRoot is the layer above the instance key: its keys lie outside the database, and a turn of it is a change of slots.
const LayerRoot keyring.Layer = "root"

// The stages of a turn.
const (
	stageMoving    = "moving"    // envelopes move to the new key
	stageOverlap   = "overlap"   // both keys are valid until the overlap is over, or until the old slot is removed
	stageSettled   = "settled"   // nothing is left, the old key is retired
	stageCounted   = "counted"   // the census is signed
	stageScrubbing = "scrubbing" // the old key is destroyed; the files may still hold traces
	stageDone      = "done"
	stageUndone    = "undone" // the new one was taken back
)

// Causes of a turn.
const (
	causeHand     = "hand"
	causeSchedule = "schedule"
	causeLimit    = "limit" // far below the bound of seals under one key
)

// Scope is what turns as one: a layer, or one project's key.
type Scope struct {
	Layer   keyring.Layer
	Project domain.ProjectID // empty unless the layer is project
}

func (sc Scope) String() string {
	if sc.Project != "" {
		return "the key of project " + string(sc.Project)
	}
	return "the " + string(sc.Layer) + " key"
}

// Order is what a turn shall be like.
type Order struct {
	KeepOld bool
	Rate    int64         // envelopes a second at most; 0 = as fast as readers allow
	Overlap time.Duration // of layers log and tokens; 0 = as configured
	cause   string
}

// manage lets a change of keys through the door.
func (s *Service) manage(ctx context.Context, what string, detail map[string]string, work func(*store.Tx, guard.Permit) error) error {
	if detail == nil {
		detail = map[string]string{}
	}
	detail["keys"] = what
	return s.door.Do(ctx, guard.Op{Action: policy.KeysManage, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: detail}, work)
}

// Begin begins a turn: from the end of this transaction on, everything new is made under the new key. A turn of the same key
// that runs already is [fault.Conflict] and named.
func (s *Service) Begin(ctx context.Context, sc Scope, o Order) (store.KeyTurn, error) {
	var turn store.KeyTurn
	total := s.estimate(ctx, sc)
	err := s.manage(ctx, "begin", map[string]string{"layer": string(sc.Layer), "project": string(sc.Project)}, func(tx *store.Tx, p guard.Permit) error {
		if err := conflict(ctx, tx, sc); err != nil {
			return err
		}
		var slots []keyring.SlotRow
		if sc.Layer == keyring.LayerInstance {
			rows, err := Load(ctx, tx.Queries)
			if err != nil {
				return err
			}
			slots = rows.Slots
		}
		rows, err := s.ring.Next(sc.Layer, string(sc.Project), slots, tx.Now())
		if err != nil {
			return err
		}
		old, fresh := rows.Keys[0], rows.Keys[1]
		turn = store.KeyTurn{ID: domain.NewID[string](), Layer: string(sc.Layer), Project: sc.Project, Old: old.ID.String(), New: fresh.ID.String(),
			Stage: stageMoving, Cause: o.cause, StartedAt: tx.Now(), KeepOld: o.KeepOld, Rate: o.Rate, Total: total}
		if turn.Cause == "" {
			turn.Cause = causeHand
		}
		signed(&turn, p)
		for _, slot := range slots { // each is about to be filled anew
			turn.Trace += trace(slot.Wrapped)
		}
		switch sc.Layer {
		case keyring.LayerLog:
			if turn.Handover, err = s.handover(fresh); err != nil {
				return err
			}
			p.Note("handover", turn.Handover) // the change is itself an entry, signed by the old key
			fallthrough
		case keyring.LayerTokens:
			turn.Stage, turn.DueAt = stageOverlap, tx.Now()+s.overlap(sc.Layer, o).Milliseconds()
		}
		p.Note("turn", turn.ID)
		p.Note("old_key", turn.Old)
		p.Note("new_key", turn.New)
		// The database may know more of the old key than this ring: another wrapping, a higher count of seals.
		if sc.Layer != keyring.LayerInstance {
			if old, err = s.restate(ctx, tx, old.ID.String(), keyring.StateActive); err != nil {
				return err
			}
		} else if old.SealsReserved, err = reserved(ctx, tx, old.ID.String()); err != nil {
			return err
		}
		rows.Keys[0] = old
		if err := Save(ctx, tx, rows); err != nil {
			return err
		}
		if err := tx.PutKeyTurn(ctx, &turn); err != nil {
			return err
		}
		return s.moved(ctx, tx, rows)
	})
	crashpoint.At("keys.begin.after")
	return turn, err
}

// signed notes who began a turn.
func signed(turn *store.KeyTurn, p guard.Permit) {
	who := p.Principal()
	turn.ActorKind, turn.ActorID, turn.ActorName = string(who.Kind), who.ID, who.Name
}

// moved ends a transaction that changed keys: the epoch moves on, other servers are told, and this one takes the rows in.
func (s *Service) moved(ctx context.Context, tx *store.Tx, rows keyring.Rows) error {
	epoch := tx.MoveEpoch()
	if err := tx.Announce(ctx, store.Feed{Kind: store.FeedKeys}); err != nil {
		return err
	}
	if err := s.Reserve(ctx, tx); err != nil {
		return err
	}
	tx.After(func() { s.committed(rows, epoch) })
	return nil
}

// conflict refuses a second turn of a key whose turn runs.
func conflict(ctx context.Context, tx *store.Tx, sc Scope) error {
	running, err := tx.RunningKeyTurns(ctx)
	if err != nil {
		return err
	}
	for _, t := range running {
		if t.Layer == string(sc.Layer) && t.Project == sc.Project {
			return fault.New(fault.Conflict, "%s turns already: turn %s, begun %s by %s", sc, t.ID, at(t.StartedAt).Format(time.DateTime), t.ActorName).
				WithHint("watch it with: keyturn keys status")
		}
	}
	return nil
}

// restate gives a key its next state in the database.
func (s *Service) restate(ctx context.Context, tx *store.Tx, id string, to keyring.State) (keyring.KeyRow, error) {
	stored, err := tx.KeyGeneration(ctx, id)
	if err != nil {
		return keyring.KeyRow{}, err
	}
	if from := keyring.State(stored.State); !from.CanBecome(to) {
		return keyring.KeyRow{}, fault.New(fault.Conflict, "key %s is %s and cannot become %s", id, from, to)
	}
	stored.State = string(to)
	if to == keyring.StateDestroyed {
		stored.Wrapped, stored.WrappedBy = nil, ""
	}
	if err := tx.PutKeyGenerations(ctx, &stored); err != nil {
		return keyring.KeyRow{}, err
	}
	return keyRow(stored)
}

func reserved(ctx context.Context, tx *store.Tx, id string) (int64, error) {
	stored, err := tx.KeyGeneration(ctx, id)
	return stored.SealsReserved, err
}

// handover is the statement of the old log key that the new one follows it.
func (s *Service) handover(fresh keyring.KeyRow) (string, error) {
	origin := s.origin
	seed, _ := s.ring.LogSeed()
	defer seed.Wipe()
	signer, _, err := audit.NewSigner(origin, seed)
	if err != nil {
		return "", err
	}
	vkey, err := audit.VerifierKey(origin, fresh.Public)
	if err != nil {
		return "", err
	}
	note, err := audit.SignHandover(origin, vkey, signer)
	return string(note), err
}

// Pause holds a turn, or lets it go on.
func (s *Service) Pause(ctx context.Context, id string, paused bool) (api.KeyTurn, error) {
	var turn store.KeyTurn
	what := map[bool]string{true: "pause", false: "resume"}[paused]
	err := s.manage(ctx, what, map[string]string{"turn": domain.RecordedName(id)}, func(tx *store.Tx, _ guard.Permit) (err error) {
		if turn, err = tx.KeyTurn(ctx, id); err != nil {
			return fmt.Errorf("turn %s: %w", domain.RecordedName(id), err)
		}
		if turn.EndedAt != 0 {
			return fault.New(fault.Conflict, "turn %s is over", turn.ID)
		}
		turn.Paused = paused
		return tx.PutKeyTurn(ctx, &turn)
	})
	s.speed.forget(id) // whoever lets it go on does not want to wait
	s.nudge()
	return s.told(ctx, turn, err)
}

// Finish ends the overlap of a turn now: what only the old key verifies is refused from then on.
func (s *Service) Finish(ctx context.Context, id string) (api.KeyTurn, error) {
	var turn store.KeyTurn
	err := s.manage(ctx, "finish", map[string]string{"turn": domain.RecordedName(id)}, func(tx *store.Tx, _ guard.Permit) (err error) {
		if turn, err = tx.KeyTurn(ctx, id); err != nil {
			return fmt.Errorf("turn %s: %w", domain.RecordedName(id), err)
		}
		if turn.EndedAt != 0 || turn.Stage != stageOverlap || turn.DueAt == 0 {
			return fault.New(fault.Conflict, "turn %s is in no overlap that could be ended", turn.ID)
		}
		turn.DueAt = tx.Now()
		return tx.PutKeyTurn(ctx, &turn)
	})
	s.nudge()
	return s.told(ctx, turn, err)
}

// estimate counts what a turn will move. It is told to people and decides nothing.
func (s *Service) estimate(ctx context.Context, sc Scope) int64 {
	id, ok := s.ring.Primary(sc.Layer, string(sc.Project))
	if !ok {
		return 0
	}
	n, err := s.db.CountUnder(ctx, s.under(sc.Layer, id))
	if err != nil {
		return 0
	}
	return n
}

// under gives what stands in front of everything that a key made: its id, or the generation of an index key.
func (s *Service) under(layer keyring.Layer, id keyring.KeyID) []byte {
	if layer != keyring.LayerIndex {
		return id[:]
	}
	return keyring.DigestPrefix(s.generation(id))
}
