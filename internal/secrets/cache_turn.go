package secrets

import (
	"maps"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// resealed enters the envelopes of current states that a slice of a turn has moved, after it is durable. Only what is kept is
// replaced, and only the very state that was moved. Without this, the end of a turn would leave the cache empty, and all readers
// would go to the database at once.
func (c *cache) resealed(rows []store.Sealed) {
	for len(rows) > 0 {
		env, n := rows[0].Env, 1
		for n < len(rows) && rows[n].Env == env {
			n++
		}
		c.mu.RLock()
		s := c.envs[env]
		c.mu.RUnlock()
		if s != nil {
			s.resealed(rows[:n])
		}
		rows = rows[n:]
	}
}

func (s *snapshot) resealed(rows []store.Sealed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range rows {
		r := &rows[i]
		fs := s.byID[r.Folder]
		if fs == nil {
			continue
		}
		was := fs.secrets[r.Name]
		if was == nil || was.ID != domain.SecretID(r.ID) || was.Revision != r.Revision {
			continue
		}
		now := *was // readers hold the old one
		now.Value, now.Comment = r.Value, r.Comment
		fs.secrets[r.Name], fs.sorted = &now, nil
	}
}

// keep forgets the secrets that are not fresh: their envelopes lie under a key that is about to go.
func (c *cache) keep(fresh func(*store.Secret) bool) {
	c.era.Add(1) // before the first look: what is loaded now and entered later must not slip in behind it
	c.mu.RLock()
	all := slices.Collect(maps.Values(c.envs))
	c.mu.RUnlock()
	for _, s := range all {
		s.keep(c, fresh)
	}
}

func (s *snapshot) keep(c *cache, fresh func(*store.Secret) bool) {
	type found struct {
		in  *folderSnapshot
		row *store.Secret
	}
	var stale []found
	s.mu.RLock() // readers go on while all are looked at
	for _, fs := range s.byID {
		for _, row := range fs.secrets {
			if !fresh(row) {
				stale = append(stale, found{fs, row})
			}
		}
	}
	s.mu.RUnlock()
	if len(stale) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range stale {
		if f.in.secrets[f.row.Name] != f.row || s.byID[f.in.row.ID] != f.in {
			continue // replaced or gone meanwhile
		}
		c.count(s, -size(f.row))
		delete(f.in.secrets, f.row.Name)
		f.in.complete, f.in.sorted = false, nil
	}
}
