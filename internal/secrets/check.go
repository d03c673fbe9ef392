package secrets

import (
	"context"
	"fmt"

	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// CheckValues opens every value and comment that is stored, of every state, and compares each value with its digest. What
// was swapped, moved, cut or put back from an older version does not open or does not fit.
func (s *Service) CheckValues(ctx context.Context, p guard.Permit, report func(row, text string)) (int64, error) {
	var n int64
	projects, err := s.db.Projects(ctx, p.Org())
	if err != nil {
		return 0, err
	}
	for _, project := range projects {
		envs, err := s.db.Environments(ctx, project.ID)
		if err != nil {
			return n, err
		}
		for _, env := range envs {
			err := s.db.EachState(ctx, env.ID, func(row *store.Secret) error {
				if row.Value == nil {
					return nil
				}
				n++
				name := fmt.Sprintf("secret %s/%d", row.ID, row.Revision)
				v, err := s.open(p, row)
				if err != nil {
					report(name, "its value does not open in its place: it was altered, swapped or put back from another version")
					return nil
				}
				if !sensitive.New(row.Digest).Equal(sensitive.New(s.ring.Digest(v))) {
					report(name, "the digest of its value is not that of the value")
				}
				if _, err := s.openComment(p, row); err != nil {
					report(name, "its comment does not open in its place")
				}
				return nil
			})
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}
