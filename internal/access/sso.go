package access

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Kinds of connections.
const (
	ssoOIDC = "oidc"
	ssoSAML = "saml"
	ssoLDAP = "ldap"
	ssoSCIM = "scim"
)

const (
	// maxConnections bounds those of an organisation: companies that were merged have a handful.
	maxConnections = 50
	// maxSSORules bounds the domains and the groups of one connection.
	maxSSORules = 500
	// ssoTimeout bounds a call to a provider, with a person waiting.
	ssoTimeout = 15 * time.Second
	// cookieSecret is the key that authenticates the cookies of logins under way.
	cookieSecret = "sso.cookie"
)

// ssoState is what single sign-on needs beside the database.
type ssoState struct {
	rules outbound.Rules
	base  string // address that people open, "" when nobody said

	mu        sync.Mutex
	providers map[string]discovered // by connection
}

// SSOWith tells by which rules providers are called, and under which address people open the server. It is called before the
// first request.
func (s *Service) SSOWith(rules outbound.Rules, publicURL string) {
	s.sso.rules, s.sso.base, s.sso.providers = rules, strings.TrimSuffix(publicURL, "/"), map[string]discovered{}
}

// PublicURL is the address that people open, "" when nobody said.
func (s *Service) PublicURL() string { return s.sso.base }

func ssoSecret(id string) string { return "sso." + id }

// ssoCause is what stands at grants and places in groups that a connection gave.
func ssoCause(id string) string { return "sso:" + id }

// address gives one of our own, below a connection.
func (s *Service) ssoAddress(name, what string) (string, error) {
	if s.sso.base == "" {
		return "", fault.New(fault.Unavailable, "the server does not know its own address").WithHint("set KEYTURN_PUBLIC_URL to what people open in their browsers, such as https://keyturn.example.com")
	}
	return s.sso.base + api.Prefix + "/sso/" + name + "/" + what, nil
}

func (s *Service) ssoService(name string) (login.Service, error) {
	entity, err := s.ssoAddress(name, "metadata")
	if err != nil {
		return login.Service{}, err
	}
	acs, err := s.ssoAddress(name, "acs")
	return login.Service{Entity: entity, ACS: acs}, err
}

// accept turns a request into a row, with everything checked that needs no call to anybody.
func (s *Service) acceptSSO(row *store.SSOConnection, in api.SSORequest) error {
	name, err := domain.ParseSlug(in.Name)
	if err != nil {
		return err
	}
	row.Name, row.Enabled = string(name), !in.Disabled
	var settings any
	switch {
	case in.OIDC != nil && in.SAML == nil && in.LDAP == nil:
		o := login.OIDC(*in.OIDC)
		row.Kind, settings, err = ssoOIDC, in.OIDC, o.Check()
	case in.SAML != nil && in.OIDC == nil && in.LDAP == nil:
		row.Kind, settings = ssoSAML, in.SAML
		_, err = login.SAML(*in.SAML).Open(login.Service{})
		if err == nil && in.Secret != "" {
			err = fault.New(fault.Invalid, "a SAML connection has no secret").WithField("/secret", "not used")
		}
	case in.LDAP != nil && in.OIDC == nil && in.SAML == nil:
		l := login.LDAP(*in.LDAP)
		row.Kind, settings, err = ssoLDAP, in.LDAP, l.Check()
	default:
		return fault.New(fault.Invalid, "want the settings of exactly one of oidc, saml and ldap")
	}
	if err != nil {
		return err
	}
	if row.Settings, err = json.Marshal(settings); err != nil {
		return fault.Wrap(fault.Internal, err, "the settings cannot be kept")
	}
	if row.Rules.Domains, err = ssoDomains(in.Domains); err != nil {
		return err
	}
	row.Rules.Create = in.Create
	return nil
}

// ssoDomains gives the domains of addresses in their one form.
func ssoDomains(in []string) ([]string, error) {
	var out []string
	for _, d := range in {
		email, err := domain.ParseEmail("x@" + strings.TrimSuffix(strings.TrimPrefix(d, "@"), "."))
		if err != nil {
			return nil, fault.New(fault.Invalid, "a domain is not valid: want such as example.com").WithField("/domains", "not valid")
		}
		out = append(out, strings.TrimPrefix(string(email), "x@"))
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) > maxSSORules {
		return nil, fault.New(fault.Invalid, "there are more than %d domains", maxSSORules).WithField("/domains", "too many")
	}
	return out, nil
}

// speaksFor tells whether a connection may say whose an address is.
func speaksFor(rules store.SSORules, email domain.Email) bool {
	_, host, ok := strings.Cut(string(email), "@")
	return ok && slices.Contains(rules.Domains, host)
}

// CreateSSO makes a connection.
func (s *Service) CreateSSO(ctx context.Context, places Places, in api.SSORequest) (api.SSOConnection, error) {
	return s.putSSO(ctx, places, "", in)
}

