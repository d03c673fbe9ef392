package server

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/evidence"
)

// archiveFolder is where old entries of the log go inside the data folder when nothing else is said.
const archiveFolder = "audit-archive"

// archiveLog tells the service of the log where old entries may go.
func (s *Server) archiveLog() error {
	address := s.o.Config.ArchiveTo
	if address == "" && s.o.Config.Database == "" {
		address = filepath.Join(s.o.Config.Data, archiveFolder)
	}
	a := evidence.Archiving{Handled: s.follow.Handled, Seal: func(ctx context.Context, w io.Writer) (io.WriteCloser, error) {
		return backup.SealToKits(ctx, s.db.Queries, w)
	}}
	if address != "" {
		place, err := bucket.Open(address, bucket.Environment{Getenv: func(name string) string {
			if s.o.LookupEnv == nil {
				return ""
			}
			v, _ := s.o.LookupEnv(name)
			return v
		}})
		if err != nil {
			return fmt.Errorf("KEYTURN_AUDIT_ARCHIVE_TO: %w", err)
		}
		a.Place = place
	}
	s.log.ArchiveTo(a)
	return nil
}
