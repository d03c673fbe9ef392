package httpapi

import (
	"encoding/hex"
	"net/http"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/sensitive"
)

type changesParams struct {
	Project string `query:"project" doc:"only this project"`
	Env     string `query:"env" doc:"only this environment"`
	All     bool   `query:"all" doc:"also those that are over"`
}

type changeDiffParams struct {
	ID     string `path:"id" doc:"id"`
	Reveal bool   `query:"reveal" doc:"with values, where the caller may read them"`
}

func approvalRoutes() []Route {
	const base = "/projects/{project}/envs/{env}/approval"
	exampleDigest := "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	exampleLink := api.ReviewLinkRequest{Token: "ktv_test-value"}
	return []Route{
		with(Route{Method: "GET", Path: base, Auth: Token, Action: "project.read", Summary: "Tell whose approval changes of an environment need.", Example: api.Approval{Need: 1}},
			func(c *call, p *envParams, _ *none) (api.Approval, error) {
				r, err := c.secrets.Approval(c.ctx, env(p.Project, p.Env))
				return approvalOf(r), err
			}),
		with(Route{Method: "PUT", Path: base, Auth: Token, Action: "project.update", Summary: "Say whose approval changes of an environment need; while it needs some, this waits too.", MaxBody: valueBody, Waits: true,
			Example: api.Approval{Need: 2, Approvers: []api.Approver{{Kind: "role", ID: "admin"}}, Expiry: "7d"}},
			func(c *call, p *envParams, b *api.Approval) (api.Approval, error) {
				r := secrets.ApprovalRule{Need: b.Need}
				var err error
				if r.Expiry, err = parseDuration("/expiry", b.Expiry); err != nil {
					return api.Approval{}, err
				}
				for _, a := range b.Approvers {
					r.Approvers = append(r.Approvers, secrets.Approver{Kind: a.Kind, ID: a.ID})
				}
				for _, id := range b.Bypass {
					known, err := domain.ParseID[domain.IdentityID](id)
					if err != nil {
						return api.Approval{}, err
					}
					r.Bypass = append(r.Bypass, known)
				}
				if err := c.secrets.SetApproval(c.ctx, env(p.Project, p.Env), r); err != nil {
					return api.Approval{}, err
				}
				return *b, nil
			}),
		with(Route{Method: "GET", Path: "/changes", Auth: Token, Action: "self.read", Summary: "List changes that wait for approval, newest first.", Example: api.ChangeSets{}},
			func(c *call, p *changesParams, _ *none) (api.ChangeSets, error) {
				rows, err := c.secrets.Changes(c.ctx, p.Project, p.Env, p.All)
				return api.ChangeSets{Changes: each(rows, changeOf)}, err
			}),
		with(Route{Method: "GET", Path: "/changes/{id}", Auth: Token, Action: "secret.list", Summary: "Show a change that waits, or waited.", Example: api.ChangeSet{Kind: "commit", State: "open", Need: 1}},
			func(c *call, p *idParam, _ *none) (api.ChangeSet, error) {
				return changeAnswer(c.secrets.Change(c.ctx, p.ID))
			}),
		with(Route{Method: "GET", Path: "/changes/{id}/diff", Auth: Token, Action: "secret.list", Summary: "Compare a change with what is there, with reveal also the values that the caller may read (then the action is secret.read).", Example: api.Diff{}},
			func(c *call, p *changeDiffParams, _ *none) (api.Diff, error) {
				all, err := c.secrets.ChangeDiff(c.ctx, p.ID, p.Reveal)
				return diffOf(all), err
			}),
		with(Route{Method: "PUT", Path: "/changes/{id}", Auth: Token, Action: "secret.write", Summary: "Replace what one's own commit says while it waits; approvals count no more.", MaxBody: commitBody,
			Example: api.CommitRequest{Changes: []api.Change{{Op: "set", Path: "/backend", Name: "LOG_LEVEL", Value: ptr("warn")}}}},
			func(c *call, p *idParam, b *api.CommitRequest) (api.ChangeSet, error) {
				in, err := commitIn(b)
				if err != nil {
					return api.ChangeSet{}, err
				}
				return changeAnswer(c.secrets.EditChange(c.ctx, p.ID, in))
			}),
		with(Route{Method: "POST", Path: "/changes/{id}/approve", Auth: Token, Action: "change.review", Summary: "Approve a change as it was looked at; the last approval that is needed applies it.", MaxBody: smallBody, Example: api.ReviewRequest{Digest: exampleDigest}}, review(secrets.VerdictApprove)),
		with(Route{Method: "POST", Path: "/changes/{id}/reject", Auth: Token, Action: "change.review", Summary: "Reject a change; that ends it.", MaxBody: smallBody, Example: api.ReviewRequest{Digest: exampleDigest, Comment: "wrong database"}}, review(secrets.VerdictReject)),
		with(Route{Method: "POST", Path: "/changes/{id}/comments", Auth: Token, Action: "change.review", Summary: "Say something about a change.", MaxBody: smallBody, Example: api.CommentRequest{Comment: "why now?"}},
			func(c *call, p *idParam, b *api.CommentRequest) (api.ChangeSet, error) {
				return changeAnswer(c.secrets.Review(c.ctx, p.ID, secrets.VerdictComment, "", b.Comment))
			}),
		with(Route{Method: "POST", Path: "/changes/{id}/withdraw", Auth: Token, Action: "secret.write", Summary: "Take one's own change back.", Example: api.ChangeSet{}},
			func(c *call, p *idParam, _ *none) (api.ChangeSet, error) {
				return changeAnswer(c.secrets.Withdraw(c.ctx, p.ID))
			}),
		with(Route{Method: "POST", Path: "/changes/{id}/rebase", Auth: Token, Action: "secret.write", Summary: "Make one's own change anew for what stands there now; approvals count no more.", Example: api.ChangeSet{}},
			func(c *call, p *idParam, _ *none) (api.ChangeSet, error) {
				return changeAnswer(c.secrets.Rebase(c.ctx, p.ID))
			}),
		with(Route{Method: "POST", Path: "/changes/{id}/link", Auth: Token, Action: "change.review", Summary: "Make a link by which the caller approves a change as it is now, once and without a login.", Status: http.StatusCreated, Example: api.ReviewLink{}},
			func(c *call, p *idParam, _ *none) (api.ReviewLink, error) {
				row, token, err := c.secrets.LinkToReview(c.ctx, p.ID, "")
				return api.ReviewLink{Token: string(token.Reveal()), Digest: hex.EncodeToString(row.Digest), ExpiresAt: at(row.ExpiresAt)}, err
			}),
		with(Route{Method: "POST", Path: "/change-links/show", Auth: Anyone, Action: "secret.list", Summary: "Show the change of a link to its reviewer, without values. It uses nothing up.", MaxBody: smallBody, Example: exampleLink},
			func(c *call, _ *none, b *api.ReviewLinkRequest) (api.ChangeSet, error) {
				row, err := c.secrets.OpenLink(c.ctx, sensitive.FromString(b.Token))
				return changeOf(row), c.access.Refused(c.ctx, err)
			}),
		with(Route{Method: "POST", Path: "/change-links/approve", Auth: Anyone, Action: "change.review", Summary: "Approve as the reviewer of a link, and use it up.", MaxBody: smallBody, Example: exampleLink},
			func(c *call, _ *none, b *api.ReviewLinkRequest) (api.ChangeSet, error) {
				row, err := c.secrets.ApproveLink(c.ctx, sensitive.FromString(b.Token), b.Comment)
				return changeOf(row), c.access.Refused(c.ctx, err)
			}),
	}
}

