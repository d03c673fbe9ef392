package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Organization gives the organisation of the caller, which everybody who belongs to it may know.
func (s *Service) Organization(ctx context.Context) (store.Org, error) {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "organization"}}
	var out store.Org
	err := s.door.Read(ctx, op, func(p guard.Permit) error {
		row, err := s.orgNamed(ctx, string(p.Org()))
		if err == nil && row.ID != p.Org() {
			err = guard.Missing()
		}
		out = row
		return err
	})
	return out, err
}

// orgNamed finds an organisation by id or slug; a zero row when there is none.
func (s *Service) orgNamed(ctx context.Context, name string) (store.Org, error) {
	all, err := s.db.Orgs(ctx)
	for _, o := range all {
		if string(o.ID) == name || string(o.Slug) == name {
			return o, nil
		}
	}
	return store.Org{}, err
}

// LoginTo refuses a login that names an organisation which is not there, as a login with a wrong secret is refused. Without a
// name nothing is asked.
func (s *Service) LoginTo(ctx context.Context, organization string) error {
	if organization == "" {
		return nil
	}
	row, err := s.orgNamed(ctx, organization)
	if err == nil && row.ID == "" {
		err = s.fail(ctx, guard.Op{Action: policy.SessionLogin, Detail: map[string]string{"organization": domain.RecordedName(organization)}}, badLogin())
	}
	return err
}
