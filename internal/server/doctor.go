package server

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/doctor"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keys"
)

// Doctor implements httpapi.Reporter: it gathers facts and lets the checks judge them.
func (r *reporter) Doctor(ctx context.Context) (api.Checks, error) {
	s := r.s
	c := s.o.Config
	f := doctor.Facts{Mode: string(c.Mode), RootKeyFrom: s.world.rootFrom, Listen: c.Listen, TLS: s.certs != nil,
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
		if f.EternalSecrets, err = s.access.EternalSecrets(ctx, p); err != nil {
			return err
		}
		if err := s.backupFacts(ctx, &f); err != nil {
			return err
		}
		told, err := s.alerts.State(ctx)
		if err != nil {
			return err
		}
		f.AlertChannels, f.DeadAlerts = told.Channels, told.Dead
		return s.keyFacts(ctx, &f)
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

// proofKeeps is how long the proof of a slot counts: whoever holds its root key may have lost it since.
const proofKeeps = 365 * 24 * time.Hour

// keyFacts gathers how slots and turns stand.
func (s *Server) keyFacts(ctx context.Context, f *doctor.Facts) error {
	k, err := s.keys.Report(ctx)
	if err != nil {
		return err
	}
	f.Slots = len(k.Slots)
	for _, slot := range k.Slots {
		if time.Since(slot.ProvedAt) < proofKeeps {
			f.SlotsProved++
		}
	}
	for _, t := range k.Running {
		if t.Layer == string(keys.LayerRoot) && t.Stage == "overlap" {
			f.RootTurns++
		}
		if t.Problem != "" {
			f.KeyProblems = append(f.KeyProblems, "the turn of the "+t.Layer+" key "+t.ID+": "+t.Problem)
		}
	}
	for _, line := range k.Schedule {
		if line.Overdue {
			f.KeysOverdue = append(f.KeysOverdue, line.Layer)
		}
	}
	last, err := s.db.LastCensus(ctx)
	if err == nil && last != 0 {
		f.LastCensus = time.UnixMilli(last).UTC().Format(time.DateOnly)
	}
	return err
}
