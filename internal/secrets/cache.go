package secrets

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// cache keeps hot environments in memory: folders, and the sealed secrets that somebody asked for. A commit moves it on
// before its caller gets an answer; other servers' commits arrive by the feed. It holds no plaintext.
//
// What keeps it right: a row that was loaded from the database is entered only if the environment's revision in the cache
// is still the one from before the query; a commit enters its rows under the lock together with the new revision. A turn of
// a key changes envelopes and no revision: the rows that it moves are replaced as they stand, and what still lies under the
// old key at its end is forgotten, together with whatever was loaded before and not entered yet (the era).
type cache struct {
	db    *store.DB
	limit int64
	bytes atomic.Int64
	clock atomic.Int64 // counts uses, to find what was not used for longest
	era   atomic.Int64 // counts times at which envelopes under old keys were forgotten
	mu    sync.RWMutex
	envs  map[domain.EnvID]*snapshot
}

type snapshot struct {
	env  domain.EnvID
	used atomic.Int64

	mu       sync.RWMutex
	dropped  bool // no longer in the cache: its bytes are not counted any more
	revision int64
	folders  map[domain.Path]*folderSnapshot
	byID     map[domain.FolderID]*folderSnapshot
}

type folderSnapshot struct {
	row      store.Folder
	complete bool // every live secret of the folder is in secrets
	secrets  map[domain.SecretName]*store.Secret
	sorted   []*store.Secret        // of a complete folder; nil when it must be made again
	doc      *store.DocumentVersion // the current version of the folder as a document, where it is known; good if its number is the row's
}

func newCache(db *store.DB, limit int64) *cache {
	return &cache{db: db, limit: limit, envs: map[domain.EnvID]*snapshot{}}
}

// rowCost is what a row takes beside its byte slices: the struct, its own strings and the place in the map.
const rowCost = 450

// lean makes a loaded row smaller: ids that all rows of a folder share are kept once, and the digest is for queries only.
func lean(row *store.Secret, folder *store.Folder) *store.Secret {
	row.Org, row.Project, row.Env, row.Folder = folder.Org, folder.Project, folder.Env, folder.ID
	row.Digest = nil
	return row
}

func size(row *store.Secret) int64 {
	return int64(rowCost + len(row.Value) + len(row.Comment))
}

// at gives the snapshot of an environment, its folders loaded.
func (c *cache) at(ctx context.Context, env domain.EnvID) (*snapshot, error) {
	c.mu.RLock()
	s := c.envs[env]
	c.mu.RUnlock()
	if s == nil {
		fresh, err := c.load(ctx, env)
		if err != nil {
			return nil, err
		}
		fresh.mu.Lock() // nobody looks inside before it is as new as the entry
		c.mu.Lock()
		if s = c.envs[env]; s == nil {
			s = fresh
			c.envs[env] = s
		}
		c.mu.Unlock()
		// A commit may have come between the query and the entry: ask for whatever is newer.
		kept := s != fresh || fresh.newest(ctx, c)
		fresh.mu.Unlock()
		if !kept {
			c.drop(env)
		}
	}
	s.used.Store(c.clock.Add(1))
	return s, nil
}

func (c *cache) load(ctx context.Context, env domain.EnvID) (*snapshot, error) {
	row, err := c.db.Environment(ctx, env)
	if err != nil {
		return nil, err
	}
	s := &snapshot{env: env, revision: row.Revision, folders: map[domain.Path]*folderSnapshot{}, byID: map[domain.FolderID]*folderSnapshot{}}
	folders, err := c.db.Folders(ctx, env)
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		s.setFolder(f)
	}
	return s, nil
}

func (s *snapshot) setFolder(f store.Folder) {
	fs := s.byID[f.ID]
	if fs == nil {
		fs = &folderSnapshot{secrets: map[domain.SecretName]*store.Secret{}}
	} else if s.folders[fs.row.Path] == fs { // another folder may have its path already
		delete(s.folders, fs.row.Path)
	}
	fs.row = f
	if f.Deleted != 0 {
		delete(s.byID, f.ID)
		return
	}
	s.folders[f.Path], s.byID[f.ID] = fs, fs
}

