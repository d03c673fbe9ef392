package server

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/doctor"
	"github.com/keyturn/keyturn/internal/guard"
)

// Doctor implements httpapi.Reporter: it gathers facts and lets the checks judge them.
func (r *reporter) Doctor(ctx context.Context) (api.Checks, error) {
	s := r.s
	c := s.o.Config
	f := doctor.Facts{Mode: string(c.Mode), RootKeyFrom: s.world.rootFrom, Slots: len(s.ring.Slots()), Listen: c.Listen, TLS: s.certs != nil,
		MetricsToken: c.MetricsToken != "", Database: c.Database}
	if dir := filepath.Dir(s.world.rootFrom); c.Database == "" && dir == c.Data {
		f.RootKeyBeside = true
	}
	var facts []string
	err := r.read(ctx, "doctor", func(p guard.Permit) error {
		h, err := s.secrets.Health(ctx, p, time.Now().UnixMilli())
		if err != nil {
			return err
		}
		f.Placeholders, f.Reused, f.Overdue, f.NoCadence, f.NoOwner, f.Sensitive = h.Placeholders, h.Reused, h.Overdue, h.NoCadence, h.NoOwner, h.Sensitive
		f.EternalSecrets, err = s.access.EternalSecrets(ctx, p)
		return err
	})
	if err != nil {
		return api.Checks{}, err
	}
	v, err := s.log.Verify(ctx, false)
	if err != nil {
		return api.Checks{}, err
	}
	f.LogSize, f.LogSound = v.Size, len(v.Problems) == 0
	for _, problem := range v.Problems {
		facts = append(facts, problem.Text)
	}
	f.LogProblem = strings.Join(facts, "; ")
	return api.Checks{Checks: doctor.Server(f)}, nil
}
