package infisical

import (
	"context"
	"errors"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

func (s *Surface) folderRoutes() []route {
	var out []route
	for _, v := range []string{"v1", "v2"} {
		out = append(out,
			route{"GET /" + v + "/folders", withToken, s.listFolders},
			route{"POST /" + v + "/folders", withToken, s.createFolder},
			route{"GET /" + v + "/folders/{id}", withToken, s.getFolder},
			route{"PATCH /" + v + "/folders/{id}", withToken, s.updateFolder},
			route{"DELETE /" + v + "/folders/{id}", withToken, s.deleteFolder},
		)
	}
	return out
}

// folder is a folder as clients read it. Go clients refuse a time that is missing.
type folder struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Version      int64      `json:"version"`
	CreatedAt    string     `json:"createdAt"`
	UpdatedAt    string     `json:"updatedAt"`
	EnvID        string     `json:"envId"`
	ParentID     *string    `json:"parentId"`
	IsReserved   bool       `json:"isReserved"`
	Description  *string    `json:"description"`
	LastModified *string    `json:"lastSecretModified"`
	Path         string     `json:"path"`
	RelativePath string     `json:"relativePath,omitzero"`
	ProjectID    string     `json:"projectId"`
	Environment  *folderEnv `json:"environment,omitzero"`
}

type folderEnv struct {
	ID   string `json:"envId"`
	Name string `json:"envName"`
	Slug string `json:"envSlug"`
}

func folderOf(b *secrets.Block, f *secrets.FolderView) folder {
	made := stamp(bornAt(string(f.ID), 0))
	out := folder{ID: string(f.ID), Name: f.Path.Base(), Version: f.Version + 1, CreatedAt: made, UpdatedAt: made, EnvID: string(f.Env), Path: string(f.Path), ProjectID: string(f.Project)}
	if f.Path == domain.Root {
		out.Name = "root"
	}
	if f.Parent != "" {
		id := string(f.Parent)
		out.ParentID = &id
	}
	if f.Settings.Note != "" {
		out.Description = &f.Settings.Note
	}
	if f.Changed > 0 {
		at := stamp(f.Changed)
		out.LastModified, out.UpdatedAt = &at, at
	}
	return out
}

// around reads project, environment and the path of the folder in which others are.
func (s *Surface) around(c *call) (secrets.EnvRef, domain.Path, error) {
	project, err := c.project()
	if err != nil {
		return secrets.EnvRef{}, "", err
	}
	env, err := c.must("environment")
	if err != nil {
		return secrets.EnvRef{}, "", err
	}
	path, err := c.folder("path")
	return secrets.EnvRef{Project: project, Env: env}, path, err
}

// child reads the name of a folder and gives its path.
func child(in domain.Path, field, name string) (domain.Path, error) {
	p, err := in.Join(name)
	if err != nil {
		return "", fault.As(err).WithField("/"+field, "want letters, digits, '_' or '-'")
	}
	return p, nil
}

func (s *Surface) listFolders(ctx context.Context, c *call) (*answer, error) {
	ref, path, err := s.around(c)
	if err != nil {
		return nil, err
	}
	deep, err := c.flag("recursive", false)
	if err != nil {
		return nil, err
	}
	since, err := c.moment("lastSecretModified")
	if err != nil {
		return nil, err
	}
	b, list, err := s.Secrets.Folders(ctx, ref, path, deep)
	if err != nil {
		return nil, err
	}
	out := make([]folder, 0, len(list))
	for i := range list {
		if list[i].Changed < since {
			continue
		}
		f := folderOf(&b, &list[i])
		if deep {
			f.RelativePath = "/" + strings.TrimPrefix(strings.TrimPrefix(string(list[i].Path), string(path)), "/")
		}
		out = append(out, f)
	}
	return with(object{"folders": out}), nil
}

func (s *Surface) getFolder(ctx context.Context, c *call) (*answer, error) {
	id, err := domain.ParseID[domain.FolderID](c.http.PathValue("id"))
	if err != nil {
		return nil, wrong("id", "the id of a folder")
	}
	ref, path, err := s.Secrets.FolderByID(ctx, id)
	if err != nil {
		return nil, err
	}
	b, f, err := s.Secrets.Folder(ctx, ref, path)
	if err != nil {
		return nil, err
	}
	out := folderOf(&b, &f)
	out.Environment = &folderEnv{string(b.Env.ID), string(b.Env.Name), string(b.Env.Slug)}
	return with(object{"folder": out}), nil
}

