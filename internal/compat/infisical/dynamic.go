package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

func (s *Surface) dynamicRoutes() []route {
	const base = "/v1/dynamic-secrets"
	return []route{
		{"GET " + base, withToken, s.listDynamic},
		{"POST " + base, withToken, s.noEngine},
		{"GET " + base + "/{name}", withToken, s.noDynamic},
		{"PATCH " + base + "/{name}", withToken, s.noDynamic},
		{"DELETE " + base + "/{name}", withToken, s.noDynamic},
		{"POST " + base + "/leases", withToken, s.noDynamic},
		{"GET " + base + "/{name}/leases", withToken, s.noDynamic},
		{"GET " + base + "/leases/{id}", withToken, s.noLease},
		{"POST " + base + "/leases/{id}/renew", withToken, s.noLease},
		{"DELETE " + base + "/leases/{id}", withToken, s.noLease},
	}
}

// dynamicPlace checks that the folder is there and that the caller may see it: whoever may not learns nothing.
func (s *Surface) dynamicPlace(ctx context.Context, c *call) error {
	project, err := c.project()
	if err != nil {
		return err
	}
	env, err := c.text("environmentSlug")
	if err == nil && env == "" {
		env, err = c.must("environment")
	}
	if err != nil {
		return err
	}
	path, err := c.folder("path")
	if err != nil {
		return err
	}
	_, _, err = s.Secrets.Folder(ctx, secrets.EnvRef{Project: project, Env: env}, path)
	return err
}

func (s *Surface) listDynamic(ctx context.Context, c *call) (*answer, error) {
	if err := s.dynamicPlace(ctx, c); err != nil {
		return nil, err
	}
	return with(object{"dynamicSecrets": []any{}}), nil
}

func (s *Surface) noEngine(ctx context.Context, c *call) (*answer, error) {
	if err := s.dynamicPlace(ctx, c); err != nil {
		return nil, err
	}
	return nil, fault.New(fault.Unsupported, "this server has no engine for dynamic secrets").WithHint("store the credential as a secret, with a cadence for its rotation")
}

func (s *Surface) noDynamic(ctx context.Context, c *call) (*answer, error) {
	if err := s.dynamicPlace(ctx, c); err != nil {
		return nil, err
	}
	return nil, fault.New(fault.NotFound, "no such dynamic secret")
}

func (s *Surface) noLease(_ context.Context, c *call) (*answer, error) {
	if !domain.IsID(c.http.PathValue("id")) {
		return nil, wrong("leaseId", "an id")
	}
	return nil, fault.New(fault.NotFound, "no such lease")
}
