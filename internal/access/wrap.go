package access

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds of values that are handed over once.
const (
	maxWrapTTL   = 7 * 24 * time.Hour // longer, and it is a place where secrets lie about
	minWrapTTL   = time.Second
	maxWrapValue = 32 << 10 // bytes
	maxOpenWraps = 1000     // of one principal: what nobody opens must not fill the disk
	eraseBatch   = 100      // values at a time
	maxNoted     = 100      // bytes of a name in a message
)

// Unwrapped is a value that was handed over.
type Unwrapped struct {
	Value sensitive.Value
	Row   store.Wrapped
}

// Wrap seals a value and gives a token that opens it once, before ttl is over.
func (s *Service) Wrap(ctx context.Context, what string, value sensitive.Value, ttl time.Duration) (store.Wrapped, sensitive.Value, error) {
	if _, err := domain.ParseLabel(what); err != nil {
		return store.Wrapped{}, sensitive.Value{}, err
	}
	var row store.Wrapped
	var token sensitive.Value
	op := guard.Op{Action: policy.TokenCreate, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: map[string]string{"wrap": what}}
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) (err error) {
		row, token, err = s.wrap(ctx, tx, p, what, value, ttl)
		return err
	})
	return row, token, err
}

func (s *Service) wrap(ctx context.Context, tx *store.Tx, p guard.Permit, what string, value sensitive.Value, ttl time.Duration) (store.Wrapped, sensitive.Value, error) {
	if value.Empty() || value.Len() > maxWrapValue {
		return store.Wrapped{}, sensitive.Value{}, fault.New(fault.Invalid, "the value is empty or longer than %d bytes", maxWrapValue).WithField("/value", "out of range")
	}
	return s.putWrapped(ctx, tx, p, store.Wrapped{Org: p.Org(), What: what, CreatedBy: p.Principal().ID, CreatedName: p.Principal().Name}, value, ttl)
}

// checkWrapTTL refuses a time in which nothing can be handed over, or that makes a place where secrets lie about.
func checkWrapTTL(ttl time.Duration) error {
	if ttl < minWrapTTL || ttl > maxWrapTTL {
		return fault.New(fault.Invalid, "the time to open it must be between %v and 7 days", minWrapTTL).WithField("/ttl", "out of range")
	}
	return nil
}

// putWrapped seals a value under a fresh token.
func (s *Service) putWrapped(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Wrapped, value sensitive.Value, ttl time.Duration) (store.Wrapped, sensitive.Value, error) {
	if err := checkWrapTTL(ttl); err != nil {
		return store.Wrapped{}, sensitive.Value{}, err
	}
	open, err := tx.OpenWraps(ctx, row.CreatedBy)
	if err != nil {
		return store.Wrapped{}, sensitive.Value{}, err
	}
	if open >= maxOpenWraps {
		return store.Wrapped{}, sensitive.Value{}, fault.New(fault.Exhausted, "you have wrapped %d values that nobody has opened", maxOpenWraps).WithHint("open them, or wait for their end")
	}
	token := domain.NewToken(domain.WrapToken)
	hash := domain.TokenHash(string(token.Reveal()))
	row.ID, row.Hash, row.CreatedAt, row.ExpiresAt = domain.NewID[string](), hash[:], tx.Now(), tx.Now()+ttl.Milliseconds()
	p.Note("wrapped", row.ID)
	if err := s.keep(ctx, tx, store.WrappedSecret(row.ID), value); err != nil {
		return row, token, err
	}
	return row, token, tx.PutWrapped(ctx, &row)
}

// Unwrap opens a value, once. Whoever comes second is told when and from where it was opened before, which is how a theft on the
// way shows, and the log has both.
func (s *Service) Unwrap(ctx context.Context, token sensitive.Value) (Unwrapped, error) {
	return s.unwrap(ctx, token, "", nil)
}

// wrapped finds what a token opens, for one who may be anybody: tries that find nothing are counted and slowed down. The op gets
// what the log says of it. An organisation that is not empty must be that of the value.
func (s *Service) wrapped(ctx context.Context, token sensitive.Value, org domain.OrgID, op *guard.Op) (store.Wrapped, error) {
	row, err := store.Wrapped{}, error(noWrap())
	if kind, bad := domain.CheckToken(string(token.Reveal())); bad == nil && kind == domain.WrapToken {
		hash := domain.TokenHash(string(token.Reveal()))
		row, err = s.db.WrappedByHash(ctx, hash[:])
	}
	if k := fault.KindOf(err); err != nil && (k == fault.NotFound || k == fault.Unauthenticated) { // a token that exists is no guess
		if err = s.attempts.take(guard.CallerOf(ctx).Address, "unwrap"); err == nil {
			err = noWrap()
		}
	}
	if err != nil {
		return store.Wrapped{}, s.fail(ctx, *op, err)
	}
	op.Detail = map[string]string{"unwrap": row.ID, "what": row.What, "made_by": row.CreatedName}
	if org != "" && row.Org != org {
		return store.Wrapped{}, s.fail(ctx, *op, noWrap())
	}
	return row, nil
}

