package access

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// maxWrapAnswer bounds the answer to a request that is handed over once, in bytes: it lies in one row, and a turn of the key holds
// some hundred of them at a time.
const maxWrapAnswer = 256 << 10

// WrappedAnswer is the kind of a [Wrapped] that holds the answer to a request.
const WrappedAnswer = store.WrappedAnswer

// Wrapped is what is known of a value that opens once.
type Wrapped = store.Wrapped

// AnswerInput is the answer to a request that shall be handed over once.
type AnswerInput struct {
	Path     string // of the request
	Answer   sensitive.Value
	TTL      time.Duration
	Accessor string // of the credential in the answer, "" for none
	// Made is the token in the answer of a login, whose maker was nobody yet; nil: the caller is who asked.
	Made *Token
}

// CheckWrap refuses a time to open an answer that is out of range: before the request is run whose answer it is for.
func (s *Service) CheckWrap(ttl time.Duration) error { return checkWrapTTL(ttl) }

// WrapAnswer seals an answer and gives a token that opens it once, before its time is over. Everybody may have his own answers
// handed over so.
func (s *Service) WrapAnswer(ctx context.Context, in AnswerInput) (Wrapped, sensitive.Value, error) {
	if in.Answer.Len() > maxWrapAnswer {
		return Wrapped{}, sensitive.Value{}, fault.New(fault.Invalid, "the answer is longer than %d bytes, too long to be wrapped", maxWrapAnswer)
	}
	who := guard.CallerOf(ctx).Principal
	row := store.Wrapped{Org: who.Org, What: "answer to " + domain.RecordedLabel(in.Path), Kind: store.WrappedAnswer, Path: in.Path, Accessor: in.Accessor, CreatedBy: who.ID, CreatedName: who.Name}
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"wrap": "answer"}}
	if who.Kind == domain.Anonymous {
		op.Action = policy.SessionLogin
		if in.Made == nil {
			return Wrapped{}, sensitive.Value{}, fault.New(fault.Invalid, "this answer cannot be wrapped: it belongs to nobody")
		}
		maker, err := s.holder(ctx, *in.Made)
		if err != nil {
			return Wrapped{}, sensitive.Value{}, err
		}
		row.Org, row.CreatedBy, row.CreatedName = maker.Org, maker.ID, maker.Name
	}
	if in.Accessor != "" {
		op.Detail["accessor"] = domain.RecordedName(in.Accessor)
	}
	var token sensitive.Value
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) (err error) {
		row, token, err = s.putWrapped(ctx, tx, p, row, in.Answer, in.TTL)
		return err
	})
	return row, token, err
}

// UnwrapIn is [Service.Unwrap] for a caller of one organisation, "" for any: what belongs to another one does not open.
func (s *Service) UnwrapIn(ctx context.Context, token sensitive.Value, org domain.OrgID) (Unwrapped, error) {
	return s.unwrap(ctx, token, org, nil)
}

// LookUpWrap tells what a token opens, without opening it.
func (s *Service) LookUpWrap(ctx context.Context, token sensitive.Value) (Wrapped, error) {
	ctx = guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
	op := guard.Op{Action: policy.SessionLogin, Detail: map[string]string{"unwrap": "look up"}}
	row, err := s.wrapped(ctx, token, "", &op)
	if err != nil {
		return Wrapped{}, err
	}
	op.Detail["look_up"] = "true"
	if err := stillWrapped(row, time.Now().UnixMilli()); err != nil {
		return Wrapped{}, s.again(ctx, op, row, err)
	}
	return row, s.door.Read(ctx, op, func(guard.Permit) error { return nil })
}

// Rewrap moves a value under a fresh token, with as much time as the first had. The old one opens nothing any more.
func (s *Service) Rewrap(ctx context.Context, token sensitive.Value, org domain.OrgID) (Wrapped, sensitive.Value, error) {
	var row Wrapped
	var fresh sensitive.Value
	_, err := s.unwrap(ctx, token, org, func(ctx context.Context, tx *store.Tx, p guard.Permit, old store.Wrapped, value sensitive.Value) (err error) {
		next := store.Wrapped{Org: old.Org, What: old.What, Kind: old.Kind, Path: old.Path, Accessor: old.Accessor, CreatedBy: old.CreatedBy, CreatedName: old.CreatedName}
		row, fresh, err = s.putWrapped(ctx, tx, p, next, value, time.Duration(old.ExpiresAt-old.CreatedAt)*time.Millisecond)
		return err
	})
	return row, fresh, err
}
