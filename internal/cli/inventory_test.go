package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/format"
)

func pointer[T any](v T) *T { return &v }

func TestAnInventoryBecomesOneListOfChanges(t *testing.T) {
	const yaml = `# people and places
folders:
  - path: /backend
    owner: Backend Lead
    required: [URL]
    secrets:
      - name: URL
        value: test-value
        sensitive: true
        rotate_every: 90d
        tags: [a, b]
        metadata: {system: db}
        expires_at: 2027-01-31
      - {name: PORT, value: 0080, sensitive: false, owner: ""}
      - {name: KEY, generate: 32, literal: true}
      - {name: BYTES, value: /w==, encoding: base64}
      - {name: KNOWN, comment: only the comment changes}
  - path: sub
`
	got, err := decodeInventory("i.yaml", "/base", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	lead := pointer("Backend Lead")
	want := []item{
		{api.Change{Op: "set", Path: "/backend", Name: "URL", Value: pointer("test-value"), Owner: lead, Public: pointer(false), RotateEvery: pointer("90d"),
			Tags: &[]string{"a", "b"}, Metadata: &map[string]string{"system": "db"}, ExpiresAt: got[0].change.ExpiresAt}, 7},
		{api.Change{Op: "set", Path: "/backend", Name: "PORT", Value: pointer("0080"), Owner: pointer(""), Public: pointer(true)}, 14},
		{api.Change{Op: "set", Path: "/backend", Name: "KEY", Generate: 32, Owner: lead, Literal: pointer(true)}, 15},
		{api.Change{Op: "set", Path: "/backend", Name: "BYTES", Value: pointer("/w=="), Encoding: "base64", Owner: lead}, 16},
		{api.Change{Op: "set", Path: "/backend", Name: "KNOWN", Comment: pointer("only the comment changes"), Owner: lead}, 17},
		{api.Change{Op: "folder.required", Path: "/backend", Requires: []string{"URL"}}, 5},
		{api.Change{Op: "folder.create", Path: "/base/sub"}, 18},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(item{})); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	if at := got[0].change.ExpiresAt; at == nil || at.Format("2006-01-02") != "2027-01-31" {
		t.Errorf("expires at %v", at)
	}
}

func TestJSONAndYAMLInventoriesAreTheSame(t *testing.T) {
	const asYAML = "folders:\n- path: /a\n  secrets:\n  - {name: A, value: \"test-value\", sensitive: false}\n  - {name: N, value: 1.50}\n"
	const asJSON = `{"folders": [{"path": "/a", "secrets": [{"name": "A", "value": "test-value", "sensitive": false}, {"name": "N", "value": 1.50}]}]}`
	want, err := decodeInventory("i.yaml", "/", []byte(asYAML))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeInventory("i.json", "/", []byte(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].line, got[i].line = 0, 0
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(item{})); diff != "" {
		t.Errorf("YAML - JSON +\n%s", diff)
	}
}

func TestAnInventoryThatIsWrongIsRefusedWithLinesAndWithoutValues(t *testing.T) {
	folder := func(secret string) string { return "folders:\n- path: /a\n  secrets:\n  - " + secret + "\n" }
	for name, tc := range map[string]struct{ text, where string }{
		"not YAML":              {"folders: [test-value\n", "i.yaml"},
		"not JSON":              {"{\"folders\": [\n{test-value", "i.yaml:2"},
		"more after JSON":       {"{\"folders\": []}\n{}", "i.yaml:2"},
		"two documents":         {"folders: []\n---\nfolders: []\n", "i.yaml:"},
		"empty":                 {"", "i.yaml"},
		"only a comment":        {"# test-value\n", "i.yaml"},
		"a list":                {"- test-value\n", "i.yaml:1"},
		"unknown top key":       {"test-value: 1\n", "i.yaml:1"},
		"unknown key":           {folder("{name: A, test-value: 1}"), "i.yaml:4"},
		"key twice":             {folder("{name: A, value: test-value, value: b}"), "i.yaml:4"},
		"no name":               {folder("{value: test-value}"), "i.yaml:4"},
		"a value without text":  {folder("{name: A, value: }"), "i.yaml:4"},
		"a value that nests":    {folder("{name: A, value: {test-value: 1}}"), "i.yaml:4"},
		"sensitive in words":    {folder("{name: A, value: a, sensitive: \"true\"}"), "i.yaml:4"},
		"sensitive as YAML 1.1": {folder("{name: A, value: a, sensitive: yes}"), "i.yaml:4"},
		"both kinds of value":   {folder("{name: A, value: test-value, generate: 8}"), "i.yaml:4"},
		"generate in words":     {folder("{name: A, generate: test-value}"), "i.yaml:4"},
		"other encoding":        {folder("{name: A, value: test-value, encoding: hex}"), "i.yaml:4"},
		"not base64":            {folder("{name: A, value: test-value!, encoding: base64}"), "i.yaml:4"},
		"encoding of nothing":   {folder("{name: A, encoding: base64}"), "i.yaml:4"},
		"a date in words":       {folder("{name: A, value: a, expires_at: test-value}"), "i.yaml:4"},
		"tags as text":          {folder("{name: A, value: a, tags: test-value}"), "i.yaml:4"},
		"an alias":              {"folders:\n- path: /a\n  secrets:\n  - &x {name: A, value: test-value}\n  - *x\n", "i.yaml:4"},
		"a merge key":           {folder("{<<: {name: A}, value: test-value}"), "i.yaml:4"},
		"a binary tag":          {folder("{name: A, value: !!binary dGVzdC12YWx1ZQ==}"), "i.yaml:4"},
		"the same name twice":   {folder("{name: A, value: a}\n  - {name: A, value: test-value}"), "i.yaml:5"},
		"the same folder twice": {"folders:\n- path: /a\n- path: /a\n", "i.yaml:3"},
		"a folder with no path": {"folders:\n- owner: test-value\n", "i.yaml:2"},
		"folders as a mapping":  {"folders: {test-value: 1}\n", "i.yaml:1"},
		"too many marks":        {strings.Repeat("\n", format.MaxMarks+1), "i.yaml"},
		"a key that nests":      {folder("{name: A, value: a, metadata: {[test-value]: b}}"), "i.yaml:4"},
		"not UTF-8":             {"folders: \xff\n", "i.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			items, err := decodeInventory("i.yaml", "/", []byte(tc.text))
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || f.Kind != fault.Invalid || items != nil || len(f.Fields) == 0 {
				t.Fatalf("items %v, error %v", items, err)
			}
			if !strings.HasPrefix(f.Fields[0].Where, tc.where) {
				t.Errorf("wrong at %q, want %q", f.Fields[0].Where, tc.where)
			}
			for _, field := range f.Fields {
				if strings.Contains(field.Where+field.Problem+f.Message+f.Hint, "test-value") {
					t.Errorf("the error holds what it refuses: %v %v", f, field)
				}
			}
		})
	}
}

