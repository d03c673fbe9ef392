package server

import (
	"context"
	"fmt"
	"io"
	"time"
)

// writeFollowers tells how far the followers of the log are behind. Labels hold what the server calls them, never names that
// people chose.
func (m *metrics) writeFollowers(w io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	states, err := m.follow.States(ctx)
	if err != nil {
		return
	}
	for _, f := range states {
		failing := 0
		if f.Problem != "" {
			failing = 1
		}
		fmt.Fprintf(w, "keyturn_follower_lag_entries{follower=%q} %d\n", f.Name, f.Lag)
		fmt.Fprintf(w, "keyturn_follower_lag_seconds{follower=%q} %.3f\n", f.Name, f.Behind.Seconds())
		fmt.Fprintf(w, "keyturn_follower_failing{follower=%q} %d\n", f.Name, failing)
		fmt.Fprintf(w, "keyturn_follower_failures_total{follower=%q} %d\n", f.Name, f.Failures)
		fmt.Fprintf(w, "keyturn_follower_gaps_total{follower=%q} %d\n", f.Name, f.Gaps)
	}
}
