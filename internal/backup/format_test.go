package backup

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
)

func TestRowsComeBackAsTheyWere(t *testing.T) {
	value := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Int64(), func(n int64) any { return n }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return append([]byte{}, b...) }),
	)
	rapid.Check(t, func(rt *rapid.T) {
		row := rapid.SliceOfN(value, 1, 20).Draw(rt, "row")
		b, err := appendRow(nil, row)
		if err != nil {
			rt.Fatal(err)
		}
		cells := make([]cell, len(row))
		rest, err := parseRow(append(b, "rest"...), cells)
		if err != nil || string(rest) != "rest" {
			rt.Fatalf("%v, rest %q", err, rest)
		}
		again, err := appendRow(nil, values(cells))
		if err != nil || !bytes.Equal(again, b) {
			rt.Fatalf("%v came back as %v (%v)", row, values(cells), err)
		}
	})
}

func FuzzRow(f *testing.F) {
	b, _ := appendRow(nil, []any{nil, int64(-5), "text", []byte{1, 2}})
	f.Add(b, uint8(4))
	f.Add([]byte{cellText, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint8(1))
	f.Add([]byte{cellInteger, 0x80, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		cells := make([]cell, n)
		rest, err := parseRow(b, cells)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		again, err := appendRow(nil, values(cells))
		if err != nil || !bytes.Equal(append(again, rest...), b) {
			t.Fatalf("accepted input is written differently: %x, %x (%v)", b, again, err)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("M\x00\x00\x00\x02{}Z\x00\x00\x00\x00"))
	f.Add([]byte("R\xff\xff\xff\xff"))
	f.Add([]byte("R\x00\x00\x00\x03\x01\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		var back []byte
		for {
			var head [frameHead]byte
			kind, payload, err := readFrame(r, &head)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				if fault.KindOf(err) != fault.Invalid {
					t.Fatal(err)
				}
				return
			}
			back = append(appendHead(back, kind, len(payload)), payload...)
		}
		if !bytes.Equal(back, b) {
			t.Fatalf("accepted input is written differently")
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(early))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		_, _ = m.Signer()
		_, _ = m.Root.root()
		_ = m.Rows()
	})
}

func TestReferencesAreThoseOfTheSchema(t *testing.T) {
	e, err := sqlite.Open(t.Context(), t.TempDir())
	must(t, err)
	db, err := store.Open(t.Context(), e, func(error) {})
	must(t, err)
	defer func() { _ = db.Close() }()
	rows, err := e.Readers.QueryContext(t.Context(), `SELECT m.name, k."from", k."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) k WHERE m.type = 'table'`)
	must(t, err)
	defer func() { _ = rows.Close() }()
	declared := map[[3]string]bool{}
	for rows.Next() {
		var table, column, parent string
		must(t, rows.Scan(&table, &column, &parent))
		declared[[3]string{table, column, parent}] = true
	}
	must(t, rows.Err())
	for table, refs := range references {
		for _, r := range refs {
			key := [3]string{table, r.column, r.table}
			if !declared[key] {
				t.Errorf("the schema does not declare %v", key)
			}
			delete(declared, key)
		}
	}
	for key := range declared {
		t.Errorf("not checked: %v", key)
	}
}

func TestLivesFollowEachOther(t *testing.T) {
	first := audit.NextLife(1, 1_700_000_000_123)
	if audit.Life(1) != 0 || audit.Life(first) != 1_700_000_000 || first != 1_700_000_000_000_001 {
		t.Errorf("epoch %d, life %d", first, audit.Life(first))
	}
	if second := audit.NextLife(first+20, 1_600_000_000_000); audit.Life(second) != audit.Life(first)+1 { // a clock that went back
		t.Errorf("life %d after %d", audit.Life(second), audit.Life(first))
	}
	if one, two := audit.Origin("id", 5), audit.Origin("id", first); two != one+"/1700000000" {
		t.Errorf("origin %s", two)
	}
}
