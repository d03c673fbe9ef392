package backup

import (
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Selected is one secret as it was at the moment of a backup.
type Selected struct {
	Path    domain.Path
	Name    domain.SecretName
	Version int64
	Attrs   domain.Attributes
	Value   sensitive.Value
	Comment sensitive.Value // empty where there was none
}

// Selection is one environment as it was at the moment of a backup.
type Selection struct {
	Project     store.Project
	Environment store.Environment
	Secrets     []Selected // by path and name
}

// Select reads the live secrets of one project, or of one of its environments when env is not empty, out of a backup: to be
// brought back as commits. Both are slugs or ids; what was deleted at that moment is not found. The whole backup is read and
// its signature checked before anything is given. Nothing such is [fault.NotFound].
func Select(ctx context.Context, r io.Reader, o Check, project, env string) ([]Selection, Report, error) {
	found := map[domain.EnvID]*Selection{}
	chosen := func(x *opened, id domain.EnvID) bool {
		e := x.envs[id]
		p := x.projects[e.Project]
		return e.DeletedAt == 0 && p.DeletedAt == 0 && (project == string(p.Slug) || project == string(p.ID)) &&
			(env == "" || env == string(e.Slug) || env == string(e.ID))
	}
	x, report, err := openRows(ctx, r, o, func(x *opened, b block) error {
		if b.Table != "secret" {
			return nil
		}
		at, err := b.columns("env_id")
		if err != nil {
			return err
		}
		return b.each(func(cells []cell) error {
			if !chosen(x, domain.EnvID(cells[at[0]].b)) {
				return nil
			}
			row, err := store.SecretOf(b.Columns, values(cells))
			if err != nil || row.Deleted != 0 {
				return err
			}
			return x.take(found, row)
		})
	})
	if err != nil {
		return nil, report, err
	}
	var out []Selection
	for id, e := range x.envs {
		if !chosen(x, id) {
			continue
		}
		s := found[id]
		if s == nil {
			s = &Selection{}
		}
		s.Environment, s.Project = e, x.projects[e.Project]
		slices.SortFunc(s.Secrets, func(a, b Selected) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Name, b.Name)) })
		out = append(out, *s)
	}
	if len(out) == 0 {
		return nil, report, fault.New(fault.NotFound, "the backup holds no such project or environment").
			WithHint("the names are those of the moment when the backup was made")
	}
	slices.SortFunc(out, func(a, b Selection) int { return cmp.Compare(a.Environment.Position, b.Environment.Position) })
	return out, report, nil
}

func (x *opened) take(found map[domain.EnvID]*Selection, row store.Secret) error {
	v, ok, err := x.value(row)
	if err != nil || !ok {
		return err
	}
	comment, err := x.comment(row)
	if err != nil {
		return err
	}
	s := found[row.Env]
	if s == nil {
		s = &Selection{}
		found[row.Env] = s
	}
	s.Secrets = append(s.Secrets, Selected{x.folders[row.Folder].Path, row.Name, row.Version, row.Attrs, v, comment})
	return nil
}
