package access

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
)

// maxACLAsked bounds the paths of one question about capabilities.
const maxACLAsked = 200

// ACLPlaces finds what paths of the Vault view are about.
type ACLPlaces interface {
	ACLMounts
	Places
}

// Capabilities tells for each path of the Vault view what the caller may do there, as the words of ACL policies, sorted. "root"
// alone is of who may do everything, "deny" alone of who may do nothing.
func (s *Service) Capabilities(ctx context.Context, places ACLPlaces, paths []string) (map[string][]string, error) {
	c := guard.CallerOf(ctx)
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: c.Principal.Org}, Detail: map[string]string{"ask": "capabilities"}}
	var out map[string][]string
	err := s.door.Read(ctx, op, func(p guard.Permit) (err error) {
		out, err = s.capabilities(ctx, places, p.Principal(), paths, p.Facts())
		return err
	})
	return out, err
}

// CapabilitiesOf is [Service.Capabilities] for whoever shows another token, which is given itself or by its accessor. One that
// nobody has is fault.Invalid, so that the answer differs from that to a caller who may not ask.
func (s *Service) CapabilitiesOf(ctx context.Context, places ACLPlaces, token, accessor string, paths []string) (map[string][]string, error) {
	var out map[string][]string
	err := s.ask(ctx, "capabilities", func(org domain.OrgID) error {
		who, err := s.shower(ctx, org, token, accessor)
		if err != nil {
			return err
		}
		out, err = s.capabilities(ctx, places, who, paths, policy.Facts{At: time.Now().UnixMilli()})
		return err
	})
	return out, err
}

// shower finds who shows a token, without counting that as a use of it.
func (s *Service) shower(ctx context.Context, org domain.OrgID, token, accessor string) (*domain.Principal, error) {
	bad := fault.New(fault.Invalid, "invalid token")
	var who *domain.Principal
	if accessor != "" {
		bad = fault.New(fault.Invalid, "invalid accessor")
		if !domain.IsID(accessor) {
			return nil, bad
		}
		row, err := s.db.Token(ctx, domain.TokenID(accessor))
		if err != nil || row.RevokedAt != 0 || row.Org != org {
			return nil, unlessBroken(err, bad)
		}
		if who, err = s.holder(ctx, row); err != nil {
			return nil, unlessBroken(err, bad)
		}
	} else {
		b, err := s.load(ctx, token, domain.TokenHash(token))
		if err != nil {
			return nil, unlessBroken(err, bad)
		}
		who = b.who
	}
	if who.Org != org || who.ExpiresAt != 0 && who.ExpiresAt <= time.Now().UnixMilli() {
		return nil, bad
	}
	return who, nil
}

// unlessBroken gives the answer for a token that is not good, or the cause when it could not be looked at.
func unlessBroken(err error, bad *fault.Error) error {
	switch fault.KindOf(err) {
	case fault.Internal, fault.Unavailable:
		if err != nil {
			return err
		}
	}
	return bad
}

func (s *Service) capabilities(ctx context.Context, places ACLPlaces, who *domain.Principal, paths []string, f policy.Facts) (map[string][]string, error) {
	if len(paths) > maxACLAsked {
		return nil, fault.New(fault.Invalid, "too many paths in one question: at most %d", maxACLAsked)
	}
	mounts, err := places.ACLMounts(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, path := range paths {
		at, found := policy.PlaceOfACL(path, mounts)
		var env domain.EnvID
		if at.Env != "" {
			_, envs, err := places.Place(ctx, string(at.Project))
			if err != nil && fault.KindOf(err) != fault.NotFound {
				return nil, err
			}
			env = envs[at.Env]
		}
		words := []string{}
		for _, c := range policy.ACLCapabilities(who, at, found, env, f) {
			words = append(words, string(c))
		}
		out[path] = words
	}
	return out, nil
}

// InOrg tells whether a slug is that of the caller's organisation, or of any for who has shown no token yet. Another's is refused.
func (s *Service) InOrg(ctx context.Context, slug domain.Slug) (bool, error) {
	who := guard.CallerOf(ctx).Principal
	all, err := s.db.Orgs(ctx)
	if err != nil {
		return false, err
	}
	other := false
	for _, o := range all {
		if o.Slug == slug && (o.ID == who.Org || who.Kind == domain.Anonymous) {
			return true, nil
		}
		other = other || o.Slug == slug
	}
	if other {
		return false, s.Refused(ctx, fault.New(fault.Unauthenticated, "this is the namespace of another organisation"))
	}
	return false, nil
}
