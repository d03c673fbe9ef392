package keys

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/store"
)

// Holder keeps envelopes and knows where each of them belongs.
type Holder interface {
	// Reseal moves at most limit rows from under an old key of the layer to the primary one, and gives how many; zero
	// means that nothing is left but what is damaged.
	Reseal(ctx context.Context, tx *store.Tx, layer keyring.Layer, old keyring.KeyID, pass *Pass, limit int64) (int64, error)
	// Redigest does the same for digests under an old generation of the index key.
	Redigest(ctx context.Context, tx *store.Tx, generation uint32, pass *Pass, limit int64) (int64, error)
	// ForgetSealed drops envelopes that are kept in memory.
	ForgetSealed()
}

// Unlocker gives the root key of one of the slots, from wherever this server gets it. None is [fault.Sealed].
type Unlocker interface {
	// Root gives a root key and the slot that it belongs to.
	Root(ctx context.Context, instanceID string, slots []keyring.SlotRow) (keyring.Root, keyring.SlotRow, error)
	// RootOf gives the root key of this one slot.
	RootOf(ctx context.Context, instanceID string, slot keyring.SlotRow) (keyring.Root, error)
	// Fresh gives a root key of a source that the configuration names, for a new slot: one that the source makes and keeps
	// wrapped, or the one that it holds.
	Fresh(ctx context.Context, instanceID, slotID, source string) (root keyring.Root, kind string, kept []byte, err error)
	// Renews tells whether the slot's source makes root keys that nobody ever holds, so that the next one needs no person.
	Renews(slot keyring.SlotRow) bool
	// Reachable tells whether the configuration names where the slot's root key comes from.
	Reachable(slot keyring.SlotRow) bool
}

// Service answers for keys and slots.
type Service struct {
	db       *store.DB
	door     *guard.Door
	ring     *keyring.Ring
	instance string
	origin   string // of the log
	unlocker Unlocker
	schedule Schedule
	holders  []Holder

	epoch       atomic.Int64 // that the ring is of
	opened      atomic.Pointer[string]
	openedMS    atomic.Int64 // when
	adopting    sync.Mutex   // held while the ring takes in what the database holds
	relock      atomic.Bool
	fetchFailed atomic.Int64 // when the root key could not be fetched again, unix milliseconds; 0: it could
	wake        chan struct{}
	speed       speeds
	tests       challenges
}

// New makes the service. epoch is that of the rows that the ring was unlocked with, slot the one that unlocked it.
func New(db *store.DB, door *guard.Door, ring *keyring.Ring, instanceID string, epoch int64, slot string, u Unlocker, schedule Schedule) *Service {
	s := &Service{db: db, door: door, ring: ring, instance: instanceID, origin: audit.Origin(instanceID, epoch), unlocker: u, schedule: schedule, wake: make(chan struct{}, 1)}
	s.epoch.Store(epoch)
	s.opened.Store(&slot)
	s.openedMS.Store(now())
	db.Fence(s.fence, s.catchUp)
	db.Hear(s.hear)
	return s
}

// Hold adds a holder. All must be there before [Service.Run].
func (s *Service) Hold(h Holder) { s.holders = append(s.holders, h) }

// Ring gives the keys. It stays the same for the life of the service.
func (s *Service) Ring() *keyring.Ring { return s.ring }

// fence keeps every transaction of this server under the keys of that moment: the epoch moves with each change of a key, and
// whoever missed one takes the new keys in before he writes, or does not write. The transaction holds the row that tells the
// epoch, so a lower one than was seen is no older look: somebody put it back, and a server that took it for granted could
// write under a key that another one is about to destroy.
func (s *Service) fence(ctx context.Context, q store.Queries, epoch int64) error {
	switch known := s.epoch.Load(); {
	case epoch == known:
		return nil
	case epoch < known:
		return fault.New(fault.Internal, "the epoch in the instance row is %d, and this server has seen %d: it was put back by hand", epoch, known).
			WithHint("was the database put back to an older state? run keyturn audit verify --deep, then start the server again")
	}
	return s.adopt(ctx, q, epoch)
}

