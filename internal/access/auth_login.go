package access

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/store"
)

// ErrNoAuthRole is in the fault of a login to a role that is not there.
var ErrNoAuthRole = errors.New("no such role")

// maxTriedRoles bounds the roles of a place that are tried when a login names none.
const maxTriedRoles = 50

// RoleLogin is what a machine shows at a place.
type RoleLogin struct {
	Mount AuthMount
	Role  string   // "" tries all roles of the place
	Kinds []string // of login methods that fit the place
	login.Credential
	// Meta gives what the dialect tells of a login, from the role and what was proved.
	Meta func(role string, set RoleSettings, e login.Evidence) map[string]string
}

// way is one login method that a role stands for.
type way struct {
	role     string
	identity domain.IdentityID
	method   string
	set      RoleSettings
}

// LoginRole checks the credential of a machine by the login method of a role. At a place that is there from the beginning, an
// identity with a method of the right kind is a role too, and so is IDENTITY/METHOD.
func (s *Service) LoginRole(ctx context.Context, in RoleLogin) (Session, error) {
	ways, err := s.waysOf(ctx, in)
	if err != nil {
		return Session{}, err
	}
	account := "auth " + in.Mount.Path + " " + domain.RecordedLabel(in.Role)
	if len(ways) == 1 {
		account = string(ways[0].identity)
	}
	return s.login(ctx, account, func() (Proof, error) {
		var refused error
		for _, w := range ways {
			proof, e, err := s.proveMethod(ctx, w.identity, w.method, in.Credential)
			if err != nil {
				if fault.KindOf(err) != fault.Unauthenticated {
					return Proof{}, err
				}
				refused = err
				continue
			}
			proof.Meta = in.Meta(w.role, w.set, e)
			in.Mount.mark(&proof, w.set, "")
			return proof, nil
		}
		if refused == nil {
			refused = fault.Wrap(fault.Unauthenticated, ErrNoAuthRole, "there is no such role")
		}
		return Proof{}, refused
	})
}

func (s *Service) waysOf(ctx context.Context, in RoleLogin) ([]way, error) {
	org := in.Mount.Org
	if in.Role == "" {
		rows, err := s.db.AuthRoles(ctx, org, in.Mount.Path)
		var out []way
		for _, row := range rows[:min(len(rows), maxTriedRoles)] {
			out = append(out, way{row.Name, row.Identity, authMethod, row.Settings})
		}
		return out, err
	}
	if _, err := domain.ParseLabel(in.Role); err != nil {
		return nil, nil
	}
	row, err := s.db.AuthRole(ctx, org, in.Mount.Path, strings.ToLower(in.Role))
	if err == nil {
		return []way{{row.Name, row.Identity, authMethod, row.Settings}}, nil
	}
	if fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if in.Mount.Path != in.Mount.Type {
		return nil, nil
	}
	fits := func(m store.LoginMethod) bool {
		return !m.Disabled && m.Org == org && slices.Contains(in.Kinds, m.Kind)
	}
	machine, method, _ := strings.Cut(in.Role, "/")
	i, err := s.db.IdentityByName(ctx, org, domain.Label(machine))
	var found []store.LoginMethod
	switch {
	case err == nil:
		if found, err = s.db.LoginMethods(ctx, i.ID); err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(m store.LoginMethod) bool { return !fits(m) || method != "" && m.Name != method })
	case fault.KindOf(err) != fault.NotFound:
		return nil, err
	default:
		if found, err = s.db.LoginMethodsNamed(ctx, org, in.Role); err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(m store.LoginMethod) bool { return !fits(m) || m.Name == authMethod })
	}
	if len(found) != 1 { // which of several is meant cannot be told
		return nil, nil
	}
	return []way{{in.Role, found[0].Identity, found[0].Name, RoleSettings{}}}, nil
}

// LoginUserpass checks the address and password of a person, and the code of a second factor where he has one.
func (s *Service) LoginUserpass(ctx context.Context, mount AuthMount, in LoginInput) (Session, error) {
	email, err := domain.ParseEmail(in.Email)
	if err != nil { // nobody is called so: as if it were somebody, and as slow
		in.Email, email = "nobody@invalid.invalid", ""
	}
	return s.loginPerson(ctx, in, func(row store.Person, proof *Proof) error {
		if row.Org != mount.Org {
			return badLogin()
		}
		mount.mark(proof, RoleSettings{}, string(email))
		proof.Meta = map[string]string{"username": string(email)}
		return nil
	})
}

// LoginAuthLDAP checks a person's password of the directory that a place stands for: the connection that its configuration names,
// or the only one.
func (s *Service) LoginAuthLDAP(ctx context.Context, mount AuthMount, account string, password LoginInput) (Session, error) {
	name, err := s.connectionOf(ctx, mount, "", ssoLDAP)
	if err != nil {
		return Session{}, err
	}
	return s.loginLDAP(ctx, name, account, password.Password, func(proof *Proof) {
		mount.mark(proof, RoleSettings{}, account)
		proof.Meta = map[string]string{"username": account}
	})
}

// connectionOf finds the connection that people log in through at a place: the one that is named, the one that the configuration
// of the place names, or the only one of its kind.
func (s *Service) connectionOf(ctx context.Context, mount AuthMount, name, kind string) (string, error) {
	name = cmp.Or(name, strings.Trim(mount.Settings.Fields["default_role"], `"`))
	rows, err := s.db.SSOConnections(ctx, mount.Org)
	if err != nil {
		return "", err
	}
	rows = slices.DeleteFunc(rows, func(c store.SSOConnection) bool { return !c.Enabled || c.Kind != kind || name != "" && c.Name != name })
	if len(rows) != 1 {
		return "", fault.Wrap(fault.NotFound, ErrNoAuthRole, "there is no such way to log in").WithHint("name a connection that \"keyturn sso list\" shows")
	}
	return rows[0].Name, nil
}
