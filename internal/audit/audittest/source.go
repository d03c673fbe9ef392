// Package audittest has a log in memory for tests of whatever needs an [audit.Source].
package audittest

import (
	"context"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/audit"
)

// TileKey names a tile.
type TileKey struct {
	Level int
	Index int64
}

// MemorySource is a stored log in memory. Its fields are open so that a test can attack it. It is not safe for concurrent
// use while it is changed.
type MemorySource struct {
	Size   int64
	Root   tlog.Hash
	Stored []audit.Chunk
	Tiles  map[TileKey][]byte
	Gone   []audit.Segment // what is archived, oldest first
}

var _ audit.ArchivedSource = (*MemorySource)(nil)

// NewMemorySource makes an empty log.
func NewMemorySource() *MemorySource {
	return &MemorySource{Root: audit.EmptyTree().Root(), Tiles: make(map[TileKey][]byte)}
}

// Append stores a batch.
func (s *MemorySource) Append(b audit.Batch) {
	s.Stored = append(s.Stored, b.Chunk)
	for _, t := range b.Tiles {
		s.Tiles[TileKey{t.Level, t.Index}] = t.Hashes
	}
	s.Size, s.Root = b.Size, b.Root
}

// Clone copies the log in full, so that the copy can be attacked.
func (s *MemorySource) Clone() *MemorySource {
	c := &MemorySource{Size: s.Size, Root: s.Root, Stored: slices.Clone(s.Stored), Tiles: make(map[TileKey][]byte, len(s.Tiles)), Gone: slices.Clone(s.Gone)}
	for i := range c.Stored {
		c.Stored[i].Data = slices.Clone(c.Stored[i].Data)
	}
	for k, hashes := range s.Tiles {
		c.Tiles[k] = slices.Clone(hashes)
	}
	return c
}

// Head implements [audit.Source].
func (s *MemorySource) Head(context.Context) (int64, tlog.Hash, error) { return s.Size, s.Root, nil }

// Chunks implements [audit.Source].
func (s *MemorySource) Chunks(_ context.Context, from, to int64) iter.Seq2[audit.Chunk, error] {
	return func(yield func(audit.Chunk, error) bool) {
		for _, c := range s.Stored {
			if c.First+int64(c.Count) > from && c.First < to && !yield(c, nil) {
				return
			}
		}
	}
}

// Tile implements [audit.Source].
func (s *MemorySource) Tile(_ context.Context, level int, index int64) (audit.Tile, bool, error) {
	hashes, ok := s.Tiles[TileKey{level, index}]
	return audit.Tile{Level: level, Index: index, Hashes: hashes}, ok, nil
}

// Archived implements [audit.ArchivedSource].
func (s *MemorySource) Archived(context.Context) (int64, error) {
	if len(s.Gone) == 0 {
		return 0, nil
	}
	last := s.Gone[len(s.Gone)-1]
	return last.First + last.Count, nil
}

// Segments implements [audit.ArchivedSource].
func (s *MemorySource) Segments(context.Context) iter.Seq2[audit.Segment, error] {
	return func(yield func(audit.Segment, error) bool) {
		for _, g := range slices.Backward(s.Gone) {
			if !yield(g, nil) {
				return
			}
		}
	}
}