// adopt takes in what the database holds.
func (s *Service) adopt(ctx context.Context, q store.Queries, epoch int64) error {
	s.adopting.Lock()
	defer s.adopting.Unlock()
	if epoch < s.epoch.Load() { // an older look at the database than the one that was taken in
		return nil
	}
	rows, err := Load(ctx, q)
	if err != nil {
		return err
	}
	if err := s.take(rows, epoch); errors.Is(err, fault.Unavailable) {
		// The root key may have to come from far away, and a transaction of all servers waits here.
		s.relock.Store(true)
		s.nudge()
		return fault.Wrap(fault.Unavailable, errors.Join(store.ErrBehind, err), "another server has turned the instance key, and this one is fetching its root key again").
			WithHint("try again in a moment")
	} else if err != nil {
		return err
	}
	return nil
}

// take puts rows into the ring. When a key is on its way out, envelopes that are kept in memory go first.
func (s *Service) take(rows keyring.Rows, epoch int64) error {
	leaving := false
	known := map[keyring.KeyID]keyring.State{}
	for _, k := range s.ring.Rows() {
		known[k.ID] = k.State
	}
	for _, k := range rows.Keys {
		gone := k.State == keyring.StateRetired || k.State == keyring.StateDestroyed
		leaving = leaving || gone && known[k.ID] != k.State
	}
	if err := s.ring.Update(rows); err != nil {
		return err
	}
	if leaving {
		s.forget()
	}
	s.epoch.Store(epoch)
	return nil
}

func (s *Service) forget() {
	for _, h := range s.holders {
		h.ForgetSealed()
	}
}

// committed takes in what a transaction of this server has stored. It runs before the next transaction begins.
func (s *Service) committed(rows keyring.Rows, epoch int64) {
	s.adopting.Lock()
	defer s.adopting.Unlock()
	if err := s.take(rows, epoch); err != nil {
		// The fence finds the old epoch and tries again before anything is written.
		slog.Error("keys that were just stored cannot be used", "error", err)
	}
	s.nudge()
}

// Refresh takes in what other servers did to keys. It is asked when an envelope names a key that is not known here.
func (s *Service) Refresh(ctx context.Context) error {
	i, err := s.db.Instance(ctx)
	if err != nil {
		return err
	}
	if err := s.adopt(ctx, s.db.Queries, i.Epoch); err != nil && s.relock.Load() {
		return s.reunlock(ctx)
	} else if err != nil {
		return err
	}
	return nil
}

// catchUpWithin bounds how long writers wait for the root key, which is fetched with no transaction open. Nearly all sources
// answer in a fraction; whoever cannot is told to try again.
const catchUpWithin = 5 * time.Second

// catchUp fetches the root key again, so that callers of a server that did not turn the instance key itself do not notice. After a
// failure it is left to the worker for a while: callers would wait in vain.
func (s *Service) catchUp(ctx context.Context) error {
	if last := s.fetchFailed.Load(); last != 0 && time.Since(time.UnixMilli(last)) < retryAfter {
		return fault.New(fault.Unavailable, "the root key could not be fetched a moment ago")
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpWithin)
	defer cancel()
	return s.reunlock(ctx)
}

// reunlock fetches the root key again and opens all keys anew.
func (s *Service) reunlock(ctx context.Context) error {
	i, err := s.db.Instance(ctx)
	if err != nil {
		return err
	}
	rows, err := Load(ctx, s.db.Queries)
	if err != nil {
		return err
	}
	root, slot, err := s.unlocker.Root(ctx, s.instance, rows.Slots)
	if err != nil {
		s.fetchFailed.Store(now())
		return err
	}
	s.fetchFailed.Store(0)
	s.adopting.Lock()
	defer s.adopting.Unlock()
	if err := s.ring.Relock(root, rows); err != nil {
		return err
	}
	s.relock.Store(false)
	s.opened.Store(&slot.ID)
	s.openedMS.Store(now())
	s.forget()
	s.epoch.Store(i.Epoch)
	return nil
}

// hear takes in what other servers did, soon after they did it. Whatever is missed is found by the fence.
func (s *Service) hear(f store.Feed) {
	if f.Kind == store.FeedKeys || f.Kind == store.FeedLost {
		s.nudge()
	}
}

// nudge wakes the worker.
func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// system is who turns keys when nobody asked.
func (s *Service) system(ctx context.Context) context.Context {
	return guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "keys", Name: "key turn"}, Dialect: "system"})
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
