package evidence

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
)

// Acts gives what the log has of a break-glass opening, from an index on. It asks no policy: the caller files what he was asked
// to file.
func (l *Log) Acts(ctx context.Context, from int64, opening string) ([]api.BreakGlassAct, error) {
	size, _, err := l.db.Log().Head(ctx)
	if err != nil {
		return nil, err
	}
	var out []api.BreakGlassAct
	for chunk, err := range l.db.Log().Chunks(ctx, from, size) {
		if err != nil {
			return nil, err
		}
		for i, raw := range chunk.Entries() {
			if i < from {
				continue
			}
			e, err := audit.ParseEntry(raw)
			if err != nil {
				return nil, err
			}
			if e.Detail[domain.BreakGlassAttribute] == opening {
				out = append(out, api.BreakGlassAct{At: time.UnixMilli(e.At).UTC(), Action: e.Action, Outcome: e.Outcome, ProjectID: e.Project, EnvID: e.Env, Keys: e.Keys, Revision: e.Revision})
			}
		}
	}
	return out, nil
}
