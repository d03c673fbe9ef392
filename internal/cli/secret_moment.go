package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// maxAhead is a century: what ends later is meant to end never.
const maxAhead = 100 * 366 * 24 * time.Hour

// parseExpiry takes a day ("2027-01-31", its first moment in UTC), a time (RFC 3339), a duration from now ("90d", "12w",
// "36h"), or "never", for which it gives the first moment of 1970: the zero time of Go is left out of a request, and what is
// left out stays as it is, while unix time 0 is stored as none.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	switch s {
	case "", "never":
		return time.Unix(0, 0).UTC(), nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC().Truncate(time.Millisecond), nil
	}
	if d, ok := parseAhead(s); ok {
		return now.UTC().Add(d).Truncate(time.Millisecond), nil
	}
	return time.Time{}, fault.New(fault.Invalid, "not a time of expiry").
		WithField("--expires", "want a day such as 2027-01-31, a time such as 2027-01-31T12:00:00Z, a duration such as 90d, or never")
}

// parseAhead takes what Go takes, and whole days and weeks.
func parseAhead(s string) (time.Duration, bool) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if digits, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.ParseUint(digits, 10, 32)
			if err != nil || n == 0 || n > uint64(maxAhead/length) {
				return 0, false
			}
			return time.Duration(n) * length, true
		}
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d > 0 && d <= maxAhead
}
