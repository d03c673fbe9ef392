package keys

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/crashpoint"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// maxSlots bounds how many ways in there are: each is looked at at every start, and each is one more to guard.
	maxSlots = 32
	// maxKept bounds what a slot keeps for its source: a wrapped key, or the verifiers of sixteen shares.
	maxKept = 16 << 10
	// maxSource bounds the name of a source, which may be a few recipients.
	maxSource = 8 << 10
	// testFor is how long a challenge may be answered.
	testFor = 10 * time.Minute
)

// held are the kinds of slots whose root key the client holds: this server never sees it.
var held = []string{keyring.SlotEnvironment, keyring.SlotFile, "credential", "command", "passphrase", "shares", "recovery"}

var (
	fingerprintForm = regexp.MustCompile(`^[0-9a-f]{4}(-[0-9a-f]{4}){3}$`)
	sourceForm      = regexp.MustCompile(`^[\x20-\x7e]*$`)
)

// challenges are the slot tests that this server asked.
type challenges struct {
	mu  sync.Mutex
	all map[string]challenge
}

type challenge struct {
	answer sensitive.Value
	until  time.Time
}

func (c *challenges) ask(slot string, answer sensitive.Value, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]challenge{}
	}
	for id, old := range c.all {
		if now.After(old.until) {
			delete(c.all, id)
		}
	}
	c.all[slot] = challenge{answer, now.Add(testFor)}
}

// check takes a challenge: each is answered once, right or wrong.
func (c *challenges) check(slot string, answer []byte, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked, ok := c.all[slot]
	delete(c.all, slot)
	switch {
	case !ok || now.After(asked.until):
		return fault.New(fault.Expired, "no test of key slot %s is under way", slot).WithHint("ask for a new one: keyturn keys slot test %s", slot)
	case !asked.answer.Equal(sensitive.New(answer)):
		return fault.New(fault.Denied, "the answer is not that of the root key of slot %s", slot)
	}
	return nil
}

// AddSlot makes another way to unlock the instance. With a source that this server's configuration names, the server gets or
// makes the root key itself and proves it at once. Otherwise the client holds it: the answer has a challenge for its holder,
// and the slot counts as a way in when that is answered.
func (s *Service) AddSlot(ctx context.Context, r api.KeySlotRequest) (api.KeySlotMade, error) {
	if err := checkSlot(r); err != nil {
		return api.KeySlotMade{}, err
	}
	draft := keyring.SlotDraft{ID: keyring.NewSlotID(), Kind: r.Kind, Source: r.Source, Kept: r.Kept, Root: keyring.RootPublic{Fingerprint: r.Fingerprint, Key: r.Public}}
	var root keyring.Root
	if r.ID != "" {
		draft.ID = r.ID
	}
	if len(r.Public) == 0 {
		var err error
		if root, draft.Kind, draft.Kept, err = s.unlocker.Fresh(ctx, s.instance, draft.ID, r.Source); err != nil {
			return api.KeySlotMade{}, err
		}
		draft.Root = root.Public()
	}
	var made keyring.SlotRow
	detail := map[string]string{"slot": draft.ID, "kind": draft.Kind, "root_fingerprint": draft.Root.Fingerprint, "replaces": domain.RecordedName(r.Replaces)}
	err := s.manage(ctx, "slot add", detail, func(tx *store.Tx, p guard.Permit) error {
		rows, err := Load(ctx, tx.Queries)
		if err != nil {
			return err
		}
		if err := roomFor(rows.Slots, draft, r.Replaces); err != nil {
			return err
		}
		draft.NowMS = tx.Now()
		if made, err = s.ring.NewSlot(draft); err != nil {
			return err
		}
		if len(r.Public) == 0 {
			if err := s.ring.OpensSlot(root, made); err != nil {
				return err
			}
			made.ProvedMS = tx.Now()
		}
		turn := store.KeyTurn{ID: domain.NewID[string](), Layer: string(LayerRoot), Old: r.Replaces, New: made.Fingerprint, Stage: stageOverlap,
			Cause: causeHand, StartedAt: tx.Now()}
		if r.Replaces == "" {
			turn.Stage, turn.EndedAt = stageDone, tx.Now()
		} else if err := conflict(ctx, tx, Scope{Layer: LayerRoot}); err != nil {
			return err
		}
		signed(&turn, p)
		if err := tx.PutKeyTurn(ctx, &turn); err != nil {
			return err
		}
		rows.Slots = append(rows.Slots, made)
		if err := tx.PutKeySlots(ctx, storedSlot(made)); err != nil {
			return err
		}
		return s.moved(ctx, tx, keyring.Rows{Slots: rows.Slots})
	})
	crashpoint.At("keys.slot.added")
	if err != nil {
		return api.KeySlotMade{}, err
	}
	out := api.KeySlotMade{KeySlot: s.slot(made)}
	if made.ProvedMS == 0 {
		out.Challenge, err = s.challenge(made)
	}
	return out, err
}