func review(verdict string) func(*call, *idParam, *api.ReviewRequest) (api.ChangeSet, error) {
	return func(c *call, p *idParam, b *api.ReviewRequest) (api.ChangeSet, error) {
		return changeAnswer(c.secrets.Review(c.ctx, p.ID, verdict, b.Digest, b.Comment))
	}
}

func changeAnswer(row secrets.ChangeView, err error) (api.ChangeSet, error) {
	return changeOf(row), err
}

func changeOf(c secrets.ChangeView) api.ChangeSet {
	out := api.ChangeSet{ID: string(c.ID), Project: string(c.ProjectSlug), Env: string(c.EnvSlug), Kind: c.Kind, State: c.State, Problem: c.Problem, Base: c.Base,
		AuthorKind: string(c.AuthorKind), AuthorID: c.AuthorID, Author: c.AuthorName, Message: c.Message, Digest: c.DigestText(), Need: c.Need, Approvals: c.Approvals,
		CreatedAt: at(c.CreatedAt), ExpiresAt: at(c.ExpiresAt), EndedAt: maybe(c.EndedAt), Revision: c.Revision, Hidden: c.Hidden, MayReview: c.MayReview, Mine: c.Mine,
		Reviews: each(c.Reviews, reviewOf)}
	out.Items = each(c.Summary, func(i secrets.ChangeItem) api.ChangeItem {
		item := api.ChangeItem{Path: string(i.Path), Name: string(i.Name), Outcome: i.Outcome, From: i.From, Value: i.Value, Changed: i.Changed}
		if i.Attrs != nil {
			item.Attributes = ptr(attributesOf(*i.Attrs))
		}
		return item
	})
	return out
}

func reviewOf(r secrets.ChangeReview) api.Review {
	return api.Review{Reviewer: r.ReviewerName, ReviewerID: r.ReviewerID, Verdict: r.Verdict, Comment: r.Comment, Digest: hex.EncodeToString(r.Digest), At: at(r.At)}
}

func approvalOf(r secrets.ApprovalRule) api.Approval {
	return api.Approval{Need: r.Need, Expiry: r.Expiry.String(), Bypass: texts(r.Bypass),
		Approvers: each(r.Approvers, func(a secrets.Approver) api.Approver { return api.Approver{Kind: a.Kind, ID: a.ID} })}
}
