package follow

import (
	"context"
	"log/slog"
	"time"

	"github.com/keyturn/keyturn/internal/store"
)

const (
	// keepEvery is how often bookmarks are saved and leases renewed: what a crash makes handled again is as much.
	keepEvery = time.Second
	// leaseFor is how long a lease may stand still before another server takes over. Three renewals may fail.
	leaseFor = 3 * time.Second
	// pollEvery is how often other servers' entries are looked for: an alarm must be out within five seconds.
	pollEvery = 500 * time.Millisecond
	// endWithin bounds the last save of a server that stops.
	endWithin = 5 * time.Second
)

// attend saves bookmarks, renews the leases of this server and takes those that nobody holds, in one transaction. A server
// that is alone with its database writes only what has moved.
func (s *Service) attend(ctx context.Context) {
	var free []store.Follower
	if s.anyIdle() {
		rows, err := s.db.Followers(ctx)
		if err != nil {
			warn(err, "the bookmarks of the log's followers cannot be read")
			s.expire()
			return
		}
		free = s.free(rows)
	}
	s.mu.Lock()
	until := time.Now().Add(leaseFor).UnixMilli()
	moves := map[string]store.Follower{}
	var fresh []*follower
	for name, f := range s.all {
		row := s.row(f, until)
		switch {
		case f.held && (s.db.Shared() || row.Position != f.saved.Position || row.Problem != f.saved.Problem):
			moves[name] = row
		case !f.held && !f.known:
			fresh = append(fresh, f)
		}
	}
	s.mu.Unlock()
	if len(free) == 0 && len(moves) == 0 && len(fresh) == 0 {
		return
	}
	began := time.Now()
	var taken []store.Follower
	lost := map[string]bool{}
	err := s.db.Derive(ctx, func(d *store.Derived) error {
		for name, row := range moves {
			ok, err := d.MoveFollower(ctx, row)
			if err != nil {
				return err
			}
			lost[name] = !ok
		}
		for _, f := range fresh {
			if err := s.begin(ctx, d, f); err != nil {
				return err
			}
			free = append(free, store.Follower{Name: f.Name})
		}
		for _, seen := range free {
			ok, err := d.TakeFollower(ctx, seen, s.holder, until)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			row, err := d.Follower(ctx, seen.Name)
			if err != nil {
				return err
			}
			taken = append(taken, row)
		}
		return nil
	})
	if err != nil {
		warn(err, "the bookmarks of the log's followers cannot be saved")
		s.expire()
		return
	}
	s.settle(began, moves, lost, fresh, taken)
}

// begin makes the bookmark of a follower that this server has not seen yet, unless there is one.
func (s *Service) begin(ctx context.Context, d *store.Derived, f *follower) error {
	i, err := d.Instance(ctx)
	if err != nil {
		return err
	}
	position := i.LogSize
	if f.FromStart {
		if position, err = d.ArchivedEntries(ctx); err != nil { // what is archived is not here
			return err
		}
	}
	return d.BeginFollower(ctx, f.Name, position)
}

// anyIdle tells whether there is a follower that this server does not work for.
func (s *Service) anyIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		if !f.held {
			return true
		}
	}
	return false
}

// free gives the bookmarks that may be taken, and remembers how the others stand.
func (s *Service) free(rows []store.Follower) []store.Follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []store.Follower
	for _, row := range rows {
		f := s.all[row.Name]
		if f == nil || f.held {
			continue
		}
		f.known = true
		switch {
		case row.LeaseHolder == "" || row.LeaseHolder == s.holder || !s.db.Shared():
			out = append(out, row)
		case row.LeaseHolder != f.seen.LeaseHolder || row.LeaseUntil != f.seen.LeaseUntil:
			f.seen, f.seenAt = row, time.Now()
		case time.Since(f.seenAt) > leaseFor:
			out = append(out, row)
		}
	}
	return out
}

// settle makes followers what the transaction says they are.
func (s *Service) settle(began time.Time, moves map[string]store.Follower, lost map[string]bool, fresh []*follower, taken []store.Follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, row := range moves {
		f := s.all[name]
		if f == nil || !f.held {
			continue
		}
		if lost[name] { // another server thought that this one was gone, or somebody removed the follower
			slog.Warn("another server works for a follower of the log now", "follower", name)
			f.release()
			continue
		}
		f.saved, f.renewed = row, began
	}
	for _, f := range fresh {
		f.known = true
	}
	for _, row := range taken {
		if f := s.all[row.Name]; f != nil && !f.held && !s.closed && s.ctx != nil {
			s.start(f, row, began)
		}
	}
}

// expire stops the followers whose lease could not be renewed for so long that another server may have taken it.
func (s *Service) expire() {
	if !s.db.Shared() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		if f.held && time.Since(f.renewed) > leaseFor {
			f.release()
		}
	}
}

// row is a bookmark as it stands here; until 0 gives the lease back.
func (s *Service) row(f *follower, until int64) store.Follower {
	return store.Follower{Name: f.Name, Position: f.position.Load(), LeaseHolder: s.holder, LeaseUntil: until, Problem: f.problemText()}
}

func warn(err error, text string) {
	if err != nil {
		slog.Warn(text, "error", err)
	}
}
