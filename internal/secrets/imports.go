package secrets

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// maxImports bounds how many folders one folder shows, and maxImportDepth how far imports of imports are followed.
const (
	maxImports     = 32
	maxImportDepth = 16
)

// seenFolders are those that a walk along imports has been to: what was not found there is not there the second time, and
// without it a few layers of folders that all import each other would keep a server busy for ever.
type seenFolders map[domain.FolderID]bool

// visible finds a name in a folder or in what it imports; its own secrets win, then the last import.
func (d *draft) visible(ctx context.Context, e *envDraft, f *folderDraft, name domain.SecretName, seen seenFolders) (*envDraft, *secretDraft, error) {
	s, err := d.secret(ctx, e, f, name)
	if err != nil || s != nil {
		return e, s, err
	}
	seen[f.row.ID] = true
	for i := len(f.row.Settings.Imports) - 1; i >= 0; i-- {
		ie, inner, err := d.imported(ctx, f.row.Settings.Imports[i])
		if err != nil {
			return nil, nil, err
		}
		if inner == nil || seen[inner.row.ID] || len(seen) > maxImports*maxImportDepth {
			continue
		}
		if te, s, err := d.visible(ctx, ie, inner, name, seen); err != nil || s != nil {
			return te, s, err
		}
	}
	return nil, nil, nil
}

