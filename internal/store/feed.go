package store

import (
	"context"
	"log/slog"
	"time"
)

// followEvery bounds how long another server's changes may go unnoticed: a revoked token must be refused everywhere within
// a second.
const followEvery = 200 * time.Millisecond

// Hear registers a listener for changes of this server and, through [DB.Follow], of others. It is called before the caller
// of a change goes on, so it must be quick; it may be called twice for one change, and by two goroutines at once. A feed
// of kind [FeedLost] means that some changes were missed. Register before the first write.
func (db *DB) Hear(listen func(Feed)) { db.listeners = append(db.listeners, listen) }

func (db *DB) heard(f Feed) {
	for _, listen := range db.listeners {
		listen(f)
	}
}

// Follow tells the listeners what other servers did after seq, until the context ends. When the database cannot be asked,
// nothing can be read either: every read leaves an entry there.
func (db *DB) Follow(ctx context.Context, seq int64) {
	if !db.engine.Shared {
		return
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var err error
		if seq, err = db.follow(ctx, seq); err != nil && ctx.Err() == nil {
			slog.Warn("cannot hear of other servers' changes", "error", err)
		}
	}
}

// follow tells everything after seq and gives the number of the last change.
func (db *DB) follow(ctx context.Context, seq int64) (int64, error) {
	for {
		page, err := db.FeedSince(ctx, seq)
		if err != nil || len(page) == 0 {
			return seq, err
		}
		if first := page[0]; first.Seq > seq+1 { // numbers have no gaps: this server slept until they were trimmed
			db.heard(Feed{Seq: first.Seq - 1, Kind: FeedLost, At: first.At})
		}
		for _, f := range page {
			db.heard(f)
			seq = f.Seq
		}
	}
}
