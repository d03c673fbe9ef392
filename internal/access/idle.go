package access

import (
	"context"
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
)

// lastUses remembers when sessions that end by disuse were last used here. What other servers have seen stands, coarsely, in the
// rows of the tokens.
type lastUses struct {
	mu sync.Mutex
	at map[domain.TokenID]int64
}

func newLastUses() *lastUses { return &lastUses{at: map[domain.TokenID]int64{}} }

func (u *lastUses) last(id domain.TokenID) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[id]
}

func (u *lastUses) set(id domain.TokenID, ms int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.at) >= maxPrincipals { // the rows know enough
		clear(u.at)
	}
	u.at[id] = max(u.at[id], ms)
}

// alive tells whether a session was used within its idle limit, and notes that it is used now. Before it is given up the row is
// asked: it may have been used on another server.
func (s *Service) alive(ctx context.Context, p *domain.Principal) (bool, error) {
	if p.Idle == 0 {
		return true, nil
	}
	now := time.Now().UnixMilli()
	if now-max(p.UsedAt, s.uses.last(p.Token)) > p.Idle {
		row, err := s.db.Token(ctx, p.Token)
		if err != nil {
			return false, err
		}
		if now-row.LastUsedAt > p.Idle {
			return false, nil
		}
	}
	s.uses.set(p.Token, now)
	return true, nil
}
