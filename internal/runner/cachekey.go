package runner

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// CacheKey says what was fetched. Two fetches share a cache file only if all of it is equal; the order of Only does not
// count, that of Paths does, since later paths override earlier ones.
type CacheKey struct {
	Server, Project, Env string
	Paths, Only          []string
}

// canonical gives different bytes for different keys: every string with its length, every list with its count.
func (k CacheKey) canonical() []byte {
	only := slices.Sorted(slices.Values(k.Only))
	only = slices.Compact(only)
	var b []byte
	for _, s := range []string{k.Server, k.Project, k.Env} {
		b = appendText(b, s)
	}
	for _, list := range [][]string{k.Paths, only} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
		for _, s := range list {
			b = appendText(b, s)
		}
	}
	return b
}

// fileName hides the key's names from the listing of the folder.
func (k CacheKey) fileName() string {
	sum := sha256.Sum256(append([]byte("keyturn run cache name\x00"), k.canonical()...))
	return hex.EncodeToString(sum[:]) + fileSuffix
}

func appendText[T string | []byte](b []byte, s T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
