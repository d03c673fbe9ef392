package domain

import (
	"strings"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
)

// Bounds of names. They are generous for people and small enough that a row, a log entry and a header stay small.
const (
	maxSlug       = 64
	maxLabel      = 200
	maxSecretName = 255 // what file systems and foreign APIs take
	maxTag        = 64
	maxEmail      = 254 // RFC 5321
)

type (
	// Slug is the short name of a project, an environment or an organisation: a-z, 0-9 and '-'.
	Slug string
	// Label is a display name: any printable text.
	Label string
	// SecretName is the name of a secret in its folder: letters, digits, '_', '-', '.'. Case matters.
	SecretName string
	// Email is an address in its one canonical form: trimmed and lower case.
	Email string
	// Tag marks secrets: like a slug, but '_', '.' and ':' are allowed too.
	Tag string
)

func chars(s, extra string, upper bool) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', upper && c >= 'A' && c <= 'Z', strings.IndexByte(extra, c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// ParseSlug refuses everything that is not already canonical, so that two spellings never name one thing, and what has
// the form of an id, so that "id or slug" is never ambiguous.
func ParseSlug(s string) (Slug, error) {
	if len(s) > maxSlug || !chars(s, "-", false) || s[0] == '-' || s[len(s)-1] == '-' {
		return "", fault.New(fault.Invalid, "not a slug: want 1 to %d of a-z, 0-9 and '-', not '-' at an end", maxSlug)
	}
	if IsID(s) {
		return "", fault.New(fault.Invalid, "not a slug: it has the form of an id")
	}
	return Slug(s), nil
}

// Slugify turns a display name into a slug, or gives "" when nothing is left of it.
func Slugify(s string) Slug {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r < utf8.RuneSelf && chars(string(r), "", false) {
			b.WriteRune(r)
		} else if n := b.Len(); n > 0 && b.String()[n-1] != '-' {
			b.WriteByte('-')
		}
	}
	out := b.String()
	if len(out) > maxSlug {
		out = out[:maxSlug]
	}
	if out = strings.Trim(out, "-"); IsID(out) {
		return ""
	}
	return Slug(out)
}

// ParseLabel accepts printable UTF-8 without line breaks and without the characters that change the order of the others.
func ParseLabel(s string) (Label, error) {
	if s == "" || utf8.RuneCountInString(s) > maxLabel || !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) || strings.TrimSpace(s) != s {
		return "", fault.New(fault.Invalid, "not a name: want 1 to %d printable characters, no blanks at the ends", maxLabel)
	}
	return Label(s), nil
}

func isControl(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029: // C0, C1, line and paragraph ends
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // bidirectional overrides: text that reads as another one
	case r == 0x200b, r == 0x2060, r == 0xfeff: // seen by nobody, so that two equal names would differ
	default:
		return false
	}
	return true
}

// ParseSecretName refuses names that some consumer could not carry.
func ParseSecretName(s string) (SecretName, error) {
	if len(s) > maxSecretName || !chars(s, "_-.", true) || s == "." || s == ".." {
		return "", fault.New(fault.Invalid, "not a secret name: want 1 to %d letters, digits, '_', '-' or '.'", maxSecretName)
	}
	return SecretName(s), nil
}

// ParseEmail checks the shape only; whether mail arrives is for an invitation to show. The check comes before the folding,
// because a few letters outside ASCII, such as the Kelvin sign, have a lower case within it: they would open another's account.
func ParseEmail(s string) (Email, error) {
	s = strings.TrimSpace(s)
	local, host, ok := strings.Cut(s, "@")
	if !ok || len(s) > maxEmail || !chars(local, "._-+'", true) || !chars(host, "-.", true) ||
		strings.HasPrefix(host, ".") || strings.HasSuffix(host, ".") || strings.Contains(host, "..") {
		return "", fault.New(fault.Invalid, "not an e-mail address: want name@host in ASCII")
	}
	return Email(strings.ToLower(s)), nil
}

// ParseTag gives the canonical tag.
func ParseTag(s string) (Tag, error) {
	if len(s) > maxTag || !chars(s, "-_.:", false) {
		return "", fault.New(fault.Invalid, "not a tag: want 1 to %d of a-z, 0-9, '-', '_', '.', ':'", maxTag)
	}
	return Tag(s), nil
}

// withheld stands in the log for what somebody typed where a name belongs and that is none: it may be a password or a token.
const withheld = "(not a name)"

// RecordedName gives a slug or id that somebody typed as the log may keep it.
func RecordedName(s string) string {
	if _, err := ParseSlug(s); err == nil || IsID(s) {
		return s
	}
	return withheld
}

// RecordedLabel does the same for names of people and machines, which are free text: what holds one of our tokens is kept
// out of the log.
func RecordedLabel(s string) string {
	for _, kind := range TokenKinds {
		if strings.Contains(s, string(kind)) {
			return withheld
		}
	}
	if _, err := ParseLabel(s); err != nil || len(s) > maxSlug {
		return withheld
	}
	return s
}
