package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// Verify reads a backup at the place to its end with the server's own identity, opens everything in it, and keeps what came of
// it in the catalogue. What is wrong with rows is in the answer; the error is for a file that is no whole backup of this
// instance, see [Verify].
func (s *Service) Verify(ctx context.Context, name string) (api.BackupCheck, error) {
	return s.prove(ctx, "verify", name, func(ctx context.Context, r io.Reader, o Check) (Report, time.Duration, error) {
		report, err := Verify(ctx, r, o)
		return report, 0, err
	})
}

// Drill restores a backup, the newest at the place when name is empty, into a throw-away instance, see [Drill].
func (s *Service) Drill(ctx context.Context, name string) (api.BackupCheck, error) {
	return s.prove(ctx, "drill", name, func(ctx context.Context, r io.Reader, o Check) (Report, time.Duration, error) {
		if !s.drilling.TryLock() {
			return Report{}, 0, fault.New(fault.Conflict, "a drill is under way").WithHint("wait for it: keyturn backup list")
		}
		defer s.drilling.Unlock()
		d, err := Drill(ctx, r, o, "")
		return d.Report, d.Restore, err
	})
}

// unfinished is what a drill that never ended leaves in the catalogue.
const unfinished = "the drill has not ended: it is under way, or its server ended in the middle"

func (s *Service) prove(ctx context.Context, what, name string, work func(context.Context, io.Reader, Check) (Report, time.Duration, error)) (api.BackupCheck, error) {
	if err := s.admit(ctx, what, name); err != nil {
		return api.BackupCheck{}, err
	}
	row, known, err := s.chosen(ctx, name)
	if err != nil {
		return api.BackupCheck{}, s.failed(ctx, what, name, err)
	}
	drill := what == "drill"
	if known && drill { // other servers leave it alone
		row.DrilledAt, row.Problem = time.Now().UnixMilli(), unfinished
		if err := s.put(ctx, op(ctx, what, row.Name, nil), &row); err != nil {
			return api.BackupCheck{}, err
		}
	}
	begun := time.Now()
	report, restore, digest, err := s.read(ctx, row.Name, work)
	if err != nil && ctx.Err() != nil {
		return api.BackupCheck{}, s.failed(ctx, what, row.Name, err)
	}
	took := time.Since(begun)
	if err == nil && known {
		err = s.same(&row, report, digest)
	}
	row.Problem = told(report, err)
	if drill {
		row.DrilledAt = time.Now().UnixMilli()
		sum := summaryOf(&row)
		sum.Drill = took.Seconds()
		row.Summary = sum.text()
	}
	if row.Problem == "" {
		row.CheckedAt = time.Now().UnixMilli()
	}
	found := map[string]string{"problem": row.Problem, "content": hex.EncodeToString(report.Content[:]), "values": fmt.Sprint(report.Values)}
	if recorded := s.concluded(ctx, op(ctx, what, row.Name, found), &row, known); recorded != nil {
		return api.BackupCheck{}, errors.Join(recorded, err)
	}
	if err != nil {
		return api.BackupCheck{}, s.failed(ctx, what, row.Name, err)
	}
	return checked(row.Name, report, took, restore), nil
}

// concluded keeps what came of it, and records it in any case.
func (s *Service) concluded(ctx context.Context, o guard.Op, row *store.Backup, known bool) error {
	if known {
		return s.put(ctx, o, row)
	}
	return s.door.Read(ctx, o, func(guard.Permit) error { return nil })
}

// chosen finds what was asked for.
func (s *Service) chosen(ctx context.Context, name string) (row store.Backup, known bool, err error) {
	if _, err := s.place(); err != nil {
		return row, false, err
	}
	if name == "" {
		row, err = s.newest(ctx)
		return row, err == nil, err
	}
	if err := checkName(name); err != nil {
		return row, false, err
	}
	row, known, err = s.find(ctx, name)
	row.Name = name
	return row, known, err
}

// read opens a backup at the place and lets the work read it; digest is that of the file.
func (s *Service) read(ctx context.Context, name string, work func(context.Context, io.Reader, Check) (Report, time.Duration, error)) (report Report, restore time.Duration, digest []byte, err error) {
	o, err := s.own(ctx)
	if err != nil {
		return report, 0, nil, err
	}
	file, err := s.settings.Place.Get(ctx, key(s.instance, name))
	if err != nil {
		return report, 0, nil, missing(err)
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	report, restore, err = work(ctx, io.TeeReader(file, sum), o)
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		err = fault.Wrap(fault.Denied, err, "the server cannot open this backup: it is of another life of the instance, or was resealed without the server's recipient").
			WithHint("verify it with a recovery kit: keyturn backup verify FILE --identity KIT")
	}
	return report, restore, sum.Sum(nil), err
}

func missing(err error) error {
	if errors.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "there is no such backup at the place").WithHint("see: keyturn backup list")
	}
	return err
}

// same refuses a backup that is sound and another than the one that was made under this name. One that was resealed is taken
// for what it is.
func (s *Service) same(row *store.Backup, r Report, digest []byte) error {
	if hex.EncodeToString(r.Content[:]) != summaryOf(row).Content {
		return fault.New(fault.Conflict, "this is a backup of this instance, and not the one that was made under this name").
			WithHint("somebody put another file into its place: find out who can write there")
	}
	row.Digest = digest
	return nil
}

// told is one sentence about what is wrong, "" for nothing.
func told(r Report, err error) string {
	switch {
	case err != nil:
		return fault.As(err).Message
	case r.Sound():
		return ""
	}
	return fmt.Sprintf("%d problems; the first: %s: %s", len(r.Problems), r.Problems[0].Row, r.Problems[0].Text)
}

func checked(name string, r Report, took, restore time.Duration) api.BackupCheck {
	out := api.BackupCheck{Name: name, Sound: r.Sound(), Rows: r.Rows, Values: r.Values, LogSize: r.Manifest.Log.Size, LogRoot: hex.EncodeToString(r.Manifest.Log.Root),
		Content: hex.EncodeToString(r.Content[:]), Signer: r.Signer, CreatedAt: atMS(r.Manifest.CreatedMS), Seconds: took.Seconds(), Restore: restore.Seconds(),
		Problems: []api.BackupProblem{}}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, api.BackupProblem(p))
	}
	return out
}

// Get opens a backup at the place as it is, sealed. The caller closes it.
func (s *Service) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := s.admit(ctx, "get", name); err != nil {
		return nil, err
	}
	place, err := s.place()
	if err == nil {
		err = checkName(name)
	}
	if err != nil {
		return nil, s.failed(ctx, "get", name, err)
	}
	file, err := place.Get(ctx, key(s.instance, name))
	if err != nil {
		return nil, s.failed(ctx, "get", name, missing(err))
	}
	if err := s.door.Read(ctx, op(ctx, "get", name, nil), func(guard.Permit) error { return nil }); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
