package main

import (
	"fmt"
	"slices"

	"github.com/keyturn/keyturn/bench/measure"
)

// report gathers what the run found, in the order of measuring.
type report struct {
	series      []series
	comparisons []comparison
	facts       []fact
	keyFacts    []fact // about keys, backups and the log
	notes       []string
}

// comparison is one ratio: subject against peer in one row.
type comparison struct {
	row, subject, peer string
	metric             metric
	aim                aim
}

// fact is a single figure without a peer.
type fact struct{ item, figure, aim, verdict string }

// metric is how two series are compared.
type metric int

const (
	rate     metric = iota // operations per second: more is better
	duration               // time of one operation: less is better
	tail                   // 99th percentile of the time of one operation: less is better
	cost                   // server time for one operation, from the rate: less is better
)

// ratio is subject to peer; 0 when it cannot be said.
func (m metric) ratio(subject, peer series) float64 {
	var a, b float64
	switch m {
	case rate:
		a, b = subject.rate(), peer.rate()
	case duration:
		a, b = subject.median(p50), peer.median(p50)
	case tail:
		a, b = subject.median(p99), peer.median(p99)
	case cost:
		a, b = peer.rate(), subject.rate()
	}
	if b == 0 {
		return 0
	}
	return a / b
}

// aim is what a ratio is expected to reach. The zero aim expects nothing.
type aim struct {
	bound float64
	upper bool // the ratio must stay below the bound, otherwise reach it
}

func noAim() aim                { return aim{} }
func atLeast(bound float64) aim { return aim{bound: bound} }
func below(bound float64) aim   { return aim{bound: bound, upper: true} }

// text is the aim as a table says it.
func (a aim) text() string {
	switch {
	case a == (aim{}):
		return ""
	case a.upper:
		return fmt.Sprintf("under %gx", a.bound)
	}
	return fmt.Sprintf("at least %gx", a.bound)
}

// verdict says met, missed, or nothing.
func (a aim) verdict(ratio float64) string {
	if a == (aim{}) || ratio == 0 {
		return ""
	}
	return verdict(a.upper && ratio < a.bound || !a.upper && ratio >= a.bound)
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

func p50(r measure.Result) float64 { return r.P50 }
func p99(r measure.Result) float64 { return r.P99 }

func (s series) median(of func(measure.Result) float64) float64 {
	values := make([]float64, len(s.results))
	for i, r := range s.results {
		values[i] = of(r)
	}
	return measure.Median(values)
}

func (s series) rate() float64 { return s.median(measure.Result.Rate) }

func (s series) failed() int {
	n := 0
	for _, r := range s.results {
		n += r.Failed
	}
	return n
}

func (s series) spread() (low, high float64) {
	values := make([]float64, len(s.results))
	for i, r := range s.results {
		values[i] = r.Rate()
	}
	return slices.Min(values), slices.Max(values)
}

func (s series) wrong() int {
	n := 0
	for _, r := range s.results {
		n += r.Wrong
	}
	return n
}

// empty tells whether nothing was measured.
func (r *report) empty() bool { return len(r.series)+len(r.facts)+len(r.keyFacts) == 0 }

func (r *report) find(row, server string) (series, bool) {
	i := slices.IndexFunc(r.series, func(s series) bool { return s.row == row && s.server == server })
	if i < 0 {
		return series{}, false
	}
	return r.series[i], true
}

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}
