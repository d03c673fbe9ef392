package access

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"

	"github.com/keyturn/keyturn/internal/access/weak"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Argon2id with 64 MiB (argonMemory), 3 passes and 4 lanes (RFC 9106, second recommended option).
const (
	argonTime = 3
	// maxArgonMemory bounds what a stored hash may ask for, in KiB: four times what is asked for now.
	maxArgonMemory = 256 * 1024
	argonLanes     = 4
	argonKey       = 32
	argonSalt      = 16
	// maxSlots bounds the computations at once. The memory of one is garbage when the next begins, so the collector lets about
	// twice as much stand.
	maxSlots = 2

	minPassword = 12   // characters
	maxPassword = 1024 // bytes; a longer one is not safer and costs hashing
)

// passwordSlots is how many computations may run at once: no more than half of the processors are busy with logins, so that
// reads go on.
func passwordSlots() int { return max(1, min(maxSlots, runtime.GOMAXPROCS(0)/2)) }

// CheckPassword tells what is wrong with a new password. The words are what a guesser knows about its owner.
func CheckPassword(p sensitive.Value, words ...string) error {
	if n := utf8.RuneCount(p.Reveal()); n < minPassword || p.Len() > maxPassword {
		return fault.New(fault.Invalid, "the password must have %d characters to %d bytes", minPassword, maxPassword).WithField("/password", "wrong length")
	}
	prepared, ok := prepare(p)
	if !ok {
		return fault.New(fault.Invalid, "the password holds characters that cannot be typed everywhere").WithField("/password", "control characters, or not UTF-8")
	}
	defer prepared.Wipe()
	if weak.Pieces(string(prepared.Reveal()), append(words, "keyturn")...) < weak.MinPieces {
		return fault.New(fault.Invalid, "the password is one that a guesser tries early").
			WithField("/password", "common words, names, dates, repetitions, or neighbours on the keyboard").WithHint("take four words that have nothing to do with each other")
	}
	return nil
}

// prepare gives the one form of a password that is typed differently on two keyboards (RFC 8265, OpaqueString: NFC, and every
// blank the ASCII one). It is false for what that form refuses, and then gives the password as it is.
func prepare(p sensitive.Value) (sensitive.Value, bool) {
	out, err := precis.OpaqueString.Bytes(p.Reveal())
	if err != nil || !utf8.Valid(p.Reveal()) {
		return sensitive.New(bytes.Clone(p.Reveal())), false
	}
	return sensitive.New(bytes.Clone(out)), true // unchanged, it is the very password, which stays whole
}

func (s *Service) derive(ctx context.Context, password sensitive.Value, salt []byte, time, memory uint32, lanes uint8) ([]byte, error) {
	select {
	case s.passwords <- struct{}{}:
		defer func() { <-s.passwords }()
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "too many logins at once").WithHint("try again in a moment")
	}
	prepared, _ := prepare(password) // one that the form refuses was never set, and is stretched all the same: time tells nothing
	defer prepared.Wipe()
	s.stretched.Add(1)
	return argon2.IDKey(prepared.Reveal(), salt, time, memory, lanes, argonKey), nil
}

// strengthened gives the hash that shall replace a stored one of a password that was just found right, "" where that has the
// present parameters.
func (s *Service) strengthened(ctx context.Context, stored string, password sensitive.Value) (string, error) {
	if strings.HasPrefix(stored, argonPrefix()) {
		return "", nil
	}
	return s.hashPassword(ctx, password)
}

// renewHash stores the stronger hash of a password, unless another one was set meanwhile.
func renewHash(ctx context.Context, tx *store.Tx, old store.Person, fresh string) error {
	if fresh == "" {
		return nil
	}
	row, err := tx.Person(ctx, old.ID)
	if err != nil || row.Password != old.Password {
		return err
	}
	row.Password = fresh
	return tx.PutPerson(ctx, &row)
}

// argonPrefix is how hashes with the present parameters begin (PHC string format).
func argonPrefix() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonLanes)
}

// hashPassword gives the PHC string form.
func (s *Service) hashPassword(ctx context.Context, password sensitive.Value) (string, error) {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt)
	key, err := s.derive(ctx, password, salt, argonTime, argonMemory, argonLanes)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return argonPrefix() + b64.EncodeToString(salt) + "$" + b64.EncodeToString(key), nil
}

// checkPassword compares. An empty stored hash costs the same time and never fits, so that nobody learns which addresses
// exist.
func (s *Service) checkPassword(ctx context.Context, stored string, password sensitive.Value) (bool, error) {
	salt, key := make([]byte, argonSalt), make([]byte, argonKey)
	time, memory, lanes, version := uint32(argonTime), uint32(argonMemory), uint8(argonLanes), 0
	known := stored != ""
	if known {
		parts := strings.Split(stored, "$")
		if len(parts) != 6 || parts[1] != "argon2id" {
			return false, fault.New(fault.Internal, "a stored password hash is damaged")
		}
		_, err1 := fmt.Sscanf(parts[2], "v=%d", &version)
		_, err2 := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &lanes)
		var err3, err4 error
		salt, err3 = base64.RawStdEncoding.DecodeString(parts[4])
		key, err4 = base64.RawStdEncoding.DecodeString(parts[5])
		if err1 != nil || err2 != nil || err3 != nil || err4 != nil || version != argon2.Version || len(key) != argonKey || memory > maxArgonMemory || time < 1 || time > 16 || lanes < 1 {
			return false, fault.New(fault.Internal, "a stored password hash is damaged")
		}
	}
	got, err := s.derive(ctx, password, salt, time, memory, lanes)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, key) == 1 && known, nil
}
