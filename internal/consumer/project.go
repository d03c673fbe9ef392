package consumer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// gather is how long reads gather before they are looked at: one transaction a second is enough.
	gather = time.Second
	// coarse is how far the last time and the count may lie behind what was seen.
	coarse = time.Minute
	// maxRows bounds the rows that are kept in memory.
	maxRows = 50_000
	// maxText bounds what a client calls itself, in bytes.
	maxText = 200
	// keepFor is how long a consumer that is not seen any more is known: longer than any cadence by which things are rotated.
	keepFor = 2 * 365 * 24 * time.Hour
	// forgetEvery is how often older ones are looked for.
	forgetEvery = 24 * time.Hour
	// saveWithin bounds what is written when the work ends.
	saveWithin = 5 * time.Second
)

// gives tells of the action of an entry whether it names what was given away: ordinary reads, and those under a break-glass
// credential.
func gives(action string) bool { return action == "secret.read" || action == "breakglass.read" }

// key names one consumer.
type key struct {
	secret    domain.SecretID
	principal string
	address   string
}

// known is a row in memory; dirty when it is newer than the stored one.
type known struct {
	row   store.Consumer
	dirty bool
}

// Service knows the consumers of an instance.
type Service struct {
	db   *store.DB
	door *guard.Door

	mu       sync.Mutex // guards the rest
	resolver *resolver
	rows     map[key]*known
	pairs    map[pair]bool // whose rows are all in memory
	dirty    int
	savedAt  time.Time
}

// pair is a principal and a secret.
type pair struct {
	principal string
	secret    domain.SecretID
}

// New makes the service.
func New(db *store.DB, door *guard.Door) *Service {
	return &Service{db: db, door: door, resolver: newResolver(db), rows: map[key]*known{}, pairs: map[pair]bool{}, savedAt: time.Now()}
}

// Follower is what makes the projection: it begins with the first entry of the log.
func (s *Service) Follower() follow.Follower {
	return follow.Follower{Name: "consumers", FromStart: true, Gather: gather, Handle: s.handle,
		Wants: gives,
		Close: func() {
			ctx, cancel := context.WithTimeout(context.Background(), saveWithin)
			defer cancel()
			s.mu.Lock()
			defer s.mu.Unlock()
			if err := s.save(ctx); err != nil {
				slog.Warn("the last minute of who used what was not saved", "error", err)
			}
			s.forget()
		}}
}

// Run writes down what only counts, and forgets who was not seen for years, until the context ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(coarse)
	defer tick.Stop()
	var forgot time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		err := s.save(ctx)
		s.mu.Unlock()
		if err == nil && time.Since(forgot) > forgetEvery {
			forgot = time.Now()
			err = s.db.Derive(ctx, func(d *store.Derived) error { return d.ForgetConsumers(ctx, d.Now()-keepFor.Milliseconds()) })
		}
		if err != nil && ctx.Err() == nil {
			slog.Warn("who used what could not be saved", "error", err)
		}
	}
}

// forget drops what is in memory: another server may write from now on.
func (s *Service) forget() {
	clear(s.rows)
	clear(s.pairs)
	s.dirty = 0
	s.resolver = newResolver(s.db)
}

// handle takes entries in. It may see them again: an entry that a row has counted is not counted twice.
func (s *Service) handle(ctx context.Context, batch []follow.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	type read struct {
		entry *follow.Entry
		used  []used
	}
	var reads []read
	missing := map[string][]domain.SecretID{}
	for i := range batch {
		e := &batch[i]
		if !gives(e.Action) || e.Outcome != "allowed" || e.Actor.ID == "" || e.Actor.Kind == string(domain.System) {
			continue
		}
		got, err := s.resolver.resolve(ctx, e)
		if err != nil {
			return err
		}
		for _, u := range got {
			if p := (pair{e.Actor.ID, u.secret}); !s.pairs[p] {
				s.pairs[p] = true
				missing[p.principal] = append(missing[p.principal], p.secret)
			}
		}
		reads = append(reads, read{e, got})
	}
	for principal, ids := range missing {
		rows, err := s.db.ConsumersAmong(ctx, principal, ids)
		if err != nil {
			for _, id := range ids {
				delete(s.pairs, pair{principal, id})
			}
			return err
		}
		for _, row := range rows {
			k := key{row.Secret, row.PrincipalID, row.Address}
			if s.rows[k] == nil {
				s.rows[k] = &known{row: row}
			}
		}
	}
	news := false
	for _, r := range reads {
		for _, u := range r.used {
			news = s.count(r.entry, u) || news
		}
	}
	if news || time.Since(s.savedAt) >= coarse {
		if err := s.save(ctx); err != nil {
			return err
		}
	}
	if len(s.rows) > maxRows {
		if err := s.save(ctx); err != nil {
			return err
		}
		s.forget()
	}
	return nil
}

// count takes one read in and tells whether it is news: a new consumer, or another version.
func (s *Service) count(e *follow.Entry, u used) (news bool) {
	k := key{u.secret, e.Actor.ID, e.Address}
	c := s.rows[k]
	if c == nil {
		c = &known{row: store.Consumer{Secret: u.secret, PrincipalID: e.Actor.ID, Address: e.Address, PrincipalKind: domain.PrincipalKind(e.Actor.Kind),
			Org: domain.OrgID(e.Org), Project: u.project, Env: u.env, FirstAt: e.At, Entry: -1}}
		s.rows[k], news = c, true
	}
	if e.Index <= c.row.Entry {
		return c.dirty && news
	}
	// Two requests that run side by side may stand in the log the other way round: a consumer that has the newer version does
	// not go back by one that was asked for before. Who asks for an old version by its number holds what he got.
	if u.version != c.row.Version && (u.version > c.row.Version || e.At > c.row.LastAt) {
		c.row.Version, news = u.version, true
	}
	c.row.Entry, c.row.LastAt = e.Index, max(c.row.LastAt, e.At)
	c.row.Reads++
	c.row.PrincipalName, c.row.Agent = clip(e.Actor.Name), clip(e.Agent)
	if !c.dirty {
		c.dirty = true
		s.dirty++
	}
	return news
}

func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	cut := maxText
	for cut > 0 && text[cut]&0xC0 == 0x80 { // in the middle of a rune
		cut--
	}
	return text[:cut]
}

// save writes what is newer in memory, in one transaction. The caller holds the lock.
func (s *Service) save(ctx context.Context) error {
	if s.dirty > 0 {
		rows := make([]*store.Consumer, 0, s.dirty)
		for _, c := range s.rows {
			if c.dirty {
				rows = append(rows, &c.row)
			}
		}
		if err := s.db.Derive(ctx, func(d *store.Derived) error { return d.PutConsumers(ctx, rows...) }); err != nil {
			return err
		}
		for _, c := range s.rows {
			c.dirty = false
		}
	}
	s.dirty, s.savedAt = 0, time.Now()
	return nil
}
