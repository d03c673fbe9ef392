package secrets

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// ListOfDocuments says what a list of documents shows.
type ListOfDocuments struct {
	Recursive bool // every document below, by its whole path, and no directories
	Held      bool // only documents that hold something now, as version 1 of the engine shows them
}

// ListDocuments lists what lies directly below a path of a mount, in order: documents by name, and directories with a slash at the
// end. A name may be both. Nothing to show is fault.NotFound.
func (s *Service) ListDocuments(ctx context.Context, m Mount, rest string, o ListOfDocuments) ([]string, error) {
	if m.Env == "" && rest == "" {
		return s.listEnvs(ctx, m, o)
	}
	ref := DocumentRef{Mount: m, Env: string(m.Env), Path: m.Folder}
	if rest != "" {
		var err error
		if ref, err = m.Document(rest); err != nil {
			return nil, guard.Missing() // no such name could be there
		}
	}
	pl, err := s.docPlace(ctx, policy.SecretList, ref)
	if err != nil {
		return nil, err
	}
	var out []string
	op := guard.Op{Action: policy.SecretList, Resource: pl.resource(ref.Path), Somewhere: true}
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		found := map[string]bool{}
		if err := s.listBelow(ctx, p, pl, ref.Path, o, found); err != nil {
			return hidden(err)
		}
		out = slices.Sorted(maps.Keys(found))
		if len(out) == 0 {
			return guard.Missing()
		}
		return nil
	})
	return out, err
}

// listBelow collects what lies below a folder, in names relative to it.
func (s *Service) listBelow(ctx context.Context, p guard.Permit, pl place, path domain.Path, o ListOfDocuments, found map[string]bool) error {
	folders, revision, err := s.cache.foldersBelow(ctx, pl.env.ID, path)
	if err != nil {
		return err
	}
	p.Revision(revision)
	empty, err := s.emptyFolders(ctx, pl, o.Held)
	if err != nil {
		return err
	}
	prefix := strings.TrimSuffix(string(path), "/") + "/"
	for i := range folders {
		f := &folders[i]
		if f.Path == path || !isDocument(f) || empty[f.ID] || !p.In(policy.SecretList, pl.resource(f.Path)).Some() {
			continue
		}
		name := strings.TrimPrefix(string(f.Path), prefix)
		if first, _, deeper := strings.Cut(name, "/"); deeper && !o.Recursive {
			name = first + "/"
		}
		found[name] = true
	}
	return nil
}

func (s *Service) emptyFolders(ctx context.Context, pl place, wanted bool) (map[domain.FolderID]bool, error) {
	if !wanted {
		return nil, nil
	}
	rows, err := s.db.EmptyFolders(ctx, pl.env.ID)
	out := make(map[domain.FolderID]bool, len(rows))
	for _, row := range rows {
		out[row.ID] = true
	}
	return out, err
}

// listEnvs lists the environments of a project: each is a document, its root folder, and a directory.
func (s *Service) listEnvs(ctx context.Context, m Mount, o ListOfDocuments) ([]string, error) {
	found := map[string]bool{}
	err := s.inProject(ctx, policy.ProjectRead, string(m.Project), func(op guard.Op, row store.Project) error {
		op.Action, op.Resource.Project, op.Detail = policy.SelfRead, row.ID, map[string]string{"list": "environments"}
		return s.door.Read(ctx, op, func(p guard.Permit) error {
			dir, err := s.dir.project(ctx, row.Org, string(row.ID))
			if err != nil {
				return err
			}
			for _, e := range dir.list {
				pl := place{row, e}
				if !p.Reaches(policy.SecretList, pl.resource("")) {
					continue
				}
				if err := s.listEnv(ctx, p, pl, o, found); err != nil {
					return err
				}
			}
			if len(found) == 0 {
				return guard.Missing()
			}
			return nil
		})
	})
	return slices.Sorted(maps.Keys(found)), err
}

func (s *Service) listEnv(ctx context.Context, p guard.Permit, pl place, o ListOfDocuments, found map[string]bool) error {
	slug := string(pl.env.Slug)
	below := map[string]bool{}
	if err := s.listBelow(ctx, p, pl, domain.Root, o, below); err != nil {
		return err
	}
	for name := range below {
		if o.Recursive {
			found[slug+"/"+name] = true
		} else {
			found[slug+"/"] = true
		}
	}
	root, _, err := s.cache.foldersBelow(ctx, pl.env.ID, domain.Root)
	if err != nil {
		return err
	}
	empty, err := s.emptyFolders(ctx, pl, o.Held)
	if err != nil || !isDocument(&root[0]) || empty[root[0].ID] { // the root comes first
		return err
	}
	if p.In(policy.SecretList, pl.resource(domain.Root)).Some() {
		found[slug] = true
	}
	return nil
}
