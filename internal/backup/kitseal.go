package backup

import (
	"context"
	"io"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// SealToKits seals what is written to the recovery kits of the instance, as backups are. Without a kit it is
// [fault.Unsupported]. The writer must be closed.
func SealToKits(ctx context.Context, q store.Queries, w io.Writer) (io.WriteCloser, error) {
	kits, err := RecoveryRecipients(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(kits) == 0 {
		return nil, errRecipients()
	}
	recipients, err := parseRecipients(kits)
	if err != nil {
		return nil, err
	}
	out, err := age.Encrypt(w, recipients...)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "could not seal to the recovery kits")
	}
	return out, nil
}

// Unseal opens what [SealToKits] made. The errors are those of opening a backup.
func Unseal(r io.Reader, identities []age.Identity) (io.Reader, error) {
	return unseal(&source{r: r}, identities)
}
