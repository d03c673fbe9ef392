package access

import (
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds of what one token keeps for itself: it hands things over between programs that share a token, and is no store.
const (
	maxCubbies    = 256
	maxCubbyValue = 64 << 10 // bytes of one
	maxCubbyTotal = 1 << 20  // bytes of all
	maxCubbyPath  = 512      // bytes
)

func cubbyPath(path string) error {
	bad := len(path) > maxCubbyPath || !printable(path)
	for segment := range strings.SplitSeq(path, "/") {
		bad = bad || segment == "" || segment == "." || segment == ".."
	}
	if bad {
		return fault.New(fault.Invalid, "not a path: want up to %d printable bytes, without empty segments", maxCubbyPath)
	}
	return nil
}

func cubbyOp(ctx context.Context, verb string) guard.Op {
	return guard.Op{Action: policy.CubbyholeUse, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: map[string]string{"cubbyhole": verb}}
}

// cubbies gives what the caller's token keeps. A caller without a token keeps nothing.
func cubbies(ctx context.Context, q store.Queries, p guard.Permit) ([]store.Cubby, error) {
	if p.Principal().Token == "" {
		return nil, guard.Missing()
	}
	return q.Cubbies(ctx, p.Principal().Token)
}

func cubbyAt(rows []store.Cubby, path string) (store.Cubby, bool) {
	i := slices.IndexFunc(rows, func(r store.Cubby) bool { return r.Path == path })
	if i < 0 {
		return store.Cubby{}, false
	}
	return rows[i], true
}

// CubbyRead opens what the caller's token keeps under a path, or gives fault.NotFound. No other token reads it, whoever shows it.
func (s *Service) CubbyRead(ctx context.Context, path string) (sensitive.Value, error) {
	if err := cubbyPath(path); err != nil {
		return sensitive.Value{}, err
	}
	var out sensitive.Value
	err := s.door.Read(ctx, cubbyOp(ctx, "read"), func(p guard.Permit) error {
		rows, err := cubbies(ctx, s.db.Queries, p)
		if err != nil {
			return err
		}
		row, ok := cubbyAt(rows, path)
		if !ok {
			return guard.Missing()
		}
		out, err = s.kept(ctx, s.db.Queries, store.CubbySecret(row.ID))
		return err
	})
	return out, err
}

// CubbyList gives what lies directly below a path ("" for all): names, and folders with a slash at their end, sorted.
func (s *Service) CubbyList(ctx context.Context, path string) ([]string, error) {
	if path != "" {
		if err := cubbyPath(path); err != nil {
			return nil, err
		}
		path += "/"
	}
	var out []string
	err := s.door.Read(ctx, cubbyOp(ctx, "list"), func(p guard.Permit) error {
		rows, err := cubbies(ctx, s.db.Queries, p)
		for _, row := range rows {
			if rest, ok := strings.CutPrefix(row.Path, path); ok {
				name, _, folder := strings.Cut(rest, "/")
				if folder {
					name += "/"
				}
				out = append(out, name)
			}
		}
		return err
	})
	slices.Sort(out)
	return slices.Compact(out), err
}

// CubbyWrite keeps a value under a path, in place of what was there. It ends with the token.
func (s *Service) CubbyWrite(ctx context.Context, path string, value sensitive.Value) error {
	if err := cubbyPath(path); err != nil {
		return err
	}
	if value.Len() > maxCubbyValue {
		return fault.New(fault.Invalid, "the value is longer than %d bytes", maxCubbyValue)
	}
	return s.door.Do(ctx, cubbyOp(ctx, "write"), func(tx *store.Tx, p guard.Permit) error {
		token, err := tx.Token(ctx, p.Principal().Token)
		if err != nil {
			return err
		}
		if token.RevokedAt != 0 {
			return unknown() // since it was looked at: nothing must come after the erasing
		}
		rows, err := cubbies(ctx, tx.Queries, p)
		if err != nil {
			return err
		}
		total := int64(value.Len())
		for _, row := range rows {
			if row.Path != path {
				total += row.Size
			}
		}
		old, there := cubbyAt(rows, path)
		if total > maxCubbyTotal || !there && len(rows) >= maxCubbies {
			return fault.New(fault.Invalid, "a token keeps at most %d values and %d bytes", maxCubbies, maxCubbyTotal)
		}
		if there {
			if err := tx.RemoveCubby(ctx, &old); err != nil {
				return err
			}
		}
		// A new id for each content, so that an old envelope does not open in the place of a newer one.
		row := store.Cubby{ID: domain.NewID[string](), Org: p.Org(), Token: token.ID, Path: path, Size: int64(value.Len()), At: tx.Now()}
		if err := s.keep(ctx, tx, store.CubbySecret(row.ID), value); err != nil {
			return err
		}
		return tx.PutCubby(ctx, &row)
	})
}

// CubbyDelete removes what lies under a path. What is not there is no error.
func (s *Service) CubbyDelete(ctx context.Context, path string) error {
	if err := cubbyPath(path); err != nil {
		return err
	}
	return s.door.Do(ctx, cubbyOp(ctx, "delete"), func(tx *store.Tx, p guard.Permit) error {
		rows, err := cubbies(ctx, tx.Queries, p)
		if err != nil {
			return err
		}
		if row, ok := cubbyAt(rows, path); ok {
			return tx.RemoveCubby(ctx, &row)
		}
		return nil
	})
}
