package access

import (
	"context"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// The names of the rows of org_setting.
const (
	settingSSO       = "sso"        // required or optional
	settingSSOExempt = "sso.exempt" // id of a user
)

type enforcement struct {
	enforced bool
	exempt   domain.UserID
}

func enforcementOf(ctx context.Context, q store.Queries, org domain.OrgID) (enforcement, error) {
	var out enforcement
	rows, err := q.OrgSettings(ctx, org)
	for _, row := range rows {
		switch row.Name {
		case settingSSO:
			out.enforced = row.Value == "required"
		case settingSSOExempt:
			out.exempt = domain.UserID(row.Value)
		}
	}
	return out, err
}

// throughSSO tells whether a login came through a connection.
func throughSSO(method string) bool {
	kind, _, ok := strings.Cut(method, ":")
	return ok && (kind == ssoOIDC || kind == ssoSAML || kind == ssoLDAP)
}

// ssoOnly refuses the session of a person who must log in through a connection and did not. It holds for every way to log in,
// whoever adds one.
func ssoOnly(ctx context.Context, q store.Queries, row store.Token) error {
	if row.PrincipalKind != domain.User || throughSSO(row.Method) {
		return nil
	}
	rule, err := enforcementOf(ctx, q, row.Org)
	if err != nil || !rule.enforced || string(rule.exempt) == row.PrincipalID {
		return err
	}
	return fault.New(fault.Unauthenticated, "your organisation logs in through single sign-on only").WithHint("log in with: keyturn login --sso NAME")
}

// EnforceSSO decides whether people must log in through a connection. One admin, by address or id, may go on using a password,
// so that a provider that is down locks nobody out for good; sessions of all others that did not come through a connection end.
func (s *Service) EnforceSSO(ctx context.Context, enforced bool, exempt string) error {
	facts := map[string]string{"sso": "enforcement", "enforced": map[bool]string{true: "yes", false: "no"}[enforced]}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		var admin store.Person
		if enforced {
			var err error
			if admin, err = s.breakGlass(ctx, tx, p, exempt); err != nil {
				return err
			}
			p.Note("exempt", string(admin.ID))
			if err := s.hasWayIn(ctx, tx, p.Org(), ""); err != nil {
				return err
			}
		}
		value := map[bool]string{true: "required", false: "optional"}[enforced]
		err := tx.PutOrgSettings(ctx, &store.OrgSetting{Org: p.Org(), Name: settingSSO, Value: value, At: tx.Now()},
			&store.OrgSetting{Org: p.Org(), Name: settingSSOExempt, Value: string(admin.ID), At: tx.Now()})
		if err != nil || !enforced {
			return err
		}
		all, err := tx.Tokens(ctx, p.Org())
		if err != nil {
			return err
		}
		for _, t := range all {
			if t.Kind != domain.SessionToken || t.RevokedAt != 0 || throughSSO(t.Method) || t.PrincipalID == string(admin.ID) || t.ID == p.Principal().Token {
				continue
			}
			if _, err := tx.EndToken(ctx, &t); err != nil {
				return err
			}
		}
		return nil
	})
}

// breakGlass finds the admin who may go on using a password.
func (s *Service) breakGlass(ctx context.Context, tx *store.Tx, p guard.Permit, name string) (store.Person, error) {
	wrong := func(why string) error {
		return fault.New(fault.Invalid, "the exception must be an admin of the organisation with a password here: %s", why).WithField("/exempt", "not such an admin")
	}
	if name == "" {
		return store.Person{}, wrong("none is named")
	}
	id, err := s.principalID(ctx, tx.Queries, p.Org(), domain.User, strings.ToLower(name))
	if err != nil {
		return store.Person{}, err
	}
	row, err := tx.Person(ctx, domain.UserID(id))
	if err != nil {
		return store.Person{}, err
	}
	if row.Disabled || row.Password == "" {
		return store.Person{}, wrong("the account is disabled or has no password")
	}
	held, err := tx.GrantsOf(ctx, id)
	if err != nil {
		return store.Person{}, err
	}
	for _, g := range held {
		if g.Role == domain.Admin && g.Project == "" && g.ExpiresAt == 0 && !strings.HasPrefix(g.Cause, "sso:") {
			return row, nil
		}
	}
	return store.Person{}, wrong("the role is missing, or comes from a connection")
}

// hasWayIn refuses when no connection lets people in, the one with the id but left out.
func (s *Service) hasWayIn(ctx context.Context, tx *store.Tx, org domain.OrgID, but string) error {
	rows, err := tx.SSOConnections(ctx, org)
	if err != nil {
		return err
	}
	for _, c := range rows {
		if c.Enabled && c.Kind != ssoSCIM && c.ID != but {
			return nil
		}
	}
	return fault.New(fault.Conflict, "people would have no way to log in: there is no other connection that is switched on").WithHint("make one and test it first")
}

// lastWayIn refuses to remove the only connection of an organisation that enforces single sign-on.
func (s *Service) lastWayIn(ctx context.Context, tx *store.Tx, c store.SSOConnection) error {
	rule, err := enforcementOf(ctx, tx.Queries, c.Org)
	if err != nil || !rule.enforced || c.Kind == ssoSCIM {
		return err
	}
	return s.hasWayIn(ctx, tx, c.Org, c.ID)
}

// exempted tells whether somebody is the exception, whom no directory may switch off.
func exempted(ctx context.Context, q store.Queries, org domain.OrgID, user domain.UserID) (bool, error) {
	rule, err := enforcementOf(ctx, q, org)
	return rule.enforced && rule.exempt == user, err
}
