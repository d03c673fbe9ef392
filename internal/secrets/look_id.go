package secrets

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
)

// LookByID shows a live secret by its id alone, with the value as it is written.
func (s *Service) LookByID(ctx context.Context, id domain.SecretID) (Looked, error) {
	ref, path, name, err := s.placeOf(ctx, id)
	if err != nil {
		return Looked{}, s.door.Miss(ctx, guard.Op{Action: policy.SecretRead, Detail: map[string]string{"secret": string(id)}}, err)
	}
	return s.Look(ctx, ref, path, LookOptions{Name: name, Reveal: true, Raw: true})
}

// placeOf tells where a live secret of the caller's organisation is. Nobody is asked: what is done with it passes the door.
func (s *Service) placeOf(ctx context.Context, id domain.SecretID) (EnvRef, domain.Path, domain.SecretName, error) {
	row, err := s.db.Secret(ctx, id)
	if err == nil && (row.Deleted != 0 || row.Org != guard.CallerOf(ctx).Principal.Org) {
		err = fault.New(fault.NotFound, "no such secret")
	}
	if err != nil {
		return EnvRef{}, "", "", err
	}
	f, err := s.cache.folderByID(ctx, row.Env, row.Folder)
	return EnvRef{string(row.Project), string(row.Env)}, f.Path, row.Name, err
}

// Frame gives the block of an environment without secrets, for answers that tell what a change of the caller's has made.
func (s *Service) Frame(ctx context.Context, ref EnvRef) (Block, error) {
	who := guard.CallerOf(ctx).Principal
	pl, err := s.dir.find(ctx, who.Org, ref)
	if err != nil || !s.door.Reaches(ctx, policy.SecretList, pl.resource("")) && !s.door.Reaches(ctx, policy.SecretWrite, pl.resource("")) &&
		!s.door.Reaches(ctx, policy.SecretDelete, pl.resource("")) {
		return Block{}, guard.Missing()
	}
	d, err := s.dir.project(ctx, who.Org, string(pl.project.ID))
	if err != nil {
		return Block{}, err
	}
	return Block{Project: pl.project, Env: pl.env, Looks: d.tags}, nil
}
