package domain

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
)

// Bounds of one secret, named in the message when one is passed.
const (
	MaxValue   = 64 << 10 // bytes; larger things are files, and most platforms take less
	MaxComment = 4 << 10  // bytes
	maxTags    = 32
	maxMeta    = 32
	maxMetaKey = 64
	maxMetaVal = 1 << 10
	maxNote    = 1 << 10 // bytes of a reminder: a sentence or two
	// maxCadenceDays is a century: later is never, and a time.Duration ends at 292 years.
	maxCadenceDays = 36_500
)

// Attributes is what is known of a secret beside its value. Times are unix milliseconds, zero means none.
type Attributes struct {
	Owner      string            `json:"owner,omitzero"` // user or group name
	Tags       []Tag             `json:"tags,omitzero"`
	Meta       map[string]string `json:"meta,omitzero"`
	Public     bool              `json:"public,omitzero"` // not sensitive: may be shown without reveal
	Cadence    Cadence           `json:"cadence,omitzero"`
	ExpiresAt  int64             `json:"expires_at,omitzero"`
	RotatedAt  int64             `json:"rotated_at,omitzero"` // when the value last changed
	Generated  bool              `json:"generated,omitzero"`  // made by Keyturn, known to nobody
	Required   bool              `json:"required,omitzero"`   // its folder is incomplete without it
	Literal    bool              `json:"literal,omitzero"`    // ${...} in it is text, not a reference
	CommentRev int64             `json:"comment_rev,omitzero"`
	// OneLine asks consumers that write files to write line breaks as \n; clients of Infisical call it skipMultilineEncoding.
	OneLine bool `json:"one_line,omitzero"`
	// Reminder is what people are told when the value is due.
	Reminder string `json:"reminder,omitzero"`
	JSON     bool   `json:"json,omitzero"` // the value is the text of a JSON value that is not a string
}

// Check puts tags, owner and cadence into canonical form and tells the first thing that is wrong.
func (a *Attributes) Check() error {
	a.Owner = strings.TrimSpace(a.Owner)
	if a.Owner != "" {
		if _, err := ParseLabel(a.Owner); err != nil {
			return fault.New(fault.Invalid, "owner: %v", err)
		}
	}
	for _, t := range a.Tags {
		if _, err := ParseTag(string(t)); err != nil {
			return err
		}
	}
	slices.Sort(a.Tags)
	a.Tags = slices.Compact(a.Tags)
	if len(a.Tags) > maxTags {
		return fault.New(fault.Invalid, "too many tags: at most %d", maxTags)
	}
	if len(a.Meta) > maxMeta {
		return fault.New(fault.Invalid, "too many metadata entries: at most %d", maxMeta)
	}
	for k, v := range a.Meta {
		if k == "" || len(k) > maxMetaKey || len(v) > maxMetaVal || !utf8.ValidString(k) || !utf8.ValidString(v) || strings.ContainsFunc(k, isControl) {
			return fault.New(fault.Invalid, "metadata: want keys of 1 to %d and values of at most %d bytes of UTF-8", maxMetaKey, maxMetaVal)
		}
	}
	if len(a.Reminder) > maxNote || !utf8.ValidString(a.Reminder) {
		return fault.New(fault.Invalid, "the reminder is too long: at most %d bytes of UTF-8", maxNote)
	}
	cadence, err := ParseCadence(string(a.Cadence))
	if err != nil {
		return err
	}
	a.Cadence = cadence
	return nil
}

// Equal tells whether two sets of attributes are the same. No tags and an empty list of them are the same too.
func (a Attributes) Equal(b Attributes) bool {
	if !slices.Equal(a.Tags, b.Tags) || !maps.Equal(a.Meta, b.Meta) {
		return false
	}
	a.Tags, a.Meta, b.Tags, b.Meta = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

// Due tells when the value must be replaced: the earlier of cadence and expiry, zero for never.
func (a Attributes) Due() int64 {
	due := a.ExpiresAt
	if every := a.Cadence.Every(); every > 0 && a.RotatedAt > 0 {
		if at := a.RotatedAt + every.Milliseconds(); due == 0 || at < due {
			due = at
		}
	}
	return due
}

// Cadence says when a value must be replaced: "" and "never", "on staff change", "on compromise", or a number of days,
// weeks, months or years such as "90d", "12w", "6m", "1y". Several may be joined by "or": "90d or on compromise".
type Cadence string

// Never means that nothing but a leak asks for a new value.
const Never Cadence = "never"

var events = []string{"on staff change", "on compromise", "on tenant change"}

// ParseCadence gives the canonical form.
func ParseCadence(s string) (Cadence, error) {
	s = strings.ToLower(strings.Join(strings.Fields(s), " "))
	if s == "" || s == string(Never) {
		return Cadence(s), nil
	}
	for part := range strings.SplitSeq(s, " or ") {
		if _, ok := period(part); !ok && !slices.Contains(events, part) {
			return "", fault.New(fault.Invalid, "not a rotation cadence: want \"90d\", \"12w\", \"6m\", \"1y\", \"%s\" or \"never\", joined by \"or\"", strings.Join(events, "\", \""))
		}
	}
	return Cadence(s), nil
}

func period(s string) (time.Duration, bool) {
	var n int
	var unit string
	if c, err := fmt.Sscanf(s, "%d%s", &n, &unit); c != 2 || err != nil || n < 1 || n > 3650 || fmt.Sprintf("%d%s", n, unit) != s {
		return 0, false
	}
	days := n * map[string]int{"d": 1, "w": 7, "m": 30, "y": 365}[unit]
	if days == 0 || days > maxCadenceDays {
		return 0, false
	}
	return time.Duration(days) * 24 * time.Hour, true
}

// Every gives the shortest period in the cadence, zero when only events count.
func (c Cadence) Every() time.Duration {
	var least time.Duration
	for part := range strings.SplitSeq(string(c), " or ") {
		if d, ok := period(part); ok && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// On tells whether the cadence names the event, for example "staff change".
func (c Cadence) On(event string) bool {
	return slices.Contains(strings.Split(string(c), " or "), "on "+event)
}

// placeholders are the values that examples and defaults carry; a production secret must not be one of them.
var placeholders = map[string]bool{
	"changeme": true, "change_me": true, "change-me": true, "changeit": true, "infraudit123": true, "password": true,
	"secret": true, "your-secret": true, "your_secret": true, "your-key": true, "your-api-key": true, "yoursecret": true,
	"todo": true, "tbd": true, "fixme": true, "xxx": true, "xxxx": true, "xxxxxx": true, "placeholder": true, "example": true,
	"dummy": true, "test": true, "admin": true, "root": true, "postgres": true, "replace_me": true, "replaceme": true,
	"replace-me": true, "insert-here": true, "none": true, "null": true, "undefined": true, "12345678": true, "123456": true,
}

// Placeholder tells why value is not a real secret, or "".
func Placeholder(value []byte) string {
	s := strings.ToLower(strings.TrimSpace(string(value)))
	switch {
	case s == "":
		return "empty"
	case placeholders[s], strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") && strings.Count(s, "<") == 1, strings.HasPrefix(s, "your-") && len(s) < 40,
		strings.HasPrefix(s, "your_") && len(s) < 40:
		return "placeholder"
	case len(s) >= 8 && strings.Count(s, s[:1]) == len(s):
		return "one character repeated"
	}
	return ""
}