// imported finds the folder that an import shows; nil when it or its environment is deleted.
func (d *draft) imported(ctx context.Context, imp store.Import) (*envDraft, *folderDraft, error) {
	e, err := d.env(ctx, imp.Env)
	if missing(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	f := e.byID[imp.Folder]
	if f == nil || f.row.Deleted != 0 {
		return e, nil, nil
	}
	return e, f, nil
}

// seer is a folder that shows another one's secrets.
type seer struct {
	env    *envDraft
	folder *folderDraft
}

// seers gives a folder and all that show its secrets by imports, near and far, as the database or the draft has it.
func (d *draft) seers(ctx context.Context, e *envDraft, f *folderDraft) ([]seer, error) {
	if known, ok := d.importers[f.row.ID]; ok {
		return known, nil
	}
	out := []seer{{e, f}}
	has := seenFolders{f.row.ID: true}
	add := func(e *envDraft, f *folderDraft) {
		if f != nil && f.row.Deleted == 0 && !has[f.row.ID] {
			has[f.row.ID] = true
			out = append(out, seer{e, f})
		}
	}
	for i := 0; i < len(out); i++ { // grows as it runs
		shown := out[i].folder.row.ID
		rows, err := d.importing(ctx, shown)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			ge, err := d.env(ctx, row.Env)
			if missing(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			add(ge, ge.byID[row.ID])
		}
		for _, ge := range d.envs {
			for _, g := range ge.forders {
				if imports(g, shown) {
					add(ge, g)
				}
			}
		}
	}
	d.importers[f.row.ID] = out
	return out, nil
}

// fewFolders is up to how many folders of a commit are looked for one by one in what others import. Each look reads all folders of
// the organisation, so a commit with more of them reads once what any folder imports.
const fewFolders = 8

// importing lists the folders that show another one directly, as the database has them.
func (d *draft) importing(ctx context.Context, shown domain.FolderID) ([]store.Folder, error) {
	if d.allImports == nil {
		if d.looked++; d.looked <= fewFolders {
			return d.tx.FoldersImporting(ctx, d.p.Org(), shown)
		}
		rows, err := d.tx.FoldersWithImports(ctx, d.p.Org())
		if err != nil {
			return nil, err
		}
		d.allImports = map[domain.FolderID][]store.Folder{}
		for _, row := range rows {
			seen := seenFolders{}
			for _, imp := range row.Settings.Imports {
				if !seen[imp.Folder] {
					seen[imp.Folder] = true
					d.allImports[imp.Folder] = append(d.allImports[imp.Folder], row)
				}
			}
		}
	}
	return d.allImports[shown], nil
}

// imports tells whether a folder shows another one directly.
func imports(f *folderDraft, id domain.FolderID) bool {
	return slices.ContainsFunc(f.row.Settings.Imports, func(i store.Import) bool { return i.Folder == id })
}

// bearers visits every secret of a name that a folder could show: its own and those of its imports, near and far.
func (d *draft) bearers(ctx context.Context, e *envDraft, f *folderDraft, name domain.SecretName, seen seenFolders, visit func(*secretDraft) error) error {
	seen[f.row.ID] = true
	s, err := d.secret(ctx, e, f, name)
	if err == nil && s != nil {
		err = visit(s)
	}
	for _, imp := range f.row.Settings.Imports {
		if err != nil {
			return err
		}
		var ie *envDraft
		var inner *folderDraft
		if ie, inner, err = d.imported(ctx, imp); err == nil && inner != nil && !seen[inner.row.ID] {
			err = d.bearers(ctx, ie, inner, name, seen, visit)
		}
	}
	return err
}

// setImports replaces what a folder shows of others. Values that used an import are looked at again before the commit is saved.
func (d *draft) setImports(ctx context.Context, c *Change) (Effect, error) {
	if len(c.Imports) > maxImports {
		return Effect{}, fault.New(fault.Invalid, "too many imports in one folder: at most %d", maxImports)
	}
	f, err := d.home.folder(c.Path, true)
	if err != nil {
		return Effect{}, err
	}
	var list []store.Import
	for _, src := range c.Imports {
		e, err := d.elsewhere(ctx, src.EnvRef)
		if err != nil {
			return Effect{}, err
		}
		if at := e.place.resource(src.Path); !d.p.In(policy.SecretList, at).Some() {
			return Effect{}, d.refused(policy.SecretList, e, at)
		}
		from, err := e.folder(src.Path, false)
		if err != nil {
			return Effect{}, err
		}
		list = append(list, store.Import{Project: from.row.Project, Env: from.row.Env, Folder: from.row.ID})
	}
	if slices.Equal(list, f.row.Settings.Imports) {
		return Effect{Path: c.Path, Outcome: Same}, nil
	}
	f.row.Settings.Imports = list
	d.home.changeFolder(f)
	clear(d.importers)
	if err := d.refuseImportCycle(ctx, f); err != nil {
		return Effect{}, err
	}
	return Effect{Path: c.Path, Outcome: Changed}, nil
}

func (d *draft) refuseImportCycle(ctx context.Context, start *folderDraft) error {
	var way []string
	seen := seenFolders{}
	var follow func(f *folderDraft) (bool, error)
	follow = func(f *folderDraft) (bool, error) {
		if len(way) > maxImportDepth {
			return false, fault.New(fault.Invalid, "imports of imports go deeper than %d", maxImportDepth)
		}
		for _, imp := range f.row.Settings.Imports {
			e, inner, err := d.imported(ctx, imp)
			if err != nil {
				return false, err
			}
			if inner == nil || seen[inner.row.ID] {
				continue
			}
			seen[inner.row.ID] = true
			way = append(way, d.folderKey(e, inner))
			if inner == start {
				return true, nil
			}
			if back, err := follow(inner); back || err != nil {
				return back, err
			}
			way = way[:len(way)-1]
		}
		return false, nil
	}
	back, err := follow(start)
	if err == nil && back {
		return fault.New(fault.Invalid, "imports form a circle: %s -> %s", d.folderKey(d.home, start), strings.Join(way, " -> "))
	}
	return err
}

// folderKey names a folder in a message, if the author may know of it.
func (d *draft) folderKey(e *envDraft, f *folderDraft) string {
	if !d.p.In(policy.SecretList, e.place.resource(f.row.Path)).Some() {
		return "a folder that you may not see"
	}
	return fmt.Sprintf("%s:%s", e.place, f.row.Path)
}
