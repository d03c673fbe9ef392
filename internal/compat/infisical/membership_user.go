package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// maxInvited bounds how many people one request makes members.
const maxInvited = 100

// userMember is a person as a member of a project. His membership has his own id.
func userMember(m access.Membership) object {
	return object{"id": m.ID, "userId": m.ID, "projectId": m.Project, "createdAt": stamp(m.CreatedAt), "updatedAt": stamp(m.CreatedAt), "roles": heldRoles(m), "inviteEmail": m.Name,
		"user":    object{"id": m.ID, "email": m.Name, "username": m.Name, "firstName": m.Label, "lastName": "", "publicKey": "", "isOrgMembershipActive": true},
		"project": object{"id": m.Project}}
}

func (c *call) userMembership(who string) access.MembershipInput {
	return access.MembershipInput{Project: c.http.PathValue("project"), Kind: domain.User, Principal: who}
}

// people reads whom a request is about: addresses, which are names of users here.
func (c *call) people() ([]string, error) {
	var all []string
	for _, name := range []string{"emails", "usernames"} {
		var some []string
		if err := c.into(name, &some); err != nil {
			return nil, err
		}
		for _, address := range some {
			email, err := domain.ParseEmail(address)
			if err != nil {
				return nil, wrong(name, "addresses of users")
			}
			all = append(all, string(email))
		}
	}
	if len(all) == 0 || len(all) > maxInvited {
		return nil, wrong("usernames", "1 to 100 addresses")
	}
	return all, nil
}

func (s *Surface) userMembers(ctx context.Context, c *call) (*answer, error) {
	all, err := s.Access.Memberships(ctx, s.Secrets, c.http.PathValue("project"), domain.User)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, m := range all {
		out = append(out, userMember(m))
	}
	return with(object{"memberships": out}), nil
}

// addUserMembers gives roles to people who have accounts here. Whoever is a member already is left as he is.
func (s *Surface) addUserMembers(ctx context.Context, c *call) (*answer, error) {
	people, err := c.people()
	if err != nil {
		return nil, err
	}
	roles, err := c.wantedRoles(roleMember)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, who := range people {
		in := c.userMembership(who)
		in.Roles, in.Fresh = roles, true
		m, err := s.Access.SetMembership(ctx, s.Secrets, in)
		if err != nil && fault.KindOf(err) == fault.Exists && len(people) > 1 {
			m, err = s.Access.Membership(ctx, s.Secrets, in)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, userMember(m))
	}
	return with(object{"memberships": out}), nil
}

func (s *Surface) removeUserMembers(ctx context.Context, c *call) (*answer, error) {
	people, err := c.people()
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, who := range people {
		m, err := s.Access.EndMembership(ctx, s.Secrets, c.userMembership(who))
		if err != nil {
			return nil, err
		}
		out = append(out, userMember(m))
	}
	return with(object{"memberships": out}), nil
}

func userMemberAnswer(m access.Membership, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return with(object{"membership": userMember(m), "roles": heldRoles(m)}), nil
}

func (s *Surface) findUserMember(ctx context.Context, c *call) (*answer, error) {
	who, err := c.must("username")
	if err != nil {
		return nil, err
	}
	email, err := domain.ParseEmail(who)
	if err != nil {
		return nil, wrong("username", "the address of a user")
	}
	return userMemberAnswer(s.Access.Membership(ctx, s.Secrets, c.userMembership(string(email))))
}

func (s *Surface) getUserMember(ctx context.Context, c *call) (*answer, error) {
	return userMemberAnswer(s.Access.Membership(ctx, s.Secrets, c.userMembership(c.http.PathValue("member"))))
}

func (s *Surface) changeUserMember(ctx context.Context, c *call) (*answer, error) {
	in := c.userMembership(c.http.PathValue("member"))
	var err error
	if in.Roles, err = c.wantedRoles(""); err != nil {
		return nil, err
	}
	if _, err := s.Access.Membership(ctx, s.Secrets, in); err != nil {
		return nil, err
	}
	return userMemberAnswer(s.Access.SetMembership(ctx, s.Secrets, in))
}

func (s *Surface) removeUserMember(ctx context.Context, c *call) (*answer, error) {
	return userMemberAnswer(s.Access.EndMembership(ctx, s.Secrets, c.userMembership(c.http.PathValue("member"))))
}
