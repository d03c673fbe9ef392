package backup

import (
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// segment notes how much of the log is archived, and what was purged there.
func (c *checker) segment(columns []string, cells []cell) error {
	s, err := store.ArchiveSegmentFrom(columns, values(cells))
	if err != nil {
		return err
	}
	if s.First != c.archived || s.Count < 1 {
		return fault.New(fault.Invalid, "what is archived of the audit log in the backup has a gap at entry %d", c.archived)
	}
	c.archived += s.Count
	return audit.ParseCarry(s.Carry, func(r audit.Row) error {
		if r.T == store.PurgeMark {
			c.purged[r.K] = true
		}
		return nil
	})
}

// tile takes the hashes of archived entries into the tree.
func (c *checker) tile(columns []string, cells []cell) error {
	hashes, err := store.ArchivedLeaves(columns, values(cells), c.tree.Size(), c.archived)
	if err != nil {
		return err
	}
	_, err = c.tree.AddLeaves(hashes)
	return err
}
