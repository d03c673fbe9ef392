package access

import (
	"context"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// maxInviteGroups bounds the groups that an invitation brings somebody into.
const maxInviteGroups = 50

// InviteInput is whom to invite and what he will have. Without groups and role he may do nothing until he is given something.
type InviteInput struct {
	Email   string
	Name    string // may be left to the invited
	Groups  []string
	Project string // slug or id, "" for the organisation
	Env     string // slug, "" for the project
	Role    domain.Role
	TTL     time.Duration // zero for the default
	Mail    bool
}

// Invitation is a link that was just made. The token is shown this once; Link is "" where the server does not know its address.
type Invitation struct {
	Row   store.Invite
	Token sensitive.Value
	Link  string
}

// Invite makes a link with which somebody makes his own account. Nobody invites into what he lacks, now or when the link is
// used. An earlier invitation of the same address is taken back.
func (s *Service) Invite(ctx context.Context, places Places, in InviteInput) (Invitation, error) {
	var out Invitation
	email, err := domain.ParseEmail(in.Email)
	if err != nil {
		return out, err
	}
	if in.TTL == 0 {
		in.TTL = defaultInviteTTL
	}
	if in.TTL < minInviteTTL || in.TTL > maxInviteTTL {
		return out, fault.New(fault.Invalid, "the lifetime is out of range").WithField("/ttl", "want %v to %v", minInviteTTL, maxInviteTTL)
	}
	if in.Mail {
		if err := s.mayMail(ctx); err != nil {
			return out, err
		}
	}
	if len(in.Groups) > maxInviteGroups {
		return out, fault.New(fault.Invalid, "too many groups").WithField("/groups", "want at most %d", maxInviteGroups)
	}
	row := store.Invite{Purpose: store.LinkInvite, Email: email, Mailed: in.Mail}
	if in.Name != "" {
		if row.Name, err = domain.ParseLabel(in.Name); err != nil {
			return out, err
		}
	}
	if row.Grants, err = s.invitedGrants(ctx, places, in); err != nil {
		return out, err
	}
	// Who manages one project may invite into it, and into nothing else.
	project := domain.ProjectID("")
	if len(in.Groups) == 0 && len(row.Grants) > 0 {
		project = row.Grants[0].Project
	}
	err = s.inPlace(ctx, aim{grant: domain.Grant{Project: project}}, map[string]string{"invite": string(email), "role": string(in.Role)}, func(tx *store.Tx, p guard.Permit) error {
		row.Org, row.InvitedBy, row.CreatedAt, row.ExpiresAt = p.Org(), p.Principal().ID, tx.Now(), tx.Now()+in.TTL.Milliseconds()
		if row.Groups, err = invitedGroups(ctx, tx.Queries, p.Org(), in.Groups); err != nil {
			return err
		}
		if err := mayInvite(ctx, tx.Queries, p.Principal(), p.Facts(), row); err != nil {
			return err
		}
		if _, err := tx.PersonByEmail(ctx, email); err == nil {
			return fault.New(fault.Exists, "a user with this address exists already").WithHint("give him a role: keyturn user grant")
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err := replaceInvites(ctx, tx, row); err != nil {
			return err
		}
		row, out.Token = newLink(row)
		return tx.PutInvite(ctx, &row)
	})
	if err != nil {
		return Invitation{}, err
	}
	out.Row = row
	if s.publicURL != "" {
		out.Link = s.linkOf(out.Token)
	}
	if in.Mail {
		org, err := s.db.Org(ctx, row.Org)
		if err != nil {
			return out, err
		}
		err = s.mail(ctx, row, out.Token, "Invitation to Keyturn", guard.CallerOf(ctx).Principal.Name+" invites you to "+string(org.Name)+" on Keyturn.")
		if err != nil {
			return Invitation{}, fault.Wrap(fault.Unavailable, err, "the invitation was made, but the mail could not be handed over").WithHint("invite once more without mail, and hand the link over yourself")
		}
	}
	return out, nil
}

func (s *Service) invitedGrants(ctx context.Context, places Places, in InviteInput) ([]domain.Grant, error) {
	if in.Role == "" {
		if in.Project != "" || in.Env != "" {
			return nil, fault.New(fault.Invalid, "a project needs a role").WithField("/role", "missing")
		}
		return nil, nil
	}
	role, err := domain.ParseRole(string(in.Role))
	if err != nil {
		if role, err = s.customRole(ctx, in.Role); err != nil {
			return nil, err
		}
	}
	g := domain.Grant{Role: role}
	if g.Project, g.Env, err = s.placeOf(ctx, places, in.Project, in.Env); err != nil {
		return nil, err
	}
	if g.Project == "" && in.Env != "" {
		return nil, fault.New(fault.Invalid, "an environment needs its project").WithField("/project", "missing")
	}
	return []domain.Grant{g}, nil
}

// customRole finds a role of the organisation by name or id. Grants name it by id.
func (s *Service) customRole(ctx context.Context, name domain.Role) (domain.Role, error) {
	org := guard.CallerOf(ctx).Principal.Org
	var row store.Role
	var err error
	if domain.IsID(string(name)) {
		row, err = s.db.Role(ctx, domain.RoleID(name))
	} else {
		row, err = s.db.RoleByName(ctx, org, domain.Slug(name))
	}
	if fault.KindOf(err) == fault.NotFound && err != nil || err == nil && row.Org != org {
		return "", fault.New(fault.Invalid, "no such role").WithField("/role", "want admin, developer, viewer, none or a role of the organisation")
	}
	return domain.Role(row.ID), err
}

func invitedGroups(ctx context.Context, q store.Queries, org domain.OrgID, names []string) ([]domain.GroupID, error) {
	var out []domain.GroupID
	for _, name := range names {
		var row store.Group
		var err error
		if domain.IsID(name) {
			row, err = q.Group(ctx, domain.GroupID(name))
		} else {
			row, err = q.GroupByName(ctx, org, name)
		}
		if err == nil && row.Org != org {
			err = guard.Missing()
		}
		if err != nil {
			return nil, err
		}
		if row.ExternalID != "" {
			return nil, fault.New(fault.Conflict, "a directory manages this group, so nobody is invited into it").WithHint("add him in the directory")
		}
		if !slices.Contains(out, row.ID) {
			out = append(out, row.ID)
		}
	}
	return out, nil
}

// mayInvite tells whether somebody could give all that an invitation brings.
func mayInvite(ctx context.Context, q store.Queries, by *domain.Principal, f policy.Facts, row store.Invite) error {
	given := slices.Clone(row.Grants)
	for _, id := range row.Groups {
		groups, err := groupsOf(ctx, q, string(id))
		if err != nil {
			return err
		}
		for _, g := range append(groups, id) {
			rows, err := q.GrantsOf(ctx, string(g))
			if err != nil {
				return err
			}
			for _, r := range rows {
				given = append(given, domain.Grant{Project: r.Project, Env: r.Env, Path: r.Path, Role: r.Role, ExpiresAt: r.ExpiresAt})
			}
		}
	}
	if by.Scopes != nil {
		return fault.New(fault.Denied, "a token with scopes invites nobody")
	}
	if err := mayGiveAll(ctx, q, by, f, given); fault.KindOf(err) == fault.Denied && err != nil {
		return fault.New(fault.Denied, "nobody can invite into what he lacks").WithHint("%s", fault.As(err).Message)
	} else if err != nil {
		return err
	}
	return nil
}

// replaceInvites takes earlier invitations of the same address back and keeps the number of open ones bounded.
func replaceInvites(ctx context.Context, tx *store.Tx, row store.Invite) error {
	all, err := tx.Invites(ctx, row.Org, row.Purpose)
	if err != nil {
		return err
	}
	open := 0
	for _, old := range all {
		if old.UsedAt != 0 || old.RevokedAt != 0 || tx.Now() >= old.ExpiresAt {
			continue
		}
		if old.Email != row.Email {
			open++
			continue
		}
		old.RevokedAt = tx.Now()
		if err := tx.PutInvite(ctx, &old); err != nil {
			return err
		}
	}
	if open >= maxOpenLinks {
		return fault.New(fault.Exhausted, "there are %d open invitations already", maxOpenLinks).WithHint("keyturn user invites, and take back what nobody needs")
	}
	return nil
}

// Invites lists invitations, newest first, also those that were used or are over.
func (s *Service) Invites(ctx context.Context) ([]store.Invite, error) {
	var out []store.Invite
	err := s.ask(ctx, "invites", func(org domain.OrgID) (err error) {
		out, err = s.db.Invites(ctx, org, store.LinkInvite)
		return err
	})
	return out, err
}

// Uninvite takes an invitation back. One that was used or taken back stays as it is.
func (s *Service) Uninvite(ctx context.Context, id string) error {
	return s.manage(ctx, map[string]string{"invite": "revoke"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Invite(ctx, id)
		if err != nil {
			return err
		}
		if row.Org != p.Org() || row.Purpose != store.LinkInvite {
			return guard.Missing()
		}
		p.Note("invite", string(row.Email))
		if row.UsedAt != 0 {
			return fault.New(fault.Conflict, "the invitation was used already").WithHint("switch the account off: keyturn user deactivate")
		}
		row.RevokedAt = tx.Now()
		return tx.PutInvite(ctx, &row)
	})
}

// AcceptInvite makes the account of whoever has the link, gives him what the invitation says, and logs him in.
func (s *Service) AcceptInvite(ctx context.Context, token sensitive.Value, name string, password sensitive.Value) (Session, error) {
	var out Session
	var hash string
	var label domain.Label
	check := func(row store.Invite) (err error) {
		if label = row.Name; name != "" {
			label, err = domain.ParseLabel(name)
		} else if label == "" {
			label = domain.Label(row.Email)
		}
		if err == nil {
			err = CheckPassword(password, string(row.Email), string(label))
		}
		if err == nil {
			hash, err = s.hashPassword(ctx, password)
		}
		return err
	}
	err := s.useLink(ctx, token, store.LinkInvite, check, func(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Invite) error {
		if err := s.stillMayInvite(ctx, tx.Queries, p.Facts(), row); err != nil {
			return err
		}
		if _, err := tx.PersonByEmail(ctx, row.Email); err == nil {
			return fault.New(fault.Exists, "a user with this address exists already").WithHint("log in with: keyturn login")
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		me := store.Person{ID: domain.NewID[domain.UserID](), Org: row.Org, Email: row.Email, Name: label, Password: hash, PasswordAt: tx.Now(), CreatedAt: tx.Now()}
		if err := tx.PutPerson(ctx, &me); err != nil {
			return err
		}
		for _, g := range row.Grants {
			grant := store.Grant{ID: domain.NewID[string](), Org: row.Org, PrincipalKind: domain.User, PrincipalID: string(me.ID), Project: g.Project, Env: g.Env, Path: g.Path, Role: g.Role,
				CreatedAt: tx.Now(), ExpiresAt: g.ExpiresAt}
			if err := tx.PutGrant(ctx, &grant); err != nil {
				return err
			}
		}
		for _, id := range row.Groups {
			if _, err := tx.Group(ctx, id); fault.KindOf(err) == fault.NotFound && err != nil {
				continue // it was removed meanwhile
			} else if err != nil {
				return err
			}
			if err := tx.PutGroupMember(ctx, &store.GroupMember{Group: id, ID: string(me.ID), Kind: domain.User, Org: row.Org, Cause: "hand"}); err != nil {
				return err
			}
		}
		row.User = me.ID
		if err := tx.PutInvite(ctx, &row); err != nil {
			return err
		}
		set, err := settingsOf(ctx, tx.Queries, row.Org)
		if err != nil {
			return err
		}
		p.Note("invited_by", row.InvitedBy)
		out, err = s.session(ctx, tx, p, Proof{Kind: domain.User, ID: string(me.ID), Name: string(me.Email), Method: "invite", TTL: set.SessionMax, Idle: set.Idle})
		return err
	})
	if err != nil {
		return Session{}, err
	}
	return out, nil
}

// stillMayInvite asks again whether the inviter could give all this: he may have lost it since, or have left.
func (s *Service) stillMayInvite(ctx context.Context, q store.Queries, f policy.Facts, row store.Invite) error {
	by := &domain.Principal{Kind: domain.User, ID: row.InvitedBy, Org: row.Org}
	_, disabled, err := s.nameOf(ctx, q, domain.User, row.InvitedBy)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		by.Kind = domain.Identity
		_, disabled, err = s.nameOf(ctx, q, domain.Identity, row.InvitedBy)
	}
	if disabled || fault.KindOf(err) == fault.NotFound && err != nil {
		return badLink()
	}
	if err != nil {
		return err
	}
	if by.Groups, err = groupsOf(ctx, q, by.ID); err != nil {
		return err
	}
	if err := rightsOf(ctx, q, by); err != nil {
		return err
	}
	err = mayInvite(ctx, q, by, f, row)
	if fault.KindOf(err) == fault.Denied && err != nil {
		return badLink()
	}
	return err
}
