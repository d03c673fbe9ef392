package follow

import (
	"context"
	"time"
)

// State is how one follower stands, wherever it works.
type State struct {
	Name     string
	Position int64         // the first entry that is not known to be handled
	Lag      int64         // how many entries that are
	Behind   time.Duration // how old the oldest of them is; 0 when there are none
	Here     bool          // this server works for it
	Problem  string        // why the last batch was not handled; "" when it was
	Saved    time.Time     // when the bookmark was last saved

	// Counts of this server since its start.
	Failures int64 // batches that were not handled
	Gaps     int64 // entries that were missing or could not be read
}

// States tells how all followers of the instance stand, by name. What another server does is known as of its last save.
func (s *Service) States(ctx context.Context) ([]State, error) {
	rows, err := s.db.Followers(ctx)
	if err != nil {
		return nil, err
	}
	size, _, err := s.db.Log().Head(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]State, 0, len(rows))
	for _, row := range rows {
		state := State{Name: row.Name, Position: row.Position, Problem: row.Problem, Saved: time.UnixMilli(row.UpdatedAt)}
		s.mu.Lock()
		if f := s.all[row.Name]; f != nil {
			state.Failures, state.Gaps = f.failures.Load(), f.gaps.Load()
			if f.held {
				state.Here, state.Position, state.Problem = true, f.position.Load(), f.problemText()
			}
		}
		s.mu.Unlock()
		if state.Lag = max(0, size-state.Position); state.Lag > 0 {
			if state.Behind, err = s.behind(ctx, state.Position); err != nil {
				return nil, err
			}
		}
		out = append(out, state)
	}
	return out, nil
}

// Handled tells up to which entry all followers have come, by their saved bookmarks: that of the log's end when there are none.
func (s *Service) Handled(ctx context.Context) (int64, error) {
	least, _, err := s.db.Log().Head(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := s.db.Followers(ctx)
	for _, row := range rows {
		least = min(least, row.Position)
	}
	return least, err
}

// behind tells how old an entry is, by the times of its chunk.
func (s *Service) behind(ctx context.Context, index int64) (time.Duration, error) {
	for c, err := range s.db.Log().Chunks(ctx, index, index+1) {
		if err != nil {
			return 0, err
		}
		return max(0, time.Since(time.UnixMilli(c.FromMS))), nil
	}
	return 0, nil
}
