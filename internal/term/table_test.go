package term

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestATableHasAlignedColumnsAndNoBlanksAtLineEnds(t *testing.T) {
	table := NewTable("NAME", "OWNER", "DUE")
	table.Row("DATABASE_URL", "backend", "2026-01-01")
	table.Row("ÄÖÜ", "")
	table.Row("A", "b", "c", "too many")
	var b bytes.Buffer
	if err := table.Write(&b, Style{}); err != nil {
		t.Fatal(err)
	}
	want := "NAME          OWNER    DUE\nDATABASE_URL  backend  2026-01-01\nÄÖÜ\nA             b        c\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestATableWithoutRowsIsSilent(t *testing.T) {
	var b bytes.Buffer
	if err := NewTable("NAME").Write(&b, Style{}); err != nil || b.Len() > 0 {
		t.Errorf("wrote %q, %v", b.String(), err)
	}
}

func TestOnlyTheHeadingIsStyled(t *testing.T) {
	table := NewTable("NAME")
	table.Row("value")
	var b bytes.Buffer
	if err := table.Write(&b, Style{on: true}); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[1mNAME\x1b[0m\nvalue\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestNoCellCanSteerTheTerminalOrBreakTheTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable("A", "B")
		rows := rapid.SliceOfN(rapid.SliceOfN(rapid.String(), 0, 3), 1, 5).Draw(t, "rows")
		for _, row := range rows {
			table.Row(row...)
		}
		var b bytes.Buffer
		if err := table.Write(&b, Style{}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(b.String(), "\n"); got != len(rows)+1 {
			t.Fatalf("%d rows take %d lines", len(rows), got)
		}
		for _, r := range strings.ReplaceAll(b.String(), "\n", "") {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%U is shown", r)
			}
		}
	})
}

func TestCleanTakesAwayWhatSteersATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain ÄÖ 漢":              "plain ÄÖ 漢",
		"\x1b]0;title\x07":        "\ufffd]0;title\ufffd",
		"a\nb\tc\rd":              "a b c d",
		"safe\u202etxt.exe":       "safe\ufffdtxt.exe",
		"\u009b31m":               "\ufffd31m",
		"half \xff of a sequence": "half \ufffd of a sequence",
	} {
		if got := Clean(in); got != want || !utf8.ValidString(got) {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
