package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/rootkey/shamir"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// The kinds of slots whose root key people enter.
const (
	slotPassphrase = "passphrase"
	slotShares     = "shares"
	slotRecovery   = "recovery"
)

const (
	// unlockPath is where people enter what unlocks, below api.Prefix.
	unlockPath = "/unlock"
	// maxUnlockBody bounds what is entered: a recovery identity of the larger kind has two thousand characters.
	maxUnlockBody = 16 << 10
	// askAgainEvery is how often a sealed server asks its sources again: a KMS may have come back.
	askAgainEvery = 5 * time.Second
	// Entering is slow on purpose, for all together: nobody needs more, and whoever guesses gets no further.
	entriesPerSecond, entriesAtOnce = 1, 8
)

// sealed is a server that waits for its root key. It reads the database and writes nothing; it answers on health, and to who
// enters a root key, a passphrase, a recovery identity or shares.
type sealed struct {
	db       *store.DB
	instance string
	slots    []keyring.SlotRow
	reason   string
	access   *access.Service
	limit    *rate.Limiter
	dialects []string // foreign APIs whose clients are told in their own words

	mu         sync.Mutex
	collectors map[string]*shamir.Collector // by slot
	said       []unlockEvent
	entered    chan opening
	proxies    []netip.Prefix
}

// unlockEvent is something that was tried while nothing could be recorded; it goes into the log as soon as that opens.
type unlockEvent struct {
	at      int64
	what    string
	outcome string
	address string
}

// newSealed opens the database for questions only.
func newSealed(ctx context.Context, o Options, cause error) (*sealed, error) {
	s := &Server{o: o}
	engine, err := s.openEngine(ctx)
	if err != nil {
		return nil, err
	}
	out := &sealed{reason: fault.As(cause).Message, limit: rate.NewLimiter(entriesPerSecond, entriesAtOnce), dialects: o.Config.Dialects, entered: make(chan opening, 1),
		collectors: map[string]*shamir.Collector{}}
	if err := out.look(ctx, engine); err != nil {
		return nil, errors.Join(err, engine.Abandon())
	}
	if out.proxies, err = httpkit.ParseProxies(o.Config.TrustedProxies); err != nil {
		return nil, errors.Join(fmt.Errorf("KEYTURN_TRUSTED_PROXIES: %w", err), out.db.Close())
	}
	out.access = access.New(out.db, guard.New(out.db), access.Setup{})
	return out, nil
}

func (s *sealed) look(ctx context.Context, engine *store.Engine) error {
	var err error
	if s.db, err = store.Peek(ctx, engine); err != nil {
		return err
	}
	i, err := s.db.Instance(ctx)
	if err != nil {
		return err
	}
	rows, err := keys.Load(ctx, s.db.Queries)
	s.instance, s.slots = i.ID, rows.Slots
	return err
}

// handler serves what a sealed server answers.
func (s *sealed) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		httpkit.WriteBody(w, http.StatusOK, []byte(`{"status":"live"}`))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		_ = httpkit.WriteJSON(w, http.StatusServiceUnavailable, readiness{Status: "not ready", Dependencies: []dependency{{Name: "keys", Detail: "sealed"}}})
	})
	mux.HandleFunc("GET "+api.Prefix+unlockPath, func(w http.ResponseWriter, r *http.Request) { respond(w, r, s.status(), nil) })
	mux.HandleFunc("POST "+api.Prefix+unlockPath, func(w http.ResponseWriter, r *http.Request) {
		var entry api.Unlock
		_, err := httpkit.ReadBody(r, maxUnlockBody, &entry)
		if err == nil && !s.limit.Allow() {
			err = fault.New(fault.Exhausted, "too much is entered too fast").WithHint("wait a second")
		}
		if err == nil {
			err = s.enter(r.Context(), entry, httpkit.Address(r))
		}
		respond(w, r, s.status(), err)
	})
	mux.HandleFunc("DELETE "+api.Prefix+unlockPath, func(w http.ResponseWriter, r *http.Request) {
		err := s.cancel(r)
		respond(w, r, s.status(), err)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		httpkit.WriteError(w, r, waits())
	})
	return httpkit.Front(httpkit.Behind(s.proxies, mux), s.registerDialects(mux)...)
}

