package keyring_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"testing"

	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// writeGolden makes testdata/v1.json where it is absent. It never overwrites: what a released version wrote must open for
// ever, so a change of format gets a file of its own beside the old ones.
var writeGolden = flag.Bool("write-golden", false, "write golden files that do not exist yet")

const goldenFile = "testdata/v1.json"

// hexBytes is shown as hex in the golden file.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }
func (b *hexBytes) UnmarshalText(t []byte) (err error) {
	*b, err = hex.DecodeString(string(t))
	return err
}

type goldenSlot struct {
	ID, Kind, Fingerprint string
	Key                   keyring.KeyID
	Wrapped, Check        hexBytes
}

type goldenKey struct {
	ID         keyring.KeyID
	Layer      keyring.Layer
	Project    string
	Generation uint32
	State      keyring.State
	TestValue  hexBytes // the key itself: a test value
	Wrapped    hexBytes
	WrappedBy  string
	Public     hexBytes
}

type goldenEnvelope struct {
	Place     keyring.Place
	Plaintext hexBytes
	Envelope  hexBytes
}

type golden struct {
	Note          string
	Instance      string
	RootTestValue string
	Slot          goldenSlot
	Keys          []goldenKey
	Envelopes     []goldenEnvelope
	DigestOf      string
	Digest        hexBytes
}

func (g golden) rows() keyring.Rows {
	s := g.Slot
	rows := keyring.Rows{Slots: []keyring.SlotRow{{ID: s.ID, Kind: s.Kind, Fingerprint: s.Fingerprint, Key: s.Key,
		Wrapped: s.Wrapped, Check: s.Check}}}
	for _, k := range g.Keys {
		row := keyring.KeyRow{ID: k.ID, Layer: k.Layer, Project: k.Project, Generation: k.Generation, State: k.State,
			Wrapped: k.Wrapped, Public: k.Public}
		if k.WrappedBy != "" {
			row.WrappedBy, _ = keyring.ParseKeyID(k.WrappedBy)
		}
		rows.Keys = append(rows.Keys, row)
	}
	return rows
}

