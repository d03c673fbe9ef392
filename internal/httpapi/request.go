package httpapi

import (
	"net/http"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
)

type requestsParams struct {
	All bool `query:"all" doc:"also those that are decided"`
}

func requestRoutes() []Route {
	return []Route{
		with(Route{Method: "POST", Path: "/access-requests", Auth: Token, Action: "access.request", Summary: "Ask for a role somewhere, for a time.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.AccessAsked{Role: "developer", Project: "shop", Env: "prod", Path: "/backend", For: "2h", Reason: "incident 4711"}},
			func(c *call, _ *none, b *api.AccessAsked) (api.AccessRequest, error) {
				d, err := parseDuration("/for", b.For)
				if err != nil {
					return api.AccessRequest{}, err
				}
				row, err := c.access.RequestAccess(c.ctx, c.secrets, access.AccessInput{Role: domain.Role(b.Role), Project: b.Project, Env: b.Env, Path: b.Path, For: d, Reason: b.Reason})
				return requestOf(access.Request{AccessRequest: row, Mine: true}), err
			}),
		with(Route{Method: "GET", Path: "/access-requests", Auth: Token, Action: "self.read", Summary: "List one's own requests for access and those that one can decide.", Example: api.AccessRequests{}},
			func(c *call, p *requestsParams, _ *none) (api.AccessRequests, error) {
				rows, err := c.access.AccessRequests(c.ctx, p.All)
				return api.AccessRequests{Requests: each(rows, requestOf)}, err
			}),
		with(Route{Method: "POST", Path: "/access-requests/{id}/approve", Auth: Token, Action: "access.manage", Summary: "Give what is asked for; it ends by itself.", MaxBody: smallBody, Example: api.CommentRequest{Comment: "until noon"}}, decide(true)),
		with(Route{Method: "POST", Path: "/access-requests/{id}/deny", Auth: Token, Action: "access.manage", Summary: "Refuse a request for access.", MaxBody: smallBody, Example: api.CommentRequest{Comment: "ask the platform team"}}, decide(false)),
		with(Route{Method: "POST", Path: "/access-requests/{id}/withdraw", Auth: Token, Action: "access.request", Summary: "Take one's own request back.", Example: api.AccessRequest{}},
			func(c *call, p *idParam, _ *none) (api.AccessRequest, error) {
				row, err := c.access.WithdrawAccess(c.ctx, p.ID)
				return requestOf(row), err
			}),
	}
}

func decide(approve bool) func(*call, *idParam, *api.CommentRequest) (api.AccessRequest, error) {
	return func(c *call, p *idParam, b *api.CommentRequest) (api.AccessRequest, error) {
		row, err := c.access.DecideAccess(c.ctx, p.ID, approve, b.Comment)
		return requestOf(row), err
	}
}

func requestOf(r access.Request) api.AccessRequest {
	return api.AccessRequest{ID: r.ID, PrincipalKind: string(r.PrincipalKind), PrincipalID: r.PrincipalID, Principal: r.PrincipalName, Role: string(r.Role),
		Project: r.Project, Env: r.Env, Path: string(r.Path), For: (time.Duration(r.TTL) * time.Millisecond).String(), Reason: r.Reason, State: r.State, CreatedAt: at(r.CreatedAt),
		ExpiresAt: at(r.ExpiresAt), DecidedAt: maybe(r.DecidedAt), DecidedBy: r.DecidedName, Comment: r.Comment, GrantID: r.Grant, GrantedUntil: maybe(r.GrantedUntil),
		Mine: r.Mine, MayDecide: r.MayDecide}
}