func respond(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err == nil {
		err = httpkit.WriteJSON(w, http.StatusOK, v)
	}
	if err != nil {
		httpkit.WriteError(w, r, err)
	}
}

func (s *sealed) status() api.SealStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := api.SealStatus{Sealed: true, Reason: s.reason, Fingerprints: []string{}, Slots: []api.KeySlot{}}
	for _, slot := range s.slots {
		out.Fingerprints = append(out.Fingerprints, slot.Fingerprint)
		out.Slots = append(out.Slots, api.KeySlot{ID: slot.ID, Kind: slot.Kind, Fingerprint: slot.Fingerprint, KeyID: slot.Key.String(),
			CreatedAt: time.UnixMilli(slot.CreatedMS).UTC()})
		if c := s.collectors[slot.ID]; c != nil {
			p := c.Progress(time.Now())
			out.Have, out.Need = p.Have, p.Need
		}
	}
	return out
}

// enter takes one thing that somebody entered. What opens a slot is handed on to the start.
func (s *sealed) enter(ctx context.Context, e api.Unlock, address string) error {
	given := 0
	for _, text := range []string{e.RootKey, e.Passphrase, e.Share, e.Identity} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		return fault.New(fault.Invalid, "enter exactly one of root_key, passphrase, share and identity")
	}
	var root keyring.Root
	var slot keyring.SlotRow
	var err error
	what := ""
	switch {
	case e.RootKey != "":
		what = "root key"
		root, err = keyring.ParseRoot([]byte(e.RootKey))
	case e.Passphrase != "":
		what = slotPassphrase
		root, err = s.derive(slotPassphrase, func(slot keyring.SlotRow) (sensitive.Value, error) {
			return rootkey.FromPassphrase(ctx, sensitive.FromString(e.Passphrase), slot.Kept)
		})
	case e.Identity != "":
		what = slotRecovery
		root, err = s.derive(slotRecovery, func(slot keyring.SlotRow) (sensitive.Value, error) {
			return rootkey.OpenRecovery(sensitive.FromString(e.Identity), rootkey.Binding{Instance: s.instance, Slot: slot.ID}, slot.Kept)
		})
	default:
		what = "share"
		var whole bool
		if root, whole, err = s.share(sensitive.FromString(e.Share)); err == nil && !whole {
			s.note(what, "taken", address)
			return nil
		}
	}
	if err == nil {
		i := slices.IndexFunc(s.slots, func(r keyring.SlotRow) bool { return r.Fingerprint == root.Fingerprint() })
		if i < 0 {
			err = fault.New(fault.Denied, "root key %s does not open this instance", root.Fingerprint()).WithHint("needed is one of the fingerprints that keyturn unlock --status shows")
		} else {
			slot = s.slots[i]
		}
	}
	if err != nil {
		s.note(what, "refused", address)
		return err
	}
	s.note(what, "opened", address)
	select {
	case s.entered <- opening{root: root, slot: slot, words: "entered by hand (" + what + ")"}:
	default: // somebody was quicker
	}
	return nil
}

// derive tries every slot of a kind and gives the first root key that is one of them.
func (s *sealed) derive(kind string, open func(keyring.SlotRow) (sensitive.Value, error)) (keyring.Root, error) {
	err := error(fault.New(fault.NotFound, "this instance has no slot of the kind %s", kind))
	for _, slot := range s.slots {
		if slot.Kind != kind {
			continue
		}
		key, openErr := open(slot)
		if openErr != nil {
			err = openErr
			continue
		}
		root, rootErr := keyring.RootOf(key)
		if rootErr == nil && root.Fingerprint() == slot.Fingerprint {
			return root, nil
		}
		err = fault.New(fault.Denied, "that does not open slot %s", slot.ID)
	}
	return keyring.Root{}, err
}

