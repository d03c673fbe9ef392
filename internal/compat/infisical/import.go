package infisical

import (
	"context"
	"errors"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

func (s *Surface) importRoutes() []route {
	var out []route
	for _, v := range []string{"v1", "v2"} {
		out = append(out,
			route{"GET /" + v + "/secret-imports", withToken, s.listImports},
			route{"POST /" + v + "/secret-imports", withToken, s.createImport},
			route{"GET /" + v + "/secret-imports/{id}", withToken, s.getImport},
			route{"PATCH /" + v + "/secret-imports/{id}", withToken, s.updateImport},
			route{"DELETE /" + v + "/secret-imports/{id}", withToken, s.deleteImport},
		)
	}
	return out
}

// secretImport is an import as clients read it.
type secretImport struct {
	ID            string    `json:"id"`
	FolderID      string    `json:"folderId"`
	SecretPath    string    `json:"secretPath"` // of the folder that imports
	ImportPath    string    `json:"importPath"` // of the one that is imported
	ImportEnv     importEnv `json:"importEnv"`
	Position      int       `json:"position"`
	IsReplication bool      `json:"isReplication"`
	IsReserved    bool      `json:"isReserved"`
	Version       int64     `json:"version"`
	CreatedAt     string    `json:"createdAt"`
	UpdatedAt     string    `json:"updatedAt"`
}

type importEnv struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Slug string `json:"slug"`
}

func importOf(i *secrets.ImportView) secretImport {
	made := stamp(bornAt(string(i.Into.ID), 0))
	return secretImport{ID: i.ID, FolderID: string(i.Into.ID), SecretPath: string(i.Into.Path), ImportPath: string(i.From.Path), Position: i.Position, Version: 1,
		ImportEnv: importEnv{string(i.From.Env.ID), string(i.From.Env.Name), string(i.From.Env.Slug)}, CreatedAt: made, UpdatedAt: made}
}

func (s *Surface) listImports(ctx context.Context, c *call) (*answer, error) {
	ref, path, err := s.around(c)
	if err != nil {
		return nil, err
	}
	list, err := s.Secrets.FolderImports(ctx, ref, path)
	if err != nil {
		return nil, err
	}
	out := make([]secretImport, 0, len(list))
	for i := range list {
		out = append(out, importOf(&list[i]))
	}
	return with(object{"message": "Successfully fetched secret imports", "secretImports": out}), nil
}

// target is what a request wants imported. A member that is missing stays as it is.
type importTarget struct {
	Environment string  `json:"environment"`
	Path        *string `json:"path"`
	Position    int     `json:"position"`
}

// frame finds the folder that a request wants imported, of the same project.
func (s *Surface) frame(ctx context.Context, project string, t *importTarget) (secrets.Block, error) {
	if t.Environment == "" || t.Path == nil {
		return secrets.Block{}, wrong("import", "environment and path of the folder to import")
	}
	path, err := domain.ParsePath(*t.Path)
	if err != nil {
		return secrets.Block{}, fault.As(err).WithField("/import", "no path of a folder")
	}
	b, err := s.Secrets.Frame(ctx, secrets.EnvRef{Project: project, Env: t.Environment})
	b.Path = path
	return b, err
}

// noReplica refuses what imports here cannot do.
func (c *call) noReplica() error {
	if yes, err := c.flag("isReplication", false); err != nil || yes {
		if err == nil {
			err = fault.New(fault.Unsupported, "imports are not replicated here").
				WithHint("leave isReplication away: an import shows the other folder as it is at that moment")
		}
		return err
	}
	return nil
}

func (s *Surface) createImport(ctx context.Context, c *call) (*answer, error) {
	ref, path, err := s.around(c)
	if err != nil {
		return nil, err
	}
	if err := c.noReplica(); err != nil {
		return nil, err
	}
	var t importTarget
	if err := c.into("import", &t); err != nil {
		return nil, err
	}
	b, err := s.frame(ctx, ref.Project, &t)
	if err != nil {
		return nil, err
	}
	err = s.Secrets.EditImports(ctx, ref, path, func(now []secrets.ImportView) ([]secrets.Source, error) { return secrets.AddImport(now, b) })
	return s.showImport(ctx, ref, path, "Successfully created secret import", err, func(i *secrets.ImportView) bool {
		return i.From.Env.ID == b.Env.ID && i.From.Path == b.Path
	})
}

