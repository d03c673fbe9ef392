package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	tileHeight = 8               // levels of the tree in one tile (C2SP tlog-tiles)
	tileWidth  = 1 << tileHeight // hashes of a complete tile, and entries of a full bundle
	tileBytes  = tileWidth * tlog.HashSize
	tileLevels = 8 // enough for any 64-bit size
)

// Tile is a complete tile: 256 hashes in 8,192 bytes. At level 0 they are leaf hashes; at level l each is the root of a
// complete tile of level l-1. Index counts tiles within the level.
type Tile struct {
	Level  int
	Index  int64
	Hashes []byte
}

// Batch is what one append made and what must be stored in one transaction: the chunk, the tiles that it completed, and
// the size and root of the tree after it.
type Batch struct {
	Chunk Chunk
	Tiles []Tile
	Size  int64
	Root  tlog.Hash
}

// Tree is the right edge of the log in memory: all that is needed to append and to know the root, at most 255 hashes per
// tile level. It is not safe for concurrent use.
type Tree struct {
	size int64
	// edge[i] is the root of the complete subtree of 2^i entries that ends at the right, where bit i of size is set.
	edge [64]tlog.Hash
	// tiles[l] holds the hashes of the incomplete tile of level l. Clones share the arrays: a slice is only ever appended
	// to, and a clone's has no spare capacity, so that its first append copies.
	tiles [tileLevels][]byte
}

// EmptyTree is the tree of a log without entries.
func EmptyTree() *Tree { return &Tree{} }

// Size is the number of entries.
func (t *Tree) Size() int64 { return t.size }

// Root is the RFC 6962 tree hash.
func (t *Tree) Root() tlog.Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	n := uint64(t.size)
	low := bits.TrailingZeros64(n)
	root := t.edge[low]
	for n &= n - 1; n != 0; n &= n - 1 {
		root = tlog.NodeHash(t.edge[bits.TrailingZeros64(n)], root)
	}
	return root
}

// AddAt appends entries, each in canonical form, whose times lie between fromMS and toMS (unix milliseconds, inclusive),
// and returns what must be stored. It copies the entries. An empty list, an empty entry or one over [MaxEntryBytes] is a
// defect of the caller and panics: going on could lose a record.
//
// Where the transaction may fail, append to a [Tree.Clone] and adopt it after the commit.
func (t *Tree) AddAt(entries [][]byte, fromMS, toMS int64) Batch {
	if len(entries) == 0 || len(entries) > maxChunkEntries {
		panic("audit: batch without entries or with too many")
	}
	total := 0
	for _, e := range entries {
		if len(e) == 0 || len(e) > MaxEntryBytes {
			panic("audit: entry is empty or too long")
		}
		total += prefixBytes + len(e)
	}
	b := Batch{Chunk: Chunk{First: t.size, Count: len(entries), FromMS: fromMS, ToMS: toMS, Data: make([]byte, 0, total)}}
	data := b.Chunk.Data
	for _, e := range entries {
		at := len(data)
		data = append(data, 0, 0)
		data = append(data, e...)
		// Until the length is filled in, the byte before the entry is the 0x00 that RFC 6962 hashes before a leaf.
		leaf := sha256.Sum256(data[at+prefixBytes-1:])
		binary.BigEndian.PutUint16(data[at:], uint16(len(e)))
		t.add(leaf, &b.Tiles)
	}
	b.Chunk.Data, b.Size, b.Root = data, t.size, t.Root()
	return b
}

// Clone returns an independent tree. It copies about 2 KiB, never the hashes themselves.
func (t *Tree) Clone() *Tree {
	c := *t
	for i, s := range c.tiles {
		c.tiles[i] = s[:len(s):len(s)]
	}
	return &c
}

// CatchUp appends the entries of a chunk that another server stored. A chunk that does not begin at [Tree.Size] is
// [fault.Conflict], an ill-formed one [fault.Invalid]; the tree is then unchanged. The caller compares [Tree.Root] with
// the stored head.
func (t *Tree) CatchUp(c Chunk) error {
	if err := c.Check(); err != nil {
		return err
	}
	if c.First != t.size {
		return fault.New(fault.Conflict, "audit chunk begins at entry %d, the log has %d", c.First, t.size)
	}
	var tiles []Tile
	var scratch []byte
	for _, e := range c.Entries() {
		scratch = leafInput(scratch, e)
		t.add(leafHash(scratch), &tiles)
	}
	return nil
}

// add appends one leaf hash and the tiles that it completes.
func (t *Tree) add(h tlog.Hash, done *[]Tile) {
	t.put(0, h, done)
	level := 0
	for ; t.size>>level&1 == 1; level++ {
		h = tlog.NodeHash(t.edge[level], h)
		if (level+1)%tileHeight == 0 {
			t.put((level+1)/tileHeight, h, done)
		}
	}
	t.edge[level] = h
	t.size++
}

// put appends a hash to the incomplete tile of a level; a completed one moves to done.
func (t *Tree) put(level int, h tlog.Hash, done *[]Tile) {
	s := t.tiles[level]
	if len(s) == cap(s) {
		s = append(make([]byte, 0, tileBytes), s...)
	}
	s = append(s, h[:]...)
	if len(s) == tileBytes {
		*done = append(*done, Tile{Level: level, Index: t.size >> (tileHeight * (level + 1)), Hashes: s})
		s = nil
	}
	t.tiles[level] = s
}

// partials gives the incomplete tiles of the right edge, at most one per level. Their hashes belong to the tree.
func (t *Tree) partials() []Tile {
	var out []Tile
	for level, hashes := range t.tiles {
		if len(hashes) > 0 {
			out = append(out, Tile{Level: level, Index: t.size >> (tileHeight * (level + 1)), Hashes: hashes})
		}
	}
	return out
}

// leafHash hashes what [leafInput] prepared.
func leafHash(input []byte) tlog.Hash { return sha256.Sum256(input) }

// leafInput puts into scratch what RFC 6962 hashes for a leaf.
func leafInput(scratch, entry []byte) []byte {
	return append(append(scratch[:0], 0), entry...)
}

// subtree is the root over a power of two of concatenated hashes.
func subtree(hashes []byte) tlog.Hash {
	if len(hashes) == tlog.HashSize {
		return tlog.Hash(hashes)
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}