// share takes one share and tells whether there are enough.
func (s *sealed) share(text sensitive.Value) (keyring.Root, bool, error) {
	share, err := shamir.ParseShare(text)
	if err != nil {
		return keyring.Root{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = fault.New(fault.NotFound, "this instance has no slot that is opened by shares")
	for _, slot := range s.slots {
		if slot.Kind != slotShares {
			continue
		}
		c := s.collectors[slot.ID]
		if c == nil {
			if c, err = shamir.NewCollector(slot.Kept, rootkey.Binding{Instance: s.instance, Slot: slot.ID}); err != nil {
				continue
			}
			s.collectors[slot.ID] = c
		}
		var p shamir.Progress
		if p, err = c.Add(share, time.Now()); err != nil {
			continue
		}
		if !p.Complete() {
			return keyring.Root{}, false, nil
		}
		key, err := c.Root(time.Now())
		if err != nil {
			return keyring.Root{}, false, err
		}
		root, err := keyring.RootOf(key)
		return root, err == nil, err
	}
	return keyring.Root{}, false, err
}

// cancel forgets the shares that were entered. Only somebody who may manage keys can do it: otherwise a stranger could keep the
// server sealed for ever.
func (s *sealed) cancel(r *http.Request) error {
	token, err := httpkit.Bearer(r)
	if err == nil && token == "" {
		err = fault.New(fault.Unauthenticated, "this needs a token").WithHint("send Authorization: Bearer TOKEN")
	}
	if err != nil {
		return err
	}
	who, err := s.access.Authenticate(r.Context(), token, httpkit.Address(r))
	if err != nil {
		return err
	}
	if !policy.DecideAt(who, policy.KeysManage, policy.Resource{Org: who.Org}, policy.Facts{At: time.Now().UnixMilli()}).Allowed {
		s.note("cancel by "+who.ID, "refused", httpkit.Address(r))
		return fault.New(fault.Denied, "you may not do this: %s", policy.KeysManage)
	}
	s.mu.Lock()
	for _, c := range s.collectors {
		c.Cancel()
	}
	s.mu.Unlock()
	s.note("cancel by "+who.ID, "done", httpkit.Address(r))
	return nil
}

// maxSaid bounds what is kept for the log; what comes after is in the server's own log only.
const maxSaid = 1000

func (s *sealed) note(what, outcome, address string) {
	slog.Info("unlock", "what", what, "outcome", outcome, "address", address)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.said) < maxSaid {
		s.said = append(s.said, unlockEvent{time.Now().UnixMilli(), what, outcome, address})
	}
}

// wait gives what somebody entered, or nil when it is time to ask the sources again. The database is closed then, so that the
// start can open it.
func (s *sealed) wait(ctx context.Context) (*opening, error) {
	var out *opening
	select {
	case <-ctx.Done():
	case o := <-s.entered:
		out = &o
	case <-time.After(askAgainEvery):
	}
	return out, ctx.Err()
}

func (s *sealed) tried() []unlockEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said
}

// canOpen tells whether a source gives the root key by now.
func (s *sealed) canOpen(ctx context.Context, o Options) bool {
	u := &unlocker{lookup: o.LookupEnv, config: &o.Config}
	found, err := u.open(ctx, s.instance, s.slots)
	return err == nil && found.slot.ID != ""
}

// record puts into the log what was tried while the server was sealed.
func (s *Server) record(events []unlockEvent) error {
	ctx := guard.WithCaller(context.Background(), &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "unlock", Name: "while sealed"}, Dialect: "system"})
	for _, e := range events {
		op := guard.Op{Action: policy.KeysUnlock, Detail: map[string]string{"what": e.what, "outcome": e.outcome, "address": e.address,
			"at": time.UnixMilli(e.at).UTC().Format(time.RFC3339Nano)}}
		if err := guard.New(s.db).Read(ctx, op, func(guard.Permit) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}
