package rootkey_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
)

var home = rootkey.Binding{Instance: "0192f0c1-0000-7000-8000-000000000001", Slot: "0192f0c1-0000-7000-8000-000000000002"}

func newRoot(t *testing.T) sensitive.Value {
	t.Helper()
	b := make([]byte, rootkey.Size)
	_, _ = rand.Read(b)
	return sensitive.New(b)
}

// kit makes an identity of either kind.
func kit(t *testing.T, hybrid bool) (identity sensitive.Value, recipient string) {
	t.Helper()
	if hybrid {
		identity, recipient, err := rootkey.NewRecoveryKit()
		if err != nil {
			t.Fatal(err)
		}
		return identity, recipient
	}
	made, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return sensitive.FromString(made.String()), made.Recipient().String()
}

func recipients(t *testing.T, lines ...string) []age.Recipient {
	t.Helper()
	parsed, err := rootkey.ParseRecipients(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestARecoveryKitOpensItsSlot(t *testing.T) {
	for name, hybrid := range map[string]bool{"hybrid": true, "X25519": false} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			one, first := kit(t, hybrid)
			two, second := kit(t, hybrid)
			stranger, _ := kit(t, hybrid)
			other, _ := kit(t, !hybrid)
			kept, err := rootkey.SealRecovery(recipients(t, "# the safe", first, "", second), home, root)
			if err != nil || len(kept) > 16<<10 {
				t.Fatal(len(kept), err)
			}
			for _, identity := range []sensitive.Value{one, two, sensitive.FromString("# created: today\n# public key: " + first + "\n" + string(one.Reveal()) + "\n")} {
				if got, err := rootkey.OpenRecovery(identity, home, kept); err != nil || !got.Equal(root) {
					t.Error(err)
				}
			}
			for _, identity := range []sensitive.Value{stranger, other} {
				if got, err := rootkey.OpenRecovery(identity, home, kept); !errors.Is(err, fault.Denied) || !got.Empty() {
					t.Error(err)
				}
			}
			for _, b := range []rootkey.Binding{{}, {Instance: home.Instance, Slot: home.Instance}, {Instance: home.Slot, Slot: home.Slot}} {
				if got, err := rootkey.OpenRecovery(one, b, kept); !errors.Is(err, fault.Invalid) || !got.Empty() {
					t.Error("a slot that was moved:", err)
				}
			}
			for at := 0; at < len(kept); at += 7 { // each costs two decapsulations
				flipped := bytes.Clone(kept)
				flipped[at] ^= 1
				if got, err := rootkey.OpenRecovery(one, home, flipped); err == nil || !got.Empty() {
					t.Fatalf("byte %d is of no importance", at)
				}
			}
		})
	}
}

// With the identity, the file opens without Keyturn too.
func TestARecoverySlotIsAnAgeFileWithText(t *testing.T) {
	root := newRoot(t)
	identity, recipient := kit(t, true)
	kept, err := rootkey.SealRecovery(recipients(t, recipient), home, root)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := age.ParseIdentities(bytes.NewReader(identity.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(kept), parsed...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	want := "keyturn recovery v1\ninstance \"" + home.Instance + "\"\nslot \"" + home.Slot + "\"\nroot " + hex.EncodeToString(root.Reveal()) + "\n"
	if err != nil || string(text) != want {
		t.Error("another text", err)
	}
}

func TestRecipientsThatAreRefused(t *testing.T) {
	identity, hybrid := kit(t, true)
	classic, x := kit(t, false)
	var nine []string
	for range 9 {
		_, r := kit(t, false)
		nine = append(nine, r)
	}
	for name, text := range map[string]string{
		"nothing": "", "only a comment": "# x", "an identity": string(identity.Reveal()), "a classic identity": strings.ToLower(string(classic.Reveal())),
		"mixed": hybrid + "\n" + x, "twice": x + "\n" + x, "nine": strings.Join(nine, "\n"), "a typing mistake": x[:20] + "q" + x[21:] + "x", "cut off": hybrid[:1000],
		"SSH": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI", "too long": strings.Repeat("#", 70<<10), "plugin": "age1yubikey1qplanted", "not UTF-8": "age1\xff",
	} {
		got, err := rootkey.ParseRecipients(text)
		if !errors.Is(err, fault.Invalid) || got != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if said := err.Error(); strings.Contains(said, "planted") || strings.Contains(said, string(identity.Reveal())[20:40]) {
			t.Errorf("%s is repeated: %v", name, err)
		}
	}
	_, err := rootkey.ParseRecipients("# fine\n" + x + "\n\nwhat")
	if err == nil || !strings.Contains(fault.As(err).Message, "line 4") {
		t.Error(err)
	}
}

func TestEightHybridKitsFit(t *testing.T) {
	var eight []string
	for range 8 {
		_, r := kit(t, true)
		eight = append(eight, r)
	}
	if kept, err := rootkey.SealRecovery(recipients(t, eight...), home, newRoot(t)); err != nil || len(kept) > 16<<10 {
		t.Error(len(kept), err)
	}
}

func TestWhatIsNoIdentityIsNotRepeated(t *testing.T) {
	_, recipient := kit(t, true)
	kept, err := rootkey.SealRecovery(recipients(t, recipient), home, newRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "planted", "AGE-SECRET-KEY-PQ-1PLANTED", "AGE-SECRET-KEY-1PLANTED", recipient, strings.Repeat("planted\n", 10<<10)} {
		if _, err := rootkey.OpenRecovery(sensitive.FromString(text), home, kept); !errors.Is(err, fault.Invalid) || strings.Contains(strings.ToLower(err.Error()), "planted") {
			t.Errorf("%.20s: %v", text, err)
		}
	}
	for _, root := range []sensitive.Value{{}, sensitive.FromString("short")} {
		if _, err := rootkey.SealRecovery(recipients(t, recipient), home, root); !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
	}
	if _, err := rootkey.SealRecovery(nil, home, newRoot(t)); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func FuzzOpenRecovery(f *testing.F) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	b := make([]byte, rootkey.Size)
	kept, err := rootkey.SealRecovery([]age.Recipient{identity.Recipient()}, home, sensitive.New(b))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kept)
	f.Add([]byte("age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 60\n"))
	text := sensitive.FromString(identity.String())
	f.Fuzz(func(t *testing.T, kept []byte) {
		_, err := rootkey.OpenRecovery(text, home, kept)
		if err != nil && !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.Denied) {
			t.Fatal(err)
		}
	})
}
