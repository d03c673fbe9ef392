package access

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds of tokens that are made by tokens.
const (
	// MaxLease is how long such a token lives when nothing else is asked for, and how far it can be renewed unless it is
	// periodic: 32 days, as clients of Vault expect.
	MaxLease     = 32 * 24 * time.Hour
	maxMeta      = 64  // entries
	maxMetaKey   = 128 // bytes
	maxMetaValue = 512 // bytes
	maxPolicies  = 100 // names in one request, or of one role
)

// ChildInput is a token that the caller's token makes. It acts as the caller and can never do more than he.
type ChildInput struct {
	Policies     []string // names of roles, "root" for an admin of the organisation; nil for those of the parent
	NoDefault    bool     // leave "default" out of what is shown
	Meta         map[string]string
	TTL          time.Duration // 0 for [MaxLease]; what is too long is cut
	ExplicitMax  time.Duration // 0 for none
	Period       time.Duration // 0: not periodic; others are for who manages access
	Display      string
	Uses         int64 // 0 for any number
	NotRenewable bool
	Batch        bool
	Orphan       bool   // it does not end with its parent: for who manages access
	Role         string // name of a token role, "" for none
}

// ErrNotSubset is the cause when somebody asks for a policy that he does not have himself.
var ErrNotSubset = errors.New("not a subset")

// unfit leaves letters, digits and hyphens, of which names that clients show consist.
var unfit = regexp.MustCompile(`[^a-zA-Z0-9-]`)

// check refuses what no token can have.
func (in *ChildInput) check() error {
	if in.Display != "" {
		if _, err := domain.ParseLabel(in.Display); err != nil {
			return fault.New(fault.Invalid, "the display name must be 1 to 200 printable characters").WithField("/display_name", "not printable")
		}
	}
	switch {
	case in.TTL < 0, in.ExplicitMax < 0, in.Period < 0:
		return fault.New(fault.Invalid, "durations must not be negative")
	case in.TTL > 0 && in.TTL < minTokenTTL, in.ExplicitMax > 0 && in.ExplicitMax < minTokenTTL, in.Period > 0 && in.Period < minTokenTTL:
		return fault.New(fault.Invalid, "durations must be a second or more")
	case in.Period > maxTokenTTL:
		return fault.New(fault.Invalid, "the period must be 366 days or less")
	case in.Uses < 0 || in.Uses > maxTokenUses:
		return fault.New(fault.Invalid, "number of uses cannot be negative, nor above %d", int64(maxTokenUses))
	case in.Batch && (in.Uses > 0 || in.Period > 0):
		return fault.New(fault.Invalid, "batch tokens cannot be periodic or limited in their uses")
	case len(in.Policies) > maxPolicies:
		return fault.New(fault.Invalid, "too many policies: at most %d", maxPolicies)
	}
	return checkMeta(in.Meta)
}

// checkMeta bounds what is noted about a token.
func checkMeta(meta map[string]string) error {
	if len(meta) > maxMeta {
		return fault.New(fault.Invalid, "too much metadata: at most %d entries", maxMeta).WithField("/meta", "too many")
	}
	for k, v := range meta {
		if k == "" || len(k) > maxMetaKey || len(v) > maxMetaValue || !printable(k) || !printable(v) {
			return fault.New(fault.Invalid, "metadata must be printable: names of 1 to %d bytes, values up to %d", maxMetaKey, maxMetaValue).WithField("/meta", "out of range")
		}
	}
	return nil
}

