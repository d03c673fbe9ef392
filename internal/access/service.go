// Package access knows who somebody is: users, machine identities, credentials, tokens and grants. Tokens are random and
// stored hashed; passwords are stretched with argon2id behind a semaphore.
package access

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
)

// How long credentials live.
const (
	SessionTTL      = 7 * 24 * time.Hour
	defaultTokenTTL = time.Hour            // of a machine identity's access token, unless the identity says otherwise
	maxTokenTTL     = 366 * 24 * time.Hour // nothing lives for ever
	minTokenTTL     = time.Second
)

// Service answers who somebody is and changes what he was given.
type Service struct {
	db    *store.DB
	door  *guard.Door
	setup Setup

	passwords chan struct{} // one slot for each argon2id computation that may run at once
	stretched atomic.Int64  // argon2id computations, so that a test can see that each login costs the same
	attempts  *attempts
	crowd     *crowd
	codes     *codeTries
	keys      *keys.Service // nil until SealWith
	sso       ssoState
	mailer    Mailer  // nil: links are copied by hand
	publicURL string  // what links begin with
	reads     ReadLog // who has read what
	// refusals bounds how many refused tokens are recorded in a second; unrecorded counts the rest.
	refusals   *rate.Limiter
	unrecorded atomic.Int64

	// onUnknown hears of tokens of the right form that nobody has; nil: nobody asks.
	onUnknown func(ctx context.Context, hash [32]byte) error

	mu         sync.RWMutex
	generation int // moved on by every change of access, so that nothing stale is entered
	bearers    map[[32]byte]*bearer

	used     uses
	machines machines
}

// refusalsPerSecond is more than people and broken scripts make.
const refusalsPerSecond = 20

// maxBearers bounds the cache of tokens that were seen; past it the cache starts anew.
const maxBearers = 100_000

// New builds the service.
func New(db *store.DB, door *guard.Door, setup Setup) *Service {
	s := &Service{db: db, door: door, setup: setup, passwords: make(chan struct{}, passwordSlots()),
		attempts: newAttempts(), crowd: newCrowd(), codes: newCodeTries(), refusals: rate.NewLimiter(refusalsPerSecond, 5*refusalsPerSecond), bearers: map[[32]byte]*bearer{}}
	db.Hear(s.hear)
	return s
}

// OnUnknown sets who hears of each token of the right form that nobody has, with its hash, before it is refused. It stands on
// the path of refusals only. Call it before the service is used.
func (s *Service) OnUnknown(hear func(ctx context.Context, hash [32]byte) error) { s.onUnknown = hear }

// Shown tells of a token that came where none was asked for.
func (s *Service) Shown(ctx context.Context, token string) error {
	if s.onUnknown == nil {
		return nil
	}
	if _, err := domain.CheckToken(token); err != nil {
		return nil // no token of ours
	}
	return s.onUnknown(ctx, domain.TokenHash(token))
}

func (s *Service) hear(f store.Feed) {
	if f.Kind != store.FeedAccess && f.Kind != store.FeedLost {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	clear(s.bearers)
}
