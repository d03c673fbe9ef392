package audit

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
)

// Breach says how a log broke its promise only to grow. [errors.Is] finds it in what [CheckConsistency] returns.
type Breach string

// The breaches.
const (
	Shrank Breach = "the log shrank" // it has fewer entries than it was seen to have
	Forked Breach = "the log forked" // it has other entries than those that were seen
)

// Error implements error for the bare breach.
func (b Breach) Error() string { return string(b) }

// InclusionProof proves that the tree of the given size holds the entry at index (RFC 6962 section 2.1.1). It reads at
// most a few hundred tiles. A size or index beyond the log is [fault.NotFound].
func InclusionProof(ctx context.Context, src Source, size, index int64) (tlog.RecordProof, error) {
	r, err := newHashReader(ctx, src, size)
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= size {
		return nil, fault.New(fault.NotFound, "the audit log of %d entries has no entry %d", size, index)
	}
	return tlog.ProveRecord(size, index, r)
}

// ConsistencyProof proves that the tree of oldSize entries is the beginning of the tree of size entries (RFC 6962 section
// 2.1.2). The proof is empty when oldSize is 0 or equals size. Sizes beyond the log are [fault.NotFound].
func ConsistencyProof(ctx context.Context, src Source, oldSize, size int64) (tlog.TreeProof, error) {
	r, err := newHashReader(ctx, src, size)
	if err != nil {
		return nil, err
	}
	if oldSize < 0 || oldSize > size {
		return nil, fault.New(fault.NotFound, "the audit log of %d entries has no beginning of %d", size, oldSize)
	}
	if oldSize == 0 {
		return tlog.TreeProof{}, nil
	}
	return tlog.ProveTree(size, oldSize, r)
}

// CheckInclusion tells whether proof shows that the tree of the given size and root holds entry, in canonical form, at
// index. Otherwise the error is [fault.Invalid].
func CheckInclusion(proof tlog.RecordProof, size int64, root tlog.Hash, index int64, entry []byte) error {
	leaf := leafHash(leafInput(nil, entry))
	if size < 0 || size > maxLogSize || tlog.CheckRecord(proof, size, root, index, leaf) != nil {
		return fault.New(fault.Invalid, "the proof does not show that this is entry %d of the audit log", index)
	}
	return nil
}

// CheckConsistency tells whether proof shows that the log at now continues the log at old. A refusal is [fault.Conflict]
// around [Shrank] or [Forked]; heads of different logs are [fault.Invalid].
func CheckConsistency(proof tlog.TreeProof, old, now Head) error {
	if old.Origin != now.Origin {
		return fault.New(fault.Invalid, "the checkpoints come from different audit logs")
	}
	if old.Size < 0 || now.Size < 0 || old.Size > maxLogSize || now.Size > maxLogSize {
		return fault.New(fault.Invalid, "a checkpoint has an impossible size")
	}
	if now.Size < old.Size {
		return fault.Wrap(fault.Conflict, Shrank, "the audit log had %d entries and now has %d", old.Size, now.Size)
	}
	sound := false
	switch old.Size {
	case 0: // the beginning of everything, and its root is known
		sound = old.Root == EmptyTree().Root() && (now.Size > 0 || now.Root == old.Root)
	case now.Size:
		sound = old.Root == now.Root
	default:
		sound = tlog.CheckTree(proof, now.Size, now.Root, old.Size, old.Root) == nil
	}
	if !sound {
		return fault.Wrap(fault.Conflict, Forked, "the audit log of %d entries does not continue the %d that were seen", now.Size, old.Size)
	}
	return nil
}

// hashReader finds any node of the tree in tiles, or builds it from those below where a tile is not complete yet.
type hashReader struct {
	ctx   context.Context // a reader lives for one proof; the interface of tlog has no place for it
	src   Source
	size  int64 // of the stored log, which may be larger than the tree that is proved
	tiles map[[2]int64][]byte
	tail  []byte // leaf hashes of the incomplete level-0 tile
}

func newHashReader(ctx context.Context, src Source, size int64) (*hashReader, error) {
	stored, _, err := src.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read audit head: %w", err)
	}
	if size < 0 || size > stored || stored > maxLogSize {
		return nil, fault.New(fault.NotFound, "the audit log has %d entries, not %d", stored, size)
	}
	return &hashReader{ctx: ctx, src: src, size: stored, tiles: make(map[[2]int64][]byte)}, nil
}

// ReadHashes implements [tlog.HashReader].
func (r *hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		var err error
		if hashes[i], err = r.hash(level, n); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

func (r *hashReader) hash(level int, n int64) (tlog.Hash, error) {
	tileLevel, within := level/tileHeight, level%tileHeight
	index := n >> (tileHeight - within)
	switch {
	case (index+1)<<(tileHeight*(tileLevel+1)) <= r.size:
		tile, err := r.tile(tileLevel, index)
		if err != nil {
			return tlog.Hash{}, err
		}
		begin := int(n<<within) % tileWidth
		return subtree(tile[begin*tlog.HashSize : (begin+1<<within)*tlog.HashSize]), nil
	case level == 0:
		return r.leaf(n)
	case within == 0:
		tile, err := r.tile(tileLevel-1, n)
		if err != nil {
			return tlog.Hash{}, err
		}
		return subtree(tile), nil
	}
	left, err := r.hash(level-1, 2*n)
	if err != nil {
		return tlog.Hash{}, err
	}
	right, err := r.hash(level-1, 2*n+1)
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.NodeHash(left, right), nil
}

func (r *hashReader) tile(level int, index int64) ([]byte, error) {
	key := [2]int64{int64(level), index}
	if tile, ok := r.tiles[key]; ok {
		return tile, nil
	}
	tile, err := mustTile(r.ctx, r.src, level, index)
	if err != nil {
		return nil, err
	}
	r.tiles[key] = tile
	return tile, nil
}

func (r *hashReader) leaf(n int64) (tlog.Hash, error) {
	begin := r.size &^ (tileWidth - 1)
	if r.tail == nil {
		tail, err := leafHashes(r.ctx, r.src, begin, r.size)
		if err != nil {
			return tlog.Hash{}, err
		}
		r.tail = tail
	}
	at := int(n-begin) * tlog.HashSize
	return tlog.Hash(r.tail[at : at+tlog.HashSize]), nil
}
