package httpapi

import (
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/sensitive"
)

type tasksParams struct {
	All    bool `query:"all" doc:"everybody's, not only one's own"`
	Closed bool `query:"closed" doc:"closed ones too"`
}

type userTasksParams struct {
	ID     string `path:"id" doc:"id of the person"`
	Closed bool   `query:"closed" doc:"closed ones too"`
}

// accountRoutes are about accounts: one's own, sessions, and those of people who leave.
func accountRoutes() []Route {
	return []Route{
		with(Route{Method: "GET", Path: "/self", Auth: Token, Action: "self.read", Summary: "Show one's own account and groups.", Example: api.Profile{User: api.User{Email: "dev@example.test"}, Groups: []api.Named{}}},
			func(c *call, _ *none, _ *none) (api.Profile, error) { return profileOf(c.access.Profile(c.ctx)) }),
		with(Route{Method: "PATCH", Path: "/self", Auth: Token, Action: "self.manage", Summary: "Change one's own name.", MaxBody: smallBody, Example: api.ProfileRequest{Name: "A Developer"}},
			func(c *call, _ *none, b *api.ProfileRequest) (api.Done, error) {
				return done(c.access.Rename(c.ctx, b.Name))
			}),
		with(Route{Method: "POST", Path: "/self/password", Auth: Token, Action: "self.manage", Summary: "Change one's own password; all other sessions end.", MaxBody: smallBody,
			Example: api.PasswordRequest{Old: "a long test-value", Password: "another long test-value"}},
			func(c *call, _ *none, b *api.PasswordRequest) (api.Done, error) {
				return done(c.access.ChangePassword(c.ctx, sensitive.FromString(b.Old), sensitive.FromString(b.Password), b.EndTokens))
			}),
		with(Route{Method: "POST", Path: "/self/address", Auth: Token, Action: "self.manage", Summary: "Send a link to a new address of one's own; it is the address once the link is used.", MaxBody: smallBody,
			Example: api.AddressRequest{Email: "new@example.test"}},
			func(c *call, _ *none, b *api.AddressRequest) (api.Done, error) {
				return done(c.access.ChangeAddress(c.ctx, b.Email))
			}),
		with(Route{Method: "GET", Path: "/self/sessions", Auth: Token, Action: "self.read", Summary: "List what one is logged in with.", Example: api.Sessions{Sessions: []api.SessionInfo{}}},
			func(c *call, _ *none, _ *none) (api.Sessions, error) { return c.sessions("") }),
		with(Route{Method: "DELETE", Path: "/self/sessions", Auth: Token, Action: "self.manage", Summary: "End what one is logged in with elsewhere.", Example: api.Done{Done: true}},
			func(c *call, _ *none, _ *none) (api.Done, error) { return done(c.access.EndOtherSessions(c.ctx)) }),
		with(Route{Method: "GET", Path: "/users/{id}", Auth: Token, Action: "access.read", Summary: "Show an account and its groups.", Example: api.Profile{User: api.User{Email: "dev@example.test"}, Groups: []api.Named{}}},
			func(c *call, p *idParam, _ *none) (api.Profile, error) {
				return profileOf(c.access.Person(c.ctx, p.ID))
			}),
		with(Route{Method: "GET", Path: "/users/{id}/sessions", Auth: Token, Action: "access.read", Summary: "List what a person is logged in with.", Example: api.Sessions{Sessions: []api.SessionInfo{}}},
			func(c *call, p *idParam, _ *none) (api.Sessions, error) { return c.sessions(domain.UserID(p.ID)) }),
		with(Route{Method: "DELETE", Path: "/users/{id}/sessions", Auth: Token, Action: "access.manage", Summary: "End all that a person is logged in with.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) {
				return done(c.access.EndSessions(c.ctx, domain.UserID(p.ID)))
			}),
		with(Route{Method: "PUT", Path: "/users/{id}/address", Auth: Token, Action: "access.manage", Summary: "Change the address of a person.", MaxBody: smallBody, Example: api.AddressRequest{Email: "new@example.test"}},
			func(c *call, p *idParam, b *api.AddressRequest) (api.Done, error) {
				return done(c.access.SetAddress(c.ctx, domain.UserID(p.ID), b.Email))
			}),
		with(Route{Method: "POST", Path: "/users/{id}/deactivate", Auth: Token, Action: "access.manage", Summary: "End a person's access at once, and list what he has read and what has had no other value since: a task for each owner.",
			Example: api.Tasks{Tasks: []api.Task{}}},
			func(c *call, p *idParam, _ *none) (api.Tasks, error) {
				return tasksOf(c.access.Deactivate(c.ctx, domain.UserID(p.ID)))
			}),
		with(Route{Method: "POST", Path: "/users/{id}/erase", Auth: Token, Action: "access.manage", Summary: "Replace name and address of a person who was deactivated, and remove what else is kept about him; the log stays.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) {
				return done(c.access.Erase(c.ctx, domain.UserID(p.ID)))
			}),
		with(Route{Method: "GET", Path: "/users/{id}/tasks", Auth: Token, Action: "access.read", Summary: "List what a person who has left had read and what is still to be rotated.", Example: api.Tasks{Tasks: []api.Task{}}},
			func(c *call, p *userTasksParams, _ *none) (api.Tasks, error) {
				return tasksOf(c.access.LeaverTasks(c.ctx, domain.UserID(p.ID), p.Closed))
			}),
		with(Route{Method: "GET", Path: "/tasks", Auth: Token, Action: "self.read", Summary: "List what is to be rotated after people have left: of secrets that one owns, or with all of everybody.", Example: api.Tasks{Tasks: []api.Task{}}},
			func(c *call, p *tasksParams, _ *none) (api.Tasks, error) {
				return tasksOf(c.access.Tasks(c.ctx, p.All, p.Closed))
			}),
		with(Route{Method: "POST", Path: "/tasks/{id}/dismiss", Auth: Token, Action: "access.manage", Summary: "Close a task without a rotation, for a reason.", MaxBody: smallBody, Example: api.DismissRequest{Reason: "it is a public key"}},
			func(c *call, p *idParam, b *api.DismissRequest) (api.Done, error) {
				return done(c.access.DismissTask(c.ctx, p.ID, b.Reason))
			}),
	}
}

