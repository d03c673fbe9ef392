package backup

import (
	"crypto/ed25519"
	"encoding/hex"
	"strings"

	json "github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/note"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Manifest says what a backup holds. Nothing in it is secret; the root key of the backup stands beside it in the file.
type Manifest struct {
	Instance     string   `json:"instance"`   // id of the installation
	Epoch        int64    `json:"epoch"`      // fencing epoch of the instance at that moment
	Schema       int64    `json:"schema"`     // number of the last migration
	CreatedMS    int64    `json:"created_ms"` // unix milliseconds
	Engine       string   `json:"engine"`     // "sqlite" or "postgres"
	Program      string   `json:"program"`    // version that made it
	Recipients   []string `json:"recipients"` // age recipients that it is sealed to, the server's own for drills included
	Slots        []Slot   `json:"slots"`
	Keys         []Key    `json:"keys"`
	Tables       []Table  `json:"tables"` // in the order of the file
	Environments []Line   `json:"environments"`
	Log          Log      `json:"log"`
}

// Slot names a root key that opened the instance at that moment.
type Slot struct {
	ID          string `json:"id"`
	Kind        string `json:"kind"`
	Fingerprint string `json:"fingerprint"`
}

// Key names one generation of a key.
type Key struct {
	ID         string `json:"id"`
	Layer      string `json:"layer"`
	Project    string `json:"project,omitzero"`
	Generation uint32 `json:"generation"`
	State      string `json:"state"`
	Public     []byte `json:"public,omitzero"` // Ed25519, of log and token keys
}

// Table counts the rows of one.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
}

// Line counts the commits of an environment.
type Line struct {
	Environment string `json:"environment"` // id
	Commits     int64  `json:"commits"`
}

// Log is the head of the audit log.
type Log struct {
	Size       int64  `json:"size"`
	Root       []byte `json:"root"`       // RFC 6962, 32 bytes
	Checkpoint string `json:"checkpoint"` // C2SP tlog-checkpoint, signed by the log-signing key
	Key        string `json:"key"`        // id of the log-signing key that signs checkpoint and backup
}

// Rows is the number of all rows.
func (m Manifest) Rows() int64 {
	n := int64(0)
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

// Count gives the rows of one table.
func (m Manifest) Count(table string) int64 {
	for _, t := range m.Tables {
		if t.Name == table {
			return t.Rows
		}
	}
	return 0
}

// Signer gives the verification key of the key that signs this backup, "<origin>+<hash>+<base64>" as C2SP signed-note
// writes it: the same that verifies the audit log's checkpoints. A manifest that does not name one is [fault.Invalid].
func (m Manifest) Signer() (string, error) {
	public, err := m.signingKey()
	if err != nil {
		return "", err
	}
	origin, _, _ := strings.Cut(m.Log.Checkpoint, "\n")
	vkey, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		return "", malformed("it names no audit log")
	}
	return vkey, nil
}

func (m Manifest) signingKey() (ed25519.PublicKey, error) {
	for _, k := range m.Keys {
		if k.ID == m.Log.Key && k.Layer == string(keyring.LayerLog) && len(k.Public) == ed25519.PublicKeySize {
			return k.Public, nil
		}
	}
	return nil, malformed("the key that should sign it is not among its keys")
}

// wireManifest is the manifest as it stands in the file.
type wireManifest struct {
	Manifest
	Root rootText `json:"root"` // the root key of this backup, 64 hex characters
	Slot wireSlot `json:"slot"` // opens the instance key with it, as rows of key_slot do
}

// wireSlot is a key slot that exists in a backup only, so it stands beside the rows: those are of the schema of the moment,
// which may be older than this form of slots.
type wireSlot struct {
	ID          string `json:"id"`
	Fingerprint string `json:"fingerprint"`
	Key         string `json:"key_id"`
	Wrapped     []byte `json:"wrapped"`
	Public      []byte `json:"public"`
	Proof       []byte `json:"proof"`
	CreatedMS   int64  `json:"created_ms"`
}

func newWireSlot(s keyring.SlotRow) wireSlot {
	return wireSlot{s.ID, s.Fingerprint, s.Key.String(), s.Wrapped, s.Public, s.Proof, s.CreatedMS}
}

func (w wireSlot) row() (keyring.SlotRow, error) {
	key, err := keyring.ParseKeyID(w.Key)
	if err != nil {
		return keyring.SlotRow{}, malformed("its key slot names no key")
	}
	return keyring.SlotRow{ID: w.ID, Kind: slotKind, Fingerprint: w.Fingerprint, Key: key, Wrapped: w.Wrapped, Check: []byte{}, Public: w.Public,
		Proof: w.Proof, CreatedMS: w.CreatedMS}, nil
}

// open unlocks the keys of the backup's rows.
func (m wireManifest) open(rows keyring.Rows) (*keyring.Ring, error) {
	root, err := m.Root.root()
	if err != nil {
		return nil, err
	}
	slot, err := m.Slot.row()
	if err != nil {
		return nil, err
	}
	rows.Slots = append(rows.Slots[:len(rows.Slots):len(rows.Slots)], slot)
	return keyring.Unlock(root, m.Instance, rows)
}

// rootText is a root key on its way into the sealed file or out of it: the one place where it is written in clear.
type rootText struct{ hex sensitive.Value }

// MarshalText writes the key. Unlike [sensitive.Value] it does: the file is sealed as a whole.
func (r rootText) MarshalText() ([]byte, error) { return r.hex.Reveal(), nil }

// UnmarshalText reads it.
func (r *rootText) UnmarshalText(text []byte) error {
	r.hex = sensitive.New(append([]byte(nil), text...))
	return nil
}

func (r rootText) root() (keyring.Root, error) {
	root, err := keyring.ParseRoot(r.hex.Reveal())
	if err != nil {
		return root, malformed("it holds no root key")
	}
	return root, nil
}

func parseManifest(payload []byte) (wireManifest, error) {
	var m wireManifest
	if err := json.Unmarshal(payload, &m); err != nil {
		return m, malformed("its manifest is not valid JSON") // the decoder's error may quote what it read
	}
	if m.Instance == "" || m.Schema < 1 || m.Log.Size < 0 || len(m.Log.Root) != 32 {
		return m, malformed("its manifest lacks the instance, the schema or the log")
	}
	return m, nil
}

// tableHead is the payload of a [frameTable].
type tableHead struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

// trailer is the payload of a [frameTrailer].
type trailer struct {
	Digest    hexBytes `json:"digest"` // SHA-256 of the stream before this frame
	Rows      int64    `json:"rows"`
	Bytes     int64    `json:"bytes"`     // of the stream before this frame
	Signature []byte   `json:"signature"` // Ed25519, see signedText
}

// hexBytes are bytes that people compare, so they are written as they are shown.
type hexBytes []byte

// MarshalText writes lower-case hex.
func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText reads it.
func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// signedText is what the instance's log-signing key signs. The first line keeps it apart from checkpoints, which begin with
// the name of a log.
func signedText(instance string, t trailer) []byte {
	digest, _ := t.Digest.MarshalText()
	return []byte("keyturn backup trailer v1\n" + instance + "\n" + string(digest) + "\n")
}

func errRecipients() *fault.Error {
	return fault.New(fault.Invalid, "there is no recovery kit that a backup could be sealed to").
		WithHint("make one: keyturn keys recovery create")
}
