package secrets

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// heldDocument is a folder with its live secrets and its current version, all of one moment.
type heldDocument struct {
	folder   store.Folder
	rows     []*store.Secret // by name; must not be changed
	version  store.DocumentVersion
	revision int64 // of the environment
}

// maxLoads bounds how often a document is read again because the environment changed meanwhile.
const maxLoads = 20

// document gives a folder as a document. A folder that is none is fault.NotFound, as one that is not there.
func (c *cache) document(ctx context.Context, env domain.EnvID, path domain.Path) (heldDocument, error) {
	s, err := c.at(ctx, env)
	if err != nil {
		return heldDocument{}, err
	}
	for range maxLoads {
		s.mu.RLock()
		fs := s.folders[path]
		if fs == nil || !isDocument(&fs.row) {
			s.mu.RUnlock()
			return heldDocument{}, fault.New(fault.NotFound, "no such document")
		}
		out := heldDocument{folder: fs.row, rows: fs.sorted, revision: s.revision}
		known := fs.complete && fs.sorted != nil
		if fs.doc != nil && fs.doc.Version == fs.row.Version {
			out.version = *fs.doc
		} else {
			known = known && fs.row.Version == 0
		}
		s.mu.RUnlock()
		if known {
			return out, nil
		}
		out, same, err := c.loadDocument(ctx, s, fs, path)
		if err != nil || same {
			return out, err
		}
	}
	return heldDocument{}, fault.New(fault.Unavailable, "the environment changes too fast to be read").WithHint("try again in a moment")
}

func isDocument(f *store.Folder) bool { return f.Version > 0 || f.Settings.Document != nil }

// loadDocument reads a document from the database and enters it. It is whole only if no commit came between its parts.
func (c *cache) loadDocument(ctx context.Context, s *snapshot, fs *folderSnapshot, path domain.Path) (out heldDocument, same bool, err error) {
	era := c.era.Load()
	before, err := c.db.Environment(ctx, s.env)
	if err != nil {
		return out, false, err
	}
	if out.folder, err = c.db.FolderByPath(ctx, s.env, path); err != nil {
		return out, false, err
	}
	loaded, err := c.db.SecretsIn(ctx, out.folder.ID)
	if err != nil {
		return out, false, err
	}
	secrets := make(map[domain.SecretName]*store.Secret, len(loaded))
	var bytes int64
	for i := range loaded {
		secrets[loaded[i].Name] = lean(&loaded[i], &out.folder)
		bytes += size(&loaded[i])
	}
	out.rows = sortedRows(secrets)
	if out.folder.Version > 0 {
		out.version, err = c.db.DocumentVersion(ctx, out.folder.ID, out.folder.Version)
		if missing(err) {
			out.version, err = unknownVersion(ctx, c.db.Queries, &out.folder, before.Revision)
		}
		if err != nil {
			return out, false, err
		}
	}
	after, err := c.db.Environment(ctx, s.env)
	if err != nil || after.Revision != before.Revision {
		return out, false, err
	}
	out.revision = before.Revision
	s.mu.Lock()
	if s.revision == out.revision && s.byID[out.folder.ID] == fs && !s.dropped && c.era.Load() == era && bytes < c.limit/2 {
		c.bytes.Add(bytes - fs.bytes())
		version := out.version
		fs.secrets, fs.sorted, fs.complete, fs.doc = secrets, out.rows, true, &version
		fs.row.Version = out.folder.Version
	}
	s.mu.Unlock()
	c.evict(s)
	return out, true, nil
}

// recount takes the numbers of versions from the database, after commits of other servers. The caller holds the lock.
func (s *snapshot) recount(ctx context.Context, c *cache) error {
	rows, err := c.db.Folders(ctx, s.env)
	for i := range rows {
		if fs := s.byID[rows[i].ID]; fs != nil {
			fs.row.Version, fs.doc = rows[i].Version, nil
		}
	}
	return err
}

// numbered enters the versions that a commit of this server made. The caller holds the lock.
func (s *snapshot) numbered(docs []*store.DocumentVersion) {
	for _, doc := range docs {
		if fs := s.byID[doc.Folder]; fs != nil && doc.Version >= fs.row.Version {
			fs.row.Version, fs.doc = doc.Version, doc
		}
	}
}

// foldersOf gives the live folders of an environment at a revision, if they are known. Environments with many documents have many
// folders, and every commit asks for all of them.
func (c *cache) foldersOf(env domain.EnvID, revision int64) ([]store.Folder, bool) {
	c.mu.RLock()
	s := c.envs[env]
	c.mu.RUnlock()
	if s == nil || !s.mu.TryRLock() { // the writer does not wait for readers
		return nil, false
	}
	defer s.mu.RUnlock()
	if s.revision != revision || s.dropped {
		return nil, false
	}
	out := make([]store.Folder, 0, len(s.byID))
	for _, fs := range s.byID {
		out = append(out, fs.row)
	}
	return out, true
}