// printable tells whether a text shows as what it is: no controls, and nothing that changes the order of the others.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// CreateChild makes a token for the caller, and says what could not be given as it was asked for. A policy that the caller may not
// give has the cause [ErrNotSubset].
func (s *Service) CreateChild(ctx context.Context, in ChildInput) (Session, []string, error) {
	if err := in.check(); err != nil {
		return Session{}, nil, err
	}
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.TokenCreate, Resource: s.creating(ctx, who), Detail: map[string]string{"parent": string(who.Token)}}
	if in.Role != "" {
		op.Detail["token_role"] = domain.RecordedLabel(in.Role)
	}
	if who.Kind == domain.User && who.Session { // the child is asked for no fresh proof, so its making is
		prove := guard.Op{Action: policy.SelfManage, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"token": "create"}}
		if err := s.door.Read(ctx, prove, func(guard.Permit) error { return nil }); err != nil {
			return Session{}, nil, err
		}
	}
	manages := s.door.Check(ctx, policy.AccessManage, policy.Resource{Org: who.Org})
	var out Session
	var warnings []string
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		parent, err := tx.Token(ctx, who.Token)
		if err != nil {
			return err
		}
		m := &making{in: in, who: who, parent: parent, privileged: manages}
		row, err := m.row(ctx, tx)
		if err != nil {
			return err
		}
		var value sensitive.Value
		if row, value, err = putToken(ctx, tx, row); err != nil {
			return err
		}
		p.Note("made", string(row.ID))
		out, warnings = Session{Token: value, Row: row, Name: who.Name}, m.warnings
		return nil
	})
	return out, warnings, err
}

// creating is where the caller may make tokens: anywhere, or else in the first place where a role of his lets him.
func (s *Service) creating(ctx context.Context, who *domain.Principal) policy.Resource {
	r := policy.Resource{Org: who.Org}
	if s.door.Check(ctx, policy.TokenCreate, r) {
		return r
	}
	for _, g := range who.Grants {
		in := policy.Resource{Org: who.Org, Project: g.Project, Env: g.Env}
		if g.Project != "" && s.door.Check(ctx, policy.TokenCreate, in) {
			return in
		}
	}
	return r
}

// making is one token on its way.
type making struct {
	in         ChildInput
	who        *domain.Principal
	parent     store.Token
	privileged bool // the maker manages access in the organisation
	suffix     string
	networks   []string
	warnings   []string
}

// row makes the row of the token.
func (m *making) row(ctx context.Context, tx *store.Tx) (store.Token, error) {
	if m.in.Orphan && !m.privileged || m.in.Period > 0 && !m.privileged {
		return store.Token{}, fault.New(fault.Denied, "only who manages access makes tokens that are periodic, or do not end with their parent").
			WithHint("leave period and no_parent out, or let an admin make a token role that has them")
	}
	if err := m.applyRole(ctx, tx); err != nil {
		return store.Token{}, err
	}
	in := m.in
	row := store.Token{Org: m.parent.Org, Kind: domain.APIToken, Name: "child", PrincipalKind: m.parent.PrincipalKind, PrincipalID: m.parent.PrincipalID, Scopes: m.parent.Scopes,
		Attributes: m.parent.Attributes, Parent: m.parent.ID, Uses: in.Uses, Networks: m.networks, Meta: in.Meta, Orphan: in.Orphan, Batch: in.Batch,
		Display: "token", Path: "auth/token/create", TokenRole: in.Role}
	if in.Display != "" {
		row.Name = in.Display
		row.Display = strings.TrimSuffix(unfit.ReplaceAllString("token-"+in.Display, "-"), "-")
	}
	if in.Role != "" {
		row.Path += "/" + in.Role
	} else if in.Orphan {
		row.Path += "-orphan"
	}
	if m.suffix != "" {
		row.Path += "/" + m.suffix
	}
	var err error
	if row.Policies, err = m.policies(ctx, tx.Queries); err != nil {
		return store.Token{}, err
	}
	if err := m.times(ctx, tx, &row); err != nil {
		return store.Token{}, err
	}
	if err := inherit(ctx, tx, &row); err != nil {
		return store.Token{}, err
	}
	if !in.Orphan && row.Family == "" {
		err = adopt(ctx, tx.Queries, &row, m.parent)
	}
	return row, err
}

