package secrets

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// ImportView is one import of a folder as a caller sees it.
type ImportView struct {
	ID       string // follows from both folders, and so is the same everywhere
	Position int    // from 1
	Into     FolderView
	From     Block // the folder that is shown
}

// source names the folder that an import shows.
func (i *ImportView) source() Source {
	return Source{EnvRef: EnvRef{string(i.From.Project.ID), string(i.From.Env.ID)}, Path: i.From.Path}
}

// FolderImports lists the imports of a folder in their order.
func (s *Service) FolderImports(ctx context.Context, ref EnvRef, path domain.Path) ([]ImportView, error) {
	pl, err := s.where(ctx, policy.SecretList, ref)
	if err != nil {
		return nil, err
	}
	out := []ImportView{}
	op := guard.Op{Action: policy.SecretList, Resource: pl.resource(path), Within: true, Detail: map[string]string{"list": "imports"}}
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		_, f, _, err := s.cache.folder(ctx, pl.env.ID, path)
		if err != nil {
			return hidden(err)
		}
		out, err = s.importViews(ctx, f)
		out = slices.DeleteFunc(out, func(i ImportView) bool {
			return !p.In(policy.SecretList, place{i.From.Project, i.From.Env}.resource(i.From.Path)).Some()
		})
		return err
	})
	return out, err
}

func (s *Service) importViews(ctx context.Context, f store.Folder) ([]ImportView, error) {
	out := []ImportView{}
	for i, imp := range f.Settings.Imports {
		from, path, ok, err := s.importedPlace(ctx, f.Org, imp)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, ImportView{ID: importID(f.ID, imp.Folder), Position: i + 1, Into: FolderView{Folder: f},
				From: Block{Project: from.project, Env: from.env, Folder: imp.Folder, Path: path}})
		}
	}
	return out, nil
}

// ImportByID finds the folder that holds the import of an id, among those of the organisation. Nobody is asked: what is done with
// it passes the door.
func (s *Service) ImportByID(ctx context.Context, id string) (EnvRef, domain.Path, error) {
	org, err := s.dir.org(ctx, guard.CallerOf(ctx).Principal.Org)
	if err != nil {
		return EnvRef{}, "", err
	}
	for _, row := range org.list {
		for _, env := range org.projects[string(row.ID)].list {
			if !s.door.Check(ctx, policy.ProjectRead, policy.Resource{Org: row.Org, Project: row.ID, Env: env.ID, EnvSlug: env.Slug}) {
				continue // the id names nothing that the caller could know of
			}
			folders, _, err := s.cache.foldersBelow(ctx, env.ID, domain.Root)
			if err != nil && !missing(err) {
				return EnvRef{}, "", err
			}
			for _, f := range folders {
				if slices.ContainsFunc(f.Settings.Imports, func(i store.Import) bool { return importID(f.ID, i.Folder) == id }) {
					return EnvRef{string(row.ID), string(env.ID)}, f.Path, nil
				}
			}
		}
	}
	return EnvRef{}, "", s.door.Miss(ctx, guard.Op{Action: policy.SecretList, Detail: map[string]string{"import": "unknown"}}, fault.New(fault.NotFound, "no such import"))
}

// maxEdits is how often a change of a list is tried again when the environment changes meanwhile.
const maxEdits = 5

// EditImports changes the list of imports of a folder, as it is at that moment. The edit gets the list and gives
// the new one; it may be called again.
func (s *Service) EditImports(ctx context.Context, ref EnvRef, path domain.Path, edit func([]ImportView) ([]Source, error)) error {
	pl, err := s.where(ctx, policy.SecretWrite, ref)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		_, f, revision, err := s.cache.folder(ctx, pl.env.ID, path)
		var now []ImportView
		if err == nil && s.door.Reaches(ctx, policy.SecretList, pl.resource(path)) {
			now, err = s.importViews(ctx, f)
		} else if err == nil {
			err = guard.Missing()
		}
		if err != nil {
			return hidden(err)
		}
		list, err := edit(now)
		if err != nil {
			return err
		}
		_, err = s.Commit(ctx, ref, Commit{Changes: []Change{{Verb: FolderImports, Path: path, Imports: list}}, IfRevision: revision})
		if fault.KindOf(err) == fault.Conflict && try < maxEdits {
			if at, e := s.revisionOf(ctx, pl.env.ID); e == nil && at != revision {
				continue
			}
		}
		return err
	}
}

// importID gives an import its id.
func importID(into, from domain.FolderID) string {
	space, err := uuid.Parse(string(into))
	if err != nil {
		return ""
	}
	return uuid.NewSHA1(space, []byte("import:"+string(from))).String()
}

// AddImport gives the list with one more folder at its end. One that is there already is fault.Exists.
func AddImport(now []ImportView, from Block) ([]Source, error) {
	out := make([]Source, 0, len(now)+1)
	for i := range now {
		if now[i].From.Env.ID == from.Env.ID && now[i].From.Path == from.Path {
			return nil, fault.New(fault.Exists, "the folder imports %s:%s already", from.Env.Slug, from.Path)
		}
		out = append(out, now[i].source())
	}
	return append(out, Source{EnvRef: EnvRef{string(from.Project.ID), string(from.Env.ID)}, Path: from.Path}), nil
}

// MoveImport gives the list with the import of an id replaced, moved to a position from 1, or both; from nil leaves its folder, to 0 its
// place. With gone it is taken out.
func MoveImport(now []ImportView, id string, from *Block, to int, gone bool) ([]Source, error) {
	at := slices.IndexFunc(now, func(i ImportView) bool { return i.ID == id })
	if at < 0 {
		return nil, fault.New(fault.NotFound, "no such import in the folder")
	}
	var out []Source
	for i := range now {
		if i != at {
			out = append(out, now[i].source())
		}
	}
	if gone {
		return out, nil
	}
	one := now[at].source()
	if from != nil {
		one = Source{EnvRef: EnvRef{string(from.Project.ID), string(from.Env.ID)}, Path: from.Path}
		if slices.Contains(out, one) {
			return nil, fault.New(fault.Exists, "the folder imports %s:%s already", from.Env.Slug, from.Path)
		}
	}
	if to > 0 {
		at = min(to-1, len(out))
	}
	return slices.Insert(out, at, one), nil
}
