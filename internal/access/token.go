package access

import (
	"context"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// putToken makes a token for a principal; only its hash is stored.
func putToken(ctx context.Context, tx *store.Tx, row store.Token) (store.Token, sensitive.Value, error) {
	value := domain.NewToken(row.Kind)
	hash := domain.TokenHash(string(value.Reveal()))
	row.ID, row.Hash, row.CreatedAt = domain.NewID[domain.TokenID](), hash[:], tx.Now()
	return row, value, tx.PutToken(ctx, &row)
}

// Authenticate finds who shows a token. An unknown, revoked or expired token and one of a disabled principal are refused
// alike. The address is where it comes from.
func (s *Service) Authenticate(ctx context.Context, token, address string) (*domain.Principal, error) {
	hash := domain.TokenHash(token)
	s.mu.RLock()
	b, generation := s.bearers[hash], s.generation
	s.mu.RUnlock()
	if b == nil {
		var err error
		if b, err = s.load(ctx, token, hash); err != nil {
			return nil, err
		}
		s.mu.Lock()
		if s.generation == generation { // otherwise something was revoked meanwhile, perhaps this
			if len(s.bearers) >= maxBearers {
				clear(s.bearers)
			}
			s.bearers[hash] = b
		}
		s.mu.Unlock()
	}
	if p := b.who; p.ExpiresAt != 0 && time.Now().UnixMilli() >= p.ExpiresAt {
		return nil, unknown().WithHint("the token has expired: log in again")
	}
	return b.who, s.use(ctx, b, address)
}

func unknown() *fault.Error {
	return fault.New(fault.Unauthenticated, "the token is not valid: unknown, expired or revoked").WithHint("log in with: keyturn login")
}

func (s *Service) load(ctx context.Context, token string, hash [32]byte) (*bearer, error) {
	if kind, err := domain.CheckToken(token); err != nil {
		return nil, err
	} else if kind != domain.SessionToken && kind != domain.AccessToken && kind != domain.APIToken && kind != domain.SCIMToken {
		return nil, fault.New(fault.Unauthenticated, "this is not an access token").WithHint("log in with it first: keyturn login --client-id ID")
	}
	row, err := s.db.TokenByHash(ctx, hash[:])
	if err != nil {
		if fault.KindOf(err) != fault.NotFound {
			return nil, err
		}
		if s.onUnknown != nil {
			if err := s.onUnknown(ctx, hash); err != nil {
				return nil, err
			}
		}
		return nil, unknown()
	}
	if row.RevokedAt != 0 {
		return nil, revoked(row)
	}
	p, err := s.holder(ctx, row)
	if err != nil {
		return nil, err
	}
	return newBearer(p, row)
}

// holder makes the principal that shows a token which is not revoked.
func (s *Service) holder(ctx context.Context, row store.Token) (*domain.Principal, error) {
	end, err := lineage(ctx, s.db.Queries, row)
	if err != nil {
		return nil, err
	}
	name, disabled, err := s.nameOf(ctx, s.db.Queries, row.PrincipalKind, row.PrincipalID)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if disabled || err != nil {
		return nil, unknown()
	}
	p := &domain.Principal{Kind: row.PrincipalKind, ID: row.PrincipalID, Name: name, Org: row.Org, Token: row.ID, Scopes: row.Scopes, ExpiresAt: end,
		Method: row.Method, AuthAt: row.AuthAt, MFAAt: row.MFAAt, Attributes: row.Attributes}
	if row.Method == domain.BreakGlassMethod { // it has what was prepared, and nothing of its holder's own
		if err := heldBy(ctx, s.db.Queries, p, row.Attributes[domain.BreakGlassAttribute]); err != nil {
			return nil, err
		}
		return p, nil
	}
	p.Session, p.Idle = row.Kind == domain.SessionToken, row.Idle
	if err := s.duties(ctx, p, row); err != nil {
		return nil, err
	}
	if p.Groups, err = groupsOf(ctx, s.db.Queries, row.PrincipalID); err != nil {
		return nil, err
	}
	if err := rightsOf(ctx, s.db.Queries, p); err != nil {
		return nil, err
	}
	return p, narrow(ctx, s.db.Queries, p, row.Policies)
}

// rightsOf loads what somebody was given and makes it quick to ask.
func rightsOf(ctx context.Context, q store.Queries, p *domain.Principal) error {
	grants, err := grantsOf(ctx, q, p)
	if err != nil {
		return err
	}
	return prepareRights(ctx, q, p, grants)
}

// heldBy loads what something else than the principal was given, in place of his own.
func heldBy(ctx context.Context, q store.Queries, p *domain.Principal, holder string) error {
	grants, err := grantsOf(ctx, q, &domain.Principal{ID: holder})
	if err != nil {
		return err
	}
	return prepareRights(ctx, q, p, grants)
}

func prepareRights(ctx context.Context, q store.Queries, p *domain.Principal, grants []domain.Grant) error {
	p.Grants = grants
	for _, g := range p.Grants {
		if _, known := p.Roles[g.Role]; known || g.Role.IsBuiltIn() {
			continue
		}
		row, err := q.Role(ctx, domain.RoleID(g.Role))
		if fault.KindOf(err) == fault.NotFound && err != nil {
			continue // gone between two questions: it gives nothing
		}
		if err != nil {
			return err
		}
		if p.Roles == nil {
			p.Roles = map[domain.Role]domain.CustomRole{}
		}
		p.Roles[g.Role] = domain.CustomRole{Name: row.Name, Rules: row.Rules}
	}
	policy.Prepare(p)
	return nil
}

// maxGroups bounds the groups of one principal, direct and through others.
const maxGroups = 1000

// groupsOf gives the groups that somebody is in, directly or through other groups.
func groupsOf(ctx context.Context, q store.Queries, member string) ([]domain.GroupID, error) {
	var out []domain.GroupID
	seen := map[domain.GroupID]bool{}
	for open := []string{member}; len(open) > 0; open = open[1:] {
		rows, err := q.GroupsOf(ctx, open[0])
		if err != nil {
			return nil, err
		}
		for _, m := range rows {
			if seen[m.Group] {
				continue
			}
			seen[m.Group] = true
			if out = append(out, m.Group); len(out) > maxGroups {
				return nil, fault.New(fault.Exhausted, "a principal is in more than %d groups", maxGroups)
			}
			open = append(open, string(m.Group))
		}
	}
	return out, nil
}

// grantsOf gives what somebody holds himself and through his groups.
func grantsOf(ctx context.Context, q store.Queries, p *domain.Principal) ([]domain.Grant, error) {
	var out []domain.Grant
	add := func(holder string, via domain.GroupID) error {
		rows, err := q.GrantsOf(ctx, holder)
		for _, g := range rows {
			out = append(out, domain.Grant{ID: g.ID, Project: g.Project, Env: g.Env, Path: g.Path, Role: g.Role, ExpiresAt: g.ExpiresAt, Via: via})
		}
		return err
	}
	if err := add(p.ID, ""); err != nil {
		return nil, err
	}
	for _, g := range p.Groups {
		if err := add(string(g), g); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) nameOf(ctx context.Context, q store.Queries, kind domain.PrincipalKind, id string) (name string, disabled bool, err error) {
	if kind == domain.User {
		row, err := q.Person(ctx, domain.UserID(id))
		return string(row.Email), row.Disabled, err
	}
	if kind == domain.Directory {
		row, err := q.SSOConnection(ctx, id)
		return row.Name, !row.Enabled, err
	}
	row, err := q.Identity(ctx, domain.IdentityID(id))
	return string(row.Name), row.Disabled, err
}

// Places finds the ids of a project and of its environments by slug, so that scopes can be written in words.
type Places interface {
	Place(ctx context.Context, project string) (domain.ProjectID, map[domain.Slug]domain.EnvID, error)
	// Tags gives those of a live secret, none when it is not there.
	Tags(ctx context.Context, project domain.ProjectID, env domain.EnvID, path domain.Path, name domain.SecretName) ([]domain.Tag, error)
	// Map lists every live project.
	Map(ctx context.Context) ([]domain.Placed, error)
}

// TokenInput is what a new token may do and for how long.
type TokenInput struct {
	Name    string
	Project string // slug or id
	Scopes  string // as domain.ParseScopes takes it
	TTL     time.Duration
}

// CreateToken makes an API token that acts as the caller, narrowed to scopes: it can never do more than he.
func (s *Service) CreateToken(ctx context.Context, places Places, in TokenInput) (store.Token, sensitive.Value, error) {
	if in.TTL < minTokenTTL || in.TTL > maxTokenTTL {
		return store.Token{}, sensitive.Value{}, fault.New(fault.Invalid, "the lifetime must be between %v and 366 days", minTokenTTL).WithField("/ttl", "out of range")
	}
	if in.Name == "" {
		in.Name = "token"
	}
	if _, err := domain.ParseLabel(in.Name); err != nil {
		return store.Token{}, sensitive.Value{}, err
	}
	texts, err := domain.ParseScopes(in.Scopes)
	if err != nil {
		return store.Token{}, sensitive.Value{}, err
	}
	who := guard.CallerOf(ctx).Principal
	project, envs, err := places.Place(ctx, in.Project)
	if err != nil {
		return store.Token{}, sensitive.Value{}, s.door.Miss(ctx, guard.Op{Action: policy.TokenCreate}, err)
	}
	var scopes []domain.Scope
	for _, t := range texts {
		scope := domain.Scope{Project: project, Path: t.Path, Verbs: t.Verbs}
		if t.Env != "*" {
			id, ok := envs[domain.Slug(t.Env)]
			if !ok || !s.door.Check(ctx, policy.ProjectRead, policy.Resource{Org: who.Org, Project: project, Env: id, EnvSlug: domain.Slug(t.Env)}) {
				return store.Token{}, sensitive.Value{}, s.door.Miss(ctx, guard.Op{Action: policy.TokenCreate}, fault.New(fault.NotFound, "no such environment"))
			}
			scope.Env = id
		}
		scopes = append(scopes, scope)
	}
	var row store.Token
	var value sensitive.Value
	op := guard.Op{Action: policy.TokenCreate, Resource: policy.Resource{Org: who.Org, Project: project}, Detail: map[string]string{"scopes": in.Scopes, "name": in.Name}}
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) (err error) {
		row = store.Token{Org: p.Org(), Kind: domain.APIToken, Name: in.Name, PrincipalKind: p.Principal().Kind, PrincipalID: p.Principal().ID,
			Scopes: scopes, ExpiresAt: tx.Now() + in.TTL.Milliseconds(), Parent: who.Token}
		if err := inherit(ctx, tx, &row); err != nil {
			return err
		}
		row, value, err = putToken(ctx, tx, row)
		return err
	})
	return row, value, err
}

