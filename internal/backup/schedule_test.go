package backup

import (
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
)

// service gives one with a place, on a new instance with a recovery kit.
func service(t *testing.T, settings Settings) (*Service, *instance) {
	t.Helper()
	return serviceOn(t, "sqlite", settings)
}

func serviceOn(t *testing.T, engine string, settings Settings) (*Service, *instance) {
	t.Helper()
	i := found(t, engines[engine](t), 20, 40)
	kit := keyring.NewRoot()
	slot, err := i.ring.NewSlot(keyring.SlotDraft{Kind: recoveryKind, Source: i.recovery.Recipient().String(), Root: kit.Public(), NowMS: 1})
	must(t, err)
	ctx := t.Context()
	must(t, i.db.Write(ctx, entry("keys.slot"), func(tx *store.Tx) error { return tx.PutKeySlots(ctx, keys.StoredSlot(slot)) }))
	place, err := bucket.Open(t.TempDir(), bucket.Environment{})
	must(t, err)
	settings.Place = place
	src := i.source()
	src.Recipients = nil
	return New(src, guard.New(i.db), i.id, settings, noRefresh), i
}

func TestWhatIsDueFollowsFromTheCatalogue(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	s, _ := service(t, Settings{Every: 24 * time.Hour, DrillEvery: 7 * 24 * time.Hour})
	row := func(created int64, change func(*store.Backup)) store.Backup {
		r := store.Backup{Place: s.at(), CreatedAt: created, Digest: []byte{1}}
		change(&r)
		return r
	}
	good := func(r *store.Backup) {}
	failed := func(r *store.Backup) { r.Digest, r.RemovedAt, r.Problem = nil, r.CreatedAt+1000, "the disk is full" }
	drilledAt := func(ms int64, problem string) func(*store.Backup) {
		return func(r *store.Backup) { r.DrilledAt, r.Problem = ms, problem }
	}
	const day, hour = 24 * time.Hour, time.Hour
	for name, c := range map[string]struct {
		rows          []store.Backup
		backup, drill time.Duration // from now; drill of never is skipped
		failures      int
		noDrill       bool
	}{
		"nothing yet":              {nil, 0, 0, 0, true},
		"one of an hour":           {[]store.Backup{row(ago(hour), good)}, day - hour, 0, 0, false},
		"drilled":                  {[]store.Backup{row(ago(hour), drilledAt(ago(hour), ""))}, day - hour, 7*day - hour, 0, false},
		"a drill that failed":      {[]store.Backup{row(ago(hour), drilledAt(ago(hour/2), "bad"))}, day - hour, hour / 2, 0, false},
		"overdue":                  {[]store.Backup{row(ago(2*day), good)}, -day, 0, 0, false},
		"failed once":              {[]store.Backup{row(ago(10*time.Second), failed), row(ago(2*day), good)}, time.Minute - 9*time.Second, 0, 1, false},
		"failed before the last":   {[]store.Backup{row(ago(hour), good), row(ago(2*hour), failed)}, day - hour, 0, 0, false},
		"failed thrice":            {[]store.Backup{row(ago(10*time.Second), failed), row(ago(hour), failed), row(ago(2*hour), failed)}, 4*time.Minute - 9*time.Second, 0, 3, true},
		"of another place":         {[]store.Backup{row(ago(hour), func(r *store.Backup) { r.Place = "elsewhere" })}, 0, 0, 0, true},
		"streamed to a client":     {[]store.Backup{row(ago(hour), func(r *store.Backup) { r.Place = "" })}, 0, 0, 0, true},
		"removed":                  {[]store.Backup{row(ago(hour), func(r *store.Backup) { r.RemovedAt = ago(1) })}, 0, 0, 0, true},
		"being made":               {[]store.Backup{row(ago(time.Minute), func(r *store.Backup) { r.Digest, r.Summary = nil, s.self })}, lease - time.Minute, 0, 0, true},
		"being made, and then not": {[]store.Backup{row(ago(time.Minute), func(r *store.Backup) { r.Digest, r.Summary = nil, "another process" })}, 0, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.planned(c.rows, now)
			if got := p.backup.Sub(now); got != c.backup || p.failures != c.failures {
				t.Errorf("a backup in %v after %d failures, want %v after %d", got, p.failures, c.backup, c.failures)
			}
			if p.drill.IsZero() != c.noDrill || !c.noDrill && p.drill.Sub(now) != c.drill {
				t.Errorf("a drill in %v, want %v (none: %t)", p.drill.Sub(now), c.drill, c.noDrill)
			}
		})
	}
}

