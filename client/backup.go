package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/keyturn/keyturn/api"
)

// Backups lists the backups of the instance, newest first, and how their schedule stands.
func (c *Client) Backups(ctx context.Context) (api.Backups, error) {
	return call[api.Backups](ctx, c, request{method: "GET", path: "/backups"})
}

// CreateBackup makes a backup at the server's place. It takes as long as ctx allows.
func (c *Client) CreateBackup(ctx context.Context) (api.Backup, error) {
	return call[api.Backup](ctx, c, request{method: "POST", path: "/backups", once: true, slow: true})
}

// VerifyBackup has the server read a backup to its end and open everything in it. It takes as long as ctx allows.
func (c *Client) VerifyBackup(ctx context.Context, name string) (api.BackupCheck, error) {
	return call[api.BackupCheck](ctx, c, request{method: "POST", path: path("backups", name, "verify"), once: true, slow: true})
}

// DrillBackup has the server restore a backup, the newest when name is empty, into a throw-away instance. It takes as long as
// ctx allows.
func (c *Client) DrillBackup(ctx context.Context, name string) (api.BackupCheck, error) {
	r := request{method: "POST", path: "/backups/drill", once: true, slow: true}
	if name != "" {
		r.path = path("backups", name, "drill")
	}
	return call[api.BackupCheck](ctx, c, r)
}

// DeleteBackup removes a backup from the server's place, for good.
func (c *Client) DeleteBackup(ctx context.Context, name string) error {
	_, err := call[api.Done](ctx, c, request{method: "DELETE", path: path("backups", name)})
	return err
}

// BackupFile is a backup that was received to its end.
type BackupFile struct {
	Name   string
	Bytes  int64
	Digest string // SHA-256 of the bytes, hex
}

// digestTrailer follows a fresh backup: its SHA-256 in hex.
const digestTrailer = "Keyturn-Backup-Digest"

// StreamBackup has the server make a fresh backup and writes it to w. Only when it returns nil is the whole of it there: what
// was written before an error is no backup. It takes as long as ctx allows.
func (c *Client) StreamBackup(ctx context.Context, w io.Writer) (BackupFile, error) {
	return c.receive(ctx, "/backups/stream", true, w)
}

// GetBackup writes a backup that lies at the server's place to w, as it is, sealed. See [Client.StreamBackup].
func (c *Client) GetBackup(ctx context.Context, name string, w io.Writer) (BackupFile, error) {
	return c.receive(ctx, path("backups", name), false, w)
}

// receive gets a file. A server that fails in the middle cuts the connection, so that an end that was reached is the end.
func (c *Client) receive(ctx context.Context, at string, trailed bool, w io.Writer) (BackupFile, error) {
	r := request{method: http.MethodGet, path: at}
	if err := r.check(); err != nil {
		return BackupFile{}, err
	}
	req, err := c.prepare(ctx, r, nil)
	if err != nil {
		return BackupFile{}, err
	}
	req.Header.Set("Accept", "application/age")
	resp, err := c.http.Do(req)
	if err != nil {
		return BackupFile{}, c.lost(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return BackupFile{}, c.problem(resp)
	}
	var out BackupFile
	if _, given, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil {
		out.Name = given["filename"]
	}
	sum := sha256.New()
	target := &written{w: io.MultiWriter(w, sum)}
	if out.Bytes, err = io.Copy(target, resp.Body); err != nil {
		if target.err != nil {
			return BackupFile{}, target.err
		}
		return BackupFile{}, c.lost(ctx, err)
	}
	out.Digest = hex.EncodeToString(sum.Sum(nil))
	told := resp.Trailer.Get(digestTrailer)
	switch {
	case trailed && told == "":
		return BackupFile{}, errors.New("the backup came without its digest, so it may be cut short: is there a proxy that drops trailers?")
	case trailed && told != out.Digest:
		return BackupFile{}, fmt.Errorf("the backup was changed on its way: %s was sent, %s came", told, out.Digest)
	}
	return out, nil
}

// written keeps failures of the target apart from those of the connection.
type written struct {
	w   io.Writer
	err error
}

func (t *written) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	if err != nil {
		t.err = err
	}
	return n, err
}