// inherit keeps a token from being the way out of the limits of the one that makes it: where it may come from, how often it may be
// used, which roles count, whether it ends with another, and of machines, whose logins are short on purpose, how long.
func inherit(ctx context.Context, tx *store.Tx, row *store.Token) error {
	if row.Parent == "" {
		return nil
	}
	parent, err := tx.Token(ctx, row.Parent)
	if err != nil {
		return err
	}
	if row.Networks, err = narrower(row.Networks, parent.Networks); err != nil {
		return err
	}
	if row.Policies == nil {
		row.Policies = parent.Policies
	}
	if parent.Family != "" && !row.Orphan {
		if err := adopt(ctx, tx.Queries, row, parent); err != nil {
			return err
		}
	}
	switch end := max(parent.ExpiresAt, parent.RenewUntil); {
	case parent.Uses > 0:
		return fault.New(fault.Denied, "a token that may be used so many times only makes no others")
	case parent.PrincipalKind == domain.Identity && end != 0 && row.ExpiresAt > end:
		return fault.New(fault.Denied, "the token of a machine makes none that outlives it").WithHint("ask for a shorter life, or let an admin make an API key: keyturn apikey create")
	}
	return nil
}

// Current gives the token that the caller shows, for programs that ask what they hold.
func (s *Service) Current(ctx context.Context) (store.Token, error) {
	who := guard.CallerOf(ctx).Principal
	var out store.Token
	err := s.door.Read(ctx, guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "token"}}, func(guard.Permit) (err error) {
		out, err = s.db.Token(ctx, who.Token)
		return err
	})
	return out, err
}

