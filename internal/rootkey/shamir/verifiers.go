package shamir

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
)

// verifiers is what a slot keeps of a set: version, set, k, n, digest of the binding, then one hash a share.
type verifiers struct {
	set     [setSize]byte
	k       byte
	binding [sha256.Size]byte
	hashes  [][sha256.Size]byte
}

const verifierHeader = 1 + setSize + 2 + sha256.Size

func (v verifiers) bytes() []byte {
	out := append([]byte{version}, v.set[:]...)
	out = append(out, v.k, byte(len(v.hashes)))
	out = append(out, v.binding[:]...)
	for _, h := range v.hashes {
		out = append(out, h[:]...)
	}
	return out
}

// parseVerifiers reads what a slot keeps and refuses what was kept for another one.
func parseVerifiers(kept []byte, b rootkey.Binding) (verifiers, error) {
	wrong := func(what string) (verifiers, error) {
		return verifiers{}, fault.New(fault.Invalid, "what the slot keeps for its shares %s", what).
			WithHint("the row of the slot was changed or moved; restore it from a backup, or unseal by another slot")
	}
	if len(kept) < verifierHeader || kept[0] != version {
		return wrong("does not read")
	}
	v := verifiers{set: [setSize]byte(kept[1:]), k: kept[1+setSize], binding: [sha256.Size]byte(kept[1+setSize+2:])}
	n := kept[1+setSize+1]
	if v.k < MinShares || n > MaxShares || v.k > n || len(kept) != verifierHeader+int(n)*sha256.Size {
		return wrong("does not read")
	}
	if v.binding != b.Digest() {
		return wrong("belongs to another slot or installation")
	}
	for rest := kept[verifierHeader:]; len(rest) > 0; rest = rest[sha256.Size:] {
		v.hashes = append(v.hashes, [sha256.Size]byte(rest))
	}
	return v, nil
}

// judge tells what is wrong with a share, from the plainest reason to the last.
func (v verifiers) judge(s Share, b rootkey.Binding) error {
	switch {
	case s.point.Len() != rootkey.Size:
		return fault.New(fault.Invalid, "there is no share")
	case s.binding != [bindingSize]byte(v.binding[:]):
		return fault.New(fault.Invalid, "share %d is for another slot or installation", s.index).
			WithHint("compare the name of the set on the share with the one that is asked for: %s", setName(v.set))
	case s.set != v.set:
		return fault.New(fault.Expired, "share %d belongs to set %s, which has been replaced by set %s", s.index, s.Set(), setName(v.set)).
			WithHint("take the share of the newer set; the older one is void")
	}
	at := min(max(int(s.index), 1), len(v.hashes)) - 1
	got := s.verifier(b)
	if s.k != v.k || int(s.n) != len(v.hashes) || subtle.ConstantTimeCompare(got[:], v.hashes[at][:]) != 1 {
		return fault.New(fault.Invalid, "share %d is not one that was given out for this slot", s.index).
			WithHint("it reads well, so somebody made it up or changed it: find out who")
	}
	return nil
}
