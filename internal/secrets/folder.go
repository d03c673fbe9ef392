package secrets

import (
	"context"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// FolderView is a folder as a caller sees it.
type FolderView struct {
	store.Folder
	Parent domain.FolderID // "" of the root
	// Changed is when a secret in it was last changed, unix milliseconds; 0 when there is none that the caller may see.
	Changed int64
}

// Folders lists the folders in a folder, or with deep all below it, by path: those in which the caller may see something.
func (s *Service) Folders(ctx context.Context, ref EnvRef, path domain.Path, deep bool) (Block, []FolderView, error) {
	pl, err := s.where(ctx, policy.SecretList, ref)
	if err != nil {
		return Block{}, nil, err
	}
	out := []FolderView{}
	op := guard.Op{Action: policy.SecretList, Resource: pl.resource(path), Somewhere: true, Detail: map[string]string{"list": "folders"}}
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		all, revision, err := s.cache.foldersBelow(ctx, pl.env.ID, path)
		if err != nil {
			return hidden(err)
		}
		p.Revision(revision)
		may := path == domain.Root
		for _, f := range all {
			look := p.In(policy.SecretList, pl.resource(f.Path))
			if !look.Some() {
				continue
			}
			may = true
			if f.Path == path || !deep && f.Path.Parent() != path {
				continue
			}
			v, err := s.folderView(ctx, look, pl, f)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		if !may {
			return guard.Missing()
		}
		return nil
	})
	return Block{Project: pl.project, Env: pl.env, Path: path}, out, err
}

// Folder shows one folder by its path.
func (s *Service) Folder(ctx context.Context, ref EnvRef, path domain.Path) (Block, FolderView, error) {
	pl, err := s.where(ctx, policy.SecretList, ref)
	if err != nil {
		return Block{}, FolderView{}, err
	}
	var out FolderView
	op := guard.Op{Action: policy.SecretList, Resource: pl.resource(path), Within: true, Detail: map[string]string{"show": "folder"}}
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		_, f, _, err := s.cache.folder(ctx, pl.env.ID, path)
		if err != nil {
			return hidden(err)
		}
		out, err = s.folderView(ctx, p.In(policy.SecretList, pl.resource(path)), pl, f)
		return err
	})
	return Block{Project: pl.project, Env: pl.env, Path: path}, out, err
}

func (s *Service) folderView(ctx context.Context, look policy.Folder, pl place, f store.Folder) (FolderView, error) {
	out := FolderView{Folder: f}
	if f.Path != domain.Root {
		parent, err := s.cache.folderAt(ctx, pl.env.ID, f.Path.Parent())
		if err != nil && !missing(err) {
			return out, err
		}
		out.Parent = parent.ID
	}
	rows, _, _, err := s.cache.folder(ctx, pl.env.ID, f.Path)
	if err != nil && !missing(err) {
		return out, err
	}
	for _, row := range rows {
		if look.May(row.Name, row.Attrs.Tags) {
			out.Changed = max(out.Changed, row.At)
		}
	}
	return out, nil
}

// FolderByID tells where the live folder of an id is. Nobody is asked: what is done with it passes the door.
func (s *Service) FolderByID(ctx context.Context, id domain.FolderID) (EnvRef, domain.Path, error) {
	row, err := s.db.Folder(ctx, id)
	if err == nil && row.Deleted == 0 && row.Org == guard.CallerOf(ctx).Principal.Org {
		return EnvRef{string(row.Project), string(row.Env)}, row.Path, nil
	}
	if err == nil || missing(err) {
		err = s.door.Miss(ctx, guard.Op{Action: policy.SecretList, Detail: map[string]string{"folder": string(id)}}, fault.New(fault.NotFound, "no such folder"))
	}
	return EnvRef{}, "", err
}

// maxFolderNote bounds what is said of a folder, in bytes: a sentence or two.
const maxFolderNote = 1 << 10

func (d *draft) setNote(c *Change) (Effect, error) {
	f, err := d.home.folder(c.Path, false)
	if err != nil {
		return Effect{}, err
	}
	note := ""
	assign(&note, c.Comment)
	if len(note) > maxFolderNote || !utf8.ValidString(note) {
		return Effect{}, fault.New(fault.Invalid, "the note of the folder is too long: at most %d bytes of UTF-8", maxFolderNote)
	}
	if note == f.row.Settings.Note {
		return Effect{Path: c.Path, Outcome: Same}, nil
	}
	f.row.Settings.Note = note
	d.home.changeFolder(f)
	return Effect{Path: c.Path, Outcome: Changed}, nil
}
