package httpapi

import (
	"context"
	"net/http"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/canary"
	"github.com/keyturn/keyturn/internal/domain"
)

// Canaries keeps decoys.
type Canaries interface {
	Create(ctx context.Context, in canary.Input) (api.CanaryMade, error)
	List(ctx context.Context) (api.Canaries, error)
	Delete(ctx context.Context, id string) error
}

type canaryParam struct {
	ID string `path:"id" doc:"of the canary"`
}

func canaryRoutes() []Route {
	const manage = "audit.manage"
	return []Route{
		with(Route{Method: "GET", Path: "/canaries", Auth: Token, Action: manage, Summary: "List decoys, where each lies, and how often it was touched.", Example: api.Canaries{}},
			func(c *call, _ *none, _ *none) (api.Canaries, error) { return c.Canaries.List(c.ctx) }),
		with(Route{Method: "POST", Path: "/canaries", Auth: Token, Action: manage, Summary: "Make a decoy token, or a decoy of a secret that is there.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.CanaryRequest{Kind: "token", Place: "laptop cache of the build machine"}}, createCanary),
		with(Route{Method: "DELETE", Path: "/canaries/{id}", Auth: Token, Action: manage, Summary: "Forget a decoy; a secret that was one becomes an ordinary one.", Example: api.Done{}},
			func(c *call, p *canaryParam, _ *none) (api.Done, error) {
				return api.Done{Done: true}, c.Canaries.Delete(c.ctx, p.ID)
			}),
	}
}

func createCanary(c *call, _ *none, b *api.CanaryRequest) (api.CanaryMade, error) {
	in := canary.Input{Kind: b.Kind, Place: b.Place, Exempt: b.Exempt}
	if b.Kind != canary.Secret {
		return c.Canaries.Create(c.ctx, in)
	}
	path, err := domain.ParsePath(b.Path)
	if err != nil {
		return api.CanaryMade{}, err
	}
	name, err := domain.ParseSecretName(b.Name)
	if err != nil {
		return api.CanaryMade{}, err
	}
	at, err := c.secrets.Locate(c.ctx, env(b.Project, b.Env), path, name)
	if err != nil {
		return api.CanaryMade{}, err
	}
	in.Project, in.Env, in.Secret = at.Project, at.Env, at.Secret
	return c.Canaries.Create(c.ctx, in)
}
