package runner

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// minMasked is the shortest value that is masked. Shorter ones turn up in any output by chance, and masking them
	// there would tell what they are.
	minMasked = 4
	// minLine is the shortest line of a multi-line value that is masked on its own: many are "}" or "end".
	minLine = 8
	// maxEscaped is the longest value for which the percent-encoded forms are sought: there are many of them, each up to
	// three times as long, and nobody puts such a value into a URL.
	maxEscaped = 16 << 10
)

// forms lists all byte strings to look for, sorted and without duplicates.
func forms(values []sensitive.Value) [][]byte {
	var all [][]byte
	add := func(p []byte) {
		if len(p) >= minMasked {
			all = append(all, p)
		}
	}
	for _, v := range values {
		raw := v.Reveal()
		if len(raw) < minMasked {
			continue
		}
		encodings(raw, add)
		lines := bytes.Split(raw, []byte("\n"))
		if len(lines) == 1 {
			continue
		}
		if trimmed := bytes.TrimRight(raw, "\r\n"); len(trimmed) < len(raw) && len(trimmed) >= minMasked {
			encodings(trimmed, add) // $(cat file) drops the end of the last line
		}
		for _, line := range lines {
			if line = bytes.TrimSuffix(line, []byte("\r")); len(line) >= minLine {
				add(line)
			}
		}
	}
	slices.SortFunc(all, bytes.Compare)
	return slices.CompactFunc(all, bytes.Equal)
}

// encodings gives raw and its encoded forms to add, possibly several times.
func encodings(raw []byte, add func([]byte)) {
	add(raw)
	add([]byte(hex.EncodeToString(raw)))
	add([]byte(strings.ToUpper(hex.EncodeToString(raw))))
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		add([]byte(enc.EncodeToString(raw)))                               // with padding
		add([]byte(enc.WithPadding(base64.NoPadding).EncodeToString(raw))) // without
		for shift := range 3 {
			add(inBase64(enc, raw, shift))
		}
	}
	if len(raw) <= maxEscaped {
		percentForms(raw, add)
	}
	if utf8.Valid(raw) {
		quotedForms(string(raw), add)
	}
}

// inBase64 gives those characters of an encoding that depend on raw alone, when shift bytes (modulo 3) precede it and
// anything may follow: each character holds 6 bits (RFC 4648 section 4).
func inBase64(enc *base64.Encoding, raw []byte, shift int) []byte {
	text := enc.EncodeToString(append(make([]byte, shift), raw...))
	first := (shift*8 + 5) / 6
	last := (shift + len(raw)) * 8 / 6
	return []byte(text[first:last])
}

// percentForms covers the ways in which common libraries escape for URLs; they differ in what they leave alone.
func percentForms(raw []byte, add func([]byte)) {
	for _, keep := range []string{
		"-_.~",               // RFC 3986 unreserved: curl, Python quote(safe=""), Java, Go QueryEscape but for the blank
		"-_.~/",              // Python quote
		"-_.~!*'()",          // JavaScript encodeURIComponent
		"-_.~$&+=:@",         // Go PathEscape
		"-_.*",               // forms in browsers and Java's URLEncoder
		"-_.~$&+=:@/;,!*'()", // userinfo and path as Go's url.URL prints them
	} {
		for _, blank := range []string{"%20", "+"} {
			for _, digits := range []string{"0123456789ABCDEF", "0123456789abcdef"} {
				add(percent(raw, keep, blank, digits))
			}
		}
	}
}

func percent(raw []byte, keep, blank, digits string) []byte {
	out := make([]byte, 0, len(raw)+len(raw)/2)
	for _, b := range raw {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', strings.IndexByte(keep, b) >= 0:
			out = append(out, b)
		case b == ' ':
			out = append(out, blank...)
		default:
			out = append(out, '%', digits[b>>4], digits[b&15])
		}
	}
	return out
}

// quotedForms covers JSON strings (RFC 8259 section 7) as common encoders write them, and Go's quoting, which its text logs
// use.
func quotedForms(s string, add func([]byte)) {
	inner := func(quoted string) []byte { return []byte(quoted[1 : len(quoted)-1]) }
	if b, err := json.Marshal(s); err == nil { // escapes <, >, & and U+2028
		add(inner(string(b)))
	}
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) == nil {
		text := inner(strings.TrimSuffix(plain.String(), "\n"))
		add(text)
		add(bytes.ReplaceAll(text, []byte("/"), []byte(`\/`))) // PHP
		add(asciiOnly(text))                                   // Python
		add(bytes.ReplaceAll(asciiOnly(text), []byte("/"), []byte(`\/`)))
	}
	add(inner(strconv.Quote(s)))
	add(inner(strconv.QuoteToASCII(s)))
}

// asciiOnly writes all else as \uXXXX.
func asciiOnly(text []byte) []byte {
	var out []byte
	for _, r := range string(text) {
		switch {
		case r < utf8.RuneSelf:
			out = append(out, byte(r))
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
