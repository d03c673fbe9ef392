// Package weak tells which new passwords a guesser would try first: those that many people have, and what is made of few such
// pieces. It follows NIST SP 800-63B-4 section 3.1.1.2: a list of common and breached passwords, words of the context, and no
// rules about kinds of characters.
package weak

import (
	"crypto/sha256"
	_ "embed"
	"sort"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// common holds the first bytes of the SHA-256 of each password of the list, folded, sorted. The list is passwords.json of the
// npm package @zxcvbn-ts/language-common 4.1.3 (MIT; Dan Wheeler, Dropbox and the zxcvbn-ts authors): the 49,233 passwords that
// stood most often in published breaches. The test with -from writes it anew.
//
//go:embed common.bin
var common []byte

const (
	// hashSize makes a word that is not in the list look like one once in twenty million.
	hashSize = 5
	minWord  = 4  // shorter ones stand inside everything
	maxWord  = 24 // the longest of the list is 20
	minRun   = 3  // of a walk over the keyboard, a sequence or a repetition
	// MinPieces is how many pieces a password needs at least. A piece is a word of the list or of the context, a walk over the
	// keyboard, a sequence, a repetition, a date, or else a single character.
	MinPieces = 5
	// maxRunes is how far a password is looked at. What is behind it makes none weaker.
	maxRunes = 128
)

// Pieces gives the fewest pieces that a password is made of, up to a few more than [MinPieces] need. The words are what a guesser
// knows about its owner: his name, address, organisation.
func Pieces(password string, words ...string) int {
	plain := []rune(plain(password))
	if len(plain) > maxRunes {
		plain = plain[:maxRunes]
	}
	folded := make([]rune, len(plain))
	for i, r := range plain {
		folded[i] = unleet(r)
	}
	known := map[string]bool{}
	for _, w := range words {
		for _, part := range parts(w) {
			known[part] = true
		}
	}
	best := make([]int, len(plain)+1) // of what ends there
	for end := 1; end <= len(plain); end++ {
		best[end] = best[end-1] + 1
		for begin := end - 2; begin >= 0; begin-- {
			if best[begin]+1 < best[end] && guessed(plain, folded, begin, end, known) {
				best[end] = best[begin] + 1
			}
		}
	}
	return best[len(plain)]
}

// guessed tells whether a stretch is one piece.
func guessed(plain, folded []rune, begin, end int, known map[string]bool) bool {
	n := end - begin
	word := string(folded[begin:end])
	return known[word] || n >= minWord && n <= maxWord && listed(word) ||
		n >= minRun && (walk(plain[begin:end]) || repeats(plain, begin, end)) || date(plain[begin:end])
}

// plain is how a password is compared: compatible characters, such as wide ones, made the same, and case folded away.
func plain(s string) string { return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s))) }

// unleet makes one of all that people write in place of a letter.
func unleet(r rune) rune {
	switch r {
	case '0':
		return 'o'
	case '1', 'l', '!', '|':
		return 'i'
	case '3':
		return 'e'
	case '4', '@':
		return 'a'
	case '5', '$':
		return 's'
	case '7', '+':
		return 't'
	case '8':
		return 'b'
	}
	return r
}

func fold(s string) string { return strings.Map(unleet, plain(s)) }

// parts gives a text of the context as a whole, an address in its two halves, and its words.
func parts(s string) []string {
	mark := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	all := append(strings.Split(s, "@"), s)
	for _, half := range all {
		all = append(all, strings.Join(strings.FieldsFunc(half, mark), ""))
	}
	var out []string
	for _, w := range append(all, strings.FieldsFunc(s, mark)...) {
		if len(w) >= minRun {
			out = append(out, fold(w))
		}
	}
	return out
}

func prefix(word string) [hashSize]byte {
	h := sha256.Sum256([]byte(word))
	return [hashSize]byte(h[:hashSize])
}

// listed tells whether a folded word is in the list.
func listed(word string) bool {
	p := prefix(word)
	n := len(common) / hashSize
	at := func(i int) string { return string(common[i*hashSize : (i+1)*hashSize]) }
	i := sort.Search(n, func(i int) bool { return at(i) >= string(p[:]) })
	return i < n && at(i) == string(p[:])
}

// rows are keyboards, on which each key lies beside the next one and about below the one at the same place of the row above.
var keyboards = [][]string{
	{"1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"},
	{"1234567890", "qwertzuiop", "asdfghjkl", "yxcvbnm,.-"},
	{"1234567890", "azertyuiop", "qsdfghjklm", "wxcvbn,;:"},
	{"!@#$%^&*()_+"},
	{"789", "456", "123", "0"},
}

// walk tells whether every character follows from the one before: the same, the next in the alphabet or of the digits, or a
// neighbour on a keyboard.
func walk(s []rune) bool {
	for i := 1; i < len(s); i++ {
		if d := s[i] - s[i-1]; d < -1 || d > 1 {
			if !neighbours(s[i-1], s[i]) {
				return false
			}
		}
	}
	return true
}

func neighbours(a, b rune) bool {
	for _, rows := range keyboards {
		ay, ax := key(rows, a)
		by, bx := key(rows, b)
		if ay < 0 || by < 0 {
			continue
		}
		if dy, dx := by-ay, bx-ax; dy == 0 && (dx == 1 || dx == -1) || (dy == 1 || dy == -1) && dx == 0 {
			return true
		}
	}
	return false
}

func key(rows []string, r rune) (y, x int) {
	for y, row := range rows {
		if x := strings.IndexRune(row, r); x >= 0 {
			return y, x
		}
	}
	return -1, -1
}

// repeats tells whether a stretch is the one before it once more.
func repeats(s []rune, begin, end int) bool {
	n := end - begin
	return begin >= n && string(s[begin-n:begin]) == string(s[begin:end])
}

// date tells whether a stretch is a year or a day as people write it, without marks between.
func date(s []rune) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	number := func(s []rune) int {
		n := 0
		for _, r := range s {
			n = 10*n + int(r-'0')
		}
		return n
	}
	year := func(s []rune) bool { n := number(s); return n >= 1900 && n < 2100 }
	day := func(a, b []rune) bool {
		x, y := number(a), number(b)
		return x >= 1 && x <= 31 && y >= 1 && y <= 12 || x >= 1 && x <= 12 && y >= 1 && y <= 31
	}
	switch len(s) {
	case 4:
		return year(s)
	case 6:
		return day(s[:2], s[2:4]) || day(s[4:], s[2:4])
	case 8:
		return year(s[4:]) && day(s[:2], s[2:4]) || year(s[:4]) && day(s[6:], s[4:6])
	}
	return false
}