func TestEnvelopesOfEveryReleasedFormatOpen(t *testing.T) {
	if _, err := os.Stat(goldenFile); errors.Is(err, fs.ErrNotExist) && *writeGolden {
		text := must(json.MarshalIndent(makeGolden(t), "", "  "))(t)
		if err := os.WriteFile(goldenFile, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var g golden
	if err := json.Unmarshal(must(os.ReadFile(goldenFile))(t), &g); err != nil {
		t.Fatal(err)
	}
	root := must(keyring.ParseRoot([]byte(g.RootTestValue)))(t)
	if root.Fingerprint() != g.Slot.Fingerprint {
		t.Fatalf("fingerprint %s has changed from %s", root.Fingerprint(), g.Slot.Fingerprint)
	}
	ring := must(keyring.Unlock(root, g.Instance, g.rows()))(t)
	if len(g.Envelopes) < 5 || len(g.Keys) < 6 {
		t.Fatal("the golden file is cut short")
	}
	for _, e := range g.Envelopes {
		wantOpen(t, ring, e.Place, e.Envelope, string(e.Plaintext))
	}
	if !bytes.Equal(ring.Digest(sensitive.FromString(g.DigestOf)), append(keyring.DigestPrefix(1), g.Digest...)) {
		t.Fatal("the digest has changed")
	}
	for _, k := range g.Keys {
		var seed sensitive.Value
		switch k.Layer {
		case keyring.LayerLog:
			seed, _ = ring.LogSeed()
		case keyring.LayerTokens:
			seed, _ = ring.TokenSeed()
		default:
			continue
		}
		if !bytes.Equal(seed.Reveal(), k.TestValue) {
			t.Fatalf("the %s seed has changed", k.Layer)
		}
	}
}

// A second implementation of the formats, from DESIGN.md and not from the code, opens what the package seals.
func TestSealedEnvelopeHasTheDocumentedBytes(t *testing.T) {
	var g golden
	if err := json.Unmarshal(must(os.ReadFile(goldenFile))(t), &g); err != nil {
		t.Fatal(err)
	}
	root := must(keyring.ParseRoot([]byte(g.RootTestValue)))(t)
	ring := must(keyring.Unlock(root, g.Instance, g.rows()))(t)
	var k goldenKey
	for _, k = range g.Keys {
		if k.Layer == keyring.LayerProject && k.State == keyring.StatePrimary {
			break
		}
	}
	p := keyring.Place{Project: k.Project, Record: "record", Field: "value", Version: -2}
	envelope := seal(t, ring, p, planted)
	header := specHeader(k.ID, k.Generation)
	if !bytes.HasPrefix(envelope, header) {
		t.Fatalf("header %x, documented is %x", envelope[:22], header)
	}
	aead := must(cipher.NewGCMWithRandomNonce(must(aes.NewCipher(k.TestValue))(t)))(t)
	plaintext, err := aead.Open(nil, nil, envelope[22:], specPlace(g.Instance, header, p))
	if err != nil || string(plaintext) != planted {
		t.Fatalf("the documented format does not open the envelope: %v", err)
	}
}

func specFields(fields ...[]byte) (b []byte) {
	for _, f := range fields {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

func specHeader(id keyring.KeyID, generation uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{1, 1}, id[:]...), generation)
}

func specPlace(instance string, header []byte, p keyring.Place) []byte {
	return specFields([]byte("keyturn envelope v1"), []byte(instance), header, []byte(p.Project), []byte(p.Record), []byte(p.Field),
		binary.BigEndian.AppendUint64(nil, uint64(p.Version)))
}

// specSeal seals under a nonce that is fixed by what it seals, which only a golden file may do.
func specSeal(t *testing.T, key, header, plaintext, associated []byte) []byte {
	t.Helper()
	aead := must(cipher.NewGCM(must(aes.NewCipher(key))(t)))(t)
	nonce := sha256.Sum256(append(bytes.Clone(associated), plaintext...))
	return aead.Seal(append(bytes.Clone(header), nonce[:12]...), nonce[:12], plaintext, associated)
}

// makeGolden builds a whole instance by the second implementation.
func makeGolden(t *testing.T) golden {
	t.Helper()
	id := func(last byte) keyring.KeyID {
		return must(keyring.ParseKeyID("0197a000-0000-7000-8000-0000000000" + hex.EncodeToString([]byte{last})))(t)
	}
	root := []byte("keyturn test-value: no real key!")
	derive := func(purpose string, n int) []byte { return must(hkdf.Key(sha256.New, root, nil, purpose, n))(t) }
	fingerprint := hex.EncodeToString(derive("keyturn root fingerprint v1", 8))

	g := golden{
		Note:          "Every key here is a test value. Written once; must open for ever.",
		Instance:      instance,
		RootTestValue: hex.EncodeToString(root),
		DigestOf:      planted,
		Slot: goldenSlot{ID: id(0xf0).String(), Kind: "environment", Key: id(1),
			Fingerprint: fingerprint[0:4] + "-" + fingerprint[4:8] + "-" + fingerprint[8:12] + "-" + fingerprint[12:16]},
		Keys: []goldenKey{
			{ID: id(1), Layer: "instance", Generation: 1, State: "primary", TestValue: []byte("test-value: the instance key, 01")},
			{ID: id(2), Layer: "index", Generation: 1, State: "primary", TestValue: []byte("test-value: the index key,    02")},
			{ID: id(3), Layer: "log", Generation: 1, State: "primary", TestValue: []byte("test-value: the log seed,     03")},
			{ID: id(4), Layer: "tokens", Generation: 1, State: "primary", TestValue: []byte("test-value: the tokens seed,  04")},
			{ID: id(5), Layer: "project", Project: projectA, Generation: 1, State: "active", TestValue: []byte("test-value: project A, first, 05")},
			{ID: id(6), Layer: "project", Project: projectA, Generation: 2, State: "primary", TestValue: []byte("test-value: project A, second 06")},
		},
	}
	instanceKey := g.Keys[0]
	slotHeader := specHeader(id(0xf0), 1)
	g.Slot.Wrapped = specSeal(t, derive("keyturn root wrap v1", 32), slotHeader, instanceKey.TestValue,
		specFields([]byte("keyturn slot v1"), []byte(instance), slotHeader, []byte(g.Slot.ID), []byte("environment"),
			[]byte(g.Slot.Fingerprint), instanceKey.ID[:]))
	mac := hmac.New(sha256.New, derive("keyturn root check v1", 32))
	mac.Write(specFields([]byte("keyturn key check v1"), []byte(instance), []byte(g.Slot.ID)))
	g.Slot.Check = mac.Sum(nil)

	header := specHeader(instanceKey.ID, 1)
	for i := range g.Keys[1:] {
		k := &g.Keys[i+1]
		k.WrappedBy = instanceKey.ID.String()
		k.Wrapped = specSeal(t, instanceKey.TestValue, header, k.TestValue,
			specFields([]byte("keyturn key v1"), []byte(instance), header, k.ID[:], []byte(k.Layer), []byte(k.Project),
				binary.BigEndian.AppendUint32(nil, k.Generation)))
		if k.Layer == "log" || k.Layer == "tokens" {
			k.Public = hexBytes(ed25519.NewKeyFromSeed(k.TestValue).Public().(ed25519.PublicKey))
		}
	}
	for _, e := range []struct {
		key   int
		place keyring.Place
		text  string
	}{
		{4, keyring.Place{Project: projectA, Record: id(0xa1).String(), Field: "value", Version: 1}, planted},
		{5, keyring.Place{Project: projectA, Record: id(0xa1).String(), Field: "value", Version: 2}, planted},
		{5, keyring.Place{Project: projectA, Record: id(0xa2).String(), Field: "comment", Version: 0}, ""},
		{5, keyring.Place{Project: projectA, Record: id(0xa3).String(), Field: "value", Version: 1 << 40}, "\x00\xff binary test-value\r\n"},
		{0, keyring.Place{Record: id(0xa4).String(), Field: "credential", Version: 7}, "instance test-value"},
	} {
		k := g.Keys[e.key]
		header := specHeader(k.ID, k.Generation)
		g.Envelopes = append(g.Envelopes, goldenEnvelope{e.place, []byte(e.text),
			specSeal(t, k.TestValue, header, []byte(e.text), specPlace(instance, header, e.place))})
	}
	mac = hmac.New(sha256.New, g.Keys[1].TestValue)
	mac.Write([]byte(planted))
	g.Digest = mac.Sum(nil)
	return g
}
