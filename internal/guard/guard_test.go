package guard_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
)

const (
	org     = domain.OrgID("0198c0de-0000-7000-8000-000000000001")
	project = domain.ProjectID("0198c0de-0000-7000-8000-000000000002")
	dev     = domain.EnvID("0198c0de-0000-7000-8000-000000000003")
)

// open gives an empty database and its door.
func open(t *testing.T) (*store.DB, *guard.Door) {
	t.Helper()
	engine, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), engine, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Found(t.Context(), "0198c0de-0000-7000-8000-000000000000", 1); err != nil {
		t.Fatal(err)
	}
	return db, guard.New(db)
}

func as(ctx context.Context, roles ...domain.Grant) context.Context {
	return guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.User, ID: "0198c0de-0000-7000-8000-000000000009", Name: "ann", Org: org, Grants: roles}, Request: "r"})
}

var developer = domain.Grant{Project: project, Role: domain.Developer}

func read(path domain.Path) guard.Op {
	return guard.Op{Action: policy.SecretRead, Resource: policy.Resource{Org: org, Project: project, Env: dev, Path: path}, Keys: []string{"/A"}}
}

// entries gives the log, oldest first.
func entries(t *testing.T, db *store.DB) []audit.Entry {
	t.Helper()
	size, _, err := db.Log().Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var out []audit.Entry
	for chunk, err := range db.Log().Chunks(context.Background(), 0, size) {
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range chunk.Entries() {
			e, err := audit.ParseEntry(raw)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, e)
		}
	}
	return out
}

func TestNobodyButTheDoorMakesAPermit(t *testing.T) {
	var p guard.Permit
	if p.Valid() || p.Can(policy.SelfRead, policy.Resource{}) {
		t.Error("the zero permit is good for something")
	}
}

func TestTheDoorDecidesBeforeTheWork(t *testing.T) {
	db, door := open(t)
	for what, ctx := range map[string]context.Context{
		"nobody": t.Context(), "a stranger": as(t.Context()), "a viewer": as(t.Context(), domain.Grant{Project: project, Role: domain.Viewer}),
		"of another environment": as(t.Context(), domain.Grant{Project: project, Env: "0198c0de-0000-7000-8000-000000000004", Role: domain.Developer}),
	} {
		err := door.Read(ctx, read("/"), func(guard.Permit) error { t.Errorf("%s was let in", what); return nil })
		if err == nil {
			t.Errorf("%s got no error", what)
		}
		err = door.Do(ctx, guard.Op{Action: policy.SecretWrite, Resource: read("/").Resource}, func(*store.Tx, guard.Permit) error { t.Errorf("%s was let in", what); return nil })
		if err == nil {
			t.Errorf("%s got no error", what)
		}
	}
	all := entries(t, db)
	if len(all) != 8 {
		t.Errorf("%d entries", len(all))
	}
	for _, e := range all {
		if e.Outcome != audit.Refused || e.Reason == "" {
			t.Errorf("%+v", e)
		}
	}
}

func TestARefusalHidesWhatTheCallerMayNotSee(t *testing.T) {
	_, door := open(t)
	nothing := func(guard.Permit) error { return nil }
	stranger := as(t.Context())
	refused := door.Read(stranger, read("/"), nothing)
	missed := door.Miss(stranger, read("/"), fault.New(fault.NotFound, "no such project"))
	if fault.As(refused).Kind != fault.NotFound || fault.As(refused).Message != fault.As(missed).Message || fault.As(refused).Hint != fault.As(missed).Hint {
		t.Errorf("%v, %v", refused, missed)
	}
	if err := door.Miss(stranger, read("/"), fault.New(fault.Unavailable, "the disk")); !errors.Is(err, fault.Unavailable) {
		t.Errorf("an error of the database became %v", err)
	}
	viewer := as(t.Context(), domain.Grant{Project: project, Role: domain.Viewer})
	if err := door.Read(viewer, read("/"), nothing); !errors.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	if err := door.Read(t.Context(), read("/"), nothing); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("%v", err)
	}
}

