package vault

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// passcode is the code of a second factor that a login may bring.
const passcode = "passcode"

// userpass answers the calls at a place of people with a password.
func (s *Surface) userpass(ctx context.Context, p *place) (*reply, error) {
	parts := p.parts()
	switch {
	case parts[0] == "login" && len(parts) == 2:
		return s.userpassLogin(ctx, p, parts[1])
	case p.below == "users":
		if err := p.only(verbList); err != nil {
			return nil, err
		}
		names, err := s.Access.UserpassNames(ctx)
		if err != nil {
			return nil, err
		}
		return listing(sorted(names), p.call)
	case parts[0] == "users" && len(parts) == 2:
		return s.userpassUser(ctx, p, parts[1])
	case parts[0] == "users" && len(parts) == 3 && (parts[2] == "password" || parts[2] == "policies"):
		if err := p.only(verbWrite); err != nil {
			return nil, err
		}
		f := p.fields.renamed()
		want := map[string]string{"password": "password", "policies": "token_policies"}[parts[2]]
		if !f.has(want) {
			return nil, bad("missing " + want)
		}
		return s.setUserpass(ctx, parts[1], fields{want: f[want]}, true)
	}
	return nil, noPath()
}

func (s *Surface) userpassLogin(ctx context.Context, p *place, user string) (*reply, error) {
	if err := p.only(verbWrite); err != nil {
		return nil, err
	}
	in, err := p.fields.person(user)
	if err != nil {
		return nil, err
	}
	out, err := s.Access.LoginUserpass(ctx, p.mount, in)
	return s.loggedIn(ctx, out, err, badPassword)
}

// person reads what somebody logs in with.
func (f fields) person(user string) (access.LoginInput, error) {
	password, err := f.required("password")
	if err != nil {
		return access.LoginInput{}, err
	}
	code, err := f.text(passcode)
	return access.LoginInput{Email: user, Password: sensitive.FromString(password), Code: code}, err
}

// ldap answers the login at a place of people whom a directory knows. The directory itself is set up natively.
func (s *Surface) ldap(ctx context.Context, p *place) (*reply, error) {
	parts := p.parts()
	if parts[0] != "login" || len(parts) != 2 {
		if _, err := s.Access.AuthMount(ctx, p.mount.Path); err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Unsupported, "directories are set up as connections of single sign-on").WithHint("keyturn sso create")
	}
	if err := p.only(verbWrite); err != nil {
		return nil, err
	}
	in, err := p.fields.person(parts[1])
	if err != nil {
		return nil, err
	}
	out, err := s.Access.LoginAuthLDAP(ctx, p.mount, parts[1], in)
	if err != nil && (noSuchRole(err) || fault.KindOf(err) == fault.Invalid) {
		err = fault.Wrap(fault.Unauthenticated, err, "the login is not right")
	}
	return s.loggedIn(ctx, out, err, badPassword)
}

func (s *Surface) userpassUser(ctx context.Context, p *place, name string) (*reply, error) {
	switch p.verb {
	case verbRead:
		policies, err := s.Access.Userpass(ctx, name)
		if err != nil {
			return nil, err
		}
		return &reply{data: shownTokens(access.AuthRole{Policies: policies})}, nil
	case verbDelete:
		return nil, s.Access.EndUserpass(ctx, name)
	case verbWrite:
		return s.setUserpass(ctx, name, p.fields.renamed(), false)
	}
	return nil, p.leaf()
}

func (s *Surface) setUserpass(ctx context.Context, name string, f fields, one bool) (*reply, error) {
	why := "sessions of people have the limits of the organisation: keyturn settings"
	if err := f.refuse(why, "token_ttl", "token_max_ttl", "token_explicit_max_ttl", "token_period", "token_bound_cidrs", "token_num_uses", "token_no_default_policy", "password_hash"); err != nil {
		return nil, err
	}
	if kind, err := f.text("token_type"); err != nil || kind == typeBatch || kind == "default-batch" {
		return nil, unheld("token_type", why)
	}
	var change access.UserpassChange
	password, err := f.text("password")
	if err != nil {
		return nil, err
	}
	if password != "" {
		change.Password = sensitive.FromString(password)
	}
	if err := f.setList("token_policies", &change.Policies); err != nil {
		return nil, err
	}
	if err := s.Access.SetUserpass(ctx, name, change); err != nil {
		return nil, err
	}
	if one {
		return nil, nil
	}
	return written(f.unrecognized(tokenNames, []string{"password", "password_hash", "username"})), nil
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
