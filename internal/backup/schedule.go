package backup

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// lookAgain is how often the schedule looks whether something has changed, such as another server's backup.
	lookAgain = time.Minute
	// lookForKit is how often it looks while there is no recovery kit: whoever has just made one wants to see a backup.
	lookForKit = 5 * time.Second
	// firstRetry and lastRetry bound how long a failed backup waits for its next try.
	firstRetry, lastRetry = time.Minute, 6 * time.Hour
	// drillRetry is how long a failed drill waits.
	drillRetry = time.Hour
	// complainEvery is how often the log says that nothing can be made.
	complainEvery = 24 * time.Hour
)

func schemaText() string { return strconv.FormatInt(store.NewestSchema(), 10) }

// plan is when things are due; the zero time for never.
type plan struct {
	backup, drill time.Time
	failures      int // since the last backup
	problem       string
}

// planned tells what is due when, from the catalogue alone: so every server knows, and a start goes on where it was.
func (s *Service) planned(rows []store.Backup, now time.Time) plan {
	var p plan
	if s.settings.Place == nil {
		return p
	}
	var last, failedAt, waitFor time.Time
	for i := range rows { // newest first
		r := &rows[i]
		if r.Place != s.at() {
			continue
		}
		switch {
		case broken(r):
			if at := atMS(r.RemovedAt); at.After(failedAt) {
				failedAt, p.problem = at, r.Problem
			}
		case claimed(r) && !s.stale(r, now.UnixMilli()):
			waitFor = atMS(r.CreatedAt).Add(lease)
		case made(r) && last.IsZero():
			last = atMS(r.CreatedAt)
		}
	}
	for i := range rows {
		if r := &rows[i]; broken(r) && r.Place == s.at() && atMS(r.RemovedAt).After(last) {
			p.failures++
		}
	}
	if p.failures == 0 {
		p.problem = ""
	}
	if s.settings.Every > 0 {
		p.backup = now
		if !last.IsZero() {
			p.backup = last.Add(s.settings.Every)
		}
		if p.failures > 0 {
			p.backup = later(p.backup, failedAt.Add(s.retry(p.failures)))
		}
		p.backup = later(p.backup, waitFor)
	}
	if s.settings.DrillEvery > 0 && !last.IsZero() {
		p.drill = s.drillAt(rows, now)
	}
	return p
}

// drillAt tells when the next drill is due: right after the first backup, then by the period, and soon after one that failed.
func (s *Service) drillAt(rows []store.Backup, now time.Time) time.Time {
	var newest *store.Backup
	for i := range rows {
		if r := &rows[i]; r.DrilledAt != 0 && (newest == nil || r.DrilledAt > newest.DrilledAt) {
			newest = r
		}
	}
	switch {
	case newest == nil:
		return now
	case newest.Problem != "":
		return atMS(newest.DrilledAt).Add(min(drillRetry, s.settings.DrillEvery))
	}
	return atMS(newest.DrilledAt).Add(s.settings.DrillEvery)
}

