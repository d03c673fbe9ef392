package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
)

// Backups makes, lists, checks and removes backups of the instance.
type Backups interface {
	Create(ctx context.Context) (api.Backup, error)
	List(ctx context.Context) (api.Backups, error)
	Stream(ctx context.Context, begin func(name string) io.Writer) (api.Backup, error)
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	Verify(ctx context.Context, name string) (api.BackupCheck, error)
	Drill(ctx context.Context, name string) (api.BackupCheck, error)
	Delete(ctx context.Context, name string) error
}

type backupParam struct {
	Name string `path:"name" doc:"of the backup"`
}

const (
	newestDrill = "/backups/drill"
	// ageFile is the content type of an age file, which a backup is.
	ageFile = "application/age"
	// digestTrailer follows a streamed backup: its SHA-256 in hex. An answer without it is not whole.
	digestTrailer = "Keyturn-Backup-Digest"
)

func backupRoutes() []Route {
	const manage = "backup.manage"
	return []Route{
		with(Route{Method: "GET", Path: "/backups", Auth: Token, Action: manage, Summary: "List backups and how their schedule stands.", Example: api.Backups{}},
			func(c *call, _ *none, _ *none) (api.Backups, error) { return c.Backups.List(c.ctx) }),
		with(Route{Method: "POST", Path: "/backups", Auth: Token, Action: manage, Summary: "Make a backup at the server's place.", Status: http.StatusCreated, Example: api.Backup{}},
			func(c *call, _ *none, _ *none) (api.Backup, error) {
				return long(c, func() (api.Backup, error) { return c.Backups.Create(c.ctx) })
			}),
		with(Route{Method: "GET", Path: "/backups/stream", Auth: Token, Action: manage, Content: ageFile, Example: api.Backup{},
			Summary: "Send a fresh backup; the trailer " + digestTrailer + " has its SHA-256, and what lacks it is not whole."}, streamBackup),
		with(Route{Method: "GET", Path: "/backups/{name}", Auth: Token, Action: manage, Summary: "Send a backup as it lies at the place, sealed.", Content: ageFile, Example: api.Backup{}}, sendBackup),
		with(Route{Method: "POST", Path: "/backups/{name}/verify", Auth: Token, Action: manage, Summary: "Read a backup to its end and open everything in it.", Example: api.BackupCheck{}},
			func(c *call, p *backupParam, _ *none) (api.BackupCheck, error) {
				return long(c, func() (api.BackupCheck, error) { return c.Backups.Verify(c.ctx, p.Name) })
			}),
		with(Route{Method: "POST", Path: "/backups/{name}/drill", Auth: Token, Action: manage, Summary: "Restore a backup into a throw-away instance and open everything in it.", Example: api.BackupCheck{}},
			func(c *call, p *backupParam, _ *none) (api.BackupCheck, error) {
				return long(c, func() (api.BackupCheck, error) { return c.Backups.Drill(c.ctx, p.Name) })
			}),
		with(Route{Method: "POST", Path: newestDrill, Auth: Token, Action: manage, Summary: "Hold a drill with the newest backup.", Example: api.BackupCheck{}},
			func(c *call, _ *none, _ *none) (api.BackupCheck, error) {
				return long(c, func() (api.BackupCheck, error) { return c.Backups.Drill(c.ctx, "") })
			}),
		with(Route{Method: "DELETE", Path: "/backups/{name}", Auth: Token, Action: manage, Summary: "Remove a backup from the place, for good.", Example: api.Done{}},
			func(c *call, p *backupParam, _ *none) (api.Done, error) {
				return api.Done{Done: true}, c.Backups.Delete(c.ctx, p.Name)
			}),
	}
}

// unbound takes the time limits of a request away: past them the server would take the client for gone.
func (c *call) unbound() error {
	conn := http.NewResponseController(c.w)
	if err := errors.Join(conn.SetWriteDeadline(time.Time{}), conn.SetReadDeadline(time.Time{})); err != nil {
		return fault.Wrap(fault.Internal, err, "this connection cannot wait")
	}
	return nil
}

// long does what may take as long as the instance is large.
func long[A any](c *call, work func() (A, error)) (A, error) {
	if err := c.unbound(); err != nil {
		var none A
		return none, err
	}
	return work()
}

func streamBackup(c *call, _ *none, _ *none) (any, error) {
	if err := c.unbound(); err != nil {
		return nil, err
	}
	begun := false
	made, err := c.Backups.Stream(c.ctx, func(name string) io.Writer {
		begun = true
		c.attach(name)
		c.w.Header().Set("Trailer", digestTrailer)
		c.w.WriteHeader(http.StatusOK)
		return c.w
	})
	if err != nil && begun {
		panic(http.ErrAbortHandler) // the only way to tell the client that what it has is not whole
	}
	if err != nil {
		return nil, err
	}
	c.w.Header().Set(digestTrailer, made.Digest)
	return nil, nil
}

func sendBackup(c *call, p *backupParam, _ *none) (any, error) {
	if err := c.unbound(); err != nil {
		return nil, err
	}
	file, err := c.Backups.Get(c.ctx, p.Name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	c.attach(p.Name)
	c.w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(c.w, file); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil, nil
}

// attach says that the answer is a file. Names of backups have no character that needs quoting.
func (c *call) attach(name string) {
	c.w.Header().Set("Content-Type", ageFile)
	c.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}
