package keyring

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"

	"github.com/keyturn/keyturn/internal/fault"
)

// ErrDamaged marks every failure that means: these stored bytes are not what was stored, or not where they were stored.
// Test with errors.Is; the error around it names the row.
var ErrDamaged = errors.New("altered, cut short or moved from another place")

// damaged is a named failure around [ErrDamaged].
func damaged(format string, args ...any) *fault.Error {
	return fault.Wrap(fault.Internal, ErrDamaged, format, args...).
		WithHint("compare with a backup, or run: keyturn audit verify --deep")
}

// Layer says what a key is for.
type Layer string

// The layers.
const (
	LayerInstance Layer = "instance" // wraps the keys below it and seals what belongs to no project
	LayerProject  Layer = "project"  // seals the values of one project
	LayerIndex    Layer = "index"    // HMAC-SHA256 key of the digests
	LayerLog      Layer = "log"      // Ed25519 seed that signs the audit log's checkpoints
	LayerTokens   Layer = "tokens"   // Ed25519 seed that signs tokens for others to verify
)

// serviceLayers are the layers that live directly under the instance key and always have a primary.
func serviceLayers() []Layer { return []Layer{LayerIndex, LayerLog, LayerTokens} }

func (l Layer) known() bool {
	switch l {
	case LayerInstance, LayerProject, LayerIndex, LayerLog, LayerTokens:
		return true
	}
	return false
}

// sealsEnvelopes tells whether keys of this layer are AES keys.
func (l Layer) sealsEnvelopes() bool { return l == LayerInstance || l == LayerProject }

// signs tells whether keys of this layer are Ed25519 seeds.
func (l Layer) signs() bool { return l == LayerLog || l == LayerTokens }

// KeyRow is one generation of one key as the database keeps it. Nothing in it is secret.
// Id, layer, project and generation never change and are authenticated with the wrapped key; State, WrappedBy with
// Wrapped, and SealsReserved do change.
type KeyRow struct {
	ID            KeyID
	Layer         Layer
	Project       string // project id; empty unless Layer is LayerProject
	Generation    uint32 // from 1, one more for each turn of this layer and project
	State         State
	Wrapped       []byte // envelope under WrappedBy; nil for the instance key in the slots, and for destroyed keys
	WrappedBy     KeyID  // an instance key; zero for the one in the slots
	CreatedMS     int64  // milliseconds since 1970, UTC
	SealsReserved int64  // how many seals are taken out under this key, in whole blocks of SealBlock
	Public        []byte // 32-byte Ed25519 public key (RFC 8032) of log and tokens; nil elsewhere
}

// SlotRow is one wrapping of one generation of the instance key under one root key.
type SlotRow struct {
	ID          string // lower-case UUID of version 7
	Kind        string // where the root key comes from: SlotEnvironment, SlotFile or a kind of package rootkey
	Fingerprint string // of the root key, see Root.Fingerprint
	Key         KeyID  // the instance key generation inside
	Wrapped     []byte // envelope whose header names the slot
	Check       []byte // 32 bytes in slots of the first format, else empty: there Public tells a wrong root key
	CreatedMS   int64  // milliseconds since 1970, UTC

	Source   string // URI of the source in the configuration, or recipients of a recovery kit; never secret
	Kept     []byte // what the source needs to give the root key back; never secret by itself
	Public   []byte // HPKE public key that stands for the root key; nil in slots of the first format
	Proof    []byte // under the instance key inside: this slot was made by whoever held that key
	ProvedMS int64  // when the root key last opened something here, unix milliseconds; 0 = never
}

// The kinds of slots.
const (
	SlotEnvironment = "environment" // root key in the environment variable EnvRoot
	SlotFile        = "file"        // root key in the file that EnvRootFile names
)

// Rows is all that the keyring needs from the database, and all that it gives for storing.
type Rows struct {
	Slots []SlotRow
	Keys  []KeyRow
}

func (k KeyRow) clone() KeyRow {
	k.Wrapped, k.Public = bytes.Clone(k.Wrapped), bytes.Clone(k.Public)
	return k
}

func (s SlotRow) clone() SlotRow {
	s.Wrapped, s.Check, s.Kept = bytes.Clone(s.Wrapped), bytes.Clone(s.Check), bytes.Clone(s.Kept)
	s.Public, s.Proof = bytes.Clone(s.Public), bytes.Clone(s.Proof)
	return s
}

func cloneSlots(slots []SlotRow) []SlotRow {
	out := slices.Clone(slots)
	for i := range out {
		out[i] = out[i].clone()
	}
	return out
}

// scope is what has one primary: a layer, or one project in the project layer.
type scope struct {
	layer   Layer
	project string
}

func (k KeyRow) scope() scope { return scope{k.Layer, k.Project} }

// check finds rows that this program never writes. What is authenticated is checked again when the key is unwrapped.
func (k KeyRow) check() error {
	wrapped := k.State != StateDestroyed && (k.Layer != LayerInstance || len(k.Wrapped) != 0)
	switch {
	case k.ID.IsZero():
		return damaged("key row has no id")
	case !k.Layer.known():
		return damaged("key %s has an unknown layer", k.ID)
	case !k.State.known():
		return damaged("%s key %s has an unknown state", k.Layer, k.ID)
	case (k.Project != "") != (k.Layer == LayerProject):
		return damaged("%s key %s: a project id belongs to project keys only, and each has one", k.Layer, k.ID)
	case k.Generation == 0:
		return damaged("%s key %s has no generation", k.Layer, k.ID)
	case k.SealsReserved < 0:
		return damaged("%s key %s has a negative count of seals", k.Layer, k.ID)
	case wrapped && (len(k.Wrapped) == 0 || k.WrappedBy.IsZero()):
		return damaged("%s key %s lacks its wrapped key", k.Layer, k.ID)
	case !wrapped && len(k.Wrapped) != 0:
		return damaged("%s key %s has a wrapped key where none belongs", k.Layer, k.ID)
	case k.Layer.signs() != (len(k.Public) == ed25519.PublicKeySize), !k.Layer.signs() && len(k.Public) != 0:
		return damaged("%s key %s has no fitting public key", k.Layer, k.ID)
	}
	return nil
}
