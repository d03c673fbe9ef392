package secrets

import (
	"context"
	"fmt"

	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// CheckValues opens every value and comment that is stored, of every state, and compares each value with its digest. What
// was swapped, moved, cut, thrown away or put back from an older version does not open or does not fit. The log says what
// was purged: those values may be gone.
func (s *Service) CheckValues(ctx context.Context, p guard.Permit, purged func(id string) bool, report func(row, text string)) (int64, error) {
	c := &checker{s: s, p: p, purged: purged, report: report}
	projects, err := s.db.Projects(ctx, p.Org())
	if err != nil {
		return 0, err
	}
	for _, project := range projects {
		envs, err := s.db.Environments(ctx, project.ID)
		if err != nil {
			return c.values, err
		}
		for _, env := range envs {
			if err := s.db.EachState(ctx, env.ID, c.state); err != nil {
				return c.values, err
			}
		}
		own, err := s.db.PersonalsIn(ctx, project.ID)
		if err != nil {
			return c.values, err
		}
		for _, row := range own {
			c.personal(row)
		}
	}
	return c.values, nil
}

type checker struct {
	s      *Service
	p      guard.Permit
	purged func(id string) bool
	report func(row, text string)
	values int64
}

func (c *checker) state(row *store.Secret) error {
	name := fmt.Sprintf("secret %s/%d", row.ID, row.Revision)
	if c.purged(string(row.ID)) || c.purged(string(row.Env)) || row.Value == nil && c.purged(store.PurgedVersion(string(row.ID), row.Version)) {
		return nil
	}
	if row.Attrs.CommentRev != 0 && len(row.Comment) == 0 {
		c.report(name, "its comment is gone, and the log knows of no purge")
	}
	if row.Value == nil {
		c.report(name, "its value is gone, and the log knows of no purge")
		return nil
	}
	c.values++
	v, err := c.s.open(c.p, row)
	if err != nil {
		c.report(name, "its value does not open in its place: it was altered, swapped or put back from another version")
		return nil
	}
	if !c.s.ring.DigestFits(v, row.Digest) {
		c.report(name, "the digest of its value is not that of the value")
	}
	if _, err := c.s.openComment(c.p, row); err != nil {
		c.report(name, "its comment does not open in its place")
	}
	return nil
}

func (c *checker) personal(row store.Personal) {
	if row.Value == nil {
		if !c.purged(string(row.Secret)) {
			c.report("personal "+row.ID, "its value is gone, and the log knows of no purge")
		}
		return
	}
	c.values++
	if _, err := c.s.ring.Open(personalPlace(row), row.Value); err != nil {
		c.report("personal "+row.ID, "its value does not open in its place: it was altered, swapped or put back from another version")
	}
}
