package store

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type sample struct {
	ID     string   `db:"id,key"`
	Rev    int64    `db:"rev,logkey"`
	Text   string   `db:"text"`
	Other  string   `db:"other"`
	Bytes  []byte   `db:"bytes"`
	Flag   bool     `db:"flag"`
	List   []string `db:"list,json"`
	Count  int64    `db:"count,volatile"`
	hidden int
}

func digestOf(t interface{ Fatal(...any) }, tab *table[sample], s sample) [32]byte {
	values, err := tab.values(&s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tab.digest(values)
}

func TestTheDigestOfARowTellsEveryChangeButVolatileOnes(t *testing.T) {
	tab := newTable[sample]("sample", true)
	base := sample{ID: "a", Rev: 1, Text: "bc", Other: "d", Bytes: []byte("x"), List: []string{"y"}}
	for name, change := range map[string]func(*sample){
		"key":                            func(s *sample) { s.ID = "b" },
		"number":                         func(s *sample) { s.Rev = 2 },
		"text":                           func(s *sample) { s.Text = "" },
		"a byte that moves to the next":  func(s *sample) { s.Text, s.Other = "b", "cd" },
		"columns that change places":     func(s *sample) { s.Text, s.Other = "d", "bc" },
		"bytes":                          func(s *sample) { s.Bytes = []byte("z") },
		"no bytes":                       func(s *sample) { s.Bytes = nil },
		"flag":                           func(s *sample) { s.Flag = true },
		"list":                           func(s *sample) { s.List = nil },
		"list split at another place":    func(s *sample) { s.List = []string{"y", ""} },
		"text that looks like a number":  func(s *sample) { s.Text = "1" },
		"text with the bytes of a frame": func(s *sample) { s.Text = "bc\x00\x00\x00\x01d" },
	} {
		changed := base
		change(&changed)
		if digestOf(t, tab, changed) == digestOf(t, tab, base) {
			t.Errorf("the digest does not tell: %s", name)
		}
	}
	changed := base
	changed.Count, changed.hidden = 7, 7
	if digestOf(t, tab, changed) != digestOf(t, tab, base) {
		t.Error("the digest tells a volatile column or one that is not stored")
	}
	if digestOf(t, newTable[sample]("other", true), base) == digestOf(t, tab, base) {
		t.Error("the digest does not tell the table")
	}
}

func TestTwoRowsWithOneDigestAreEqual(t *testing.T) {
	tab := newTable[sample]("sample", true)
	row := rapid.Custom(func(rt *rapid.T) sample {
		short := rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00s")), 0, 3, -1)
		return sample{ID: short.Draw(rt, "id"), Rev: rapid.Int64Range(-1, 1).Draw(rt, "rev"), Text: short.Draw(rt, "text"),
			Other: short.Draw(rt, "other"), Bytes: []byte(short.Draw(rt, "bytes")), Flag: rapid.Bool().Draw(rt, "flag")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		a, b := row.Draw(rt, "a"), row.Draw(rt, "b")
		equal := a.ID == b.ID && a.Rev == b.Rev && a.Text == b.Text && a.Other == b.Other && slices.Equal(a.Bytes, b.Bytes) && a.Flag == b.Flag
		if (digestOf(rt, tab, a) == digestOf(rt, tab, b)) != equal {
			rt.Fatalf("rows are equal: %t, their digests say otherwise", equal)
		}
	})
}

func TestALogKeyNamesAStateAndAKeyNamesARow(t *testing.T) {
	tab, history := newTable[sample]("sample", true), newHistory[sample]("sample_history")
	values, err := tab.values(&sample{ID: "a", Rev: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := tab.key(values); got != "a/3" {
		t.Errorf("key %q in the log, want a/3", got)
	}
	if got := tab.putSQL(2); !strings.HasSuffix(got, "VALUES (?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "+
		"rev = excluded.rev, text = excluded.text, other = excluded.other, bytes = excluded.bytes, flag = excluded.flag, list = excluded.list, count = excluded.count") {
		t.Errorf("statement %s", got)
	}
	if got := history.putSQL(1); strings.Contains(got, "CONFLICT") {
		t.Errorf("history is written over: %s", got)
	}
}

func TestOfRowsWithOneKeyTheLastCounts(t *testing.T) {
	tab := newTable[sample]("sample", true)
	a, b, c := &sample{ID: "a", Rev: 1}, &sample{ID: "b"}, &sample{ID: "a", Rev: 2}
	if got := tab.unique([]*sample{a, b, c}); !slices.Equal(got, []*sample{c, b}) {
		t.Errorf("%v", got)
	}
}

func TestParametersAreNumberedInOrder(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1":                        "SELECT 1",
		"WHERE a = ? AND b IN (?, ?)":     "WHERE a = $1 AND b IN ($2, $3)",
		strings.Repeat("?", 12):           "$1$2$3$4$5$6$7$8$9$10$11$12",
		"WHERE one = ? FOR UPDATE":        "WHERE one = $1 FOR UPDATE",
		"UPDATE x SET n = n + ? WHERE ?=": "UPDATE x SET n = n + $1 WHERE $2=",
	} {
		if got := numbered(query); got != want {
			t.Errorf("%s became %s, want %s", query, got, want)
		}
	}
}

func TestMigrationsAreNumberedFromOneWithoutGaps(t *testing.T) {
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range all {
		if m.number != int64(i+1) || len(m.hash) != 64 || strings.Contains(m.text, "?") {
			t.Errorf("migration %d is %s with number %d", i+1, m.name, m.number)
		}
	}
	if len(all) == 0 {
		t.Error("there is none")
	}
}
