package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/keyturn/keyturn/bench/measure"
)

// write prints the whole report as Markdown that is readable as it is.
func (r *report) write(w io.Writer, about []string) error {
	var b strings.Builder
	b.WriteString("# Benchmark results\n\n")
	for _, line := range about {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	b.WriteString("\n## Ratios\n\nEach ratio comes from alternating rounds of one run; ratios are what to trust, absolute figures move with the machine.\n\n")
	b.WriteString(table([]string{"measurement", "subject", "figure", "peer", "peer's figure", "ratio", "aim", "", "ratio by CPU"}, r.ratioRows()))
	b.WriteString(factTable("Size, start and command line", r.facts))
	b.WriteString(factTable("Keys, backups and the log", r.keyFacts))
	b.WriteString("\n## Figures\n\nMedian of the rounds (lowest to highest). p99 under a closed loop measures queueing: use the rows with 1 connection for latency.\n\n")
	b.WriteString(table([]string{"measurement", "server", "per second", "p50", "p99", "server CPU each", "load CPU", "failed"}, r.figureRows()))
	if len(r.notes) > 0 {
		b.WriteString("\n## Notes\n\n")
		for _, n := range r.notes {
			fmt.Fprintf(&b, "- %s\n", n)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func factTable(title string, facts []fact) string {
	if len(facts) == 0 {
		return ""
	}
	rows := make([][]string, len(facts))
	for i, f := range facts {
		rows[i] = []string{f.item, f.figure, f.aim, f.verdict}
	}
	return "\n## " + title + "\n\n" + table([]string{"item", "figure", "aim", ""}, rows)
}

func (r *report) ratioRows() [][]string {
	var rows [][]string
	for _, c := range r.comparisons {
		subject, ok := r.find(c.row, c.subject)
		peer, ok2 := r.find(c.row, c.peer)
		if !ok || !ok2 {
			continue
		}
		ratio := c.metric.ratio(subject, peer)
		rows = append(rows, []string{
			c.row, c.subject, c.metric.figure(subject), c.peer, c.metric.figure(peer),
			fmt.Sprintf("%.2fx", ratio), c.aim.text(), c.aim.verdict(ratio), byCPU(c.metric, subject, peer),
		})
	}
	return rows
}

// byCPU is the ratio of the servers' CPU time for one operation, in the
// metric's direction. Neighbours on the machine disturb it least.
func byCPU(m metric, subject, peer series) string {
	a, b := subject.median(measure.Result.CPUPerOperation), peer.median(measure.Result.CPUPerOperation)
	if m == rate {
		a, b = b, a
	}
	if a == 0 || b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2fx", a/b)
}

// figure is a series' median in the metric's unit.
func (m metric) figure(s series) string {
	switch m {
	case duration:
		return micros(s.median(p50))
	case tail:
		return micros(s.median(p99))
	case cost:
		return micros(1e6 / max(s.rate(), 1e-9))
	}
	return perSecond(s.rate())
}

func (r *report) figureRows() [][]string {
	rows := make([][]string, len(r.series))
	for i, s := range r.series {
		low, high := s.spread()
		rows[i] = []string{
			s.row, s.server,
			fmt.Sprintf("%s (%s to %s)", number(s.rate()), number(low), number(high)),
			micros(s.median(p50)), micros(s.median(p99)),
			dashIfZero(s.median(measure.Result.CPUPerOperation), micros),
			dashIfZero(s.median(func(r measure.Result) float64 { return 100 * r.LoadCPU / r.Seconds }), percent),
			number(float64(s.failed())),
		}
	}
	return rows
}

func dashIfZero(v float64, format func(float64) string) string {
	if v == 0 {
		return "-"
	}
	return format(v)
}

func percent(v float64) string { return fmt.Sprintf("%.0f %%", v) }

func perSecond(v float64) string { return number(v) + "/s" }

// micros shows a time given in microseconds with three digits that matter.
func micros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2f s", us/1e6)
	case us >= 1e5:
		return fmt.Sprintf("%.0f ms", us/1e3)
	case us >= 1e4:
		return fmt.Sprintf("%.1f ms", us/1e3)
	case us >= 1e3:
		return fmt.Sprintf("%.2f ms", us/1e3)
	case us >= 100:
		return fmt.Sprintf("%.0f µs", us)
	}
	return fmt.Sprintf("%.1f µs", us)
}

// number shows a count with commas; small rates keep their decimals.
func number(v float64) string {
	if v != 0 && v < 10 {
		return fmt.Sprintf("%.2f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// table is a Markdown table with its columns aligned. It leaves out columns
// that are empty in every row.
func table(header []string, rows [][]string) string {
	if len(rows) == 0 {
		return "Nothing was measured.\n"
	}
	width := make([]int, len(header))
	for c := range header {
		used := false
		for _, row := range rows {
			width[c] = max(width[c], utf8.RuneCountInString(row[c]))
			used = used || row[c] != ""
		}
		if width[c] = max(width[c], utf8.RuneCountInString(header[c]), 3); !used {
			width[c] = 0
		}
	}
	var b strings.Builder
	line := func(cells []string, fill string) {
		for c, cell := range cells {
			if width[c] > 0 {
				b.WriteString("| " + cell + strings.Repeat(fill, width[c]-utf8.RuneCountInString(cell)) + " ")
			}
		}
		b.WriteString("|\n")
	}
	line(header, " ")
	line(make([]string, len(header)), "-")
	for _, row := range rows {
		line(row, " ")
	}
	return b.String()
}
