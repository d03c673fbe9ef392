package secrets

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// maxRecalled bounds how many answers are remembered by their tags: about 200 bytes each. One that was forgotten is made again.
const maxRecalled = 4096

// lookID names a question and who asked it with which rights.
type lookID [sha256.Size]byte

// recalled is what an answer was made from. As long as all of it is as it was, the same question has the same answer.
type recalled struct {
	generation int // of the directory: names of projects and environments, and how tags look
	envs       map[domain.EnvID]int64
	own        string // of the caller's own values
	tag        string
}

// recollection remembers answers by their tags, so that "unchanged" is told without opening anything.
type recollection struct {
	mu  sync.RWMutex
	all map[lookID]recalled
}

func (r *recollection) keep(id lookID, what recalled) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[lookID]recalled{}
	}
	if _, there := r.all[id]; !there && len(r.all) >= maxRecalled {
		for old := range r.all { // the order of a map is random: so is what goes
			delete(r.all, old)
			break
		}
	}
	r.all[id] = what
}

// still gives the tag of an answer that would be the same now.
func (r *recollection) still(ctx context.Context, s *Service, id lookID, own string) (string, bool) {
	r.mu.RLock()
	was, ok := r.all[id]
	r.mu.RUnlock()
	if !ok || was.own != own || was.generation != s.dir.at() {
		return "", false
	}
	for env, revision := range was.envs {
		if now, err := s.revisionOf(ctx, env); err != nil || now != revision {
			return "", false
		}
	}
	return was.tag, true
}

// lookKey gives the name of a question.
func (s *Service) lookKey(ctx context.Context, pl place, path domain.Path, o *LookOptions) lookID {
	who := guard.CallerOf(ctx).Principal
	b := newBasis()
	for _, text := range []string{string(who.Org), string(who.Kind), who.ID, string(pl.env.ID), string(path), string(o.Name)} {
		b.text(text)
	}
	b.number(int64(s.door.Stamp(ctx)))
	b.number(int64(o.Own))
	for _, flag := range []bool{o.Recursive, o.Reveal, o.Imports, o.Raw} {
		b.flag(flag)
	}
	for _, t := range o.Tags {
		b.text(string(t))
	}
	b.number(int64(len(o.Tags)))
	for _, m := range o.Meta {
		b.text(m.Key)
		b.text(m.Value)
	}
	return lookID(b.sum.Sum(nil))
}

// ownSum changes with the caller's own values.
func ownSum(mine map[domain.SecretID]store.Personal) string {
	if len(mine) == 0 {
		return ""
	}
	b := newBasis()
	for _, id := range slices.Sorted(maps.Keys(mine)) {
		b.text(mine[id].ID)
		b.number(mine[id].Version)
	}
	return b.tag()
}