func TestWhatCannotBeRecordedDoesNotHappen(t *testing.T) {
	db, door := open(t)
	ctx := as(t.Context(), developer)
	if err := door.Read(ctx, read("/"), func(guard.Permit) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := door.Read(ctx, read("/"), func(guard.Permit) error { return nil }); err == nil {
		t.Error("a read was answered without its record")
	}
	done := false
	if err := door.Do(ctx, guard.Op{Action: policy.SecretWrite, Resource: read("/").Resource}, func(*store.Tx, guard.Permit) error { done = true; return nil }); err == nil || done {
		t.Errorf("a write went on without its record: %v", err)
	}
	// A refusal that cannot be recorded is no refusal either, but an error of the server.
	if err := door.Read(as(t.Context()), read("/"), func(guard.Permit) error { return nil }); !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

func TestWorkThatFailsIsRecordedAsFailedWithWhatItTouched(t *testing.T) {
	db, door := open(t)
	ctx := as(t.Context(), developer)
	cause := fault.New(fault.Conflict, "changed meanwhile")
	err := door.Read(ctx, read("/"), func(p guard.Permit) error {
		p.Names("/B")
		p.Revision(7)
		p.Note("why", "test")
		return cause
	})
	if err != cause {
		t.Errorf("%v", err)
	}
	e := entries(t, db)[0]
	if e.Outcome != audit.Failed || e.Reason != "conflict" || len(e.Keys) != 2 || e.Revision != 7 || e.Detail["why"] != "test" || e.Actor.Name != "ann" || e.Request != "r" {
		t.Errorf("%+v", e)
	}
}

func TestANoteDoesNotChangeWhatTheCallerHandedIn(t *testing.T) {
	_, door := open(t)
	detail := map[string]string{"a": "1"}
	op := read("/")
	op.Detail = detail
	if err := door.Read(as(t.Context(), developer), op, func(p guard.Permit) error { p.Note("b", "2"); return nil }); err != nil || len(detail) != 1 {
		t.Errorf("%v, %v", err, detail)
	}
}

func TestAKeyIsAppliedOnce(t *testing.T) {
	db, door := open(t)
	ctx := as(t.Context(), developer)
	op := guard.Op{Action: policy.SecretWrite, Resource: read("/").Resource}
	sealed := func(text string) func(context.Context, *store.Tx) ([]byte, error) {
		return func(context.Context, *store.Tx) ([]byte, error) { return []byte(text), nil }
	}
	fresh := func(body string) *guard.Idempotency {
		sum := sha256.Sum256([]byte(body))
		return &guard.Idempotency{Key: "k", Request: func() []byte { return sum[:] }, Fits: func(stored []byte) (bool, bool) { return bytes.Equal(stored, sum[:]), true }}
	}
	do := func(i *guard.Idempotency, fail error) error {
		return door.Do(guard.WithIdempotency(ctx, i), op, func(*store.Tx, guard.Permit) error { return fail })
	}
	// What failed leaves no trace of the key.
	if err := do(fresh("a"), fault.New(fault.Invalid, "no")); !errors.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
	if answer, err := door.Replay(ctx, fresh("a")); answer != nil || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	i := fresh("a")
	if err := do(i, nil); err != nil {
		t.Fatal(err)
	}
	// Between the work and the answer: lost so far, and not to be done again.
	if _, err := door.Replay(ctx, fresh("a")); !errors.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	if err := do(fresh("a"), nil); !errors.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	if err := door.Keep(ctx, i, sealed("sealed")); err != nil {
		t.Fatal(err)
	}
	if answer, err := door.Replay(ctx, fresh("a")); string(answer) != "sealed" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	if _, err := door.Replay(ctx, fresh("b")); !errors.Is(err, fault.Conflict) {
		t.Errorf("another request under the key: %v", err)
	}
	turned := fresh("b") // the key of the hashes is gone since
	turned.Fits = func([]byte) (bool, bool) { return false, false }
	if answer, err := door.Replay(ctx, turned); string(answer) != "sealed" || err != nil {
		t.Errorf("after a turn of the index key: %q, %v", answer, err)
	}
	other := guard.WithCaller(t.Context(), &guard.Caller{Principal: &domain.Principal{Kind: domain.User, ID: "0198c0de-0000-7000-8000-000000000008", Org: org}})
	if answer, err := door.Replay(other, fresh("a")); answer != nil || err != nil {
		t.Errorf("another caller's key: %q, %v", answer, err)
	}
	// What was never applied is not kept.
	if err := door.Keep(ctx, fresh("c"), sealed("x")); err != nil {
		t.Fatal(err)
	}
	if got := len(entries(t, db)); got != 4 { // failed, done, refused as a second one, kept
		t.Errorf("%d entries", got)
	}
}