func checkSlot(r api.KeySlotRequest) error {
	if r.ID != "" {
		if _, err := keyring.ParseKeyID(r.ID); err != nil {
			return fault.New(fault.Invalid, "the id of a slot is a lower-case UUID of version 7").WithHint("leave the id away, and the server makes one")
		}
	}
	switch {
	case len(r.Kept) > maxKept:
		return fault.New(fault.Invalid, "a slot keeps at most %d bytes for its source", maxKept)
	case len(r.Source) > maxSource || !sourceForm.MatchString(r.Source):
		return fault.New(fault.Invalid, "the name of a source is at most %d printable characters", maxSource)
	case len(r.Public) == 0 && r.Source == "":
		return fault.New(fault.Invalid, "a slot needs a source, or the public part of a root key").
			WithHint("name a source that the server's configuration has, or let the command line make a root key")
	case len(r.Public) == 0:
		return nil
	case !slices.Contains(held, r.Kind):
		return fault.New(fault.Invalid, "there is no kind of slot with that name whose root key the client holds")
	case !fingerprintForm.MatchString(r.Fingerprint):
		return fault.New(fault.Invalid, "that is no fingerprint of a root key")
	}
	return nil
}

func roomFor(slots []keyring.SlotRow, d keyring.SlotDraft, replaces string) error {
	if len(slots) >= maxSlots {
		return fault.New(fault.Exhausted, "there are %d key slots already, which is the limit", maxSlots)
	}
	known := func(fingerprint string) bool {
		return slices.ContainsFunc(slots, func(s keyring.SlotRow) bool { return s.Fingerprint == fingerprint })
	}
	if slices.ContainsFunc(slots, func(s keyring.SlotRow) bool { return s.ID == d.ID }) {
		return fault.New(fault.Exists, "there is a key slot %s already", d.ID).WithHint("make a fresh id")
	}
	if known(d.Root.Fingerprint) {
		return fault.New(fault.Exists, "root key %s has a slot already", d.Root.Fingerprint)
	}
	if replaces != "" && !known(replaces) {
		return fault.New(fault.NotFound, "no slot has a root key with the fingerprint that shall be replaced").WithHint("see: keyturn keys slots")
	}
	return nil
}

func (s *Service) challenge(row keyring.SlotRow) ([]byte, error) {
	test, err := keyring.NewSlotTest(s.instance, row)
	if err != nil {
		return nil, err
	}
	s.tests.ask(row.ID, test.Answer, time.Now())
	return test.Challenge, nil
}

