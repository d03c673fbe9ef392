package secrets

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

// number gives each folder that a commit touched its next version, and tells which are the current ones now. It costs one row for
// each such folder, and a look at the row before.
func (d *draft) number(ctx context.Context, e *envDraft) ([]*store.DocumentVersion, error) {
	var ids []domain.FolderID
	for id := range e.touched {
		if !e.unnumbered[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var rows, now []*store.DocumentVersion
	for _, id := range ids {
		f, err := d.folderOf(ctx, e, id)
		if err != nil {
			return nil, err
		}
		before, row, err := d.next(ctx, e, f)
		if err != nil {
			return nil, err
		}
		if before != nil {
			rows = append(rows, before)
		}
		rows, now = append(rows, row), append(now, row)
	}
	if err := d.tx.TouchFolders(ctx, ids...); err != nil {
		return nil, err
	}
	for _, mark := range e.marks {
		rows = append(rows, mark)
		if f := e.byID[mark.Folder]; f != nil && f.row.Version == mark.Version {
			now = append(now, mark)
		}
	}
	return now, d.tx.PutDocumentVersions(ctx, rows...)
}

// folderOf finds a folder that was touched. It may be a deleted one, from which a secret was brought back.
func (d *draft) folderOf(ctx context.Context, e *envDraft, id domain.FolderID) (*folderDraft, error) {
	if f := e.byID[id]; f != nil {
		return f, nil
	}
	row, err := d.tx.Folder(ctx, id)
	return &folderDraft{old: &row, row: row}, err
}

// next makes the next version of a folder, and the row of the one before when nobody has written it yet.
func (d *draft) next(ctx context.Context, e *envDraft, f *folderDraft) (before, row *store.DocumentVersion, err error) {
	var oldest int64
	if f.row.Version > 0 {
		prev, known, err := d.current(ctx, e, f)
		if err != nil {
			return nil, nil, err
		}
		if oldest = prev.Oldest; !known {
			before = &prev
		}
	}
	settings := effectiveSettings(f.row.Settings.Document, d.mountSettings(ctx, e))
	f.row.Version++
	row = &store.DocumentVersion{Folder: f.row.ID, Version: f.row.Version, Org: f.row.Org, Project: f.row.Project, Env: f.row.Env,
		Revision: e.place.env.Revision, CreatedAt: d.tx.Now(), DeletedAt: settings.end(d.tx.Now()), Oldest: oldest}
	row.Due = row.DeletedAt
	if keep := row.Version - settings.max + 1; keep > 1 {
		row.Oldest = max(oldest, keep)
	}
	return before, row, nil
}

// current gives the current version of a folder as it was before this commit, and whether it has a row.
func (d *draft) current(ctx context.Context, e *envDraft, f *folderDraft) (store.DocumentVersion, bool, error) {
	row, err := d.tx.DocumentVersion(ctx, f.row.ID, f.row.Version)
	if err == nil || !missing(err) {
		return row, err == nil, err
	}
	revision := e.place.env.Revision // the last one before this commit, which counts it on when it is saved
	if e.saving {
		revision--
	}
	row, err = unknownVersion(ctx, d.tx.Queries, &f.row, revision)
	return row, false, err
}

// mountSettings are those through which a commit came, or those of the project's own mount.
func (d *draft) mountSettings(ctx context.Context, e *envDraft) MountSettings {
	if d.through != nil && e == d.home {
		return d.through.Settings
	}
	p, err := d.s.dir.project(ctx, e.place.env.Org, string(e.place.env.Project))
	if err != nil || p.own == nil {
		return MountSettings{}
	}
	return mountSettings(p.own.Settings)
}
