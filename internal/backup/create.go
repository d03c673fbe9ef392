package backup

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/crashpoint"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// lease is how long a server may be silent before others take it for gone and make the backup themselves.
	lease = 2 * time.Minute
	// renewEvery is how often it speaks up: twice may be missed.
	renewEvery = 40 * time.Second
	// failuresKept is how long failures and removed backups stay in the catalogue.
	failuresKept = 400 * 24 * time.Hour
)

// Create makes a backup at the place, and lets old ones go. One is made at a time; a second is [fault.Conflict]. Without a
// recovery kit it is [fault.Invalid], without a place [fault.Unsupported].
func (s *Service) Create(ctx context.Context) (api.Backup, error) {
	if err := s.admit(ctx, "create", ""); err != nil {
		return api.Backup{}, err
	}
	row, err := s.create(ctx)
	if err != nil {
		return api.Backup{}, err
	}
	return shown(row), nil
}

func (s *Service) create(ctx context.Context) (*store.Backup, error) {
	place, err := s.place()
	if err != nil {
		return nil, s.failed(ctx, "create", "", err)
	}
	src, err := s.source(ctx)
	if err != nil {
		return nil, s.failed(ctx, "create", "", err)
	}
	row, err := s.claim(ctx)
	if err != nil {
		return nil, err
	}
	crashpoint.At("backup.create.claimed")
	src.Progress = func(int64, int64) { crashpoint.At("backup.create.writing") }
	begun := time.Now()
	w, err := s.hold(ctx, row, func() (Written, error) { return send(ctx, place, key(s.instance, row.Name), src) })
	crashpoint.At("backup.create.written")
	if err == nil {
		fill(row, w, time.Since(begun))
		if err = s.put(ctx, op(ctx, "created", row.Name, facts(row)), row); err == nil {
			s.retain(ctx)
			return row, nil
		}
		// Nobody would ever remove what stands in no catalogue.
		if gone := place.Delete(context.WithoutCancel(ctx), key(s.instance, row.Name)); gone != nil {
			slog.Warn("a backup that could not be recorded stays at its place", "backup", row.Name, "error", gone)
		}
	}
	return nil, s.giveUp(ctx, row, err)
}

// claim makes it known that this server makes a backup now: those of one database take turns here.
func (s *Service) claim(ctx context.Context) (*store.Backup, error) {
	row := &store.Backup{ID: domain.NewID[string](), Place: s.at(), Digest: []byte{}, Recipients: []string{}, Summary: s.self}
	i, err := s.src.DB.Instance(ctx)
	if err != nil {
		return nil, err
	}
	row.Name = newName(time.Now(), i.Epoch, "")
	return row, s.door.Do(ctx, op(ctx, "create", row.Name, nil), func(tx *store.Tx, _ guard.Permit) error {
		rows, err := tx.Backups(ctx)
		if err != nil {
			return err
		}
		for i := range rows {
			r := &rows[i]
			if forgotten := r.RemovedAt != 0 && tx.Now()-r.RemovedAt > failuresKept.Milliseconds(); forgotten {
				if err := tx.RemoveBackup(ctx, r); err != nil {
					return err
				}
			}
			if !claimed(r) {
				continue
			}
			if !s.stale(r, tx.Now()) {
				return fault.New(fault.Conflict, "a backup is being made just now").WithHint("wait for it: keyturn backup list")
			}
			r.RemovedAt, r.Problem = tx.Now(), "the server that made it ended in the middle"
			if err := tx.PutBackup(ctx, r); err != nil {
				return err
			}
		}
		row.CreatedAt = tx.Now()
		return tx.PutBackup(ctx, row)
	})
}

// stale tells of a claim whether its server is gone. On a database that no other server can use, every claim of another
// process is.
func (s *Service) stale(r *store.Backup, nowMS int64) bool {
	return nowMS-r.CreatedAt > lease.Milliseconds() || !s.src.DB.Shared() && r.Summary != s.self
}

// hold renews the claim for as long as the work goes on.
func (s *Service) hold(ctx context.Context, row *store.Backup, work func() (Written, error)) (Written, error) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		t := time.NewTicker(renewEvery)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
			}
			row.CreatedAt = time.Now().UnixMilli()
			if err := s.put(system(ctx), op(ctx, "going on", row.Name, nil), row); err != nil {
				slog.Warn("the claim of a backup cannot be renewed", "backup", row.Name, "error", err)
			}
		}
	}()
	w, err := work()
	close(stop)
	<-stopped
	return w, err
}