// times sets when the token ends and how far it can be renewed. What would outlive its parent is cut: nobody makes a token that
// lives longer than the one that he has, but for a person with an orphan.
func (m *making) times(ctx context.Context, tx *store.Tx, row *store.Token) error {
	in, now := m.in, tx.Now()
	ttl := in.TTL
	if ttl == 0 {
		ttl = MaxLease
	}
	if in.Period > 0 {
		ttl = in.Period
	} else if ttl > MaxLease {
		ttl = MaxLease
		m.warn("TTL of the token exceeded the longest lease of 32 days; it was cut to that")
	}
	if in.ExplicitMax > 0 && ttl > in.ExplicitMax {
		ttl = in.ExplicitMax
		m.warn("explicit max TTL is below the TTL, which was cut to it")
	}
	row.TTL, row.Period, row.ExplicitMax = ttl.Milliseconds(), in.Period.Milliseconds(), in.ExplicitMax.Milliseconds()
	row.ExpiresAt = now + row.TTL
	if in.Period == 0 {
		row.RenewUntil = now + MaxLease.Milliseconds()
	}
	if in.ExplicitMax > 0 {
		row.RenewUntil = earlier(row.RenewUntil, now+row.ExplicitMax)
	}
	if !in.Orphan || m.parent.PrincipalKind != domain.User {
		end, err := lineage(ctx, tx.Queries, m.parent)
		if err != nil {
			return err
		}
		if end != 0 && row.ExpiresAt > end {
			row.ExpiresAt = end
			row.TTL = end - now
			m.warn("the token would outlive the one that makes it; its TTL was cut to what that has left")
		}
		if open := m.parent.Period > 0 && m.parent.RenewUntil == 0 && !in.Orphan; !open {
			row.RenewUntil = earlier(row.RenewUntil, max(m.parent.ExpiresAt, m.parent.RenewUntil))
		}
	}
	if in.NotRenewable || in.Batch {
		row.RenewUntil, row.Period = 0, 0
	}
	return nil
}

func (m *making) warn(text string) { m.warnings = append(m.warnings, text) }

// earlier gives the earlier of two moments; zero is never.
func earlier(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// policies turns the names that were asked for into roles; nil for all that the parent has.
func (m *making) policies(ctx context.Context, q store.Queries) ([]domain.Role, error) {
	names := slices.Clone(m.in.Policies)
	if names == nil {
		if m.parent.Policies == nil && !m.in.NoDefault {
			return nil, nil
		}
		names = PolicyNames(m.who)
		if m.parent.Policies != nil && !slices.Contains(m.parent.Policies, domain.DefaultPolicy) {
			m.in.NoDefault = true
		}
	}
	out := []domain.Role{}
	for _, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" || name == string(domain.DefaultPolicy) {
			continue
		}
		role, err := m.role(ctx, q, name)
		if err != nil {
			return nil, err
		}
		out = append(out, role)
	}
	if !m.in.NoDefault {
		out = append(out, domain.DefaultPolicy)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func notSubset() error {
	return fault.Wrap(fault.Invalid, ErrNotSubset, "child policies must be subset of parent")
}

// role finds what a policy is called here, and whether the maker may give it: because he has it, or could give it to others.
func (m *making) role(ctx context.Context, q store.Queries, name string) (domain.Role, error) {
	if name == "root" {
		if !slices.ContainsFunc(m.who.Grants, func(g domain.Grant) bool {
			return g.Role == domain.Admin && g.Project == "" && g.Path == "" && (g.ExpiresAt == 0 || g.ExpiresAt > time.Now().UnixMilli())
		}) {
			return "", fault.Wrap(fault.Invalid, ErrNotSubset, "root tokens may not be created without parent token being root")
		}
		return domain.Admin, nil
	}
	role := domain.Role(name)
	if !role.IsBuiltIn() {
		row, err := q.RoleByName(ctx, m.parent.Org, domain.Slug(name))
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return "", notSubset()
		}
		if err != nil {
			return "", err
		}
		role = domain.Role(row.ID)
	}
	if slices.Contains(PolicyNames(m.who), name) {
		return role, nil
	}
	given, _, err := everywhere(ctx, q, role)
	if err != nil {
		return "", err
	}
	if policy.MayGive(m.who, given, policy.Facts{At: time.Now().UnixMilli()}) != nil {
		return "", notSubset()
	}
	return role, nil
}
