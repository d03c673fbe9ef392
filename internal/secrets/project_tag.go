package secrets

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// ProjectTag is a tag of a project with the looks that some views give it.
type ProjectTag = store.ProjectTag

// Bounds of tags as views show them.
const (
	maxProjectTags = 1000 // of a project: more than that nobody finds his way in
	maxTagColor    = 32   // bytes: a CSS colour
)

// TagLook gives how a tag looks: as it was made, or, for one that only secrets carry, with an id that follows from project and
// slug, so that it is the same everywhere and for ever.
func TagLook(project domain.ProjectID, looks map[domain.Tag]ProjectTag, tag domain.Tag) ProjectTag {
	if row, ok := looks[tag]; ok {
		return row
	}
	row := ProjectTag{Project: project, Slug: tag, Name: string(tag)}
	if space, err := uuid.Parse(string(project)); err == nil {
		row.ID = uuid.NewSHA1(space, []byte("tag:"+string(tag))).String()
	}
	return row
}

// ProjectTags lists the tags of a project by slug: those that were made, and those that secrets carry which the caller may see.
func (s *Service) ProjectTags(ctx context.Context, project string) (out []ProjectTag, err error) {
	err = s.inProject(ctx, policy.ProjectRead, project, func(op guard.Op, row store.Project) error {
		op.Detail = map[string]string{"list": "tags"}
		return s.door.Read(ctx, op, func(p guard.Permit) error {
			all, err := s.allTags(ctx, row)
			if err != nil {
				return err
			}
			for _, t := range slices.Sorted(maps.Keys(all)) {
				if all[t].made || slices.ContainsFunc(all[t].on, func(r policy.Resource) bool { return p.Can(policy.SecretList, r) }) {
					out = append(out, all[t].ProjectTag)
				}
			}
			return nil
		})
	})
	return out, err
}

// taggedOn is a tag and where it is.
type taggedOn struct {
	ProjectTag
	made bool // it has a row
	on   []policy.Resource
}

// allTags gives the tags of a project, and what carries them.
func (s *Service) allTags(ctx context.Context, row store.Project) (map[domain.Tag]taggedOn, error) {
	d, err := s.dir.project(ctx, row.Org, string(row.ID))
	if err != nil {
		return nil, err
	}
	out := map[domain.Tag]taggedOn{}
	for t, look := range d.tags {
		out[t] = taggedOn{ProjectTag: look, made: true}
	}
	for _, env := range d.list {
		pl := place{d.row, env}
		paths := map[domain.FolderID]domain.Path{}
		folders, _, err := s.cache.foldersBelow(ctx, env.ID, domain.Root)
		if err != nil {
			return nil, err
		}
		for _, f := range folders {
			paths[f.ID] = f.Path
		}
		rows, err := s.db.LiveSecrets(ctx, env.ID)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			for _, t := range rows[i].Attrs.Tags {
				has, ok := out[t]
				if !ok {
					has.ProjectTag = TagLook(row.ID, nil, t)
				}
				has.on = append(has.on, pl.row(paths[rows[i].Folder], &rows[i]))
				out[t] = has
			}
		}
	}
	return out, nil
}

// TagsByID finds the slugs of tags by their ids, for a change that names them so. An unknown one is fault.NotFound.
func (s *Service) TagsByID(ctx context.Context, project string, ids []string) ([]domain.Tag, error) {
	found, err := s.dir.project(ctx, guard.CallerOf(ctx).Principal.Org, project)
	if err != nil || !s.door.Check(ctx, policy.ProjectRead, policy.Resource{Org: found.row.Org, Project: found.row.ID}) {
		return nil, guard.Missing()
	}
	known := map[string]domain.Tag{}
	for t, look := range found.tags {
		known[look.ID] = t
	}
	if slices.ContainsFunc(ids, func(id string) bool { return known[id] == "" }) { // one that only secrets carry
		all, err := s.allTags(ctx, found.row)
		if err != nil {
			return nil, err
		}
		for t, has := range all {
			if has.made || slices.ContainsFunc(has.on, func(r policy.Resource) bool { return s.door.Check(ctx, policy.SecretList, r) }) {
				known[has.ID] = t
			}
		}
	}
	out := []domain.Tag{}
	for _, id := range ids {
		t, ok := known[id]
		if !ok {
			return nil, fault.New(fault.NotFound, "no tag of that id in the project")
		}
		out = append(out, t)
	}
	return out, nil
}

