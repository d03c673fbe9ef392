package server

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/alert"
	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/consumer"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// alertTimeout bounds one call of a channel.
	alertTimeout = 10 * time.Second
	// overdueFactor is how much later than planned a backup or a drill must be to be worth an alert: one that takes its time, or a
	// server that was stopped over night, is not.
	overdueFactor = 1.5
	// maxTold bounds the names in one message.
	maxTold = 10
	// lagWorth is how far behind a follower must be to be worth an alert.
	lagWorth = 10 * time.Minute
)

// buildWatching makes what follows the log: who uses what, and what people are told.
func (s *Server) buildWatching(door *guard.Door) error {
	s.consumers = consumer.New(s.db, door)
	if err := s.follow.Add(s.consumers.Follower()); err != nil {
		return err
	}
	outside := channel.Outside{Client: s.outbound.Client(alertTimeout), Dial: s.outbound.DialContext}
	s.alerts = alert.New(s.db, door, s.keys, outside, "keyturn "+s.world.instance)
	s.access.MailWith(s.alerts, s.o.Config.PublicURL)
	s.alerts.Watch(alert.Watch{Rules: []string{alert.LastSlot}, First: time.Minute, Every: time.Hour, Ask: s.slotFindings})
	s.alerts.Watch(alert.Watch{Rules: []string{alert.BackupFailed, alert.DrillFailed}, First: time.Minute, Every: 5 * time.Minute, Ask: s.backupFindings})
	s.alerts.Watch(alert.Watch{Rules: []string{alert.FollowerLag}, First: 5 * time.Minute, Every: time.Minute, Ask: s.followerFindings})
	s.alerts.Watch(alert.Watch{Rules: []string{alert.Overdue}, First: 2 * time.Minute, Every: time.Hour, Ask: s.overdueFindings})
	s.alerts.Watch(alert.Watch{Rules: []string{alert.LogDamaged}, First: 15 * time.Minute, Every: 24 * time.Hour, Ask: s.logFindings})
	return s.follow.Add(s.alerts.Follower())
}

func (s *Server) slotFindings(ctx context.Context) ([]alert.Finding, error) {
	k, err := s.keys.Report(ctx)
	if err != nil || len(k.Slots) != 1 {
		return nil, err
	}
	return []alert.Finding{{Rule: alert.LastSlot, Matter: "slots", Title: "there is only one way left to unlock the server: when it is lost, everything is",
		Facts: []store.AlertFact{{Name: "the one slot", Value: k.Slots[0].Kind}, {Name: "fix", Value: "keyturn keys recovery create"}}}}, nil
}

func (s *Server) backupFindings(ctx context.Context) ([]alert.Finding, error) {
	b, err := s.backups.State(ctx)
	if err != nil || b.Place == "" {
		return nil, err
	}
	var out []alert.Finding
	late := func(last time.Time, every time.Duration) bool {
		return every > 0 && !last.IsZero() && time.Since(last) > time.Duration(float64(every)*overdueFactor)
	}
	switch {
	case b.Failures > 0:
		out = append(out, alert.Finding{Rule: alert.BackupFailed, Matter: "failed", Title: "backups fail", Facts: []store.AlertFact{{Name: "failures", Value: strconv.Itoa(b.Failures)}, {Name: "problem", Value: b.Problem}}})
	case late(b.Newest, b.Every):
		out = append(out, alert.Finding{Rule: alert.BackupFailed, Matter: "old", Title: "the newest backup is older than it should be", Facts: []store.AlertFact{{Name: "made", Value: b.Newest.UTC().Format(time.RFC3339)}}})
	}
	switch {
	case b.DrillProblem != "":
		out = append(out, alert.Finding{Rule: alert.DrillFailed, Matter: "failed", Title: "the last drill found a backup that does not restore", Facts: []store.AlertFact{{Name: "problem", Value: b.DrillProblem}}})
	case late(b.Drilled, b.DrillEvery):
		out = append(out, alert.Finding{Rule: alert.DrillFailed, Matter: "old", Title: "the last drill is longer ago than it should be", Facts: []store.AlertFact{{Name: "held", Value: b.Drilled.UTC().Format(time.RFC3339)}}})
	}
	return out, nil
}

func (s *Server) followerFindings(ctx context.Context) ([]alert.Finding, error) {
	states, err := s.follow.States(ctx)
	var out []alert.Finding
	for _, f := range states {
		if f.Behind > lagWorth {
			out = append(out, alert.Finding{Rule: alert.FollowerLag, Matter: f.Name, Title: "a follower of the audit log is behind: " + f.Name,
				Facts: []store.AlertFact{{Name: "entries", Value: strconv.FormatInt(f.Lag, 10)}, {Name: "age of the oldest", Value: f.Behind.Round(time.Second).String()}, {Name: "problem", Value: f.Problem}}})
		}
	}
	return out, err
}

// overdueFindings counts what is overdue, in every organisation.
func (s *Server) overdueFindings(ctx context.Context) ([]alert.Finding, error) {
	orgs, err := s.db.Orgs(ctx)
	if err != nil {
		return nil, err
	}
	var out []alert.Finding
	for _, org := range orgs {
		caller := *guard.CallerOf(ctx)
		who := *caller.Principal
		who.Org = org.ID
		caller.Principal = &who
		ctx := guard.WithCaller(ctx, &caller)
		due, err := s.secrets.Due(ctx, "", "", time.Now().UnixMilli())
		if err != nil {
			return nil, err
		}
		if len(due) == 0 {
			continue
		}
		f := alert.Finding{Rule: alert.Overdue, Matter: string(org.ID), Title: strconv.Itoa(len(due)) + " secrets are overdue for rotation", Facts: []store.AlertFact{{Name: "fix", Value: "keyturn due"}}}
		for _, d := range due[:min(len(due), maxTold)] {
			f.Facts = append(f.Facts, store.AlertFact{Name: "overdue", Value: string(d.Project) + "/" + string(d.Env) + ":" + d.Path.Key(d.Name)})
		}
		out = append(out, f)
	}
	return out, nil
}

// logFindings verifies the whole log.
func (s *Server) logFindings(ctx context.Context) ([]alert.Finding, error) {
	v, err := s.log.Verify(ctx, false)
	if err != nil || len(v.Problems) == 0 {
		return nil, err
	}
	return []alert.Finding{{Rule: alert.LogDamaged, Matter: "log", Title: "the audit log does not verify: " + strconv.Itoa(len(v.Problems)) + " findings",
		Facts: []store.AlertFact{{Name: "first", Value: v.Problems[0].Text}, {Name: "see", Value: "keyturn audit verify"}}}}, nil
}

// writeAlerts tells how alerts stand.
func (m *metrics) writeAlerts(w io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if m.alerts() == nil {
		return
	}
	a, err := m.alerts().State(ctx)
	if err != nil {
		return
	}
	fmt.Fprintf(w, "keyturn_alert_channels %d\n", a.Channels)
	fmt.Fprintf(w, "keyturn_alert_deliveries_dead %d\n", a.Dead)
	fmt.Fprintf(w, "keyturn_alert_deliveries_waiting %d\n", a.Waiting)
}
