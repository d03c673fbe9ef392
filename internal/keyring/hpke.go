package keyring

import (
	"crypto/hpke"
	"crypto/sha256"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Slots are wrapped with HPKE (RFC 9180, base mode) for a key pair that is derived from the root key. So the instance key can
// turn while no root key is at hand: a recovery kit lies in a safe, share holders are asleep, a KMS is away. A symmetric
// wrapping would need them all, or a copy of each wrapping key under the old instance key, which would make the turn useless
// against whoever has that one.
//
// The suite is MLKEM768-P256, HKDF-SHA256, AES-256-GCM: a dump that is kept for later does not open with a quantum computer,
// and both halves of the KEM are NIST algorithms.
func suite() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.MLKEM768P256(), hpke.HKDFSHA256(), hpke.AES256GCM()
}

// RootPublic stands for a root key where the root key itself is not at hand.
type RootPublic struct {
	Fingerprint string // of the root key
	Key         []byte // HPKE public key, as RFC 9180 serializes it
}

// Public gives what wraps instance keys for r.
func (r Root) Public() RootPublic {
	return RootPublic{r.Fingerprint(), r.pair().PublicKey().Bytes()}
}

func (r Root) pair() hpke.PrivateKey {
	kem, _, _ := suite()
	seed := r.derive(purposeRootPair, keySize)
	defer clear(seed)
	pair, err := kem.DeriveKeyPair(seed)
	if err != nil {
		panic("keyring: hpke refused a fixed length")
	}
	return pair
}

// sealTo gives encapsulated key and ciphertext in one piece. info binds it to its place: whoever opens must name the same.
func sealTo(public, plaintext, info []byte) ([]byte, error) {
	kem, kdf, aead := suite()
	pk, err := kem.NewPublicKey(public)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the public part of the root key is not valid")
	}
	return hpke.Seal(pk, kdf, aead, info, plaintext)
}

func (r Root) openFrom(ciphertext, info []byte) ([]byte, bool) {
	_, kdf, aead := suite()
	plaintext, err := hpke.Open(r.pair(), kdf, aead, info, ciphertext)
	return plaintext, err == nil
}

// A slot is tested from afar like this: the server seals random bytes for the slot's public key, whoever holds the root key
// opens them and answers with their hash. Nothing that opens the instance goes over the wire.

// testInfo binds a test to one slot of one instance.
func testInfo(instanceID, slotID string) []byte { return fields(nil, purposeTest, instanceID, slotID) }

// SlotTest is a question that only the holder of a slot's root key can answer.
type SlotTest struct {
	Challenge []byte          // may be shown to anybody
	Answer    sensitive.Value // what [Root.Answer] gives
}

// NewSlotTest asks whether somebody holds the root key of the slot. A slot of the first format has no public key: that is
// [fault.Unsupported], and goes away when the server unlocks with its root key.
func NewSlotTest(instanceID string, s SlotRow) (SlotTest, error) {
	if len(s.Public) == 0 {
		return SlotTest{}, fault.New(fault.Unsupported, "key slot %s has no public key yet", s.ID).
			WithHint("start the server once with the root key of this slot")
	}
	fresh := NewRoot() // 32 random bytes
	challenge, err := sealTo(s.Public, fresh.key.Reveal(), testInfo(instanceID, s.ID))
	if err != nil {
		return SlotTest{}, err
	}
	sum := sha256.Sum256(fresh.key.Reveal())
	fresh.key.Wipe()
	return SlotTest{challenge, sensitive.New(sum[:])}, nil
}

// Answer answers a [SlotTest]. A root key of another slot, or a challenge of another instance, is [fault.Denied].
func (r Root) Answer(instanceID, slotID string, challenge []byte) (sensitive.Value, error) {
	plaintext, ok := r.openFrom(challenge, testInfo(instanceID, slotID))
	if !ok || r.missing() {
		return sensitive.Value{}, fault.New(fault.Denied, "root key %s is not the one of key slot %s", r.Fingerprint(), slotID)
	}
	defer clear(plaintext)
	sum := sha256.Sum256(plaintext)
	return sensitive.New(sum[:]), nil
}
