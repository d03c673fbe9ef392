package access

import (
	"context"
	"errors"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Causes that Vault clients are told apart.
var (
	// ErrNoToken is the cause when there is no such token, or none that still works.
	ErrNoToken = errors.New("no such token")
	// ErrNotRenewable is the cause when the end of a token cannot be moved.
	ErrNotRenewable = errors.New("not renewable")
)

// Which names a token: by itself, by its accessor, or with neither the one that the caller shows.
type Which struct{ Token, Accessor string }

// Known is what is known of a token that works.
type Known struct {
	Row      Token
	Policies []string // names
	End      int64    // by itself or with one that it ends with, unix milliseconds, 0 = never
	UsesLeft int64    // 0 = any number
}

func noToken() error {
	return fault.Wrap(fault.NotFound, ErrNoToken, "there is no such token, or it has ended")
}

// find gives the row of a token of the organisation that works, with its end.
func (w Which) find(ctx context.Context, q store.Queries, who *domain.Principal) (row store.Token, end int64, err error) {
	switch {
	case w.Token != "":
		hash := domain.TokenHash(domain.BareToken(w.Token))
		row, err = q.TokenByHash(ctx, hash[:])
	case w.Accessor != "" && !domain.IsID(w.Accessor): // it may be a secret in the wrong place, which no database should see
		err = noToken()
	case w.Accessor != "":
		if row, err = q.Token(ctx, domain.TokenID(w.Accessor)); err == nil && row.Batch {
			err = noToken() // it has none
		}
	default:
		row, err = q.Token(ctx, who.Token)
	}
	if err == nil && (row.Org != who.Org || row.RevokedAt != 0 || row.ExpiresAt != 0 && row.ExpiresAt <= time.Now().UnixMilli()) {
		err = noToken()
	}
	if err == nil {
		end, err = lineage(ctx, q, row)
	}
	if k := fault.KindOf(err); err != nil && (k == fault.NotFound || k == fault.Unauthenticated) {
		err = noToken()
	}
	return row, end, err
}

// owns tells whether a token is the caller's own affair: the one that he shows, one that ends with it, or, when nobody gave him a
// token that another one made or narrowed, any other of the same holder.
func owns(ctx context.Context, q store.Queries, who *domain.Principal, row store.Token) (bool, error) {
	if row.ID == who.Token {
		return true, nil
	}
	if below, err := descends(ctx, q, row, who.Token); below || err != nil {
		return below, err
	}
	if row.PrincipalID != who.ID || who.Policies != nil || who.Scopes != nil || who.Token == "" {
		return false, nil
	}
	mine, err := q.Token(ctx, who.Token)
	return err == nil && mine.Family == "" && !mine.Orphan, err
}

// aim finds a token and what its affairs are judged by: the action on one's own, or that on those of others. To whoever lacks the
// latter, a token that is not there and one that is not his look the same.
func (s *Service) aim(ctx context.Context, w Which, own, others policy.Action, detail map[string]string) (guard.Op, error) {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: others, Resource: policy.Resource{Org: who.Org}, Detail: detail}
	row, _, err := w.find(ctx, s.db.Queries, who)
	if err != nil {
		if fault.KindOf(err) != fault.NotFound {
			return op, err
		}
		if w == (Which{}) { // it ended since it was let in
			return op, s.Refused(ctx, unknown())
		}
		if !s.door.Check(ctx, others, op.Resource) {
			return op, s.door.Read(ctx, op, func(guard.Permit) error { return noToken() })
		}
		op.Detail["token"] = "unknown"
		return op, s.door.Fail(ctx, op, err)
	}
	op.Detail["token_id"] = string(row.ID)
	mine, err := owns(ctx, s.db.Queries, who, row)
	if mine {
		op.Action = own
	}
	return op, err
}

// LookUp tells what is known of a token.
func (s *Service) LookUp(ctx context.Context, w Which) (Known, error) {
	op, err := s.aim(ctx, w, policy.SelfRead, policy.AccessRead, map[string]string{"token": "look up"})
	if err != nil {
		return Known{}, err
	}
	var out Known
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		row, end, err := w.find(ctx, s.db.Queries, p.Principal())
		if err != nil && w == (Which{}) {
			return unknown()
		}
		if err != nil {
			return err
		}
		holder, err := s.holder(ctx, row)
		if fault.KindOf(err) == fault.Unauthenticated && err != nil { // its holder is disabled
			return noToken()
		}
		if err != nil {
			return err
		}
		out = Known{Row: row, Policies: PolicyNames(holder), End: end}
		if row.Uses > 0 {
			out.UsesLeft = max(row.Uses-row.Used, 0)
		}
		return nil
	})
	return out, err
}

// RenewToken gives a token another end: increment from now, or with 0 as long as it was made for; a periodic one its period. It may
// be an earlier one, as clients expect, and never reaches past what the token was made for or what it ends with. The session has
// no token in it: the caller knows it or must not.
func (s *Service) RenewToken(ctx context.Context, w Which, increment time.Duration) (Session, error) {
	if increment < 0 {
		return Session{}, fault.New(fault.Invalid, "increment cannot be negative")
	}
	op, err := s.aim(ctx, w, policy.SelfRead, policy.AccessManage, map[string]string{"token": "renew"})
	if err != nil {
		return Session{}, err
	}
	var out Session
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		row, _, err := w.find(ctx, tx.Queries, p.Principal())
		if err != nil {
			return err
		}
		until, err := renewal(ctx, tx, row, min(increment, maxTokenTTL))
		if err != nil {
			return err
		}
		row.ExpiresAt, row.RenewedAt = until, tx.Now()
		if err := tx.PutToken(ctx, &row); err != nil {
			return err
		}
		out = Session{Row: row}
		return s.changed(ctx, tx)
	})
	return out, err
}