// retry doubles with each failure.
func (s *Service) retry(failures int) time.Duration {
	d := firstRetry
	for range failures - 1 {
		if d = 2 * d; d > lastRetry {
			d = lastRetry
			break
		}
	}
	return min(d, s.settings.Every)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Run makes what is due until ctx ends.
func (s *Service) Run(ctx context.Context) {
	if s.settings.Place == nil || s.settings.Every == 0 && s.settings.DrillEvery == 0 {
		return
	}
	for {
		wait := s.turn(system(ctx))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// turn does what is due and tells when to look again.
func (s *Service) turn(ctx context.Context) time.Duration {
	p, err := s.look(ctx)
	if err != nil {
		return lookAgain
	}
	if due(p.backup) && s.able(ctx) {
		if row, err := s.create(ctx); err == nil {
			slog.Info("a backup was made", "backup", row.Name, "bytes", row.Bytes)
		} else if !errors.Is(err, fault.Conflict) && ctx.Err() == nil { // another server makes it
			slog.Error("the scheduled backup failed", "error", err)
		}
		if p, err = s.look(ctx); err != nil {
			return lookAgain
		}
	}
	if due(p.drill) && ctx.Err() == nil {
		check, err := s.Drill(ctx, "")
		switch {
		case err != nil && ctx.Err() == nil:
			slog.Error("the drill failed", "error", err)
		case err == nil && !check.Sound:
			slog.Error("the drill found a backup that is not sound", "backup", check.Name, "problems", len(check.Problems))
		case err == nil:
			slog.Info("a backup was restored in a drill", "backup", check.Name, "seconds", check.Seconds)
		}
		if p, err = s.look(ctx); err != nil {
			return lookAgain
		}
	}
	wait := lookAgain
	for _, at := range []time.Time{p.backup, p.drill} {
		if !at.IsZero() {
			wait = min(wait, max(time.Until(at), time.Second/10))
		}
	}
	if due(p.backup) { // it is, and cannot be made
		wait = lookForKit
	}
	return wait
}

func due(at time.Time) bool { return !at.IsZero() && !time.Now().Before(at) }

func (s *Service) look(ctx context.Context) (plan, error) {
	rows, err := s.src.DB.Backups(ctx)
	if err != nil {
		return plan{}, err
	}
	return s.planned(rows, time.Now()), nil
}

// able tells whether there is anybody to seal a backup to, and says once a day when there is not.
func (s *Service) able(ctx context.Context) bool {
	kits, err := RecoveryRecipients(ctx, s.src.DB.Queries)
	if err != nil || len(kits) > 0 {
		return err == nil
	}
	now := time.Now().UnixMilli()
	if last := s.warned.Load(); last == 0 || now-last >= complainEvery.Milliseconds() {
		s.warned.Store(now)
		f := errRecipients()
		slog.Warn("no backup is made: "+fault.As(f).Message, "fix", fault.As(f).Hint)
	}
	return false
}

// schedule is how the plan looks to people.
func (s *Service) schedule(ctx context.Context, rows []store.Backup) (api.BackupSchedule, error) {
	p := s.planned(rows, time.Now())
	out := api.BackupSchedule{Every: periodText(s.settings.Every), Keep: s.settings.Keep.String(), DrillEvery: periodText(s.settings.DrillEvery),
		NextAt: p.backup, DrillAt: p.drill, Failures: p.failures, Problem: p.problem}
	kits, err := RecoveryRecipients(ctx, s.src.DB.Queries)
	if err == nil && len(kits) == 0 {
		out.NextAt, out.DrillAt, out.Problem = time.Time{}, time.Time{}, fault.As(errRecipients()).Message
	}
	return out, err
}

// State is how backups stand, for metrics and the doctor.
type State struct {
	Place      string // "" for none
	Every      time.Duration
	DrillEvery time.Duration
	Kits       int // age recipients of recovery kits
	// Newest is that of the newest backup, also one that a client took; zero for none.
	Newest  time.Time
	Bytes   int64
	Seconds float64
	// Failures are those since the last backup, with what the last one said.
	Failures int
	Problem  string
	// Total counts the failures of this process.
	Total int64
	// Drilled is when the last drill was held; zero for never.
	Drilled      time.Time
	DrillProblem string
	DrillSeconds float64
}

// State tells how backups stand, from the catalogue.
func (s *Service) State(ctx context.Context) (State, error) {
	out := State{Place: s.at(), Every: s.settings.Every, DrillEvery: s.settings.DrillEvery, Total: s.failures.Load()}
	rows, err := s.src.DB.Backups(ctx)
	if err != nil {
		return out, err
	}
	for i := range rows {
		r := &rows[i]
		if made(r) && out.Newest.IsZero() {
			out.Newest, out.Bytes, out.Seconds = atMS(r.CreatedAt), r.Bytes, summaryOf(r).Seconds
		}
		if r.DrilledAt != 0 && atMS(r.DrilledAt).After(out.Drilled) {
			out.Drilled, out.DrillProblem, out.DrillSeconds = atMS(r.DrilledAt), r.Problem, summaryOf(r).Drill
		}
	}
	p := s.planned(rows, time.Now())
	out.Failures, out.Problem = p.failures, p.problem
	kits, err := RecoveryRecipients(ctx, s.src.DB.Queries)
	out.Kits = len(kits)
	return out, err
}
