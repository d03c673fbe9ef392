package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

func full() audit.Entry {
	e := sample(1)
	e.Action, e.Reason = "secret.write", "role developer on project"
	e.Keys = []string{"/backend/DATABASE_URL", "/backend/\"odd\"\n\U0001F511"}
	e.Rows = []audit.Row{{T: "secret", K: "019b76da-0006-7000-8000-000000000006", D: sha256.Sum256([]byte("row"))}, {T: "grant", K: "gone"}}
	e.Detail = map[string]string{"cause": "import", "\U00010000": "beyond the plane sorts first", "\uE000": "last"}
	e.Part, e.Parts = 1, 2
	return e
}

func TestEntryFormatIsPinned(t *testing.T) {
	e := full()
	golden(t, "entry.json", e.AppendCanonical(nil))
}

func TestEntryWithoutFieldsIsAnEmptyObject(t *testing.T) {
	if got := (&audit.Entry{}).AppendCanonical([]byte("x")); string(got) != "x{}" {
		t.Fatalf("got %s", got)
	}
}

func TestEveryEntryIsCanonicalAndReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anyEntry().Draw(t, "entry")
		b := e.AppendCanonical(nil)
		if len(b) > audit.MaxEntryBytes {
			t.Fatalf("%d bytes", len(b))
		}
		canonical := jsontext.Value(slices.Clone(b))
		if err := canonical.Canonicalize(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(canonical, b) {
			t.Fatalf("not RFC 8785:\n got %s\nwant %s", b, canonical)
		}
		back, err := audit.ParseEntry(b)
		if err != nil {
			t.Fatal(err)
		}
		if again := back.AppendCanonical(nil); !bytes.Equal(again, b) {
			t.Fatal("parsed entry serialises to something else")
		}
		var loose map[string]any
		if err := json.Unmarshal(b, &loose); err != nil {
			t.Fatal(err)
		}
	})
}