// unwrap opens a value. then runs in the transaction that closes it for everybody else.
func (s *Service) unwrap(ctx context.Context, token sensitive.Value, org domain.OrgID, then func(context.Context, *store.Tx, guard.Permit, store.Wrapped, sensitive.Value) error) (Unwrapped, error) {
	c := guard.CallerOf(ctx)
	ctx = guard.WithCaller(ctx, anonymous(c))
	op := guard.Op{Action: policy.SessionLogin, Detail: map[string]string{"unwrap": "refused"}}
	row, err := s.wrapped(ctx, token, org, &op)
	if err != nil {
		return Unwrapped{}, err
	}
	hash := row.Hash
	if err := stillWrapped(row, time.Now().UnixMilli()); err != nil {
		return Unwrapped{}, s.again(ctx, op, row, err)
	}
	value, err := s.kept(ctx, s.db.Queries, store.WrappedSecret(row.ID))
	gone := err != nil && fault.KindOf(err) == fault.NotFound // another one was faster
	if err != nil && !gone {
		return Unwrapped{}, err
	}
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if row, err = tx.WrappedByHash(ctx, hash); err != nil {
			return err
		}
		if err := stillWrapped(row, tx.Now()); err != nil {
			return err
		}
		if gone {
			return fault.New(fault.Internal, "the wrapped value is missing")
		}
		row.OpenedAt, row.OpenedAddress, row.OpenedAgent = tx.Now(), c.Address, c.Agent
		if err := tx.RemoveInstanceSecret(ctx, store.WrappedSecret(row.ID)); err != nil {
			return err
		}
		if then != nil {
			if err := then(ctx, tx, p, row, value); err != nil {
				return err
			}
		}
		return tx.PutWrapped(ctx, &row)
	})
	if err != nil {
		if k := fault.KindOf(err); k == fault.Conflict || k == fault.Expired {
			return Unwrapped{}, s.again(ctx, op, row, err)
		}
		return Unwrapped{}, err
	}
	return Unwrapped{value, row}, nil
}

func noWrap() *fault.Error {
	return fault.New(fault.Unauthenticated, "this token opens nothing").WithHint("it must be the whole token, beginning with ktw_")
}

func stillWrapped(row store.Wrapped, now int64) error {
	switch {
	case row.OpenedAt != 0:
		return fault.New(fault.Conflict, "this was opened before: %s, from %s (%s)", time.UnixMilli(row.OpenedAt).UTC().Format(time.RFC3339), row.OpenedAddress, cut(row.OpenedAgent, maxNoted)).
			WithHint("if that was not you, somebody else has the secret: revoke it now and ask %s for another one", cut(row.CreatedName, maxNoted))
	case row.ErasedAt != 0 || now >= row.ExpiresAt:
		return fault.New(fault.Expired, "this was not opened in time and is erased").WithHint("ask %s for another one", cut(row.CreatedName, maxNoted))
	}
	return nil
}

// again records that somebody came too late. A second opening is always recorded: it is the alarm that wrapping is for.
func (s *Service) again(ctx context.Context, op guard.Op, row store.Wrapped, cause error) error {
	if fault.KindOf(cause) == fault.Conflict {
		op.Detail["opened_before"] = fmt.Sprintf("%s from %s", time.UnixMilli(row.OpenedAt).UTC().Format(time.RFC3339), row.OpenedAddress)
		slog.Warn("a wrapped value was opened a second time", "wrapped", row.ID, "what", row.What, "address", guard.CallerOf(ctx).Address, "opened_before_from", row.OpenedAddress)
		return s.door.Fail(ctx, op, cause)
	}
	return s.fail(ctx, op, cause)
}

// eraseEnded takes away the values that nobody has opened in time.
func (s *Service) eraseEnded(ctx context.Context) {
	rows, err := s.db.WrappedEnded(ctx, time.Now().UnixMilli(), eraseBatch)
	if err != nil || len(rows) == 0 {
		return
	}
	ctx = guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "access", Name: "end of wrapped values"}, Dialect: "native"})
	for _, row := range rows {
		op := guard.Op{Action: policy.TokenRevoke, Resource: policy.Resource{Org: row.Org}, Detail: map[string]string{"wrapped": row.ID, "what": row.What, "end": "not opened in time"}}
		err := s.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
			now, err := tx.WrappedByHash(ctx, row.Hash)
			if err != nil || now.OpenedAt != 0 || now.ErasedAt != 0 {
				return err
			}
			return tx.EraseWrapped(ctx, &now)
		})
		if err != nil {
			slog.Warn("a wrapped value could not be erased", "wrapped", row.ID, "error", err)
		}
	}
}
