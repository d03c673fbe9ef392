package rootkey

import (
	"bytes"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/fault"
)

// drawKept makes a kept text as Wrap may.
func drawKept(t *rapid.T) kept {
	return kept{
		Version: keptVersion, Kind: "aws-kms", Key: rapid.StringMatching(`[ -~]{1,80}`).Draw(t, "key"),
		Wrapped: rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "wrapped"),
		Sealed:  rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "sealed"),
		Check:   rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "check"),
	}
}

func TestKeptTextsHaveOneSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := drawKept(t).text()
		if err != nil {
			t.Fatal(err)
		}
		k, err := parseKept("aws-kms", text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := k.text(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%s became %s: %v", text, again, err)
		}
		changed := bytes.Clone(text)
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		changed[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if other, err := parseKept("aws-kms", changed); err == nil {
			if same, _ := other.text(); bytes.Equal(same, text) {
				t.Fatal("two texts mean the same")
			}
		}
	})
}

// The format of version 1, byte for byte: slots of released versions are opened for ever.
func TestTheFormatOfKeptTexts(t *testing.T) {
	const golden = `{"keyturn_wrapped_root":1,"kind":"azure-key-vault","key":"https://example.vault.azure.net/keys/root/0123456789abcdef0123456789abcdef",` +
		`"wrapped":"AQID","sealed":"BAUG","check":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`
	k, err := parseKept("azure-key-vault", []byte(golden))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.text(); err != nil || string(got) != golden {
		t.Errorf("%s, %v", got, err)
	}
	key := make([]byte, Size)
	for i := range key {
		key[i] = byte(i)
	}
	// By another implementation of HMAC-SHA256.
	if got := hex.EncodeToString(commitment(key, []byte("ctx"))); got != "99253d83969e203abd393a5435872daebd6afde78c0aa52d2dd98e035150683c" {
		t.Errorf("the commitment is %s", got)
	}
}

func FuzzKept(f *testing.F) {
	f.Add([]byte(`{"keyturn_wrapped_root":1,"kind":"transit","key":"transit/keys/root","wrapped":"AQID","check":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`))
	f.Add([]byte(`{"keyturn_wrapped_root":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKept("transit", text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		if again, err := k.text(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%q is read and written as %q: %v", text, again, err)
		}
	})
}
