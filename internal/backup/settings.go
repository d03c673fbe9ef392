package backup

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/fault"
)

// Settings say where backups go and when they are made.
type Settings struct {
	Place      bucket.Place  // nil for none
	Every      time.Duration // 0 = never
	Keep       Keep
	DrillEvery time.Duration // 0 = never
}

// Defaults of the schedule.
const (
	DefaultEvery      = "24h"
	DefaultDrillEvery = "7d"
)

// never is the period of what does not happen by itself.
const never = "never"

// shortestPeriod keeps a slip of the finger from making nothing but backups.
const shortestPeriod = time.Second

// ParsePeriod reads "never" or nothing (0), days such as 7d, or a Go duration of at least a second.
func ParsePeriod(text string) (time.Duration, error) {
	wrong := fault.New(fault.Invalid, "want a period such as 24h or 7d, or never")
	if text == never || text == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 16)
		if err != nil || n < 1 {
			return 0, wrong
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < shortestPeriod {
		return 0, wrong
	}
	return d, nil
}

// periodText writes a period as ParsePeriod reads it.
func periodText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return never
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}
