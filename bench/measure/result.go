// Package measure holds what the benchmark's programs share: the figures that
// one run yields, the file of prebuilt requests, and the test values that all
// servers are filled with.
package measure

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Result is what one run of a load yields. Programs print it as one JSON line.
type Result struct {
	Operations float64 `json:"operations"` // finished inside the measured span; parts of a batch count
	Seconds    float64 `json:"seconds"`    // length of the measured span
	P50        float64 `json:"p50_us"`     // median time of an operation, microseconds
	P99        float64 `json:"p99_us"`     // 99th percentile, microseconds; queueing under a closed loop
	Max        float64 `json:"max_us"`     // longest time of an operation, microseconds
	Failed     int     `json:"failed"`     // answers that were not 2xx, and broken connections
	Wrong      int     `json:"wrong"`      // good answers that did not hold what was expected
	ServerCPU  float64 `json:"server_cpu"` // seconds of CPU that the watched server used in the span; 0 = unknown
	LoadCPU    float64 `json:"load_cpu"`   // seconds of CPU that the load generator used in the span
}

// Rate is operations per second.
func (r Result) Rate() float64 {
	if r.Seconds <= 0 {
		return 0
	}
	return r.Operations / r.Seconds
}

// CPUPerOperation is the server's CPU time for one operation in microseconds,
// or 0 when it is not known.
func (r Result) CPUPerOperation() float64 {
	if r.Operations == 0 {
		return 0
	}
	return r.ServerCPU * 1e6 / r.Operations
}

// String is the JSON line of the result.
func (r Result) String() string {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Sprintf("%+v", struct{ Result }{r})
	}
	return string(b)
}

// Summarise turns the times of single operations into a Result. It sorts took.
func Summarise(took []time.Duration, span time.Duration, failed int) Result {
	slices.Sort(took)
	return Result{
		Operations: float64(len(took)),
		Seconds:    span.Seconds(),
		P50:        micros(Percentile(took, 50)),
		P99:        micros(Percentile(took, 99)),
		Max:        micros(Percentile(took, 100)),
		Failed:     failed,
	}
}

// Percentile is the nearest-rank percentile of sorted values; 0 for none.
func Percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median is the middle value, or the mean of the two middle ones; 0 for none.
// It leaves values as they are.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if mid := len(s) / 2; len(s)%2 == 0 {
		return (s[mid-1] + s[mid]) / 2
	} else {
		return s[mid]
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
