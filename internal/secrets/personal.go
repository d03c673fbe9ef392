package secrets

import (
	"context"
	"fmt"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

func personalPlace(row store.Personal) keyring.Place {
	return keyring.Place{Project: string(row.Project), Record: row.ID, Field: fieldPersonal, Version: row.Version}
}

// personal gives the caller's own values in a project by secret; nil for machines and for people without any.
func (s *Service) personal(ctx context.Context, p guard.Permit, project domain.ProjectID) (map[domain.SecretID]store.Personal, error) {
	if p.Principal().Kind != domain.User {
		return nil, nil
	}
	rows, err := s.db.PersonalsOf(ctx, domain.UserID(p.Principal().ID), project)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	out := make(map[domain.SecretID]store.Personal, len(rows))
	for _, row := range rows {
		out[row.Secret] = row
	}
	return out, nil
}

func (s *Service) openPersonal(p guard.Permit, row *store.Secret, own store.Personal) (sensitive.Value, error) {
	if !p.Valid() || string(own.User) != p.Principal().ID {
		return sensitive.Value{}, fault.New(fault.Denied, "no permit")
	}
	v, err := s.ring.Open(personalPlace(own), own.Value)
	if err != nil {
		v, err = s.reopen(personalPlace(own), err, func(ctx context.Context) ([]byte, error) {
			fresh, err := s.db.Personal(ctx, own.Secret, own.User)
			return fresh.Value, err
		})
	}
	if err != nil {
		return v, fmt.Errorf("open your own value of %s: %w", row.Name, err)
	}
	return v, nil
}

// SetPersonal gives a secret a value that only the caller sees; nil takes it away. It is no commit: the environment stays
// as it is for everybody else.
func (s *Service) SetPersonal(ctx context.Context, ref EnvRef, path domain.Path, name domain.SecretName, value *sensitive.Value) error {
	if value != nil && value.Len() > domain.MaxValue {
		return fault.New(fault.Invalid, "the value of %s is too large: at most %d bytes", path.Key(name), domain.MaxValue)
	}
	pl, err := s.where(ctx, policy.SecretWrite, ref)
	if err != nil {
		return err
	}
	// It changes what its owner's programs get, so a token that may only read cannot do it.
	op := guard.Op{Action: policy.SecretWrite, Resource: s.asked(ctx, pl, path, name), Keys: []string{path.Key(name)}, Detail: map[string]string{"personal": "set"}}
	if value == nil {
		op.Detail = map[string]string{"personal": "remove"}
	}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		switch {
		case p.Principal().Kind != domain.User:
			return fault.New(fault.Denied, "only people have personal values")
		case !p.Can(policy.SecretRead, s.asked(ctx, pl, path, name)):
			return guard.Missing()
		}
		folder, err := tx.FolderByPath(ctx, pl.env.ID, path)
		if err != nil {
			return hidden(err)
		}
		found, err := tx.SecretsNamed(ctx, folder.ID, name)
		if err != nil {
			return err
		}
		if len(found) == 0 || !p.Can(policy.SecretRead, pl.row(path, &found[0])) || !p.Can(policy.SecretWrite, pl.row(path, &found[0])) {
			return guard.Missing()
		}
		row, err := tx.Personal(ctx, found[0].ID, domain.UserID(p.Principal().ID))
		switch {
		case missing(err) && value == nil:
			return fault.New(fault.NotFound, "you have no value of your own for %s", path.Key(name))
		case missing(err):
			row = store.Personal{ID: domain.NewID[string](), Secret: found[0].ID, User: domain.UserID(p.Principal().ID), Org: pl.env.Org, Project: pl.env.Project}
		case err != nil:
			return err
		}
		if value == nil {
			if err := tx.RemovePersonal(ctx, &row); err != nil {
				return err
			}
		} else {
			row.Version, row.At = row.Version+1, tx.Now()
			if row.Value, err = s.ring.Seal(personalPlace(row), *value); err != nil {
				return err
			}
			if err := tx.PutPersonal(ctx, &row); err != nil {
				return err
			}
			if err := s.keys.Reserve(ctx, tx); err != nil {
				return err
			}
		}
		return tx.Announce(ctx, store.Feed{Kind: store.FeedPersonal, Project: pl.env.Project, Env: pl.env.ID})
	})
}
