package httpkit

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
)

type sample struct {
	Name  string            `json:"name"`
	Count int64             `json:"count,omitzero"`
	On    bool              `json:"on,omitzero"`
	List  []string          `json:"list,omitzero"`
	Map   map[string]string `json:"map,omitzero"`
	Inner *sample           `json:"inner,omitzero"`
}

func read(body string, limit int64) (sample, error) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	var s sample
	_, err := ReadBody(r, limit, &s)
	return s, err
}

func TestAWrongBodyIsRefusedWithItsPlaceAndWithoutItsValue(t *testing.T) {
	for body, want := range map[string]string{
		`{"name":"a","name":"b"}`:          "/name: the name stands there twice",
		`{"name":"a","inner":{"more":1}}`:  "/inner/more: no such field",
		`{"Name":"a"}`:                     "/Name: no such field",
		`{"name":["test-value"]}`:          "/name: want a string",
		`{"count":"test-value"}`:           "/count: want a number",
		`{"on":"test-value"}`:              "/on: want true or false",
		`{"list":"test-value"}`:            "/list: want a list",
		`{"list":[1]}`:                     "/list/0: want a string",
		`{"inner":"test-value"}`:           "/inner: want an object",
		`{"name":"test-value"} x`:          "not JSON",
		`{"name":"test-value\ud800"}`:      "not JSON",
		"{\"name\":\"test-value\xff\"}":    "not JSON",
		`{"name":"test-value"`:             "not JSON",
		strings.Repeat(`{"inner":`, 20000): "/inner/inner",
	} {
		_, err := read(body, 1<<20)
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Kind != fault.Invalid || len(f.Fields) != 1 {
			t.Errorf("%.60s: %v", body, err)
			continue
		}
		text := f.Fields[0].Where + ": " + f.Fields[0].Problem
		if !strings.Contains(text, want) || strings.Contains(text+f.Message+f.Hint, "test-value") || len(text) > 300 {
			t.Errorf("%.60s: %q, want %q", body, text, want)
		}
	}
}

func TestTheLimitOfABodyIsExact(t *testing.T) {
	body := `{"name":"0123456789"}`
	if _, err := read(body, int64(len(body))); err != nil {
		t.Error(err)
	}
	if _, err := read(body, int64(len(body))-1); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "20 bytes") {
		t.Error(err)
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = -1
	if _, err := ReadBody(r, 5, new(sample)); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// Whatever is taken says the same to a second reader, and keeps every text as it came.
func FuzzReadBody(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `{"name":"a\u0000\n"}`, `{"name":"a","inner":{"name":"b"}}`, `{"count":9223372036854775807}`, "{\"name\":\"\xff\"}", `{"map":{"a":"b","a":"c"}}`, `[`, `{"name":"\ud83d\ude00"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		s, err := read(body, 1<<16)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid {
				t.Errorf("kind %s", k)
			}
			return
		}
		if !utf8.ValidString(body) {
			t.Error("invalid UTF-8 was taken")
		}
		var again sample
		if err := json.Unmarshal([]byte(body), &again); err != nil {
			t.Fatalf("another reader refuses what was taken: %v", err)
		}
		a, _ := json.Marshal(s)
		b, _ := json.Marshal(again)
		if string(a) != string(b) {
			t.Errorf("two readers see %s and %s", a, b)
		}
	})
}
