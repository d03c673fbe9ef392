package access

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// write changes rows behind the service's back.
func (w *world) write(t *testing.T, work func(*store.Tx) error) {
	t.Helper()
	if err := w.door.Notice(w.admin, guard.Op{Action: "token.create"}, work); err != nil {
		t.Fatal(err)
	}
}

func (w *world) alive(ctx context.Context, token sensitive.Value) bool {
	_, err := w.Authenticate(ctx, string(token.Reveal()), "192.0.2.1")
	return err == nil
}

func TestATokenWorksAsLongAsAllAboveIt(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		type node struct {
			token  sensitive.Value
			row    store.Token
			parent int // -1: none
			dead   bool
		}
		root, _, err := w.CreateChild(w.admin, ChildInput{TTL: time.Hour, Orphan: true})
		if err != nil {
			rt.Fatal(err)
		}
		nodes := []node{{token: root.Token, row: root.Row, parent: -1}}
		works := func(i int) bool {
			for ; i >= 0; i = nodes[i].parent {
				if nodes[i].dead {
					return false
				}
			}
			return true
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			at := rapid.IntRange(0, len(nodes)-1).Draw(rt, "at")
			switch op := rapid.SampledFrom([]string{"child", "child", "child", "orphan", "end", "end and leave the children"}).Draw(rt, "op"); op {
			case "child", "orphan":
				if !works(at) {
					continue
				}
				made, _, err := w.CreateChild(w.as(t, nodes[at].token), ChildInput{TTL: time.Hour, Orphan: op == "orphan"})
				if err != nil {
					rt.Fatal(err)
				}
				n := node{token: made.Token, row: made.Row, parent: at}
				if op == "orphan" {
					n.parent = -1
				}
				nodes = append(nodes, n)
			default:
				err := w.Service.EndToken(w.admin, Which{Accessor: string(nodes[at].row.ID)}, op != "end")
				if works(at) != (err == nil) {
					rt.Fatalf("ending a token that works %v: %v", works(at), err)
				}
				if err != nil {
					continue
				}
				nodes[at].dead = true
				if op != "end" {
					for i := range nodes {
						if nodes[i].parent == at {
							nodes[i].parent = -1
						}
					}
				}
			}
			for i, n := range nodes {
				if got := w.alive(ctx, n.token); got != works(i) {
					rt.Fatalf("token %d works: %v, want %v", i, got, works(i))
				}
			}
		}
	})
}

