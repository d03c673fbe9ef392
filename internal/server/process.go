package server

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// limitScheduler keeps at least four processors for the scheduler, even on one core: with one, a goroutine in fsync holds
// the only one until the runtime notices, and the server idles meanwhile.
func limitScheduler() {
	if runtime.GOMAXPROCS(0) < 4 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(4)
	}
}

// gcPercent trades memory for time: the live heap of a server is a few megabytes, and collecting it each time it doubles
// costs a fifth of the reading capacity. heapGoal keeps the trade within the footprint that is promised.
const (
	gcPercent = 400
	heapGoal  = 40 << 20 // bytes beside the cache of sealed values
)

func tuneCollector(cacheBytes int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(2*cacheBytes + heapGoal)
	}
}

func level(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(name))); err != nil {
		return slog.LevelInfo
	}
	return l
}

// logWriter writes to standard error and blots out our own tokens, should one ever get into a log line.
type logWriter struct{}

func (logWriter) Write(b []byte) (int, error) {
	_, err := os.Stderr.Write(scrub(b))
	return len(b), err
}

// tokenLength is that of our tokens, prefix and checksum included.
const tokenLength = 53

func scrub(b []byte) []byte {
	s := string(b)
	for _, kind := range domain.TokenKinds {
		prefix := string(kind)
		for from := 0; ; {
			i := strings.Index(s[from:], prefix)
			if i < 0 {
				break
			}
			i += from
			end := min(i+tokenLength, len(s))
			s = s[:i] + prefix + "[redacted]" + s[end:]
			from = i + len(prefix)
		}
	}
	return []byte(s)
}
