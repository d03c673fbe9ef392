package secrets

import (
	"context"
	"math"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// maxPage bounds the length of one page of commits.
const maxPage = 200

// State is one state of a secret together with the commit that made it.
type State struct {
	Item
	Commit store.Commit
}

// History lists every state of a secret, newest first, without values.
func (s *Service) History(ctx context.Context, ref EnvRef, path domain.Path, name domain.SecretName) ([]State, error) {
	pl, err := s.where(ctx, policy.SecretList, ref)
	if err != nil {
		return nil, err
	}
	var out []State
	op := guard.Op{Action: policy.SecretList, Resource: s.asked(ctx, pl, path, name), Keys: []string{path.Key(name)}}
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		now, _, _, err := s.cache.secret(ctx, pl.env.ID, path, name)
		if err != nil {
			return hidden(err)
		}
		if !p.Can(policy.SecretList, pl.row(path, now)) {
			return guard.Missing()
		}
		rows, err := s.db.SecretStates(ctx, now.ID)
		if err != nil {
			return err
		}
		for i := range rows {
			c, err := s.db.CommitAt(ctx, pl.env.ID, rows[i].Revision)
			if err != nil {
				return err
			}
			state := State{item(&rows[i], path), c}
			if f, err := s.db.Folder(ctx, rows[i].Folder); err == nil {
				state.Path = f.Path
			}
			if !p.Can(policy.SecretList, pl.row(state.Path, &rows[i])) {
				continue // it had another name, place or tag then
			}
			out = append(out, state)
		}
		return nil
	})
	return out, err
}

// Log lists the commits of an environment below a revision (0: from the newest), newest first.
func (s *Service) Log(ctx context.Context, ref EnvRef, below int64, limit int) ([]store.Commit, error) {
	pl, err := s.where(ctx, policy.SecretList, ref)
	if err != nil {
		return nil, err
	}
	if below <= 0 {
		below = math.MaxInt64
	}
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	var out []store.Commit
	err = s.door.Read(ctx, guard.Op{Action: policy.SecretList, Resource: pl.resource(""), Somewhere: true}, func(guard.Permit) (err error) {
		out, err = s.db.Commits(ctx, pl.env.ID, below, limit)
		return err
	})
	return out, err
}

// Side is one side of a comparison: an environment as it stands, or at a revision.
type Side struct {
	Env string // slug or id in the project
	At  int64  // 0: as it stands
}

// Difference is one secret that differs. Values are compared by digest and shown only when asked for.
type Difference struct {
	Path     domain.Path
	Name     domain.SecretName
	Outcome  Outcome // Added: only in the second, Removed: only in the first, Changed
	From, To *Item   // nil on the side where it is missing
}

// Diff compares two states in a project, by path and name. With reveal it shows the values that the caller may read.
func (s *Service) Diff(ctx context.Context, project string, a, b Side, path domain.Path, reveal bool) ([]Difference, error) {
	action := policy.SecretList
	if reveal {
		action = policy.SecretRead
	}
	left, err := s.side(ctx, action, EnvRef{project, a.Env}, a.At, path, reveal)
	if err != nil {
		return nil, err
	}
	right, err := s.side(ctx, action, EnvRef{project, b.Env}, b.At, path, reveal)
	if err != nil {
		return nil, err
	}
	var out []Difference
	for key, l := range left.byKey {
		r, ok := right.byKey[key]
		switch {
		case !ok:
			out = append(out, Difference{l.item.Path, l.item.Name, Removed, &l.item, nil})
		case l.differs(r) || !sameFacts(l.item.Attrs, r.item.Attrs):
			out = append(out, Difference{l.item.Path, l.item.Name, Changed, &l.item, &r.item})
		}
	}
	for key, r := range right.byKey {
		if _, ok := left.byKey[key]; !ok {
			out = append(out, Difference{r.item.Path, r.item.Name, Added, nil, &r.item})
		}
	}
	sortDifferences(out)
	return out, nil
}

// sameFacts compares what people set, not what changes by itself.
func sameFacts(a, b domain.Attributes) bool {
	a.RotatedAt, b.RotatedAt, a.CommentRev, b.CommentRev, a.Generated, b.Generated = 0, 0, 0, 0, false, false
	return a.Equal(b)
}

type sideItem struct {
	item   Item
	digest []byte // nil when the caller may not read the value: whether two values are equal tells something about both
}

// differs compares values. Without the right to read them only the history tells: another version of the same secret.
func (a sideItem) differs(b sideItem) bool {
	if a.digest == nil || b.digest == nil {
		return a.item.ID == b.item.ID && a.item.Version != b.item.Version
	}
	return string(a.digest) != string(b.digest)
}

type sideState struct{ byKey map[string]sideItem }

func (s *Service) side(ctx context.Context, action policy.Action, ref EnvRef, at int64, path domain.Path, reveal bool) (sideState, error) {
	pl, err := s.where(ctx, action, ref)
	if err != nil {
		return sideState{}, err
	}
	out := sideState{map[string]sideItem{}}
	err = s.door.Read(ctx, guard.Op{Action: action, Resource: pl.resource(path), Somewhere: true}, func(p guard.Permit) error {
		if at == 0 {
			env, err := s.db.Environment(ctx, pl.env.ID)
			if err != nil {
				return err
			}
			at = env.Revision
		}
		paths, rows, err := s.stateAt(ctx, pl, at)
		if err != nil {
			return err
		}
		p.Revision(at)
		r, may := reader{s: s, p: p, home: pl, raw: true}, s.mayState(ctx, p, pl)
		for i := range rows {
			folder, ok := paths[rows[i].Folder]
			if !ok || !path.Contains(folder) || !may(action, folder, &rows[i]) {
				continue
			}
			it := sideItem{item: item(&rows[i], folder)}
			if p.Can(policy.SecretRead, pl.row(folder, &rows[i])) {
				it.digest = rows[i].Digest
			}
			if reveal && rows[i].Value != nil {
				v, _, err := r.value(ctx, pl, folder, &rows[i])
				if err != nil {
					return err
				}
				it.item.Value = &v
				p.Names(folder.Key(rows[i].Name))
			}
			out.byKey[folder.Key(rows[i].Name)] = it
		}
		return nil
	})
	return out, err
}

// RollbackOptions says what goes back.
type RollbackOptions struct {
	To      int64             // the revision to go back to
	Path    domain.Path       // only this folder and what lies below; root for all
	Name    domain.SecretName // only this secret of Path; "" for all
	Message string
	DryRun  bool
}

// Rollback makes a new commit that puts an environment, a folder or one secret back to what it was at a revision. Nothing is
// lost: the states between stay in the history.
func (s *Service) Rollback(ctx context.Context, ref EnvRef, o RollbackOptions) (Committed, error) {
	if len(o.Message) > maxMessage {
		return Committed{}, fault.New(fault.Invalid, "the message is too long: at most %d bytes", maxMessage)
	}
	return s.commit(ctx, ref, &request{Rollback: &o})
}
