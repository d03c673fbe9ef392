package guard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// idempotencyKept is how long an answer can be asked for again. A client that retries for longer has other problems.
const idempotencyKept = 24 * time.Hour

// Idempotency ties a write to a key of the client's choice, so that an answer lost on the way can be asked for again
// without doing the work twice.
type Idempotency struct {
	Key  string   // as the client sent it
	Hash [32]byte // of method, path and body; it is kept with the answer, sealed
	// Request gives the keyed hash of method, path and body, to be stored: the client's key must not be used for something
	// else. It is asked in the transaction that stores it, under the keys of that moment: a request may outlive the key that
	// was there when it began, most of all one that turns that key.
	Request func() []byte
	// Fits tells whether a stored one is of the same request. It is not known when the key of the hash is gone since; the
	// answer itself tells then.
	Fits func(stored []byte) (fits, known bool)
	// Asked is what the door was asked when the request was applied: whoever asks again is decided again.
	Asked   Asked
	applied bool
}

// Asked is a question to the door in a form that can be kept.
type Asked struct {
	Action    policy.Action   `json:"action"`
	Resource  policy.Resource `json:"resource"`
	Somewhere bool            `json:"somewhere,omitzero"`
	Within    bool            `json:"within,omitzero"`
}

type idempotencyKey struct{}

// WithIdempotency gives a context in which the first [Door.Do] also stores the key.
func WithIdempotency(ctx context.Context, i *Idempotency) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, i)
}

// ID names what is kept for the caller under the key.
func (i *Idempotency) ID(c *Caller) string {
	sum := sha256.Sum256([]byte(string(c.Principal.Kind) + "\x00" + c.Principal.ID + "\x00" + i.Key))
	return hex.EncodeToString(sum[:])
}

// idempotent stores the key in the transaction of the work itself: both happen or neither.
func idempotent(ctx context.Context, tx *store.Tx, c *Caller, op *Op) error {
	i, ok := ctx.Value(idempotencyKey{}).(*Idempotency)
	if !ok || i.applied {
		return nil
	}
	if _, err := tx.Idempotent(ctx, i.ID(c)); err == nil {
		return fault.New(fault.Conflict, "another request with this idempotency key is being applied").WithHint("ask again in a moment")
	} else if fault.KindOf(err) != fault.NotFound {
		return err
	}
	i.applied, i.Asked = true, Asked{op.Action, op.Resource, op.Somewhere, op.Within}
	return tx.PutIdempotent(ctx, &store.Idempotent{ID: i.ID(c), Request: i.Request(), At: tx.Now()}, idempotencyKept.Milliseconds())
}

// Replay finds the stored answer of an earlier request with the same key: nil when there was none. A key that was used for
// another request, or whose answer was lost before it was stored, is a conflict.
func (d *Door) Replay(ctx context.Context, i *Idempotency) ([]byte, error) {
	row, err := d.db.Idempotent(ctx, i.ID(CallerOf(ctx)))
	fits, known := true, false
	if err == nil {
		fits, known = i.Fits(row.Request)
	}
	switch {
	case errors.Is(err, fault.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case known && !fits:
		return nil, Reused()
	case row.Answer == nil:
		return nil, fault.New(fault.Conflict, "this request was applied, but its answer was lost").WithHint("read the current state instead of asking again")
	}
	return row.Answer, nil
}

// Reused is the failure of a key that was used for another request.
func Reused() *fault.Error {
	return fault.New(fault.Conflict, "this idempotency key was used for another request").WithHint("use a fresh key for each request")
}

// Keep stores the answer of the request that was just applied; seal makes its envelope inside the transaction, under the keys
// of that moment.
func (d *Door) Keep(ctx context.Context, i *Idempotency, seal func(context.Context, *store.Tx) ([]byte, error)) error {
	if !i.applied {
		return nil
	}
	c := CallerOf(ctx)
	entry := &audit.Entry{At: now(), Action: "request.keep", Outcome: audit.Allowed, Actor: actor(c.Principal), Org: string(c.Principal.Org), Request: c.Request}
	return d.db.Write(ctx, entry, func(tx *store.Tx) error {
		sealed, err := seal(ctx, tx)
		if err != nil {
			return err
		}
		return tx.PutIdempotent(ctx, &store.Idempotent{ID: i.ID(c), Request: i.Request(), Answer: sealed, At: tx.Now()}, idempotencyKept.Milliseconds())
	})
}

func now() int64 { return time.Now().UnixMilli() }

// AskAgain decides and records a request that was applied before, for whoever wants its answer once more.
func (d *Door) AskAgain(ctx context.Context, a Asked) error {
	return d.Read(ctx, Op{Action: a.Action, Resource: a.Resource, Somewhere: a.Somewhere, Within: a.Within, Detail: map[string]string{"replay": "true"}}, func(Permit) error { return nil })
}