// secret finds one live secret. The revision is the one of the environment that the answer belongs to.
func (c *cache) secret(ctx context.Context, env domain.EnvID, path domain.Path, name domain.SecretName) (row *store.Secret, folder store.Folder, revision int64, err error) {
	s, err := c.at(ctx, env)
	if err != nil {
		return nil, folder, 0, err
	}
	s.mu.RLock()
	revision = s.revision
	fs := s.folders[path]
	if fs == nil {
		s.mu.RUnlock()
		return nil, folder, revision, fault.New(fault.NotFound, "no such folder")
	}
	folder = fs.row
	row, complete := fs.secrets[name], fs.complete
	s.mu.RUnlock()
	if row != nil {
		return row, folder, revision, nil
	}
	if complete {
		return nil, folder, revision, fault.New(fault.NotFound, "no such secret")
	}
	era := c.era.Load()
	rows, err := c.db.SecretsNamed(ctx, folder.ID, name)
	if err != nil {
		return nil, folder, revision, err
	}
	if len(rows) == 0 {
		return nil, folder, revision, fault.New(fault.NotFound, "no such secret")
	}
	row = lean(&rows[0], &folder)
	s.mu.Lock()
	if s.revision == revision && s.byID[folder.ID] == fs && !s.dropped && c.era.Load() == era {
		if fs.secrets[name] == nil {
			c.bytes.Add(size(row))
		}
		fs.secrets[name], fs.sorted = row, nil
	}
	s.mu.Unlock()
	c.evict(s)
	return row, folder, revision, nil
}

// folder gives all live secrets of a folder by name. The slice must not be changed.
func (c *cache) folder(ctx context.Context, env domain.EnvID, path domain.Path) (rows []*store.Secret, folder store.Folder, revision int64, err error) {
	s, err := c.at(ctx, env)
	if err != nil {
		return nil, folder, 0, err
	}
	s.mu.RLock()
	revision = s.revision
	fs := s.folders[path]
	if fs == nil {
		s.mu.RUnlock()
		return nil, folder, revision, fault.New(fault.NotFound, "no such folder")
	}
	folder, rows = fs.row, fs.sorted
	complete := fs.complete && rows != nil
	s.mu.RUnlock()
	if complete {
		return rows, folder, revision, nil
	}
	s.mu.Lock()
	if fs.complete && s.byID[folder.ID] == fs {
		fs.sorted = sortedRows(fs.secrets)
		rows, revision = fs.sorted, s.revision
		s.mu.Unlock()
		return rows, folder, revision, nil
	}
	s.mu.Unlock()
	era := c.era.Load()
	loaded, err := c.db.SecretsIn(ctx, folder.ID)
	if err != nil {
		return nil, folder, revision, err
	}
	secrets := make(map[domain.SecretName]*store.Secret, len(loaded))
	var bytes int64
	for i := range loaded {
		secrets[loaded[i].Name] = lean(&loaded[i], &folder)
		bytes += size(&loaded[i])
	}
	rows = sortedRows(secrets)
	s.mu.Lock()
	if s.revision == revision && s.byID[folder.ID] == fs && !s.dropped && c.era.Load() == era && bytes < c.limit/2 {
		c.bytes.Add(bytes - fs.bytes())
		fs.secrets, fs.sorted, fs.complete = secrets, rows, true
	}
	s.mu.Unlock()
	c.evict(s)
	return rows, folder, revision, nil
}

func (fs *folderSnapshot) bytes() (n int64) {
	for _, row := range fs.secrets {
		n += size(row)
	}
	return n
}

func sortedRows(secrets map[domain.SecretName]*store.Secret) []*store.Secret {
	rows := make([]*store.Secret, 0, len(secrets))
	for _, row := range secrets {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b *store.Secret) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return rows
}

