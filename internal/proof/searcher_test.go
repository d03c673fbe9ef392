package proof

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"
)

// searcher finds pieces of planted secrets in bytes, whatever form they took on the way. A piece is eight or so bytes of the
// secret: pages, overflow chains and compression that keeps literals cut a long one apart, but not everywhere.
type searcher struct {
	// maybe holds a bit for the hash of the first bytes of each piece, so that most places are passed over at once.
	maybe  []uint64
	pieces map[[pieceKey]byte][]piece
}

type piece struct {
	rest     string // after the key
	of, form string
}

// find is one place where something of a secret lies.
type find struct {
	where, of, form string
	offset          int
}

const (
	pieceKey  = 8       // bytes of a piece that it is looked up by; no piece is shorter
	maybeBits = 1 << 22 // bits
	maxNested = 3       // how deep compressed data inside compressed data is opened
	maxOpened = 64 << 20
)

func newSearcher() *searcher {
	return &searcher{maybe: make([]uint64, maybeBits/64), pieces: map[[pieceKey]byte][]piece{}}
}

func spot(b []byte) uint32 {
	return uint32(binary.LittleEndian.Uint64(b) * 0x9e3779b97f4a7c15 >> (64 - 22))
}

// plant makes the searcher look for a secret. It must be random: eight bytes of it must be certain to be nothing else. A long
// one is known by both its ends in every form, and in the raw by all of it.
func (s *searcher) plant(of string, secret []byte) {
	const end = 256
	for form, f := range forms {
		for i := 0; i+f.window <= len(secret); i++ {
			if form != "raw" && i == end && len(secret) > 2*end {
				i = len(secret) - end
			}
			for _, p := range f.of(secret[i : i+f.window]) {
				s.add(p, of, form)
			}
		}
	}
}

// form is one way in which bytes may be written down, window by window.
type form struct {
	window int
	of     func([]byte) []string
}

var forms = map[string]form{
	"raw":      {8, func(b []byte) []string { return []string{string(b)} }},
	"reversed": {8, func(b []byte) []string { c := slices.Clone(b); slices.Reverse(c); return []string{string(c)} }},
	"hex":      {8, func(b []byte) []string { h := hex.EncodeToString(b); return []string{h, strings.ToUpper(h)} }},
	// Nine bytes are twelve characters with nothing left over, so windows at every offset cover all three alignments.
	"base64": {9, func(b []byte) []string {
		std, url := base64.StdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b)
		if std == url {
			return []string{std}
		}
		return []string{std, url}
	}},
	"UTF-16": {6, func(b []byte) []string {
		var little, big []byte
		for _, u := range utf16.Encode([]rune(latin(b))) {
			little, big = binary.LittleEndian.AppendUint16(little, u), binary.BigEndian.AppendUint16(big, u)
		}
		return []string{string(little), string(big)}
	}},
	"numbers": {6, func(b []byte) []string {
		list := strings.Trim(fmt.Sprint(b), "[]")
		return []string{list, strings.ReplaceAll(list, " ", ","), strings.ReplaceAll(list, " ", ", ")}
	}},
	"escapes": {6, func(b []byte) []string {
		var out []string
		for _, f := range []string{"%%%02x", "%%%02X", `\x%02x`, `\u%04x`, `\%03o`} {
			var text strings.Builder
			for _, c := range b {
				fmt.Fprintf(&text, f, c)
			}
			out = append(out, text.String())
		}
		return out
	}},
}

// latin reads each byte as the character of that number.
func latin(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

func (s *searcher) add(text, of, form string) {
	key := [pieceKey]byte([]byte(text[:pieceKey]))
	s.pieces[key] = append(s.pieces[key], piece{text[pieceKey:], of, form})
	h := spot(key[:])
	s.maybe[h/64] |= 1 << (h % 64)
}

// search looks through bytes, and into whatever is compressed in them. It tells of each secret in each form once.
func (s *searcher) search(where string, data []byte) []find {
	return s.inside(where, data, 0)
}

func (s *searcher) inside(where string, data []byte, nested int) []find {
	var out []find
	seen := map[piece]bool{}
	for i := 0; i+pieceKey <= len(data); i++ {
		h := spot(data[i:])
		if s.maybe[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for _, p := range s.pieces[[pieceKey]byte(data[i:i+pieceKey])] {
			once := piece{of: p.of, form: p.form}
			if !seen[once] && bytes.HasPrefix(data[i+pieceKey:], []byte(p.rest)) {
				seen[once] = true
				out = append(out, find{where, p.of, p.form, i})
			}
		}
	}
	if nested == maxNested {
		return out
	}
	for i := 0; i+2 < len(data); i++ {
		if plain := opened(data[i:]); len(plain) > 0 {
			out = append(out, s.inside(fmt.Sprintf("%s, compressed at %d", where, i), plain, nested+1)...)
		}
	}
	return out
}

// opened uncompresses what begins here, as far as it goes; nil when nothing compressed begins here.
func opened(data []byte) []byte {
	var r io.Reader
	var err error
	switch {
	case data[0] == 0x1f && data[1] == 0x8b && data[2] == 8:
		r, err = gzip.NewReader(bytes.NewReader(data))
	case data[0] == 0x78 && (int(data[0])<<8|int(data[1]))%31 == 0:
		r, err = zlib.NewReader(bytes.NewReader(data))
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(io.LimitReader(r, maxOpened)) // what came before the damage counts
	return plain
}

// folder looks through the name and content of every file below a folder.
func (s *searcher) folder(root string, but ...string) ([]find, error) {
	var out []find
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || slices.Contains(but, path) {
			return err
		}
		out = append(out, s.search("the name of "+path, []byte(strings.TrimPrefix(path, root)))...)
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a database server removes files while we look
		}
		out = append(out, s.search(path, b)...)
		return err
	})
	return out, err
}