// showFolder answers with a folder as it is now, or tells that the change waits.
func (s *Surface) showFolder(ctx context.Context, ref secrets.EnvRef, path domain.Path, err error) (*answer, error) {
	if waits, ok := errors.AsType[*secrets.Waits](err); ok {
		return with(object{"approval": approvalOf(waits)}), nil
	}
	if err != nil {
		return nil, err
	}
	b, f, err := s.Secrets.Folder(ctx, ref, path)
	if err != nil {
		return nil, err
	}
	return with(object{"folder": folderOf(&b, &f)}), nil
}

func (s *Surface) change(ctx context.Context, ref secrets.EnvRef, changes ...secrets.Change) error {
	_, err := s.Secrets.Commit(ctx, ref, secrets.Commit{Changes: changes, IfRevision: -1, Loose: true})
	return err
}

func (s *Surface) createFolder(ctx context.Context, c *call) (*answer, error) {
	ref, in, err := s.around(c)
	if err != nil {
		return nil, err
	}
	name, err := c.must("name")
	if err != nil {
		return nil, err
	}
	path, err := child(in, "name", name)
	if err != nil {
		return nil, err
	}
	changes := []secrets.Change{{Verb: secrets.FolderCreate, Path: path}} // one that is there already is given as it is
	if note, err := c.text("description"); err != nil {
		return nil, err
	} else if note != "" {
		changes = append(changes, secrets.Change{Verb: secrets.FolderNote, Path: path, Comment: &note})
	}
	return s.showFolder(ctx, ref, path, s.change(ctx, ref, changes...))
}

// named finds the folder that a request names by its id or, below the path that it says, by its name.
func (s *Surface) named(ctx context.Context, c *call) (secrets.EnvRef, domain.Path, error) {
	ref, in, err := s.around(c)
	if err != nil {
		return ref, "", err
	}
	name := c.http.PathValue("id")
	if !domain.IsID(name) {
		path, err := child(in, "id", name)
		return ref, path, err
	}
	found, path, err := s.Secrets.FolderByID(ctx, domain.FolderID(name))
	if err != nil {
		return ref, "", err
	}
	b, _, err := s.Secrets.Folder(ctx, found, path)
	if err != nil {
		return ref, "", err
	}
	if string(b.Project.ID) != ref.Project && string(b.Project.Slug) != ref.Project || string(b.Env.ID) != ref.Env && string(b.Env.Slug) != ref.Env {
		err = fault.New(fault.NotFound, "the folder is in another environment")
	}
	return found, path, err
}

func (s *Surface) updateFolder(ctx context.Context, c *call) (*answer, error) {
	ref, path, err := s.named(ctx, c)
	if err != nil {
		return nil, err
	}
	var changes []secrets.Change
	if _, ok := c.body["description"]; ok {
		note, err := c.text("description")
		if err != nil {
			return nil, err
		}
		changes = append(changes, secrets.Change{Verb: secrets.FolderNote, Path: path, Comment: &note})
	}
	if name, err := c.text("name"); err != nil {
		return nil, err
	} else if name != "" && name != path.Base() {
		to, err := child(path.Parent(), "name", name)
		if err != nil {
			return nil, err
		}
		changes = append(changes, secrets.Change{Verb: secrets.FolderMove, Path: path, ToPath: to})
		path = to
	}
	if len(changes) == 0 {
		return s.showFolder(ctx, ref, path, nil)
	}
	return s.showFolder(ctx, ref, path, s.change(ctx, ref, changes...))
}

func (s *Surface) deleteFolder(ctx context.Context, c *call) (*answer, error) {
	ref, path, err := s.named(ctx, c)
	if err != nil {
		return nil, err
	}
	was, err := s.showFolder(ctx, ref, path, nil)
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, ref, secrets.Change{Verb: secrets.FolderDelete, Path: path})
	if waits, ok := errors.AsType[*secrets.Waits](err); ok {
		return with(object{"approval": approvalOf(waits)}), nil
	}
	return was, err
}