// showImport answers with the import of a folder that fits.
func (s *Surface) showImport(ctx context.Context, ref secrets.EnvRef, path domain.Path, message string, err error, fits func(*secrets.ImportView) bool) (*answer, error) {
	if waits, ok := errors.AsType[*secrets.Waits](err); ok {
		return with(object{"approval": approvalOf(waits)}), nil
	}
	if err != nil {
		return nil, err
	}
	list, err := s.Secrets.FolderImports(ctx, ref, path)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if fits(&list[i]) {
			return with(object{"message": message, "secretImport": importOf(&list[i])}), nil
		}
	}
	return nil, fault.New(fault.NotFound, "no such import in the folder")
}

func (s *Surface) getImport(ctx context.Context, c *call) (*answer, error) {
	id := c.http.PathValue("id")
	ref, path, err := s.Secrets.ImportByID(ctx, id)
	return s.showImport(ctx, ref, path, "Successfully fetched secret import", err, func(i *secrets.ImportView) bool { return i.ID == id })
}

func (s *Surface) updateImport(ctx context.Context, c *call) (*answer, error) {
	id := c.http.PathValue("id")
	if err := c.noReplica(); err != nil {
		return nil, err
	}
	ref, path, err := s.importing(ctx, c, id)
	if err != nil {
		return nil, err
	}
	var t importTarget
	if err := c.into("import", &t); err != nil {
		return nil, err
	}
	if n, err := c.integer("position"); err != nil {
		return nil, err
	} else if n > 0 {
		t.Position = int(min(n, 1000))
	}
	var from *secrets.Block
	if t.Environment != "" || t.Path != nil {
		b, err := s.frame(ctx, ref.Project, &t)
		if err != nil {
			return nil, err
		}
		from = &b
	}
	position := 0
	err = s.Secrets.EditImports(ctx, ref, path, func(now []secrets.ImportView) ([]secrets.Source, error) {
		for i := range now {
			if now[i].ID == id {
				position = now[i].Position
			}
		}
		return secrets.MoveImport(now, id, from, t.Position, false)
	})
	return s.showImport(ctx, ref, path, "Successfully updated secret import", err, func(i *secrets.ImportView) bool {
		switch {
		case from != nil:
			return i.From.Env.ID == from.Env.ID && i.From.Path == from.Path
		case t.Position > 0 || position > 0:
			return i.ID == id
		}
		return false
	})
}

// importing finds the folder that holds an import: the one that a request names, or the one of the id.
func (s *Surface) importing(ctx context.Context, c *call, id string) (secrets.EnvRef, domain.Path, error) {
	if env, err := c.text("environment"); err == nil && env != "" {
		return s.around(c)
	}
	return s.Secrets.ImportByID(ctx, id)
}

func (s *Surface) deleteImport(ctx context.Context, c *call) (*answer, error) {
	id := c.http.PathValue("id")
	ref, path, err := s.importing(ctx, c, id)
	if err != nil {
		return nil, err
	}
	var was *secrets.ImportView
	err = s.Secrets.EditImports(ctx, ref, path, func(now []secrets.ImportView) ([]secrets.Source, error) {
		for i := range now {
			if now[i].ID == id {
				was = &now[i]
			}
		}
		return secrets.MoveImport(now, id, nil, 0, true)
	})
	if waits, ok := errors.AsType[*secrets.Waits](err); ok {
		return with(object{"approval": approvalOf(waits)}), nil
	}
	if err != nil {
		return nil, err
	}
	return with(object{"message": "Successfully deleted secret import", "secretImport": importOf(was)}), nil
}