// TestSlot proves that a slot still is a way in. The server fetches the root key itself where it can; otherwise the answer
// has a challenge, and the test is repeated with what the root key's holder answers.
func (s *Service) TestSlot(ctx context.Context, id string, answer []byte) (api.KeySlotMade, error) {
	row, err := s.db.KeySlot(ctx, id)
	if err != nil {
		return api.KeySlotMade{}, err
	}
	slot, err := slotRow(row)
	if err != nil {
		return api.KeySlotMade{}, err
	}
	out := api.KeySlotMade{}
	var failed error
	err = s.manage(ctx, "slot test", map[string]string{"slot": slot.ID, "root_fingerprint": slot.Fingerprint}, func(tx *store.Tx, p guard.Permit) error {
		if len(answer) == 0 {
			return nil // the permission comes first; fetching may take long and is done outside
		}
		if failed = s.tests.check(slot.ID, answer, time.Now()); failed != nil {
			p.Note("result", "failed")
			return nil
		}
		return s.proved(ctx, tx, p, &slot)
	})
	if err == nil {
		err = failed
	}
	if err != nil || len(answer) > 0 {
		out.KeySlot = s.slot(slot)
		return out, err
	}
	root, err := s.unlocker.RootOf(ctx, s.instance, slot)
	if errors.Is(err, fault.Unsupported) { // not a thing that this server can fetch
		out.KeySlot = s.slot(slot)
		out.Challenge, err = s.challenge(slot)
		return out, err
	}
	if err == nil {
		err = s.ring.OpensSlot(root, slot)
	}
	if err != nil {
		return out, err
	}
	err = s.manage(ctx, "slot test", map[string]string{"slot": slot.ID, "root_fingerprint": slot.Fingerprint}, func(tx *store.Tx, p guard.Permit) error {
		return s.proved(ctx, tx, p, &slot)
	})
	out.KeySlot = s.slot(slot)
	return out, err
}

func (s *Service) proved(ctx context.Context, tx *store.Tx, p guard.Permit, slot *keyring.SlotRow) error {
	p.Note("result", "proved")
	row, err := tx.KeySlot(ctx, slot.ID)
	if err != nil {
		return err
	}
	now, err := slotRow(row)
	if err != nil {
		return err
	}
	now.ProvedMS = tx.Now()
	slot.ProvedMS = now.ProvedMS
	return tx.PutKeySlots(ctx, storedSlot(now))
}

// RemoveSlot takes a way in away, for good: its root key opens nothing any more, not even in the raw files. The last slot, and
// the last one that was proved, stay. Unless forced, one slot that this server can open by itself must stay as well, since
// otherwise its next start needs a person.
func (s *Service) RemoveSlot(ctx context.Context, id string, force bool) (api.KeyTurn, error) {
	slots, err := s.slots(ctx)
	if err != nil {
		return api.KeyTurn{}, err
	}
	other := s.opensWithout(ctx, slots, id)
	if !force && other == "" {
		return api.KeyTurn{}, fault.New(fault.Conflict, "without key slot %s this server cannot unlock by itself when it starts again", id).
			WithHint("name the source of another slot in the server's configuration and prove it with keyturn keys slot test, or add --force")
	}
	var turn store.KeyTurn
	err = s.manage(ctx, "slot remove", map[string]string{"slot": domain.RecordedName(id)}, func(tx *store.Tx, p guard.Permit) error {
		rows, err := Load(ctx, tx.Queries)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(rows.Slots, func(s keyring.SlotRow) bool { return s.ID == id })
		if i < 0 {
			return fault.New(fault.NotFound, "no such key slot").WithHint("see: keyturn keys slots")
		}
		gone := rows.Slots[i]
		rest := slices.Delete(slices.Clone(rows.Slots), i, i+1)
		if !slices.ContainsFunc(rest, func(r keyring.SlotRow) bool { return s.provedMS(r) != 0 }) {
			return fault.New(fault.Conflict, "key slot %s is the last one that was proved to open", gone.ID).
				WithHint("prove another one first: keyturn keys slot test ID")
		}
		p.Note("root_fingerprint", gone.Fingerprint)
		if turn, err = s.slotGoes(ctx, tx, p, gone); err != nil {
			return err
		}
		if err := tx.RemoveKeySlot(ctx, storedSlot(gone)); err != nil {
			return err
		}
		return s.moved(ctx, tx, keyring.Rows{Slots: rest})
	})
	if err == nil && other != "" && *s.opened.Load() == id {
		s.opened.Store(&other)
		s.openedMS.Store(now())
	}
	crashpoint.At("keys.slot.removed")
	return s.told(ctx, turn, err)
}

