package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Argon2id with 64 MiB, 3 passes and 4 lanes (RFC 9106, second recommended option), four at once: 256 MiB at the most.
const (
	argonMemory   = 64 * 1024 // KiB
	argonTime     = 3
	argonLanes    = 4
	argonKey      = 32
	argonSalt     = 16
	passwordSlots = 4

	minPassword = 12
	maxPassword = 1024 // bytes; a longer one is not safer and costs hashing
)

// CheckPassword tells what is wrong with a new password.
func CheckPassword(p sensitive.Value) error {
	if n := p.Len(); n < minPassword || n > maxPassword {
		return fault.New(fault.Invalid, "the password must have %d to %d bytes", minPassword, maxPassword).WithField("/password", "wrong length")
	}
	if distinct(p.Reveal()) < 5 {
		return fault.New(fault.Invalid, "the password is too simple").WithField("/password", "fewer than five different characters")
	}
	return nil
}

func distinct(b []byte) int {
	seen := map[byte]bool{}
	for _, c := range b {
		seen[c] = true
	}
	return len(seen)
}

func (s *Service) derive(ctx context.Context, password sensitive.Value, salt []byte, time, memory uint32, lanes uint8) ([]byte, error) {
	select {
	case s.passwords <- struct{}{}:
		defer func() { <-s.passwords }()
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "too many logins at once").WithHint("try again in a moment")
	}
	return argon2.IDKey(password.Reveal(), salt, time, memory, lanes, argonKey), nil
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
		if err1 != nil || err2 != nil || err3 != nil || err4 != nil || version != argon2.Version || len(key) != argonKey || memory > 4*argonMemory || time < 1 || time > 16 || lanes < 1 {
			return false, fault.New(fault.Internal, "a stored password hash is damaged")
		}
	}
	got, err := s.derive(ctx, password, salt, time, memory, lanes)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, key) == 1 && known, nil
}