func TestRetriesBackOffAndNeverOutlastThePeriod(t *testing.T) {
	s := &Service{settings: Settings{Every: 24 * time.Hour}}
	last := time.Duration(0)
	for n := 1; n < 100; n++ {
		d := s.retry(n)
		if d < last || d > lastRetry {
			t.Fatalf("after %d failures %v, before %v", n, d, last)
		}
		last = d
	}
	s.settings.Every = time.Minute
	if d := s.retry(50); d != time.Minute {
		t.Errorf("a period of a minute is retried after %v", d)
	}
}

// Two servers of one database: only one makes the backup, and one that died in the middle does not hold the other up for ever.
func TestServersOfOnePostgreSQLTakeTurns(t *testing.T) {
	s, i := serviceOn(t, "postgres", Settings{Every: time.Hour})
	other := New(s.src, s.door, i.id, s.settings, noRefresh)
	ctx := system(t.Context())
	row, err := s.claim(ctx)
	must(t, err)
	_, err = other.create(ctx)
	want(t, err, fault.Conflict)
	if p, err := other.look(ctx); err != nil || !p.backup.After(time.Now()) {
		t.Errorf("the other does not wait: %+v, %v", p, err)
	}
	row.CreatedAt -= (lease + time.Second).Milliseconds() // it has been silent since
	must(t, s.put(ctx, op(ctx, "going on", row.Name, nil), row))
	_, err = other.create(ctx)
	must(t, err)
	if p, err := s.look(ctx); err != nil || p.failures != 0 || !p.backup.After(time.Now()) {
		t.Errorf("it is not known that the other has made one: %+v, %v", p, err)
	}
}

func TestAProcessThatDiedHoldsNobodyUpOnADatabaseOfItsOwn(t *testing.T) {
	s, i := service(t, Settings{Every: time.Hour})
	ctx := system(t.Context())
	row, err := s.claim(ctx)
	must(t, err)
	if _, err := s.create(ctx); err == nil {
		t.Error("a second backup was made beside the first")
	}
	// Another process on a database that only one can use: the claim is of a dead one.
	other := New(s.src, s.door, i.id, s.settings, noRefresh)
	made, err := other.create(ctx)
	must(t, err)
	rows, err := i.db.Backups(ctx)
	must(t, err)
	for _, r := range rows {
		if r.ID == row.ID && (r.RemovedAt == 0 || r.Problem == "") {
			t.Errorf("the claim of the dead one stands as %+v", r)
		}
	}
	if p, err := other.look(ctx); err != nil || p.failures != 0 || p.backup.Before(time.Now()) {
		t.Errorf("after %s: %+v, %v", made.Name, p, err)
	}
}

// A catalogue row of a backup that a copy does not get is said to be gone in the log of the copy.
func TestACopyForgetsTheCatalogue(t *testing.T) {
	s, i := service(t, Settings{})
	ctx := system(t.Context())
	_, err := s.create(ctx)
	must(t, err)
	file, _ := i.backup(t)
	d, err := Drill(ctx, newBytes(file), i.check(), t.TempDir())
	must(t, err)
	if !d.Report.Sound() {
		t.Errorf("problems: %v", d.Report.Problems)
	}
}

func TestNamesOfBackupsReachNothingElse(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a", "../x.ktb.age", "a/b.ktb.age", "A.ktb.age", ".ktb.age", "-x.ktb.age", "a..b.ktb.age", "x.ktb.age\n"} {
		if checkName(name) == nil {
			t.Errorf("%q is a name", name)
		}
	}
	name := newName(time.UnixMilli(1_800_000_000_000), 12, "before-schema-3-")
	if err := checkName(name); err != nil {
		t.Errorf("%s is none: %v", name, err)
	}
	if key(domain.NewID[string](), name) == "" {
		t.Error("no key")
	}
}