// foldersBelow lists the live folders at and below a path, in order.
func (c *cache) foldersBelow(ctx context.Context, env domain.EnvID, path domain.Path) ([]store.Folder, int64, error) {
	s, err := c.at(ctx, env)
	if err != nil {
		return nil, 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.folders[path] == nil {
		return nil, s.revision, fault.New(fault.NotFound, "no such folder")
	}
	var out []store.Folder
	for p, fs := range s.folders {
		if path.Contains(p) {
			out = append(out, fs.row)
		}
	}
	slices.SortFunc(out, func(a, b store.Folder) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return out, s.revision, nil
}

// folderAt finds a live folder of an environment by its path.
func (c *cache) folderAt(ctx context.Context, env domain.EnvID, path domain.Path) (store.Folder, error) {
	s, err := c.at(ctx, env)
	if err != nil {
		return store.Folder{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if fs := s.folders[path]; fs != nil {
		return fs.row, nil
	}
	return store.Folder{}, fault.New(fault.NotFound, "no such folder")
}

// folderByID finds a live folder of an environment.
func (c *cache) folderByID(ctx context.Context, env domain.EnvID, id domain.FolderID) (store.Folder, error) {
	s, err := c.at(ctx, env)
	if err != nil {
		return store.Folder{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if fs := s.byID[id]; fs != nil {
		return fs.row, nil
	}
	return store.Folder{}, fault.New(fault.NotFound, "no such folder")
}

// committed enters what a commit of this server made. It runs after the commit is durable and before its caller goes on.
func (c *cache) committed(env domain.EnvID, revision int64, folders []*store.Folder, rows, old []*store.Secret, docs []*store.DocumentVersion) {
	c.mu.RLock()
	s := c.envs[env]
	c.mu.RUnlock()
	if s == nil {
		return
	}
	s.mu.Lock()
	behind := s.revision+1 < revision
	if s.revision+1 == revision {
		s.apply(c, revision, folders, rows, old)
		s.numbered(docs)
	}
	s.mu.Unlock()
	if behind {
		c.drop(env) // another server's commit came between and was not heard of yet
	}
}

func (s *snapshot) apply(c *cache, revision int64, folders []*store.Folder, rows, old []*store.Secret) {
	for _, f := range folders {
		if gone := s.byID[f.ID]; gone != nil && f.Deleted != 0 {
			c.count(s, -gone.bytes())
		}
		s.setFolder(*f)
	}
	remove := func(row *store.Secret) {
		if fs := s.byID[row.Folder]; fs != nil {
			if was := fs.secrets[row.Name]; was != nil && was.ID == row.ID {
				c.count(s, -size(was))
				delete(fs.secrets, row.Name)
				fs.sorted = nil
			}
		}
	}
	for _, row := range old {
		remove(row)
	}
	for _, row := range rows {
		remove(row)
	}
	for _, row := range rows {
		if fs := s.byID[row.Folder]; fs != nil && row.Deleted == 0 {
			c.count(s, size(row))
			fs.secrets[row.Name], fs.sorted = row, nil
		}
	}
	s.revision = revision
}

// advance takes in other servers' commits: everything that is newer than what the cache has.
func (c *cache) advance(ctx context.Context, env domain.EnvID, revision int64) {
	c.mu.RLock()
	s := c.envs[env]
	c.mu.RUnlock()
	if s != nil && !s.catchUp(ctx, c, revision) {
		c.drop(env)
	}
}

// catchUp tells whether the snapshot can be kept.
func (s *snapshot) catchUp(ctx context.Context, c *cache, revision int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision >= revision || s.newest(ctx, c)
}

// newest takes in whatever the database has that is newer. The caller holds the lock.
func (s *snapshot) newest(ctx context.Context, c *cache) bool {
	row, err := c.db.Environment(ctx, s.env)
	if err != nil || row.DeletedAt != 0 {
		return false
	}
	if row.Revision == s.revision {
		return true
	}
	changed, err := c.db.ChangedSince(ctx, s.env, s.revision)
	var folders []store.Folder
	if err == nil {
		folders, err = c.db.FoldersChangedSince(ctx, s.env, s.revision)
	}
	if err != nil {
		return false
	}
	var folderRows []*store.Folder
	for i := range folders {
		folderRows = append(folderRows, &folders[i])
	}
	// The old place of a moved or renamed secret is not known here: look for it by id.
	byID := map[domain.SecretID]bool{}
	var rows, old []*store.Secret
	for i := range changed {
		byID[changed[i].ID] = true
		rows = append(rows, &changed[i])
	}
	for _, fs := range s.byID {
		for _, r := range fs.secrets {
			if byID[r.ID] {
				old = append(old, r)
			}
		}
	}
	s.apply(c, row.Revision, folderRows, rows, old)
	return s.recount(ctx, c) == nil
}

// count moves the bytes on, unless the snapshot is not counted any more.
func (c *cache) count(s *snapshot, bytes int64) {
	if !s.dropped {
		c.bytes.Add(bytes)
	}
}

// clear forgets everything.
func (c *cache) clear() {
	c.mu.Lock()
	all := slices.Collect(maps.Keys(c.envs))
	c.mu.Unlock()
	for _, env := range all {
		c.drop(env)
	}
}

func (c *cache) drop(env domain.EnvID) {
	c.mu.Lock()
	s := c.envs[env]
	delete(c.envs, env)
	c.mu.Unlock()
	if s != nil { // outside of c.mu: whoever holds s.mu may be waiting for it
		c.forget(s)
	}
}

func (c *cache) forget(s *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fs := range s.byID {
		c.count(s, -fs.bytes())
	}
	s.dropped = true
}

// evict makes room: first the environments that were not used for longest, then parts of the one in use.
func (c *cache) evict(inUse *snapshot) {
	for c.bytes.Load() > c.limit {
		c.mu.RLock()
		var oldest *snapshot
		for _, s := range c.envs {
			if s != inUse && (oldest == nil || s.used.Load() < oldest.used.Load()) {
				oldest = s
			}
		}
		c.mu.RUnlock()
		if oldest != nil {
			c.drop(oldest.env)
			continue
		}
		inUse.mu.Lock()
		for _, fs := range inUse.byID {
			for name, row := range fs.secrets { // the order of a map is random: so is what goes
				c.count(inUse, -size(row))
				delete(fs.secrets, name)
				if c.bytes.Load() <= c.limit*3/4 {
					break
				}
			}
			fs.complete, fs.sorted = false, nil
		}
		inUse.mu.Unlock()
		return
	}
}