func TestAnInventoryIsToldFromAFlatFile(t *testing.T) {
	for name, want := range map[string]bool{
		"folders:\n- path: /a\n":             true,
		"# c\nfolders: # c\n  - path: /a":    true,
		"folders: [{path: /a}]":              true,
		"{\"folders\": [{\"path\": \"/\"}]}": true,
		"folders: 3\nother: x\n":             false,
		"{\"folders\": \"3\"}":               false,
		"A: b\n":                             false,
	} {
		file := "x.yaml"
		if name[0] == '{' {
			file = "x.json"
		}
		if got := isInventory(file, []byte(name)); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// The example is what the documentation imports, so that it is counted here against the team's own list.
func TestTheExampleOfATeamHasAllOfItsNames(t *testing.T) {
	file := filepath.Join("..", "..", "examples", "team", "inventory.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	items, kind, err := decodeImport(file, "/", "", b)
	if err != nil || kind != inventoryFormat {
		t.Fatalf("format %s, error %v", kind, err)
	}
	count, sensitive := map[string]int{}, map[string]int{}
	for _, it := range items {
		if it.change.Op != "set" {
			continue
		}
		count[it.change.Path]++
		if it.change.Public == nil {
			sensitive[it.change.Path]++
		}
		if it.change.Owner == nil || *it.change.Owner != "Backend Lead" || it.change.Value == nil {
			t.Errorf("%s has no owner or no value", it.key())
		}
	}
	if diff := cmp.Diff(map[string]int{"/backend": 13, "/frontend": 8}, count); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"/backend": 3, "/frontend": 2}, sensitive); diff != "" {
		t.Error(diff)
	}
}

func FuzzAnInventoryOfAnyShapeIsReadOrRefused(f *testing.F) {
	for _, s := range []string{"folders:\n- path: /a\n  secrets:\n  - {name: A, value: b}\n", `{"folders": [{"path": "/a", "secrets": [{"name": "A", "value": null}]}]}`,
		"folders: &a [*a]", "{", "folders:\n- *x", "? [a]\n: b", "folders: [[[[", `{"folders":[{"metadata":{"a":{}}}]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		items, err := decodeInventory("i", "/", []byte(text))
		if err != nil && (items != nil || fault.KindOf(err) != fault.Invalid) {
			t.Errorf("%d items, error %v", len(items), err)
		}
		for _, it := range items {
			if it.change.Op == "" || !strings.HasPrefix(it.change.Path, "/") || it.change.Op == "set" && it.change.Name == "" {
				t.Errorf("a change that is not whole: %+v", it)
			}
		}
	})
}
