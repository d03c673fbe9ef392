package secrets

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// basis is what an answer rests on. It follows the making of an answer. It notes the environments that were looked into, so that one can tell later, without
// looking again, that nothing has changed; and it sums up everything that the answer shows by ids and revisions, never by
// values. Equal sums mean equal answers, on any server, before and after a restart.
type basis struct {
	envs map[domain.EnvID]int64 // with the revision at which each was first looked into
	sum  hash.Hash
	err  error
}

func newBasis() *basis { return &basis{envs: map[domain.EnvID]int64{}, sum: sha256.New()} }

// env notes an environment before anything in it is read.
func (t *basis) env(ctx context.Context, s *Service, id domain.EnvID) {
	if t == nil || t.err != nil {
		return
	}
	if _, known := t.envs[id]; known {
		return
	}
	t.envs[id], t.err = s.revisionOf(ctx, id)
}

// passes notes the environments that a walk along imports comes through. It keeps nobody out.
func (t *basis) passes(ctx context.Context, s *Service) func(place, domain.Path, *store.Secret) bool {
	if t == nil {
		return nil
	}
	return func(at place, _ domain.Path, _ *store.Secret) bool {
		t.env(ctx, s, at.env.ID)
		return true
	}
}

// row adds what a reference points to.
func (t *basis) row(row *store.Secret, err error) {
	switch {
	case t == nil:
	case err != nil || row == nil:
		t.text("nothing")
	default:
		t.text(string(row.ID))
		t.number(row.Revision)
	}
}

// text adds a text. Its length goes before it, so that two texts are never taken for two others.
func (t *basis) text(s string) {
	t.number(int64(len(s)))
	_, _ = t.sum.Write([]byte(s))
}

func (t *basis) number(n int64) {
	var buf [8]byte
	binary.BigEndian.PutUint64(buf[:], uint64(n))
	_, _ = t.sum.Write(buf[:])
}

func (t *basis) flag(b bool) {
	n := int64(0)
	if b {
		n = 1
	}
	t.number(n)
}

// tag gives the sum as text: 128 bits.
func (t *basis) tag() string { return hex.EncodeToString(t.sum.Sum(nil)[:16]) }

// revisionOf tells where an environment stands.
func (s *Service) revisionOf(ctx context.Context, id domain.EnvID) (int64, error) {
	snap, err := s.cache.at(ctx, id)
	if err != nil {
		return 0, err
	}
	snap.mu.RLock()
	defer snap.mu.RUnlock()
	return snap.revision, nil
}
