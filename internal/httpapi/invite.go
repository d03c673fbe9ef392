package httpapi

import (
	"net/http"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const exampleLink = "kti_test-value"

// inviteRoutes are about links that work once.
func inviteRoutes() []Route {
	return []Route{
		with(Route{Method: "POST", Path: "/invites", Auth: Token, Action: "access.manage", Summary: "Invite somebody, who makes his own account with the link; it is shown this once.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.InviteRequest{Email: "dev@example.test", Project: "shop", Role: "developer", TTL: "72h"}},
			func(c *call, _ *none, b *api.InviteRequest) (api.NewInvite, error) {
				ttl, err := parseDuration("/ttl", b.TTL)
				if err != nil {
					return api.NewInvite{}, err
				}
				return newInviteOf(c.access.Invite(c.ctx, c.secrets, access.InviteInput{Email: b.Email, Name: b.Name, Groups: b.Groups, Project: b.Project, Env: b.Env, Role: domain.Role(b.Role), TTL: ttl, Mail: b.Mail}))
			}),
		with(Route{Method: "GET", Path: "/invites", Auth: Token, Action: "access.read", Summary: "List invitations, also those that were used or are over.", Example: api.Invites{Invites: []api.Invite{}}},
			func(c *call, _ *none, _ *none) (api.Invites, error) {
				rows, err := c.access.Invites(c.ctx)
				return api.Invites{Invites: each(rows, inviteOf)}, err
			}),
		with(Route{Method: "DELETE", Path: "/invites/{id}", Auth: Token, Action: "access.manage", Summary: "Take an invitation back.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) { return done(c.access.Uninvite(c.ctx, p.ID)) }),
		with(Route{Method: "POST", Path: "/invites/show", Auth: Anyone, Action: "invite.accept", Summary: "Tell what a link is for, to whoever has it.", MaxBody: smallBody, Example: api.LinkRequest{Token: exampleLink}},
			func(c *call, _ *none, b *api.LinkRequest) (api.Link, error) {
				l, err := c.access.Link(c.ctx, sensitive.FromString(b.Token))
				return api.Link{Purpose: l.Purpose, Email: string(l.Email), Name: string(l.Name), Organization: string(l.Org), ExpiresAt: at(l.Expires)}, err
			}),
		with(Route{Method: "POST", Path: "/invites/accept", Auth: Anyone, Action: "invite.accept", Summary: "Make the account that an invitation is for, and log in.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.AcceptRequest{Token: exampleLink, Name: "A Developer", Password: "a long test-value"}},
			func(c *call, _ *none, b *api.AcceptRequest) (api.Session, error) {
				return sessionOf(c.access.AcceptInvite(c.ctx, sensitive.FromString(b.Token), b.Name, sensitive.FromString(b.Password)))
			}),
		with(Route{Method: "POST", Path: "/password/reset", Auth: Anyone, Action: "invite.accept", Summary: "Set a new password with a link; everything that the person was logged in with ends.", MaxBody: smallBody,
			Example: api.PasswordResetRequest{Token: exampleLink, Password: "a long test-value"}},
			func(c *call, _ *none, b *api.PasswordResetRequest) (api.Done, error) {
				return done(c.access.ResetPassword(c.ctx, sensitive.FromString(b.Token), sensitive.FromString(b.Password)))
			}),
		with(Route{Method: "POST", Path: "/address/confirm", Auth: Anyone, Action: "invite.accept", Summary: "Make the address that a link was sent to that of the account.", MaxBody: smallBody, Example: api.LinkRequest{Token: exampleLink}},
			func(c *call, _ *none, b *api.LinkRequest) (api.Done, error) {
				return done(c.access.ConfirmAddress(c.ctx, sensitive.FromString(b.Token)))
			}),
		with(Route{Method: "POST", Path: "/users/{id}/password-link", Auth: Token, Action: "access.manage", Summary: "Make a link with which a person sets a new password; it is shown this once.", Status: http.StatusCreated,
			Example: api.NewInvite{Token: exampleLink}},
			func(c *call, p *idParam, _ *none) (api.NewInvite, error) {
				return newInviteOf(c.access.PasswordLink(c.ctx, domain.UserID(p.ID)))
			}),
	}
}

func inviteOf(row access.InviteRow) api.Invite {
	out := api.Invite{ID: row.ID, Purpose: row.Purpose, Email: string(row.Email), Name: string(row.Name), InvitedBy: row.InvitedBy, Mailed: row.Mailed,
		CreatedAt: at(row.CreatedAt), ExpiresAt: at(row.ExpiresAt), UsedAt: maybe(row.UsedAt), RevokedAt: maybe(row.RevokedAt)}
	for _, g := range row.Grants {
		out.Roles = append(out.Roles, api.Role{ProjectID: string(g.Project), EnvID: string(g.Env), Role: string(g.Role)})
	}
	for _, g := range row.Groups {
		out.GroupIDs = append(out.GroupIDs, string(g))
	}
	return out
}

func newInviteOf(i access.Invitation, err error) (api.NewInvite, error) {
	return api.NewInvite{Invite: inviteOf(i.Row), Token: string(i.Token.Reveal()), Link: i.Link}, err
}