// UpdateSSO replaces a connection; its kind and name stay. A secret that is not given stays as it is.
func (s *Service) UpdateSSO(ctx context.Context, places Places, name string, in api.SSORequest) (api.SSOConnection, error) {
	return s.putSSO(ctx, places, name, in)
}

func (s *Service) putSSO(ctx context.Context, places Places, old string, in api.SSORequest) (api.SSOConnection, error) {
	facts := map[string]string{"sso": domain.RecordedName(in.Name), "change": "create"}
	if old != "" {
		facts["change"] = "update"
	}
	groups, err := s.ssoPlaces(ctx, places, in.Groups)
	if err != nil {
		return api.SSOConnection{}, err
	}
	var row store.SSOConnection
	err = s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		if err := s.settleSSO(ctx, tx, p, &row, old, in); err != nil {
			return err
		}
		if row.Rules.Groups, err = s.ssoGroups(ctx, tx, p, groups); err != nil {
			return err
		}
		if in.Secret != "" {
			if err := s.keep(ctx, tx, ssoSecret(row.ID), sensitive.FromString(in.Secret)); err != nil {
				return err
			}
		}
		if _, err := tx.InstanceSecret(ctx, cookieSecret); fault.KindOf(err) == fault.NotFound && err != nil {
			key := make([]byte, 32)
			_, _ = rand.Read(key) // never fails (crypto/rand)
			if err := s.keep(ctx, tx, cookieSecret, sensitive.New(key)); err != nil {
				return err
			}
		}
		if !row.Enabled {
			if err := s.lastWayIn(ctx, tx, row); err != nil {
				return err
			}
			if err := s.endSSOSessions(ctx, tx, row); err != nil {
				return err
			}
		}
		return tx.PutSSOConnection(ctx, &row)
	})
	if err != nil {
		return api.SSOConnection{}, err
	}
	s.forgetProvider(row.ID)
	return s.ssoView(row)
}

// settleSSO finds or makes the row of a connection and checks what only the database can tell.
func (s *Service) settleSSO(ctx context.Context, tx *store.Tx, p guard.Permit, row *store.SSOConnection, old string, in api.SSORequest) error {
	all, err := tx.AllSSOConnections(ctx)
	if err != nil {
		return err
	}
	if old != "" {
		i := slices.IndexFunc(all, func(c store.SSOConnection) bool { return c.Name == old && c.Org == p.Org() && c.Kind != ssoSCIM })
		if i < 0 {
			return noConnection()
		}
		if *row = all[i]; in.Name != row.Name {
			return fault.New(fault.Invalid, "the name of a connection stays: it stands in addresses that the provider knows").WithField("/name", "another")
		}
	}
	kind := row.Kind
	if err := s.acceptSSO(row, in); err != nil {
		return err
	}
	if old != "" {
		if kind != row.Kind {
			return fault.New(fault.Invalid, "the kind of a connection stays").WithHint("make another one")
		}
	} else {
		if slices.ContainsFunc(all, func(c store.SSOConnection) bool { return c.Name == row.Name }) {
			return fault.New(fault.Exists, "there is a connection of this name")
		}
		if len(all) >= maxConnections {
			return fault.New(fault.Exhausted, "there are %d connections already, and no more are kept", maxConnections)
		}
		row.ID, row.Org, row.CreatedAt, row.CreatedBy = domain.NewID[string](), p.Org(), tx.Now(), p.Principal().ID
	}
	return ownDomains(all, *row)
}

// ownDomains refuses domains that a connection of another organisation speaks for.
func ownDomains(all []store.SSOConnection, row store.SSOConnection) error {
	for _, c := range all {
		if c.Org != row.Org && slices.ContainsFunc(c.Rules.Domains, func(d string) bool { return slices.Contains(row.Rules.Domains, d) }) {
			return fault.New(fault.Exists, "a domain belongs to another organisation").WithField("/domains", "taken")
		}
	}
	return nil
}

func noConnection() *fault.Error {
	return fault.New(fault.NotFound, "there is no such connection").WithHint("see: keyturn sso list")
}

// SSOConnections lists the connections and what the organisation has decided.
func (s *Service) SSOConnections(ctx context.Context) (api.SSOConnections, error) {
	out := api.SSOConnections{Connections: []api.SSOConnection{}}
	err := s.ask(ctx, "sso connections", func(org domain.OrgID) error {
		rows, err := s.db.SSOConnections(ctx, org)
		if err != nil {
			return err
		}
		for _, row := range rows {
			view, err := s.ssoView(row)
			if err != nil {
				return err
			}
			out.Connections = append(out.Connections, view)
		}
		rule, err := enforcementOf(ctx, s.db.Queries, org)
		out.Enforced, out.Exempt = rule.enforced, string(rule.exempt)
		return err
	})
	return out, err
}

// SSOChoice is a way to log in that a page can offer before anybody is known.
type SSOChoice struct{ Name, Kind string }