func TestTokensEndWithAParentThatExpired(t *testing.T) {
	w := newWorld(t)
	parent, _, err := w.CreateChild(w.admin, ChildInput{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	child, _, err := w.CreateChild(w.as(t, parent.Token), ChildInput{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, func(tx *store.Tx) error {
		row, err := tx.Token(t.Context(), parent.Row.ID)
		if err != nil {
			return err
		}
		row.ExpiresAt = tx.Now() - 1
		if err := tx.PutCubby(t.Context(), &store.Cubby{ID: "one", Org: row.Org, Token: child.Row.ID, Path: "a", At: tx.Now()}); err != nil {
			return err
		}
		return tx.PutToken(t.Context(), &row)
	})
	if w.alive(t.Context(), child.Token) {
		t.Error("a child works after its parent has expired")
	}
	if _, err := w.LookUp(w.admin, Which{Accessor: string(child.Row.ID)}); !errors.Is(err, ErrNoToken) {
		t.Errorf("looked up: %v", err)
	}
	if err := w.endOutlived(t.Context()); err != nil {
		t.Fatal(err)
	}
	row, err := w.db.Token(t.Context(), child.Row.ID)
	if err != nil || row.RevokedAt == 0 {
		t.Errorf("%+v %v", row, err)
	}
	if left, err := w.db.Cubbies(t.Context(), child.Row.ID); err != nil || len(left) != 0 {
		t.Errorf("%v %v", left, err)
	}
}

func TestTokensAndWrappedAnswersOfAnotherOrganisationAreNone(t *testing.T) {
	w := newWorld(t)
	other := store.Org{ID: domain.NewID[domain.OrgID](), Slug: "other", Name: "Other"}
	machine := store.Identity{ID: domain.NewID[domain.IdentityID](), Org: other.ID, Name: "theirs", TokenTTL: 60_000}
	theirs, wrap := domain.NewToken(domain.AccessToken), domain.NewToken(domain.WrapToken)
	var row store.Token
	w.write(t, func(tx *store.Tx) error {
		err := tx.PutOrg(t.Context(), &other)
		if err == nil {
			err = tx.PutIdentity(t.Context(), &machine)
		}
		hash := domain.TokenHash(string(theirs.Reveal()))
		row = store.Token{ID: domain.NewID[domain.TokenID](), Org: other.ID, Hash: hash[:], Kind: domain.AccessToken, PrincipalKind: domain.Identity, PrincipalID: string(machine.ID),
			CreatedAt: tx.Now(), ExpiresAt: tx.Now() + 60_000}
		if err == nil {
			err = tx.PutToken(t.Context(), &row)
		}
		hash = domain.TokenHash(string(wrap.Reveal()))
		if err == nil {
			err = tx.PutWrapped(t.Context(), &store.Wrapped{ID: domain.NewID[string](), Org: other.ID, Hash: hash[:], What: "x", ExpiresAt: tx.Now() + 60_000})
		}
		return err
	})
	for _, which := range []Which{{Token: string(theirs.Reveal())}, {Accessor: string(row.ID)}} {
		if _, err := w.LookUp(w.admin, which); !errors.Is(err, ErrNoToken) {
			t.Errorf("looked up: %v", err)
		}
		if _, err := w.RenewToken(w.admin, which, 0); !errors.Is(err, ErrNoToken) {
			t.Errorf("renewed: %v", err)
		}
		if err := w.Service.EndToken(w.admin, which, false); !errors.Is(err, ErrNoToken) {
			t.Errorf("revoked: %v", err)
		}
	}
	if !w.alive(t.Context(), theirs) {
		t.Error("it was revoked")
	}
	mine := guard.CallerOf(w.admin).Principal.Org
	if _, err := w.UnwrapIn(w.admin, wrap, mine); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("opened: %v", err)
	}
	if _, _, err := w.Rewrap(w.admin, wrap, mine); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("wrapped anew: %v", err)
	}
}

func TestANarrowedTokenLosesWhatItsHolderLoses(t *testing.T) {
	w := newWorld(t)
	if _, err := w.CreateRole(w.admin, RoleInput{Name: "app-reader", Rules: "- {effect: allow, actions: secret.read}\n"}); err != nil {
		t.Fatal(err)
	}
	made, _, err := w.CreateChild(w.admin, ChildInput{Policies: []string{"app-reader"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Authenticate(t.Context(), string(made.Token.Reveal()), "192.0.2.1")
	if err != nil || !slices.Equal(PolicyNames(p), []string{"app-reader", "default"}) || len(p.Grants) != 1 {
		t.Fatalf("%+v %v", p, err)
	}
	// The admin is one no longer: nothing of what only an admin could give is left.
	me := guard.CallerOf(w.admin).Principal
	w.write(t, func(tx *store.Tx) error {
		rows, err := tx.GrantsOf(t.Context(), me.ID)
		for i := range rows {
			if err == nil {
				err = tx.RemoveGrant(t.Context(), &rows[i])
			}
		}
		return errors.Join(err, w.changed(t.Context(), tx))
	})
	if p, err = w.Authenticate(t.Context(), string(made.Token.Reveal()), "192.0.2.1"); err != nil || len(p.Grants) != 0 || !slices.Equal(PolicyNames(p), []string{"default"}) {
		t.Errorf("%+v %v", p, err)
	}
}

func TestFamiliesAreBounded(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin
	for i := range maxGenerations {
		made, _, err := w.CreateChild(ctx, ChildInput{TTL: time.Hour})
		if err != nil {
			if fault.KindOf(err) != fault.Denied || i < maxGenerations/2 {
				t.Errorf("generation %d: %v", i, err)
			}
			return
		}
		ctx = w.as(t, made.Token)
	}
	t.Error("there is no end")
}

func TestGlobsOfTokenRoles(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		fits          bool
	}{{"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*", "", true}, {"*b*d", "abcd", true}, {"*b*d", "abcdx", false}, {"a*a", "a", false}, {"a**b", "ab", true}, {"", "a", false}} {
		if globFits(tt.pattern, tt.text) != tt.fits {
			t.Errorf("%q and %q", tt.pattern, tt.text)
		}
	}
}
