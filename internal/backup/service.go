package backup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Service makes, lists, checks and removes the backups of a running instance, for people and by schedule. All of it passes the
// door and is recorded.
type Service struct {
	src      Source // without recipients and progress
	door     *guard.Door
	instance string
	settings Settings
	refresh  func(context.Context) error
	self     string // names this process in its claims

	failures atomic.Int64 // of this process
	warned   atomic.Int64 // unix milliseconds of the last complaint that nothing can be made
	drilling sync.Mutex   // a drill needs the room of a second database
}

// New makes the service. refresh brings src.Ring up to the keys that are in the database; src names no recipients.
func New(src Source, door *guard.Door, instanceID string, settings Settings, refresh func(context.Context) error) *Service {
	self := make([]byte, 8)
	_, _ = rand.Read(self) // never fails
	return &Service{src: src, door: door, instance: instanceID, settings: settings, refresh: refresh, self: hex.EncodeToString(self)}
}

// system is who makes backups when nobody asked.
func system(ctx context.Context) context.Context {
	return guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "backup", Name: "backup schedule"}, Dialect: "system"})
}

// op is a question to the door. name may be empty.
func op(ctx context.Context, what, name string, facts map[string]string) guard.Op {
	detail := map[string]string{"what": what}
	if name != "" {
		detail["backup"] = name
	}
	maps.Copy(detail, facts)
	return guard.Op{Action: policy.BackupManage, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: detail}
}

// admit refuses who may not, before anything is looked at; the refusal is recorded. What is allowed is recorded when it is
// done.
func (s *Service) admit(ctx context.Context, what, name string) error {
	o := op(ctx, what, name, nil)
	if s.door.Check(ctx, o.Action, o.Resource) {
		return nil
	}
	return s.door.Read(ctx, o, func(guard.Permit) error { return nil })
}

// failed records that something was tried and did not work, and gives the reason back.
func (s *Service) failed(ctx context.Context, what, name string, err error) error {
	return s.door.Fail(context.WithoutCancel(ctx), op(ctx, what, name, nil), err)
}

// place is where backups go, or the error that there is none.
func (s *Service) place() (bucket.Place, error) {
	if s.settings.Place == nil {
		return nil, fault.New(fault.Unsupported, "this server has no place for backups").
			WithHint("set KEYTURN_BACKUP_TO to a folder or an s3:// address, or take the backup with you: keyturn backup create --out FILE")
	}
	return s.settings.Place, nil
}

// at is the catalogue's name of the place.
func (s *Service) at() string {
	if s.settings.Place == nil {
		return ""
	}
	return s.settings.Place.String()
}

// source is the instance as it is now, with the server's own identity.
func (s *Service) source(ctx context.Context) (Source, error) {
	src := s.src
	if err := s.refresh(ctx); err != nil {
		return src, err
	}
	kits, err := RecoveryRecipients(ctx, src.DB.Queries)
	if err != nil {
		return src, err
	}
	if len(kits) == 0 {
		return src, errRecipients()
	}
	own, err := OwnIdentity(ctx, src.DB, src.Ring)
	src.Recipients, src.Own = kits, &own
	return src, err
}

// own is how this server opens its backups: its identity, and the keys that may have signed them.
func (s *Service) own(ctx context.Context) (Check, error) {
	if err := s.refresh(ctx); err != nil {
		return Check{}, err
	}
	own, err := OwnIdentity(ctx, s.src.DB, s.src.Ring)
	if err != nil {
		return Check{}, err
	}
	signers, err := LogKeys(ctx, s.src.DB.Queries)
	return Check{Identities: own.Identities(), Signers: signers}, err
}

// Fingerprint names an age recipient in a few characters: those of the larger kind have two thousand.
func Fingerprint(recipient string) string {
	sum := sha256.Sum256([]byte(recipient))
	text := hex.EncodeToString(sum[:8])
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

func fingerprints(recipients []string) []string {
	out := make([]string, 0, len(recipients))
	for _, r := range recipients {
		out = append(out, Fingerprint(r))
	}
	return out
}

func atMS(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// put stores what is known of a backup.
func (s *Service) put(ctx context.Context, o guard.Op, row *store.Backup) error {
	return s.door.Do(ctx, o, func(tx *store.Tx, _ guard.Permit) error { return tx.PutBackup(ctx, row) })
}
