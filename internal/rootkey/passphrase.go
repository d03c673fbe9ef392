package rootkey

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime/debug"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Argon2id (RFC 9106) with 256 MiB, 3 passes and 4 lanes: four times the memory of the second recommended option, since a
// passphrase guards everything and is stretched once a start, not at each login. The parameters are kept, so that they can
// grow without shutting anybody out.
const (
	passphraseMemory = 256 << 10 // KiB
	passphraseTime   = 3
	passphraseLanes  = 4
	passphraseSalt   = 16 // bytes, as RFC 9106 section 3.1 recommends
)

// What a slot may ask for. Whoever can write the slot must not be able to make the server run out of memory or hang, nor to
// make guessing cheap.
const (
	leastMemory = 64 << 10 // KiB
	mostMemory  = 1 << 20  // KiB
	mostTime    = 16
	mostLanes   = 16
	mostWork    = 4 << 20 // KiB times passes: some five times today's cost
)

const (
	minPassphrase = 16   // characters: five words of a word list, or a password that a program made
	maxPassphrase = 1024 // bytes; a longer one is not safer
	maxPassKept   = 128  // bytes of what a slot keeps
)

// passphraseTurn lets one computation run at a time. It is one for the process, because what it saves is the process's
// memory: two callers with two passphrases would need 512 MiB.
var passphraseTurn = make(chan struct{}, 1)

// NewPassphrase makes a root key of [Size] bytes from a passphrase of at least 16 characters, and what the slot must keep to
// make it again: the costs and a fresh salt, which tell nothing about either. The passphrase counts in Unicode's composed
// form (NFC), so that two keyboards that type the same text open the same slot; blanks and case count as typed. A passphrase
// that is too short, too long or not UTF-8 is [fault.Invalid]; a context that ends while another computation runs is
// [fault.Unavailable]. It takes about a second on two cores and 256 MiB. The caller wipes root.
func NewPassphrase(ctx context.Context, phrase sensitive.Value) (root sensitive.Value, kept []byte, err error) {
	if n := utf8.RuneCount(phrase.Reveal()); n < minPassphrase {
		return sensitive.Value{}, nil, fault.New(fault.Invalid, "the passphrase is too short: it has %d characters, needed are %d", n, minPassphrase).
			WithHint("take five or more words that a program chose, or a long password from a password manager")
	}
	cost := passphraseCost{passphraseMemory, passphraseTime, passphraseLanes, make([]byte, passphraseSalt)}
	_, _ = rand.Read(cost.salt) // never fails: crypto/rand stops the process instead
	root, err = cost.derive(ctx, phrase)
	if err != nil {
		return sensitive.Value{}, nil, err
	}
	return root, cost.text(), nil
}

// FromPassphrase makes the root key again. A wrong passphrase gives another root key, which the slot's key check value
// refuses. What was kept and does not read, or asks for more than the server gives, is [fault.Invalid].
func FromPassphrase(ctx context.Context, phrase sensitive.Value, kept []byte) (root sensitive.Value, err error) {
	cost, err := parsePassphraseCost(kept)
	if err != nil {
		return sensitive.Value{}, err
	}
	return cost.derive(ctx, phrase)
}

// passphraseCost is what stands between a passphrase and its root key.
type passphraseCost struct {
	memory uint32 // KiB
	time   uint32
	lanes  uint8
	salt   []byte
}

func (c passphraseCost) derive(ctx context.Context, phrase sensitive.Value) (sensitive.Value, error) {
	typed := phrase.Reveal()
	if len(typed) == 0 || len(typed) > maxPassphrase || !utf8.Valid(typed) {
		return sensitive.Value{}, fault.New(fault.Invalid, "the passphrase is empty, has more than %d bytes or is not UTF-8", maxPassphrase)
	}
	if err := ctx.Err(); err != nil { // select picks at random when both are ready
		return sensitive.Value{}, fault.Wrap(fault.Unavailable, err, "the passphrase was not tried")
	}
	select {
	case passphraseTurn <- struct{}{}:
		defer func() { <-passphraseTurn }()
	case <-ctx.Done():
		return sensitive.Value{}, fault.Wrap(fault.Unavailable, ctx.Err(), "another passphrase is being tried").WithHint("try again in a moment")
	}
	composed := norm.NFC.Append(make([]byte, 0, 3*len(typed)), typed...) // room enough that no copy is left behind
	defer clear(composed)
	root := argon2.IDKey(composed, c.salt, c.time, c.memory, c.lanes, Size)
	debug.FreeOSMemory() // a quarter of a gigabyte that is not needed again
	return sensitive.New(root), nil
}

// text is the PHC string form without a hash: "$argon2id$v=19$m=262144,t=3,p=4$SALT".
func (c passphraseCost) text() []byte {
	return fmt.Appendf(nil, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", argon2.Version, c.memory, c.time, c.lanes, base64.RawStdEncoding.EncodeToString(c.salt))
}

func parsePassphraseCost(kept []byte) (passphraseCost, error) {
	wrong := func(what string) (passphraseCost, error) {
		return passphraseCost{}, fault.New(fault.Invalid, "what the slot keeps for its passphrase %s", what).
			WithHint("the row of the slot was changed; restore it from a backup, or unseal by another slot")
	}
	var c passphraseCost
	var version int
	var salt string
	if len(kept) > maxPassKept {
		return wrong("is too long")
	}
	if _, err := fmt.Sscanf(string(kept), "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &c.memory, &c.time, &c.lanes, &salt); err != nil {
		return wrong("does not read")
	}
	var err error
	if c.salt, err = base64.RawStdEncoding.DecodeString(salt); err != nil || len(c.salt) != passphraseSalt || version != argon2.Version {
		return wrong("does not read")
	}
	if string(c.text()) != string(kept) {
		return wrong("does not read")
	}
	if c.memory < leastMemory || c.memory > mostMemory || c.time < 1 || c.time > mostTime || c.lanes < 1 || c.lanes > mostLanes ||
		uint64(c.memory)*uint64(c.time) > mostWork {
		return wrong("asks for costs that this server does not take")
	}
	return c, nil
}
