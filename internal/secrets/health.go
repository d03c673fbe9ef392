package secrets

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Health counts what the production checklists ask about, over all that the caller may see.
type Health struct {
	Placeholders []string // names, never values
	Reused       int      // sensitive secrets whose value another environment has too
	Overdue      int
	NoCadence    int
	NoOwner      int
	Sensitive    int
}

// Health looks at every sensitive secret. Values are opened to know placeholders, and only by callers who may read them.
func (s *Service) Health(ctx context.Context, p guard.Permit, now int64) (Health, error) {
	var h Health
	envsOf := map[string]map[domain.EnvID]int{}
	empty := s.emptyDigests()
	err := s.scan(ctx, p, "", func(pl place, path domain.Path, row *store.Secret) error {
		if row.Attrs.Public {
			return nil
		}
		h.Sensitive++
		if due := row.Attrs.Due(); due != 0 && due <= now {
			h.Overdue++
		}
		if row.Attrs.Cadence == "" {
			h.NoCadence++
		}
		if row.Attrs.Owner == "" {
			h.NoOwner++
		}
		if !p.Can(policy.SecretRead, pl.row(path, row)) || row.Digest == nil {
			return nil
		}
		if d := string(row.Digest); !empty[d] {
			if envsOf[d] == nil {
				envsOf[d] = map[domain.EnvID]int{}
			}
			envsOf[d][row.Env]++
		}
		v, err := s.open(p, row)
		if err != nil {
			return err
		}
		if domain.Placeholder(v.Reveal()) != "" {
			h.Placeholders = append(h.Placeholders, pl.String()+":"+path.Key(row.Name))
		}
		return nil
	})
	for _, envs := range envsOf {
		if len(envs) > 1 {
			for _, n := range envs {
				h.Reused += n
			}
		}
	}
	return h, err
}