// Tokens lists the caller's own tokens, or everybody's for those who may see them, the newest first.
func (s *Service) Tokens(ctx context.Context, all bool) ([]store.Token, error) {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "tokens"}}
	if all {
		op.Action = policy.AccessRead
	}
	var out []store.Token
	err := s.door.Read(ctx, op, func(p guard.Permit) (err error) {
		if all {
			out, err = s.db.Tokens(ctx, p.Org())
		} else {
			out, err = s.db.TokensOf(ctx, who.ID)
		}
		s.noteUses(out)
		return err
	})
	return out, err
}

// TokensByUse gives the same, that which was used last first.
func (s *Service) TokensByUse(ctx context.Context, all bool) ([]store.Token, error) {
	out, err := s.Tokens(ctx, all)
	s.byLastUse(out)
	return out, err
}

// RevokeToken ends a token at once, on every server. One's own may always be ended, others' by those who manage access.
func (s *Service) RevokeToken(ctx context.Context, id domain.TokenID) error {
	who := guard.CallerOf(ctx).Principal
	row, err := s.db.Token(ctx, id)
	op := guard.Op{Action: policy.TokenRevoke, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"token": domain.RecordedName(string(id))}}
	if err != nil || row.Org != who.Org {
		if err == nil {
			err = fault.New(fault.NotFound, "no such token")
		}
		return s.door.Miss(ctx, op, err)
	}
	if row.PrincipalID != who.ID {
		op.Action = policy.AccessManage
	}
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Token(ctx, id)
		if err != nil {
			return err
		}
		if row.RevokedAt != 0 {
			return nil
		}
		if _, err := tx.EndToken(ctx, &row); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
	return unseen(err)
}

// unseen hides from those who may not manage access whether there is such a thing at all. The log has both.
func unseen(err error) error {
	if fault.KindOf(err) == fault.Denied {
		return guard.Missing()
	}
	return err
}

// Refused records that a credential was refused and gives the cause back. A flood of them is recorded in part: the log is
// for evidence, not for an attacker to fill the disk with.
func (s *Service) Refused(ctx context.Context, cause error) error {
	if fault.KindOf(cause) != fault.Unauthenticated {
		return cause
	}
	return s.fail(ctx, guard.Op{Action: policy.SessionLogin, Detail: refusedToken(cause)}, cause)
}

// fail records a failure that anybody can cause as often as he likes.
func (s *Service) fail(ctx context.Context, op guard.Op, cause error) error {
	if !s.refusals.Allow() {
		s.unrecorded.Add(1)
		return cause
	}
	if op.Detail == nil {
		op.Detail = map[string]string{}
	}
	if n := s.unrecorded.Swap(0); n > 0 {
		op.Detail["not_recorded_before"] = strconv.FormatInt(n, 10)
	}
	return s.door.Fail(ctx, op, cause)
}