func profileOf(p access.Profile, err error) (api.Profile, error) {
	out := api.Profile{User: userOf(p.Row), PasswordAt: maybe(p.Row.PasswordAt), ErasedAt: maybe(p.Row.ErasedAt), Groups: []api.Named{}}
	for _, g := range p.Groups {
		out.Groups = append(out.Groups, api.Named{ID: string(g.ID), Name: g.Name})
	}
	return out, err
}

func (c *call) sessions(user domain.UserID) (api.Sessions, error) {
	rows, err := c.access.Sessions(c.ctx, user)
	return api.Sessions{Sessions: each(rows, func(t access.Token) api.SessionInfo {
		out := api.SessionInfo{ID: string(t.ID), Method: t.Method, Address: t.Address, Agent: t.Agent, Current: t.ID == access.Caller(c.ctx).Token,
			CreatedAt: at(t.CreatedAt), LastUsedAt: at(t.LastUsedAt), ExpiresAt: at(t.ExpiresAt), ProvedAt: maybe(t.MFAAt)}
		if t.Idle != 0 {
			out.IdleLimit = (time.Duration(t.Idle) * time.Millisecond).String()
		}
		return out
	})}, err
}

func tasksOf(rows []access.Task, err error) (api.Tasks, error) {
	return api.Tasks{Tasks: each(rows, func(t access.Task) api.Task {
		return api.Task{ID: t.Row.ID, Leaver: t.Leaver, Place: t.Place, Key: t.Key, Owner: t.Row.Owner, Version: t.Row.Version, ReadAt: at(t.Row.ReadAt),
			CreatedAt: at(t.Row.CreatedAt), ClosedAt: maybe(t.Row.ClosedAt), Outcome: t.Row.Outcome, Reason: t.Row.Reason}
	})}, err
}
