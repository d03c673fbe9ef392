package keyring_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/keyring"
)

// holder reaches ring and root through fields that fmt may not call methods on.
type holder struct {
	ring *keyring.Ring
	root keyring.Root
	Ring *keyring.Ring
	Root keyring.Root
}

func TestNothingPrintsAKey(t *testing.T) {
	root := must(keyring.ParseRoot([]byte(rootTestValue)))(t)
	ring, _, err := keyring.Create(root, keyring.SlotFile, instance, nowMS)
	if err != nil {
		t.Fatal(err)
	}
	logSeed, _ := ring.LogSeed()
	tokenSeed, _ := ring.TokenSeed()
	h := holder{ring, root, ring, root}

	var out strings.Builder
	for _, v := range []any{ring, root, &root, h, &h, []any{h}, map[string]any{"h": h}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("x", "v", v)
		}
	}
	printed := strings.ToLower(out.String())
	for _, secret := range [][]byte{root.Hex().Reveal(), must(hex.DecodeString(rootTestValue))(t), logSeed.Reveal(), tokenSeed.Reveal()} {
		// Eight bytes in a row are enough to tell a leak from chance.
		for _, form := range []string{
			string(secret[:8]), hex.EncodeToString(secret[:8]), base64.StdEncoding.EncodeToString(secret[:9]),
			strings.Trim(fmt.Sprint(secret[:8]), "[]"), fmt.Sprintf("%#v", secret[:8])[7:40],
		} {
			if strings.Contains(printed, strings.ToLower(form)) {
				t.Fatal("a key was printed")
			}
		}
	}
	if !strings.Contains(printed, "[redacted]") {
		t.Fatal("nothing was printed at all")
	}
}
