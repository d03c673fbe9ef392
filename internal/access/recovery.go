package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Recovery codes stand in for a second factor that is lost. They have 80 random bits, so a fast hash is enough, in an alphabet
// without letters that look alike (Crockford's base32).
const (
	recoveryCodes    = 10
	recoveryLen      = 16 // characters of 5 bits
	recoveryGroup    = 4
	recoveryAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

func newRecoveryCode() sensitive.Value {
	var random [recoveryLen]byte
	_, _ = rand.Read(random[:])
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%recoveryGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(recoveryAlphabet[r%32])
	}
	return sensitive.FromString(b.String())
}

// recoveryHash is what is stored of a code, and "" for a text that cannot be one. What a person may misread is put right.
func recoveryHash(code string) []byte {
	code = strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(strings.TrimSpace(code)))
	if len(code) != recoveryLen || strings.Trim(code, recoveryAlphabet) != "" {
		return nil
	}
	hash := sha256.Sum256([]byte("keyturn recovery code v1\x00" + code))
	return hash[:]
}

// renewRecovery replaces all codes of a person by fresh ones.
func (s *Service) renewRecovery(ctx context.Context, tx *store.Tx, user domain.UserID, org domain.OrgID) ([]sensitive.Value, error) {
	if err := dropRecovery(ctx, tx, user); err != nil {
		return nil, err
	}
	var out []sensitive.Value
	var rows []*store.RecoveryCode
	for range recoveryCodes {
		code := newRecoveryCode()
		out = append(out, code)
		rows = append(rows, &store.RecoveryCode{ID: domain.NewID[string](), Org: org, User: user, Hash: recoveryHash(string(code.Reveal())), CreatedAt: tx.Now()})
	}
	return out, tx.PutRecoveryCodes(ctx, rows...)
}

func dropRecovery(ctx context.Context, tx *store.Tx, user domain.UserID) error {
	old, err := tx.RecoveryCodes(ctx, user)
	if err != nil {
		return err
	}
	for _, row := range old {
		if err := tx.RemoveRecoveryCode(ctx, &row); err != nil {
			return err
		}
	}
	return nil
}

// findRecovery looks for an unused code. Nil means that there is none such.
func findRecovery(ctx context.Context, q store.Queries, user domain.UserID, code string) (*store.RecoveryCode, error) {
	hash := recoveryHash(code)
	if hash == nil {
		return nil, nil
	}
	rows, err := q.RecoveryCodes(ctx, user)
	if err != nil {
		return nil, err
	}
	var found *store.RecoveryCode
	for i := range rows {
		if subtle.ConstantTimeCompare(rows[i].Hash, hash) == 1 && rows[i].UsedAt == 0 {
			found = &rows[i]
		}
	}
	return found, nil
}

// recoveryLeft counts the codes that are still good.
func recoveryLeft(ctx context.Context, q store.Queries, user domain.UserID) (int, error) {
	rows, err := q.RecoveryCodes(ctx, user)
	n := 0
	for _, row := range rows {
		if row.UsedAt == 0 {
			n++
		}
	}
	return n, err
}
