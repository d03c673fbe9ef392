package audit

import (
	"strings"
	"unicode/utf8"
)

// appendString appends s as an RFC 8785 string (section 3.2.2.2) whose encoded bytes, without quotes, number at most limit.
func appendString(dst []byte, s string, limit int) []byte {
	dst = append(dst, '"')
	if len(s) <= limit && plain(s) {
		dst = append(dst, s...)
		return append(dst, '"')
	}
	s = clean(s, limit)
	start := 0
	for i := 0; i < len(s); i++ {
		if escapedLen(s[i]) == 1 {
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, s[i])
		start = i + 1
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// plain tells whether s is ASCII that needs no escape. It is the usual case and the fast one: eight bytes at a time.
func plain(s string) bool {
	for ; len(s) >= 8; s = s[8:] {
		if special(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56) {
			return false
		}
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// special tells whether any of eight bytes is not ASCII, a control character, a quote or a backslash. Subtracting n from a
// byte below n borrows and sets its top bit; comparing for equality is the same with n = 1 after an exclusive or.
func special(w uint64) bool {
	const (
		ones  = 0x0101010101010101
		tops  = 0x80 * ones
		quote = '"' * ones
		slash = '\\' * ones
	)
	q, b := w^quote, w^slash
	return (w|(w-0x20*ones)|(q-ones)|(b-ones))&tops != 0 // the top bits of q and b are those of w
}

// clean returns s as it can be written: valid UTF-8 whose encoded form has at most limit bytes, marked when shortened.
// Cleaning twice changes nothing, which is what lets [ParseEntry] compare.
func clean(s string, limit int) string {
	if !utf8.ValidString(s) {
		// Each byte of input gives at least one of output, so what lies far beyond limit cannot be needed. The margin
		// keeps the overflow visible and a rune that it halves out of the result.
		s = replaceInvalid(s[:min(len(s), limit+utf8.UTFMax)])
	}
	size, fit := 0, 0 // encoded bytes so far; the longest prefix that leaves room for the mark
	for i := 0; i < len(s); {
		n, width := 1, escapedLen(s[i])
		if s[i] >= utf8.RuneSelf {
			_, n = utf8.DecodeRuneInString(s[i:])
			width = n
		}
		size += width
		if size > limit {
			return s[:fit] + cut
		}
		i += n
		if size <= limit-len(cut) {
			fit = i
		}
	}
	return s
}

// replaceInvalid writes U+FFFD for each byte that is not part of valid UTF-8.
func replaceInvalid(s string) string {
	var b strings.Builder
	b.Grow(len(s) + utf8.UTFMax)
	for _, r := range s {
		b.WriteRune(r) // range yields U+FFFD for each invalid byte
	}
	return b.String()
}

// escapedLen is how many bytes c takes in a JSON string.
func escapedLen(c byte) int {
	switch {
	case c == '"', c == '\\', c == '\b', c == '\t', c == '\n', c == '\f', c == '\r':
		return len(`\n`)
	case c < 0x20:
		return len(`\u0000`)
	}
	return 1
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\t':
		return append(dst, `\t`...)
	case '\n':
		return append(dst, `\n`...)
	case '\f':
		return append(dst, `\f`...)
	case '\r':
		return append(dst, `\r`...)
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}

// compareUTF16 orders as RFC 8785 section 3.2.3 wants: by UTF-16 code units. It differs from byte order only where a rune
// beyond the basic plane meets one from U+E000 on.
func compareUTF16(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	for i > 0 && i < len(a) && !utf8.RuneStart(a[i]) {
		i-- // back to where the first differing rune begins
	}
	if i < len(a) && i < len(b) && a[i] >= utf8.RuneSelf && b[i] >= utf8.RuneSelf {
		x, _ := utf8.DecodeRuneInString(a[i:])
		y, _ := utf8.DecodeRuneInString(b[i:])
		// A rune beyond the basic plane begins with a surrogate, U+D800 to U+DBFF, and sorts there.
		if x > 0xFFFF && y <= 0xFFFF && y >= 0xE000 {
			return -1
		}
		if y > 0xFFFF && x <= 0xFFFF && x >= 0xE000 {
			return 1
		}
	}
	return strings.Compare(a[i:], b[i:])
}
