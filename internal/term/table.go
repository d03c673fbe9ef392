package term

import (
	"io"
	"strings"
	"unicode/utf8"
)

// columnGap stands between columns.
const columnGap = "  "

// Table collects rows and writes them in aligned columns.
type Table struct {
	header []string
	rows   [][]string
}

// NewTable makes a table with these headings.
func NewTable(header ...string) *Table { return &Table{header: header} }

// Row adds a row. Missing cells are empty.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.header))
	for i := range row {
		if i < len(cells) {
			row[i] = Clean(cells[i])
		}
	}
	t.rows = append(t.rows, row)
}

// Len tells how many rows there are.
func (t *Table) Len() int { return len(t.rows) }

// Write writes headings and rows; a table without rows writes nothing.
func (t *Table) Write(w io.Writer, s Style) error {
	if len(t.rows) == 0 {
		return nil
	}
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	line := func(row []string, style func(string) string) {
		var l strings.Builder
		for i, cell := range row {
			if i > 0 {
				l.WriteString(columnGap)
			}
			l.WriteString(cell)
			l.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString(style(strings.TrimRight(l.String(), " ")))
		b.WriteByte('\n')
	}
	line(t.header, s.Bold)
	for _, row := range t.rows {
		line(row, func(text string) string { return text })
	}
	_, err := io.WriteString(w, b.String())
	return err
}
