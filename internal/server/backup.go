package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/doctor"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// backupsFolder is where backups go inside the data folder when nothing else is said: better than none, and not good.
const backupsFolder = "backups"

// backupAddress gives the configured place, or the default of the store; "" for none.
func (o *Options) backupAddress() string {
	if o.Config.BackupTo == "" && o.Config.Database == "" {
		return filepath.Join(o.Config.Data, backupsFolder)
	}
	return o.Config.BackupTo
}

// backupPlace opens no connection. Nil is no place.
func (o *Options) backupPlace() (bucket.Place, error) {
	address := o.backupAddress()
	if address == "" {
		return nil, nil
	}
	place, err := bucket.Open(address, bucket.Environment{Getenv: func(name string) string { v, _ := o.LookupEnv(name); return v }})
	if err != nil {
		return nil, fmt.Errorf("KEYTURN_BACKUP_TO: %w", err)
	}
	return place, nil
}

func (o *Options) backupSettings() (out backup.Settings, err error) {
	if out.Place, err = o.backupPlace(); err != nil {
		return out, err
	}
	if out.Every, err = backup.ParsePeriod(o.Config.BackupEvery); err != nil {
		return out, fmt.Errorf("KEYTURN_BACKUP_EVERY: %w", err)
	}
	if out.Keep, err = backup.ParseKeep(o.Config.BackupKeep); err != nil {
		return out, fmt.Errorf("KEYTURN_BACKUP_KEEP: %w", err)
	}
	if out.DrillEvery, err = backup.ParsePeriod(o.Config.BackupDrillEvery); err != nil {
		return out, fmt.Errorf("KEYTURN_BACKUP_DRILL_EVERY: %w", err)
	}
	return out, nil
}

func (s *Server) buildBackups(ctx context.Context, door *guard.Door) error {
	settings, err := s.o.backupSettings()
	if err != nil {
		return err
	}
	s.backups = backup.New(s.backupSource(s.db), door, s.world.instance, settings, s.keys.Refresh)
	if b := s.world.saved; b != nil {
		return s.backups.Adopt(ctx, b.name, b.written, b.took)
	}
	return nil
}

func (s *Server) backupSource(db *store.DB) backup.Source {
	return backup.Source{DB: db, Ring: s.ring, Origin: audit.Origin(s.world.instance, s.world.epoch), Program: s.o.Version}
}

// saved is a backup that was made before there was a service for them.
type saved struct {
	name    string
	written backup.Written
	took    time.Duration
}

// beforeUpgrade saves an instance whose schema this start is about to bring forward: there is no other way back. Where nobody
// could open a backup, or there is no place for it, it says so and goes on.
func (s *Server) beforeUpgrade(ctx context.Context, peek *store.DB) error {
	has, knows := peek.Peeked(), store.NewestSchema()
	if has >= knows {
		return nil
	}
	if s.o.Config.SkipUpgradeCopy {
		slog.Warn("the schema is brought forward without a backup, as KEYTURN_BACKUP_BEFORE_UPGRADE says", "from", has, "to", knows)
		return nil
	}
	kits, err := backup.RecoveryRecipients(ctx, peek.Queries)
	if err != nil {
		return err
	}
	place, err := s.o.backupPlace()
	switch {
	case err != nil:
		return err
	case len(kits) == 0:
		slog.Warn("the schema is brought forward without a backup: there is no recovery kit to seal one to", "from", has, "to", knows,
			"fix", "make one for the next time: keyturn keys recovery create")
		return nil
	case place == nil:
		slog.Warn("the schema is brought forward without a backup: there is no place for one", "from", has, "to", knows, "fix", "set KEYTURN_BACKUP_TO")
		return nil
	}
	begun := time.Now()
	src := s.backupSource(peek)
	src.Recipients = kits
	name, w, err := backup.BeforeUpgrade(ctx, place, src)
	if err != nil {
		return fault.Wrap(fault.KindOf(err), err, "the schema must be brought from %d to %d, and the backup before it failed: %s", has, knows, fault.As(err).Message).
			WithHint("mend the place in KEYTURN_BACKUP_TO, or save the database yourself and start with KEYTURN_BACKUP_BEFORE_UPGRADE=skip; nothing was changed")
	}
	slog.Info("a backup was made before the schema is brought forward", "backup", name, "place", place.String(), "from", has, "to", knows)
	s.world.saved = &saved{name, w, time.Since(begun)}
	return nil
}

// backupFacts gathers how backups stand.
func (s *Server) backupFacts(ctx context.Context, f *doctor.Facts) error {
	b, err := s.backups.State(ctx)
	if err != nil {
		return err
	}
	f.Backup = doctor.Backup{Kits: b.Kits, Place: b.Place, Every: b.Every, DrillEvery: b.DrillEvery, Failures: b.Failures, Problem: b.Problem,
		Made: !b.Newest.IsZero(), Age: time.Since(b.Newest), Drilled: !b.Drilled.IsZero(), DrillAge: time.Since(b.Drilled), DrillProblem: b.DrillProblem}
	if folder, ok := folderOf(s.o.backupAddress()); ok && s.o.Config.Database == "" {
		f.Backup.SameDisk = within(s.o.Config.Data, folder) || sameDisk(s.o.Config.Data, folder)
	}
	return nil
}

// folderOf gives the folder that an address names.
func folderOf(address string) (string, bool) {
	if u, err := url.Parse(address); err == nil && u.Scheme != "" {
		return u.Path, u.Scheme == "file"
	}
	return address, address != ""
}

// within tells whether a folder lies in another one, or is it.
func within(outer, inner string) bool {
	rel, err := filepath.Rel(outer, inner)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
