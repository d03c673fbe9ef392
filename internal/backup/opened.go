package backup

import (
	"context"
	"errors"
	"io"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// opened is a backup whose values are read by people, for a restore of a part or for an export.
type opened struct {
	*stream
	ring *keyring.Ring

	orgs     []store.Org
	projects map[domain.ProjectID]store.Project
	envs     map[domain.EnvID]store.Environment
	folders  map[domain.FolderID]store.Folder // current states
}

// openRows reads a backup to its end, unlocks it on the way, and visits the rows of every table; projects, environments and
// folders are known before what belongs to them.
func openRows(ctx context.Context, r io.Reader, o Check, visit func(*opened, block) error) (*opened, Report, error) {
	s, err := openStream(r, o.Identities)
	if err != nil {
		return nil, Report{}, err
	}
	c := newChecker(&s.manifest.Manifest)
	x := &opened{stream: s, projects: map[domain.ProjectID]store.Project{}, envs: map[domain.EnvID]store.Environment{}, folders: map[domain.FolderID]store.Folder{}}
	for {
		b, err := s.next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, Report{}, err
		}
		if x.ring == nil && !inOrder(b.Table) {
			if x.ring, err = s.manifest.open(c.rows); err != nil {
				return nil, Report{}, fault.Wrap(fault.Invalid, err, "the keys in the backup do not open")
			}
		}
		if b.count > 0 && x.ring == nil {
			err = c.look(b)
		} else if err = x.know(b); err == nil {
			err = visit(x, b)
		}
		if err != nil {
			return nil, Report{}, err
		}
		if o.Progress != nil {
			o.Progress(s.total, s.manifest.Rows())
		}
	}
	report, err := c.report(s, o.Signers)
	return x, report, err
}

// know remembers what addresses are made of.
func (x *opened) know(b block) error {
	switch b.Table {
	case "org":
		return rowsOf(b, store.OrgOf, func(row store.Org) error { x.orgs = append(x.orgs, row); return nil })
	case "project":
		return rowsOf(b, store.ProjectOf, func(row store.Project) error { x.projects[row.ID] = row; return nil })
	case "environment":
		return rowsOf(b, store.EnvironmentOf, func(row store.Environment) error { x.envs[row.ID] = row; return nil })
	case "folder":
		return rowsOf(b, store.FolderOf, func(row store.Folder) error { x.folders[row.ID] = row; return nil })
	}
	return nil
}

// rowsOf visits typed rows.
func rowsOf[T any](b block, parse func([]string, []any) (T, error), visit func(T) error) error {
	return b.each(func(cells []cell) error {
		row, err := parse(b.Columns, values(cells))
		if err != nil {
			return err
		}
		return visit(row)
	})
}

// value opens the value of a state; ok is false for one that was purged.
func (x *opened) value(s store.Secret) (v sensitive.Value, ok bool, err error) {
	if s.Value == nil {
		return v, false, nil
	}
	v, err = x.ring.Open(keyring.Place{Project: string(s.Project), Record: string(s.ID), Field: fieldValue, Version: s.Version}, s.Value)
	return v, err == nil, err
}

// comment opens the comment of a state; empty where there is none.
func (x *opened) comment(s store.Secret) (sensitive.Value, error) {
	if len(s.Comment) == 0 {
		return sensitive.Value{}, nil
	}
	return x.ring.Open(keyring.Place{Project: string(s.Project), Record: string(s.ID), Field: fieldComment, Version: s.Attrs.CommentRev}, s.Comment)
}