// renewal gives the end that a renewal gives a token.
func renewal(ctx context.Context, tx *store.Tx, row store.Token, ttl time.Duration) (int64, error) {
	if !Renewable(row) {
		return 0, fault.Wrap(fault.Denied, ErrNotRenewable, "this token cannot be renewed").WithHint("log in again; a login method with --max-ttl gives tokens that can be")
	}
	switch {
	case row.Period > 0:
		ttl = time.Duration(row.Period) * time.Millisecond
	case ttl == 0 && row.Family == "" && !row.Orphan && row.PrincipalKind == domain.Identity && row.TTL == 0:
		i, err := tx.Identity(ctx, domain.IdentityID(row.PrincipalID))
		if err != nil {
			return 0, err
		}
		ttl = time.Duration(i.TokenTTL) * time.Millisecond
	case ttl == 0 && row.TTL > 0:
		ttl = time.Duration(row.TTL) * time.Millisecond
	case ttl == 0:
		ttl = defaultTokenTTL
	}
	until := earlier(tx.Now()+ttl.Milliseconds(), row.RenewUntil)
	if row.Family != "" {
		parent, err := tx.Token(ctx, row.Parent)
		if err != nil {
			return 0, err
		}
		end, err := lineage(ctx, tx.Queries, parent)
		if err != nil {
			return 0, err
		}
		until = earlier(until, end)
	}
	return until, nil
}

// EndToken revokes a token at once, on every server, with all that end with it; as an orphaning, its children stay and have no
// parent any more, which is for who manages access.
func (s *Service) EndToken(ctx context.Context, w Which, orphaning bool) error {
	own := policy.TokenRevoke
	detail := map[string]string{"token": "revoke"}
	if orphaning {
		own, detail["children"] = policy.AccessManage, "stay"
	}
	op, err := s.aim(ctx, w, own, policy.AccessManage, detail)
	if err != nil {
		return err
	}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		row, _, err := w.find(ctx, tx.Queries, p.Principal())
		if err != nil {
			return err
		}
		if orphaning {
			if err := orphan(ctx, tx, &row); err != nil {
				return err
			}
		}
		if _, err := tx.EndToken(ctx, &row); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
}

// orphan makes each child of a token the root of a family of its own.
func orphan(ctx context.Context, tx *store.Tx, parent *store.Token) error {
	below, err := tx.Family(ctx, parent)
	if err != nil {
		return err
	}
	root := map[domain.TokenID]domain.TokenID{} // parents come before their children
	for i := range below {
		row := &below[i]
		if row.Parent == parent.ID {
			root[row.ID] = row.ID
			row.Family, row.Orphan = "", true
		} else {
			root[row.ID] = root[row.Parent]
			row.Family = root[row.ID]
		}
		if err := tx.PutToken(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// maxAccessors bounds a list of accessors.
const maxAccessors = 100_000

// Accessors lists those of all tokens of the organisation that work.
func (s *Service) Accessors(ctx context.Context) ([]string, error) {
	out := []string{}
	err := s.ask(ctx, "accessors", func(org domain.OrgID) error {
		rows, err := s.db.LiveTokens(ctx, org, time.Now().UnixMilli(), maxAccessors)
		for _, row := range rows {
			if a := Accessor(row); a != "" {
				out = append(out, a)
			}
		}
		return err
	})
	return out, err
}

// Ask records that the caller asked for something that needs no right but a token that works.
func (s *Service) Ask(ctx context.Context, what string) error {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"ask": what}}
	return s.door.Read(ctx, op, func(guard.Permit) error { return nil })
}

// AskManager is [Service.Ask] for what only who manages access may do.
func (s *Service) AskManager(ctx context.Context, what string) error {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.AccessManage, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"ask": what}}
	return s.door.Read(ctx, op, func(guard.Permit) error { return nil })
}

// endOutlived ends tokens whose parent has expired, and empties what ended tokens kept. They work no more since that moment: this
// makes the rows say so.
func (s *Service) endOutlived(ctx context.Context) error {
	now := time.Now().UnixMilli()
	rows, err := s.db.OutlivedTokens(ctx, now, eraseBatch)
	if err != nil {
		return err
	}
	ctx = guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "access", Name: "end of tokens"}, Dialect: "native"})
	for _, row := range rows {
		op := guard.Op{Action: policy.TokenRevoke, Resource: policy.Resource{Org: row.Org}, Detail: map[string]string{"token_id": string(row.ID), "end": "with its parent"}}
		if err := s.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
			now, err := tx.Token(ctx, row.ID)
			if err != nil {
				return err
			}
			_, err = tx.EndToken(ctx, &now)
			return err
		}); err != nil {
			return err
		}
	}
	ended, err := s.db.EndedCubbies(ctx, now, eraseBatch)
	if err != nil {
		return err
	}
	for _, id := range ended {
		op := guard.Op{Action: policy.TokenRevoke, Detail: map[string]string{"token_id": string(id), "cubbyhole": "erased with its token"}}
		if err := s.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error { return tx.RemoveCubbies(ctx, id) }); err != nil {
			return err
		}
	}
	return nil
}