// send writes a backup to a place. Until all of it is there, its name is not.
func send(ctx context.Context, place bucket.Place, name string, src Source) (Written, error) {
	r, w := io.Pipe()
	var written Written
	var first atomic.Pointer[error] // of writing, when it came before that of the place
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if written, err = Write(ctx, w, src); err != nil {
			first.Store(&err)
		}
		_ = w.CloseWithError(err)
	}()
	_, err := place.Put(ctx, name, r)
	if failed := first.Load(); failed != nil {
		err = *failed
	}
	_ = r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	<-done
	return written, err
}

// giveUp takes a claim back. A server that stops has not failed: the next start makes the backup.
func (s *Service) giveUp(ctx context.Context, row *store.Backup, cause error) error {
	after := context.WithoutCancel(ctx)
	if ctx.Err() != nil {
		err := s.door.Do(system(after), op(ctx, "given up", row.Name, nil), func(tx *store.Tx, _ guard.Permit) error { return tx.RemoveBackup(after, row) })
		return errors.Join(cause, err)
	}
	s.failures.Add(1)
	row.RemovedAt, row.Problem = time.Now().UnixMilli(), fault.As(cause).Message
	row.Digest, row.Bytes = []byte{}, 0
	if err := s.put(system(after), op(ctx, "failed", row.Name, map[string]string{"reason": string(fault.KindOf(cause))}), row); err != nil {
		slog.Warn("a failed backup cannot be recorded", "error", err)
	}
	return s.failed(ctx, "create", row.Name, cause)
}

// Stream writes a fresh backup for a client. begin is called when it is sure that there is something to send: before, an error
// is an answer like any other. What was sent is recorded before Stream returns; it is whole only then.
func (s *Service) Stream(ctx context.Context, begin func(name string) io.Writer) (api.Backup, error) {
	if err := s.admit(ctx, "stream", ""); err != nil {
		return api.Backup{}, err
	}
	i, err := s.src.DB.Instance(ctx)
	if err != nil {
		return api.Backup{}, s.failed(ctx, "stream", "", err)
	}
	row := &store.Backup{ID: domain.NewID[string](), Name: newName(time.Now(), i.Epoch, ""), Recipients: []string{}}
	src, err := s.source(ctx)
	if err != nil {
		return api.Backup{}, s.failed(ctx, "stream", "", err)
	}
	// It leaves byte by byte, so the record that it was asked for comes first.
	if err := s.door.Read(ctx, op(ctx, "stream", row.Name, nil), func(guard.Permit) error { return nil }); err != nil {
		return api.Backup{}, err
	}
	src.Progress = func(int64, int64) { crashpoint.At("backup.stream.writing") }
	begun := time.Now()
	w, err := Write(ctx, &lazy{begin: func() io.Writer { return begin(row.Name) }}, src)
	if err != nil {
		return api.Backup{}, s.failed(ctx, "stream", row.Name, err)
	}
	fill(row, w, time.Since(begun))
	if err := s.put(ctx, op(ctx, "streamed", row.Name, facts(row)), row); err != nil {
		return api.Backup{}, err
	}
	return shown(row), nil
}

// lazy begins with the first byte.
type lazy struct {
	begin func() io.Writer
	to    io.Writer
}

func (l *lazy) Write(p []byte) (int, error) {
	if l.to == nil {
		l.to = l.begin()
	}
	return l.to.Write(p)
}

// Adopt enters a backup into the catalogue that was made at the place before the services were there.
func (s *Service) Adopt(ctx context.Context, name string, w Written, took time.Duration) error {
	row := &store.Backup{ID: domain.NewID[string](), Place: s.at(), Name: name}
	fill(row, w, took)
	ctx = system(ctx)
	return s.put(ctx, op(ctx, "created", name, facts(row)), row)
}

// BeforeUpgrade writes a backup of an instance whose schema is about to be brought forward, and gives its name.
func BeforeUpgrade(ctx context.Context, place bucket.Place, src Source) (string, Written, error) {
	i, err := src.DB.Instance(ctx)
	if err != nil {
		return "", Written{}, err
	}
	name := newName(time.Now(), i.Epoch, "before-schema-"+schemaText()+"-")
	w, err := send(ctx, place, key(i.ID, name), src)
	return name, w, err
}