// slotGoes ends the turn that a removed slot belongs to: of the old root key the count and the scrubbing follow, the new one
// was taken back. A slot that no turn speaks of gets one.
func (s *Service) slotGoes(ctx context.Context, tx *store.Tx, p guard.Permit, gone keyring.SlotRow) (store.KeyTurn, error) {
	turn := store.KeyTurn{ID: domain.NewID[string](), Layer: string(LayerRoot), Old: gone.Fingerprint, Cause: causeHand, StartedAt: tx.Now()}
	signed(&turn, p)
	running, err := tx.RunningKeyTurns(ctx)
	if err != nil {
		return turn, err
	}
	for _, t := range running {
		if t.Layer != string(LayerRoot) {
			continue
		}
		switch {
		case t.Old == gone.Fingerprint:
			turn = t
		case t.New == gone.Fingerprint:
			t.Stage, t.EndedAt = stageUndone, tx.Now()
			return t, tx.PutKeyTurn(ctx, &t)
		default:
			return turn, fault.New(fault.Conflict, "the root key turns already: turn %s", t.ID).WithHint("end that first: keyturn keys status")
		}
	}
	turn.Stage, turn.Trace = stageSettled, trace(gone.Wrapped)
	return turn, tx.PutKeyTurn(ctx, &turn)
}

// opensWithout gives a slot by which this server could unlock by itself if another were gone; empty when there is none.
func (s *Service) opensWithout(ctx context.Context, slots []keyring.SlotRow, id string) string {
	for _, slot := range slots {
		if slot.ID == id {
			continue
		}
		if root, err := s.unlocker.RootOf(ctx, s.instance, slot); err == nil && s.ring.OpensSlot(root, slot) == nil {
			return slot.ID
		}
	}
	return ""
}

func (s *Service) slots(ctx context.Context) ([]keyring.SlotRow, error) {
	rows, err := s.db.KeySlots(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]keyring.SlotRow, 0, len(rows))
	for _, row := range rows {
		slot, err := slotRow(row)
		if err != nil {
			return nil, err
		}
		out = append(out, slot)
	}
	return out, nil
}

// provedMS tells when a slot was last seen to open. The one that unlocked this server did so then, whatever its row says.
func (s *Service) provedMS(row keyring.SlotRow) int64 {
	if *s.opened.Load() == row.ID {
		return max(row.ProvedMS, s.openedMS.Load())
	}
	return row.ProvedMS
}

func (s *Service) slot(row keyring.SlotRow) api.KeySlot {
	return api.KeySlot{ID: row.ID, Kind: row.Kind, Source: row.Source, Fingerprint: row.Fingerprint, KeyID: row.Key.String(), CreatedAt: at(row.CreatedMS),
		ProvedAt: at(s.provedMS(row)), Unlocked: *s.opened.Load() == row.ID, Reachable: s.unlocker.Reachable(row), Kept: row.Kept}
}

// Refill brings slots of the first format that root opens to today's, so that the instance key can turn without it.
func (s *Service) Refill(ctx context.Context, root keyring.Root) error {
	fresh, err := s.ring.Refilled(root)
	if err != nil || len(fresh) == 0 {
		return err
	}
	return s.manage(s.system(ctx), "slot refill", map[string]string{"root_fingerprint": root.Fingerprint()}, func(tx *store.Tx, _ guard.Permit) error {
		for _, slot := range fresh {
			slot.ProvedMS = tx.Now()
			if err := tx.PutKeySlots(ctx, storedSlot(slot)); err != nil {
				return err
			}
		}
		rows, err := Load(ctx, tx.Queries)
		if err != nil {
			return err
		}
		return s.moved(ctx, tx, keyring.Rows{Slots: rows.Slots})
	})
}