// SSOChoices lists the ways to log in, for the page that offers them.
func (s *Service) SSOChoices(ctx context.Context) ([]SSOChoice, error) {
	rows, err := s.db.AllSSOConnections(ctx)
	var out []SSOChoice
	for _, row := range rows {
		if row.Enabled && row.Kind != ssoSCIM {
			out = append(out, SSOChoice{row.Name, row.Kind})
		}
	}
	return out, err
}

// DeleteSSO removes a connection with all that it gave: links, places in groups, roles, sessions, tokens of a directory. The
// accounts stay.
func (s *Service) DeleteSSO(ctx context.Context, name string) error {
	var id string
	err := s.manage(ctx, map[string]string{"sso": domain.RecordedName(name), "change": "delete"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := s.ssoNamed(ctx, tx.Queries, p.Org(), name)
		if err != nil {
			return err
		}
		id = row.ID
		if err := s.lastWayIn(ctx, tx, row); err != nil {
			return err
		}
		if err := s.endSSOSessions(ctx, tx, row); err != nil {
			return err
		}
		if err := s.takeBackSSO(ctx, tx, row); err != nil {
			return err
		}
		if err := tx.RemoveInstanceSecret(ctx, ssoSecret(row.ID)); err != nil {
			return err
		}
		return tx.RemoveSSOConnection(ctx, &row)
	})
	s.forgetProvider(id)
	return err
}

func (s *Service) ssoNamed(ctx context.Context, q store.Queries, org domain.OrgID, name string) (store.SSOConnection, error) {
	row, err := q.SSOConnectionByName(ctx, name)
	if err == nil && row.Org != org || err != nil && fault.KindOf(err) == fault.NotFound {
		return store.SSOConnection{}, noConnection()
	}
	return row, err
}

// takeBackSSO removes what a connection gave.
func (s *Service) takeBackSSO(ctx context.Context, tx *store.Tx, row store.SSOConnection) error {
	links, err := tx.SSOLinks(ctx, row.ID)
	if err != nil {
		return err
	}
	for i := range links {
		if err := tx.RemoveSSOLink(ctx, &links[i]); err != nil {
			return err
		}
	}
	members, err := tx.MembersOfCause(ctx, row.Org, ssoCause(row.ID))
	if err != nil {
		return err
	}
	for i := range members {
		if err := tx.RemoveGroupMember(ctx, &members[i]); err != nil {
			return err
		}
	}
	given, err := tx.GrantsOfCause(ctx, row.Org, ssoCause(row.ID))
	if err != nil {
		return err
	}
	for i := range given {
		if err := tx.RemoveGrant(ctx, &given[i]); err != nil {
			return err
		}
	}
	return s.releaseDirectory(ctx, tx, row)
}

// ssoMethod is what a login through a connection is called.
func ssoMethod(row store.SSOConnection) string { return row.Kind + ":" + row.Name }

// endSSOSessions ends what people logged in with through a connection, and the tokens of a directory.
func (s *Service) endSSOSessions(ctx context.Context, tx *store.Tx, row store.SSOConnection) error {
	all, err := tx.Tokens(ctx, row.Org)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.RevokedAt != 0 || t.Method != ssoMethod(row) && t.PrincipalID != row.ID {
			continue
		}
		if _, err := tx.EndToken(ctx, &t); err != nil {
			return err
		}
	}
	return nil
}

// ssoView is what people see of a connection.
func (s *Service) ssoView(row store.SSOConnection) (api.SSOConnection, error) {
	out := api.SSOConnection{ID: row.ID, Name: row.Name, Kind: row.Kind, Disabled: !row.Enabled, Domains: row.Rules.Domains, Create: row.Rules.Create, CreatedAt: time.UnixMilli(row.CreatedAt).UTC()}
	for _, g := range row.Rules.Groups {
		out.Groups = append(out.Groups, api.SSOGroup{Value: g.Value, Group: string(g.Group), Role: string(g.Role), Project: string(g.Project), Env: string(g.Env)})
	}
	var err error
	switch row.Kind {
	case ssoOIDC:
		out.OIDC = new(api.OIDCSettings)
		err = json.Unmarshal(row.Settings, out.OIDC)
		out.RedirectURI, _ = s.ssoAddress(row.Name, "callback") // an address that is not known is not shown
	case ssoSAML:
		out.SAML = new(api.SAMLSettings)
		err = json.Unmarshal(row.Settings, out.SAML)
		us, _ := s.ssoService(row.Name)
		out.ACS, out.Metadata = us.ACS, us.Entity
	case ssoLDAP:
		out.LDAP = new(api.LDAPSettings)
		err = json.Unmarshal(row.Settings, out.LDAP)
	}
	if err != nil {
		return out, fault.Wrap(fault.Internal, err, "the settings of a connection are damaged")
	}
	return out, nil
}
