package secrets

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
)

// Tag names the state that an answer about an environment was made from, for the caller: revision, what other environments
// it may show, the caller's own values and rights. Equal tags mean that asking again would give the same answer.
func (s *Service) Tag(ctx context.Context, ref EnvRef, path domain.Path) (string, error) {
	who := guard.CallerOf(ctx).Principal
	pl, err := s.dir.find(ctx, who.Org, ref)
	if err != nil {
		return "", err
	}
	if !s.door.Reaches(ctx, policy.SecretList, pl.resource(path)) {
		return "", guard.Missing()
	}
	snap, err := s.cache.at(ctx, pl.env.ID)
	if err != nil {
		return "", err
	}
	snap.mu.RLock()
	revision := snap.revision
	snap.mu.RUnlock()
	// What an answer shows of other environments changes without this one's revision: any change anywhere counts then.
	// It is not worth knowing which environments are linked; the number is that of the last one this server made or heard of.
	h := fnv.New64a()
	var buf [8]byte
	for _, n := range []int64{revision, s.heard.Load(), who.ExpiresAt} {
		binary.BigEndian.PutUint64(buf[:], uint64(n))
		_, _ = h.Write(buf[:])
	}
	_, _ = h.Write([]byte(string(pl.env.ID) + string(who.Kind) + who.ID + string(who.Token)))
	binary.BigEndian.PutUint64(buf[:], s.door.Stamp(ctx))
	_, _ = h.Write(buf[:])
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(revision))) + "." + hex.EncodeToString(h.Sum(nil)), nil
}
