package storetest

import (
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store"
)

func feed(t *testing.T, fresh Fresh) {
	t.Run("changes are numbered without gaps and told in order", func(t *testing.T) {
		db := Found(t, fresh(t))
		w := Settle(t, db)
		var heard []store.Feed
		db.Hear(func(f store.Feed) { heard = append(heard, f) })
		kinds := []store.FeedKind{store.FeedCommit, store.FeedPersonal, store.FeedProject, store.FeedAccess, store.FeedKeys}
		for i, kind := range kinds {
			for _, fails := range []error{nil, errRefused, store.ErrUndo} {
				_ = db.Write(t.Context(), Entry("announce"), func(tx *store.Tx) error {
					f := store.Feed{Kind: kind, Project: w.Project.ID, Env: w.Env.ID, Revision: int64(i)}
					need(t, tx.Announce(t.Context(), f))
					return fails
				})
			}
		}
		got, err := db.FeedSince(t.Context(), 0)
		same(t, "feed", got, err, heard)
		for i, f := range got {
			if f.Seq != int64(i+1) || f.Kind != kinds[i] || f.Project != w.Project.ID || f.Revision != int64(i) || f.At == 0 {
				t.Errorf("change %d is %+v", i, f)
			}
		}
		rest, err := db.FeedSince(t.Context(), 3)
		same(t, "feed since 3", rest, err, heard[3:])
		head, err := db.FeedHead(t.Context())
		same(t, "head", head, err, int64(len(kinds)))
	})

	t.Run("old changes are forgotten", func(t *testing.T) {
		db := Found(t, fresh(t))
		const each, times = 1000, 13
		for range times {
			must(t, db.Write(t.Context(), Entry("announce"), func(tx *store.Tx) error {
				for range each {
					if err := tx.Announce(t.Context(), store.Feed{Kind: store.FeedCommit, Env: domain.EnvID("e")}); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		page, err := db.FeedSince(t.Context(), 0)
		must(t, err)
		if len(page) != 1000 || page[0].Seq <= 1 {
			t.Errorf("%d changes from %d on: none was forgotten, or the page has no bound", len(page), page[0].Seq)
		}
		head, err := db.FeedHead(t.Context())
		same(t, "head", head, err, int64(each*times))
	})
}
