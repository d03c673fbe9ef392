package secrets

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
)

// Location is where a secret lies, by ids: they stay when names change.
type Location struct {
	Project domain.ProjectID
	Env     domain.EnvID
	Secret  domain.SecretID
}

// Locate finds a secret by its own name in its own folder, without opening it. The caller must be allowed to see it.
func (s *Service) Locate(ctx context.Context, ref EnvRef, path domain.Path, name domain.SecretName) (Location, error) {
	pl, err := s.where(ctx, policy.SecretList, ref)
	if err != nil {
		return Location{}, err
	}
	var out Location
	op := guard.Op{Action: policy.SecretList, Resource: pl.resource(path), Keys: []string{path.Key(name)}}
	err = s.door.Read(ctx, op, func(guard.Permit) error {
		row, _, _, err := s.cache.secret(ctx, pl.env.ID, path, name)
		if err != nil {
			return hidden(err)
		}
		out = Location{pl.project.ID, pl.env.ID, row.ID}
		return nil
	})
	return out, err
}
