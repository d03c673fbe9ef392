package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"filippo.io/age"
)

// Reseal seals a backup anew: what the identities open is written for other recipients, unchanged and still signed by its
// instance. So a renewed recovery kit opens old backups, and a lost one no longer does once the old files are gone. The whole
// content is read and its signature checked on the way; after any error what was written is no whole backup.
//
// The manifest inside goes on naming the recipients of the first sealing, since it is signed.
func Reseal(ctx context.Context, r io.Reader, w io.Writer, identities []age.Identity, recipients []string) (Written, error) {
	if len(recipients) == 0 {
		return Written{}, errRecipients()
	}
	to, err := parseRecipients(recipients)
	if err != nil {
		return Written{}, err
	}
	file := &counter{to: w, sum: sha256.New()}
	sealed, err := age.Encrypt(file, to...)
	if err != nil {
		return Written{}, err
	}
	s, err := openTee(r, identities, sealed)
	if err != nil {
		return Written{}, err
	}
	for {
		if _, err = s.next(ctx); err != nil {
			break
		}
	}
	if !errors.Is(err, io.EOF) {
		return Written{}, err
	}
	if err := sealed.Close(); err != nil {
		return Written{}, err
	}
	return Written{s.manifest.Manifest, file.n, [32]byte(file.sum.Sum(nil)), [32]byte(s.end.Digest)}, nil
}