func TestParsedEntryHasEveryField(t *testing.T) {
	e := full()
	got, err := audit.ParseEntry(e.AppendCanonical(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestParseRefusesEveryOtherSpelling(t *testing.T) {
	for name, in := range map[string]string{
		"empty":                   ``,
		"not an object":           `[]`,
		"white space":             `{ }`,
		"bytes after the end":     `{}{}`,
		"unknown key":             `{"colour":"red"}`,
		"other case":              `{"Action":"x"}`,
		"repeated key":            `{"action":"x","action":"x"}`,
		"unsorted keys":           `{"id":"x","action":"x"}`,
		"empty field":             `{"action":""}`,
		"empty actor":             `{"actor":{}}`,
		"empty list":              `{"keys":[]}`,
		"trailing comma":          `{"keys":["a",]}`,
		"null":                    `{"action":null}`,
		"leading zero":            `{"at":01}`,
		"zero":                    `{"at":0}`,
		"negative":                `{"at":-1}`,
		"fraction":                `{"at":1.0}`,
		"integer beyond 2^53":     `{"at":9007199254740992}`,
		"enormous integer":        `{"at":99999999999999999999999999}`,
		"escape without need":     `{"action":"\u0041"}`,
		"upper-case escape":       `{"action":"\u001F"}`,
		"escaped slash":           `{"action":"\/"}`,
		"lone surrogate":          `{"action":"\ud800"}`,
		"control character":       "{\"action\":\"\x01\"}",
		"invalid UTF-8":           "{\"action\":\"\xff\"}",
		"unfinished text":         `{"action":"x`,
		"unfinished escape":       `{"action":"\`,
		"short digest":            `{"rows":[{"d":"00"}]}`,
		"upper-case digest":       `{"rows":[{"d":"` + strings.Repeat("AB", 32) + `"}]}`,
		"zero digest":             `{"rows":[{"d":"` + strings.Repeat("00", 32) + `"}]}`,
		"text over its bound":     `{"action":"` + strings.Repeat("x", 1025) + `"}`,
		"over the bound of bytes": `{"keys":["` + strings.Repeat("x", audit.MaxEntryBytes) + `"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := audit.ParseEntry([]byte(in)); !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestLongTextsAreShortenedAndMarked(t *testing.T) {
	e := audit.Entry{Agent: strings.Repeat("é", 600), Path: "/" + strings.Repeat("p", 2000)}
	got, err := audit.ParseEntry(e.AppendCanonical(nil))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("é", 510) + "..."; got.Agent != want {
		t.Fatalf("agent has %d bytes and ends in %q", len(got.Agent), got.Agent[len(got.Agent)-6:])
	}
	if got.Path != e.Path {
		t.Fatal("a path was shortened below its own bound")
	}
}

func TestTooManyDetailsAreCounted(t *testing.T) {
	e := audit.Entry{Detail: map[string]string{}}
	for i := range 40 {
		e.Detail[fmt.Sprintf("k%02d", i)] = "x"
	}
	got, err := audit.ParseEntry(e.AppendCanonical(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Detail) != 16 || got.Detail["..."] != "25 left out" || got.Detail["k14"] != "x" {
		t.Fatalf("got %v", got.Detail)
	}
}

func TestSplitLosesNothingAndFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anyEntry().Draw(t, "entry")
		if !rapid.Bool().Draw(t, "small") {
			keyLen := rapid.IntRange(1, 5000).Draw(t, "key length")
			for i := range rapid.IntRange(0, 60).Draw(t, "keys") {
				e.Keys = append(e.Keys, fmt.Sprintf("/%d/%s", i, strings.Repeat("\x02", keyLen)))
			}
			for i := range rapid.IntRange(0, 900).Draw(t, "rows") {
				e.Rows = append(e.Rows, audit.Row{T: "secret", K: fmt.Sprint(i), D: sha256.Sum256([]byte{1})})
			}
		}
		rest := e
		rest.Keys, rest.Rows = nil, nil
		fixed := rest.AppendCanonical(nil)
		parts := audit.Split(e)
		var keys []string
		var rows []audit.Row
		for i, p := range parts {
			b := p.AppendCanonical(nil)
			if len(b) > audit.MaxEntryBytes {
				t.Fatalf("part %d has %d bytes", i, len(b))
			}
			if _, err := audit.ParseEntry(b); err != nil {
				t.Fatal(err)
			}
			if len(parts) > 1 && (p.Part != i+1 || p.Parts != len(parts)) {
				t.Fatalf("part %d is numbered %d of %d", i, p.Part, p.Parts)
			}
			keys, rows = append(keys, p.Keys...), append(rows, p.Rows...)
			p.Keys, p.Rows, p.Part, p.Parts = nil, nil, 0, 0
			if !bytes.Equal(p.AppendCanonical(nil), fixed) {
				t.Fatal("a part lost a field")
			}
		}
		if !slices.Equal(keys, e.Keys) || !slices.Equal(rows, e.Rows) {
			t.Fatal("keys or rows were lost")
		}
	})
}

func TestABulkReadOfTenThousandNamesEveryKey(t *testing.T) {
	e := sample(0)
	e.Keys = nil
	for i := range 10_000 {
		e.Keys = append(e.Keys, fmt.Sprintf("/backend/services/KEY_%05d", i))
	}
	parts := audit.Split(e)
	if len(parts) < 5 || len(parts) > 7 {
		t.Fatalf("%d parts", len(parts))
	}
}

func TestAnOrdinaryEntryCostsOneAllocationToSplitAndNoneToEncode(t *testing.T) {
	e := sample(0)
	e.Detail = map[string]string{"cause": "import", "tag": "x"}
	dst := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { dst = e.AppendCanonical(dst[:0]) }); n != 0 {
		t.Fatalf("encoding allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { audit.Split(e) }); n > 1 {
		t.Fatalf("splitting allocates %v times", n)
	}
}

func TestFilterSelects(t *testing.T) {
	e := sample(0)
	for name, c := range map[string]struct {
		f    audit.Filter
		want bool
	}{
		"nothing asked":             {audit.Filter{}, true},
		"actor by name":             {audit.Filter{Actor: "billing-worker"}, true},
		"actor by id":               {audit.Filter{Actor: e.Actor.ID}, true},
		"actor by token":            {audit.Filter{Actor: e.Actor.Token}, true},
		"other actor":               {audit.Filter{Actor: "billing"}, false},
		"exact action":              {audit.Filter{Action: "secret.read"}, true},
		"action prefix":             {audit.Filter{Action: "secret.*"}, true},
		"other prefix":              {audit.Filter{Action: "secrets.*"}, false},
		"prefix without star":       {audit.Filter{Action: "secret."}, false},
		"project":                   {audit.Filter{Project: e.Project}, true},
		"other project":             {audit.Filter{Project: e.Env}, false},
		"environment":               {audit.Filter{Env: e.Env}, true},
		"other environment":         {audit.Filter{Env: e.Org}, false},
		"key by name":               {audit.Filter{Key: "DATABASE_URL"}, true},
		"key by path":               {audit.Filter{Key: "/backend/DATABASE_URL"}, true},
		"key in another folder":     {audit.Filter{Key: "/DATABASE_URL"}, false},
		"outcome":                   {audit.Filter{Outcome: audit.Allowed}, true},
		"other outcome":             {audit.Filter{Outcome: audit.Refused}, false},
		"from that moment":          {audit.Filter{FromMS: e.At}, true},
		"from later":                {audit.Filter{FromMS: e.At + 1}, false},
		"until that moment":         {audit.Filter{ToMS: e.At}, false},
		"until later":               {audit.Filter{ToMS: e.At + 1}, true},
		"one wrong among the right": {audit.Filter{Actor: "billing-worker", Outcome: audit.Failed}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.f.Match(&e); got != c.want {
				t.Fatalf("got %v", got)
			}
			if c.want && !c.f.Overlaps(audit.Chunk{FromMS: e.At, ToMS: e.At}) {
				t.Fatal("the chunk of a selected entry is passed over")
			}
		})
	}
}

func FuzzParseEntry(f *testing.F) {
	e := full()
	f.Add(e.AppendCanonical(nil))
	f.Add([]byte(`{"action":"\u0001","rows":[{"k":"1"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := audit.ParseEntry(b)
		if err != nil {
			return
		}
		if !bytes.Equal(e.AppendCanonical(nil), b) {
			t.Fatal("accepted what does not serialise to the same bytes")
		}
		if v := jsontext.Value(slices.Clone(b)); v.Canonicalize() != nil || !bytes.Equal(v, b) {
			t.Fatal("accepted what is not RFC 8785")
		}
	})
}
