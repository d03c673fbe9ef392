package evidence

import (
	"context"
	"strings"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
)

// EachRead walks what a principal was shown the values of: environment, full names, revision (0 where none is known) and time,
// unix milliseconds. It is asked by services that have passed the door for what they do with it.
func (l *Log) EachRead(ctx context.Context, org domain.OrgID, principal string, visit func(env domain.EnvID, keys []string, revision, at int64) error) error {
	size, _, err := l.db.Log().Head(ctx)
	if err != nil {
		return err
	}
	filter := audit.Filter{Actor: principal, Action: "secret.read", Outcome: audit.Allowed}
	for chunk, err := range l.db.Log().Chunks(ctx, 0, size) {
		if err != nil {
			return err
		}
		for _, raw := range chunk.Entries() {
			if !strings.Contains(string(raw), principal) { // cheaper than to parse what is about others
				continue
			}
			e, err := audit.ParseEntry(raw)
			if err != nil {
				return err
			}
			if !filter.Match(&e) || e.Org != string(org) || e.Env == "" {
				continue
			}
			if err := visit(domain.EnvID(e.Env), e.Keys, e.Revision, e.At); err != nil {
				return err
			}
		}
	}
	return nil
}
