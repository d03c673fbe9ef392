package storetest

import (
	"context"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

func passkeys(t *testing.T, fresh Fresh) {
	t.Run("a passkey is found by its person and by its credential, and its digest leaves out what counts", func(t *testing.T) {
		place := fresh(t)
		db := Found(t, place)
		w := Settle(t, db)
		u := store.Person{ID: domain.NewID[domain.UserID](), Org: w.Org.ID, Email: "a@example.test", Name: "A"}
		k := store.Passkey{ID: domain.NewID[string](), Org: w.Org.ID, User: u.ID, Credential: []byte{1, 2}, PublicKey: []byte{3}, Transports: []string{"usb"}, Name: "key", SignCount: 4}
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			need(t, tx.PutPerson(ctx, &u))
			return tx.PutPasskey(ctx, &k)
		})
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			k.SignCount, k.LastUsedAt = 7, 8
			return tx.TouchPasskey(ctx, &k)
		})
		all, err := db.Passkeys(t.Context(), u.ID)
		must(t, err)
		one, err := db.PasskeyByCredential(t.Context(), []byte{1, 2})
		must(t, err)
		if len(all) != 1 || all[0].ID != k.ID || one.SignCount != 7 || one.LastUsedAt != 8 || one.Transports[0] != "usb" {
			t.Errorf("%+v, %+v", all, one)
		}
		before := stored(t, db)
		for key, d := range logged(t, db) {
			if key.T == "passkey" && before[key] != d {
				t.Error("the log tells another digest after a use")
			}
		}
		shut(t, db)
		edit(t, place, "UPDATE passkey SET public_key = credential")
		db = Open(t, place)
		after, want := stored(t, db), logged(t, db)
		told := false
		for key, d := range want {
			told = told || key.T == "passkey" && after[key] != d
		}
		if !told {
			t.Error("no digest tells that a public key was replaced")
		}
	})

	t.Run("a challenge is spent once and ends by itself", func(t *testing.T) {
		db := Found(t, fresh(t))
		now := int64(0)
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			now = tx.Now()
			need(t, tx.PutChallenge(ctx, &store.Challenge{Hash: "old", Ceremony: "login", Session: "{}", ExpiresAt: now}))
			return tx.PutChallenge(ctx, &store.Challenge{Hash: "a", Ceremony: "login", Session: "{}", ExpiresAt: now + 1_000_000})
		})
		for hash, at := range map[string]int64{"old": now, "a": now + 1_000_000, "none": now} {
			if _, err := db.Challenge(t.Context(), hash, at); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s at %d: %v", hash, at, err)
			}
		}
		_, err := db.Challenge(t.Context(), "a", now)
		must(t, err)
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			must(t, tx.SpendChallenge(ctx, "a"))
			for _, hash := range []string{"a", "old", "none"} {
				if err := tx.SpendChallenge(ctx, hash); fault.KindOf(err) != fault.NotFound {
					t.Errorf("%s: %v", hash, err)
				}
			}
			return nil
		})
	})
}
