package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/store"
)

// ChangeMethod replaces settings and limits of a login method of a machine, and its secrets where some are given. Tokens that it
// gave before live to their end.
func (s *Service) ChangeMethod(ctx context.Context, machine string, in MethodInput) (store.LoginMethod, error) {
	var out store.LoginMethod
	if err := in.check(""); err != nil {
		return out, err
	}
	err := s.changeMethod(ctx, machine, in.Name, "change", func(tx *store.Tx, row *store.LoginMethod) error {
		if row.Kind != in.Kind {
			return fault.New(fault.Conflict, "the login method of this name is of another kind")
		}
		count := int(row.Secrets)
		if in.Secrets != nil {
			count = len(in.Secrets)
		}
		stored, err := login.Check(login.Kind(in.Kind), in.Settings, count)
		if err != nil {
			return err
		}
		if in.Secrets == nil && row.Secrets > 0 && login.Calls([]byte(row.Settings)) != login.Calls(stored) {
			return fault.New(fault.Invalid, "a kept secret is not sent to another address").WithHint("give the secrets of the method anew, with the new address")
		}
		if in.Secrets != nil {
			if err := s.forgetMethodSecrets(ctx, tx, *row); err != nil {
				return err
			}
			row.Secrets = int64(count)
			if err := s.keepMethodSecrets(ctx, tx, row.ID, login.Kind(row.Kind), in.Secrets); err != nil {
				return err
			}
		}
		row.Settings, row.TTL, row.MaxTTL, row.Uses, row.Networks = string(stored), in.TTL.Milliseconds(), in.MaxTTL.Milliseconds(), in.Uses, in.Networks
		out = *row
		return tx.PutLoginMethod(ctx, row)
	})
	return out, err
}
