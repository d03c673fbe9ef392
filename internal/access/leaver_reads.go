package access

import (
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// ReadLog walks what a principal has read: environment, full names as the audit log has them, the revision that was read (0 where
// none is known) and when, unix milliseconds. Names in other environments are PROJECT/ENV:/path/NAME.
type ReadLog func(ctx context.Context, org domain.OrgID, principal string, visit func(env domain.EnvID, keys []string, revision, at int64) error) error

// ReadsFrom gives what tells who has read what. It is called before the first request.
func (s *Service) ReadsFrom(log ReadLog) { s.reads = log }

// wasRead is what somebody knows of one secret.
type wasRead struct {
	row     store.Secret // as it is now
	version int64        // the newest that he has read
	at      int64        // when last
}

// moment is one read of one name.
type moment struct {
	revision, at int64
}

// readBy gives what somebody has read of secrets that are still there, by their ids. Renames and moves are followed through the
// history: the log has names, and a name may have become another secret's.
func (s *Service) readBy(ctx context.Context, org domain.OrgID, principal string) (map[domain.SecretID]wasRead, error) {
	if s.reads == nil {
		return nil, fault.New(fault.Unavailable, "nothing tells what was read")
	}
	byEnv := map[domain.EnvID]map[string]map[moment]bool{}
	places := map[string]domain.EnvID{}
	note := func(env domain.EnvID, key string, m moment) {
		if byEnv[env] == nil {
			byEnv[env] = map[string]map[moment]bool{}
		}
		if byEnv[env][key] == nil {
			byEnv[env][key] = map[moment]bool{}
		}
		byEnv[env][key][m] = true
	}
	err := s.reads(ctx, org, principal, func(env domain.EnvID, keys []string, revision, at int64) error {
		for _, key := range keys {
			place, foreign, isForeign := strings.Cut(key, ":")
			if !isForeign {
				note(env, key, moment{revision, at})
				continue
			}
			id, known := places[place]
			if !known {
				id = s.placeByName(ctx, org, place)
				places[place] = id
			}
			if id != "" {
				note(id, foreign, moment{0, at}) // of another environment the time is known, not the revision
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := map[domain.SecretID]wasRead{}
	for env, keys := range byEnv {
		h, err := s.historyOf(ctx, env)
		if err != nil {
			return nil, err
		}
		for key, moments := range keys {
			for m := range moments {
				h.find(key, m, out)
			}
		}
	}
	return out, s.addKnown(ctx, principal, out)
}

// addKnown adds what consumers are known by, which reaches further back than the log where that was archived.
func (s *Service) addKnown(ctx context.Context, principal string, out map[domain.SecretID]wasRead) error {
	rows, err := s.db.ConsumersOf(ctx, principal)
	if err != nil {
		return err
	}
	for _, c := range rows {
		was, there := out[c.Secret]
		if !there {
			row, err := s.db.Secret(ctx, c.Secret)
			if fault.KindOf(err) == fault.NotFound && err != nil || err == nil && row.Deleted != 0 {
				continue
			}
			if err != nil {
				return err
			}
			row.Value, row.Comment, row.Digest = nil, nil, nil
			was.row = row
		}
		was.version, was.at = max(was.version, c.Version), max(was.at, c.LastAt)
		out[c.Secret] = was
	}
	return nil
}

// placeByName finds an environment by PROJECT/ENV; "" when there is none of this name any more.
func (s *Service) placeByName(ctx context.Context, org domain.OrgID, place string) domain.EnvID {
	project, env, _ := strings.Cut(place, "/")
	p, err := s.db.ProjectBySlug(ctx, org, domain.Slug(project))
	if err != nil {
		return ""
	}
	e, err := s.db.EnvironmentBySlug(ctx, p.ID, domain.Slug(env))
	if err != nil {
		return ""
	}
	return e.ID
}

// envHistory is every state of an environment, without values.
type envHistory struct {
	secrets map[domain.SecretID][]store.Secret // newest first
	folders map[domain.FolderID][]store.Folder // newest first
	named   map[domain.SecretName][]domain.SecretID
}

func (s *Service) historyOf(ctx context.Context, env domain.EnvID) (*envHistory, error) {
	h := &envHistory{map[domain.SecretID][]store.Secret{}, map[domain.FolderID][]store.Folder{}, map[domain.SecretName][]domain.SecretID{}}
	err := s.db.EachState(ctx, env, func(row *store.Secret) error {
		row.Value, row.Comment, row.Digest = nil, nil, nil
		h.secrets[row.ID] = append(h.secrets[row.ID], *row)
		if !slices.Contains(h.named[row.Name], row.ID) {
			h.named[row.Name] = append(h.named[row.Name], row.ID)
		}
		return nil
	})
	if err == nil {
		err = s.db.EachFolderState(ctx, env, func(row *store.Folder) error {
			h.folders[row.ID] = append(h.folders[row.ID], *row)
			return nil
		})
	}
	for _, states := range h.secrets {
		slices.SortFunc(states, func(a, b store.Secret) int { return int(b.Revision - a.Revision) })
	}
	for _, states := range h.folders {
		slices.SortFunc(states, func(a, b store.Folder) int { return int(b.Revision - a.Revision) })
	}
	return h, err
}

// find notes which secret had a name at a moment.
func (h *envHistory) find(key string, m moment, out map[domain.SecretID]wasRead) {
	path, name, err := domain.SplitKey(domain.Root, key)
	if err != nil {
		return
	}
	for _, id := range h.named[name] {
		states := h.secrets[id]
		i := slices.IndexFunc(states, func(s store.Secret) bool {
			return m.revision > 0 && s.Revision <= m.revision || m.revision == 0 && s.At <= m.at
		})
		if i < 0 || states[i].Name != name || states[i].Deleted != 0 || h.pathAt(states[i].Folder, max(m.revision, states[i].Revision)) != path {
			continue
		}
		if now := states[0]; now.Deleted == 0 {
			was := out[id]
			out[id] = wasRead{now, max(was.version, states[i].Version), max(was.at, m.at)}
		}
	}
}

func (h *envHistory) pathAt(folder domain.FolderID, revision int64) domain.Path {
	for _, f := range h.folders[folder] {
		if f.Revision <= revision {
			return f.Path
		}
	}
	return ""
}
