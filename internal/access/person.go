package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
)

// Person gives somebody's account and groups, by id or address, for who may see all access.
func (s *Service) Person(ctx context.Context, name string) (Profile, error) {
	var out Profile
	err := s.ask(ctx, "user", func(org domain.OrgID) (err error) {
		if domain.IsID(name) {
			out.Row, err = s.db.Person(ctx, domain.UserID(name))
		} else {
			out.Row, err = s.db.PersonByEmail(ctx, domain.Email(name))
		}
		if err == nil && out.Row.Org != org {
			err = guard.Missing()
		}
		if err != nil {
			return err
		}
		ids, err := groupsOf(ctx, s.db.Queries, string(out.Row.ID))
		if err == nil {
			out.Groups, err = s.groupRows(ctx, ids)
		}
		return err
	})
	return out, err
}