// CreateProjectTag gives a tag a name and a colour. Whoever may tag secrets somewhere in the project may do so; one of the same
// slug is fault.Exists.
func (s *Service) CreateProjectTag(ctx context.Context, project string, slug domain.Tag, name, color string) (out ProjectTag, err error) {
	if out, err = checkTag(ProjectTag{Slug: slug, Name: name, Color: color}); err != nil {
		return out, err
	}
	err = s.inProject(ctx, policy.SecretWrite, project, func(op guard.Op, row store.Project) error {
		op.Detail = map[string]string{"tag": string(slug)}
		d, err := s.dir.project(ctx, row.Org, string(row.ID))
		if err != nil {
			return err
		}
		for _, env := range d.list {
			if r := (place{row, env}).resource(""); s.door.Reaches(ctx, policy.SecretWrite, r) {
				op.Resource, op.Somewhere = r, true
				break
			}
		}
		return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
			p.Place(row.ID, "")
			all, err := tx.ProjectTags(ctx, p.Org())
			if err != nil {
				return err
			}
			there := 0
			for _, t := range all {
				if t.Project != row.ID {
					continue
				}
				if there++; t.Slug == slug {
					return fault.New(fault.Exists, "tag %s exists already", slug)
				}
			}
			if there >= maxProjectTags {
				return fault.New(fault.Exhausted, "too many tags in one project: at most %d", maxProjectTags)
			}
			// A tag that secrets carry already keeps the id under which it was shown.
			out.ID, out.Org, out.Project = TagLook(row.ID, nil, slug).ID, p.Org(), row.ID
			out.CreatedAt, out.CreatedBy = tx.Now(), p.Principal().ID
			if err := tx.PutProjectTag(ctx, &out); err != nil {
				return err
			}
			return s.projectChanged(ctx, tx, row.ID, "")
		})
	})
	return out, err
}

// UpdateProjectTag changes name and colour of a tag; nil leaves one as it is. The slug stays, since rules may be about it.
func (s *Service) UpdateProjectTag(ctx context.Context, project, id string, name, color *string) (out ProjectTag, err error) {
	err = s.onTag(ctx, project, id, "change", func(tx *store.Tx, row store.ProjectTag) error {
		assign(&row.Name, name)
		assign(&row.Color, color)
		if out, err = checkTag(row); err != nil {
			return err
		}
		return tx.PutProjectTag(ctx, &out)
	})
	return out, err
}

// DeleteProjectTag removes a tag that no secret carries.
func (s *Service) DeleteProjectTag(ctx context.Context, project, id string) (out ProjectTag, err error) {
	err = s.onTag(ctx, project, id, "delete", func(tx *store.Tx, row store.ProjectTag) error {
		envs, err := tx.Environments(ctx, row.Project)
		if err != nil {
			return err
		}
		for _, env := range envs {
			if env.DeletedAt != 0 {
				continue
			}
			live, err := tx.LiveSecrets(ctx, env.ID)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(live, func(r store.Secret) bool { return slices.Contains(r.Attrs.Tags, row.Slug) }) {
				return fault.New(fault.Conflict, "secrets still carry the tag %s", row.Slug).WithHint("take it from them first: rules may be about it")
			}
		}
		out = row
		return tx.RemoveProjectTag(ctx, &row)
	})
	return out, err
}

func (s *Service) onTag(ctx context.Context, project, id, what string, work func(*store.Tx, store.ProjectTag) error) error {
	return s.inProject(ctx, policy.ProjectUpdate, project, func(op guard.Op, in store.Project) error {
		op.Detail = map[string]string{"tag": what}
		return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
			row, err := tx.ProjectTag(ctx, id)
			if missing(err) || err == nil && row.Project != in.ID {
				return fault.New(fault.NotFound, "no tag of that id in the project")
			}
			if err != nil {
				return err
			}
			p.Note("slug", string(row.Slug))
			if err := work(tx, row); err != nil {
				return err
			}
			return s.projectChanged(ctx, tx, in.ID, "")
		})
	})
}

func checkTag(t ProjectTag) (ProjectTag, error) {
	if _, err := domain.ParseTag(string(t.Slug)); err != nil {
		return t, err
	}
	if t.Name == "" {
		t.Name = string(t.Slug)
	}
	if _, err := domain.ParseLabel(t.Name); err != nil {
		return t, fault.New(fault.Invalid, "the name of the tag: %v", err)
	}
	if t.Color != "" {
		if _, err := domain.ParseLabel(t.Color); err != nil || len(t.Color) > maxTagColor {
			return t, fault.New(fault.Invalid, "not a colour: want at most %d printable characters", maxTagColor)
		}
	}
	return t, nil
}
