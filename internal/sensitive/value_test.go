package sensitive_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/sensitive"
)

const planted = "planted-test-value-9f3c"

type holder struct {
	inner sensitive.Value
	Outer sensitive.Value
	List  []sensitive.Value
}

func TestValueNeverPrints(t *testing.T) {
	v := sensitive.FromString(planted)
	h := holder{inner: v, Outer: v, List: []sensitive.Value{v}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%p", "%T", "%t", "%e"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", v, h, &h)
	}
	fmt.Fprint(&out, fmt.Errorf("wrapped: %v %w", h, errors.New(fmt.Sprint(v))))
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "v", v, "h", h, "p", &h)
	}
	b, err := json.Marshal(map[string]any{"v": v, "h": h})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	if s := out.String(); strings.Contains(s, planted) || strings.Contains(s, fmt.Sprintf("%x", planted)) ||
		strings.Contains(s, fmt.Sprint([]byte(planted))) {
		t.Fatal("a planted value was printed")
	}
}

func TestEqualAndWipe(t *testing.T) {
	b := []byte(planted)
	v := sensitive.New(b)
	if !v.Equal(sensitive.FromString(planted)) || v.Equal(sensitive.FromString("other")) {
		t.Fatal("Equal is wrong")
	}
	if v.Len() != len(planted) || v.Empty() || !(sensitive.Value{}).Empty() {
		t.Fatal("Len or Empty is wrong")
	}
	v.Wipe()
	if !bytes.Equal(b, make([]byte, len(planted))) {
		t.Fatal("Wipe left bytes")
	}
}
