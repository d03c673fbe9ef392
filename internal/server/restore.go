package server

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
)

// Restoring says what is brought back. The database and the root key are those of [Options], as a first start takes them.
type Restoring struct {
	backup.Check
	// Open opens the backup from its beginning; it is called twice.
	Open func() (io.ReadCloser, error)
	// Replace throws away the instance that is there; KeepTokens leaves tokens, sessions and client secrets valid. See
	// [backup.Restoring].
	Replace, KeepTokens bool
	// Confirm is told the plan before the first write; an error of it ends the restore.
	Confirm func(backup.Plan) error
}

// Rebuilt is an instance that was brought back and may be started.
type Rebuilt struct {
	backup.Restored
	Where       string // of the data, in words
	RootFrom    string // where the root key came from, in words
	Fingerprint string // of the root key
	Invented    string // file of the root key that was made for it; "" when one was given
}

// Restore brings an instance back into a database that no server uses. In development mode a root key is made beside the data
// when none is given, as at a first start; in production that is [fault.Sealed]. The new root key opens the instance only when
// all of it is durable.
func Restore(ctx context.Context, o Options, r Restoring) (Rebuilt, error) {
	s := &Server{o: o}
	s.unlocker = &unlocker{lookup: o.LookupEnv, config: &s.o.Config}
	given, err := s.rootGiven(ctx)
	if err != nil {
		return Rebuilt{}, err
	}
	engine, err := s.openEngine(ctx)
	if err != nil {
		return Rebuilt{}, err
	}
	out, err := s.restore(ctx, engine, r, given)
	if err != nil {
		return Rebuilt{}, errors.Join(err, engine.Close())
	}
	if o.Config.Database == "" {
		if err := sqlite.Settle(ctx, engine, o.Config.Data); err != nil {
			return Rebuilt{}, errors.Join(err, engine.Close())
		}
	}
	return out, engine.Close()
}

// rootGiven refuses before anything is read when no root key can be had.
func (s *Server) rootGiven(ctx context.Context) (bool, error) {
	offers, err := s.unlocker.offers()
	if err != nil {
		return false, err
	}
	for _, o := range offers {
		if o.strict {
			root, err := o.root(ctx)
			if err != nil {
				return false, err
			}
			root.Bytes().Wipe()
		}
	}
	if len(offers) == 0 && s.o.Config.Mode == config.Production {
		return false, fault.New(fault.Sealed, "production mode needs a root key for the restored instance").
			WithHint("make one with: openssl rand -hex 32, save it, and set KEYTURN_ROOT_KEY_FILE")
	}
	return len(offers) > 0, nil
}

func (s *Server) restore(ctx context.Context, engine *store.Engine, r Restoring, given bool) (Rebuilt, error) {
	out := Rebuilt{Where: s.world.where}
	var root keyring.Root
	defer func() { root.Bytes().Wipe() }()
	restored, err := backup.Restore(ctx, backup.Restoring{
		Check: r.Check, Open: r.Open, Engine: engine, Replace: r.Replace, KeepTokens: r.KeepTokens, Confirm: r.Confirm,
		Actor: audit.Actor{Kind: "system", ID: "restore", Name: "restore"},
		Slot: func(instanceID string) (keyring.SlotDraft, error) {
			if !given {
				out.Invented = filepath.Join(s.o.Config.Data, RootKeyFile)
				if err := s.inventRoot(); err != nil {
					return keyring.SlotDraft{}, err
				}
			}
			draft := keyring.SlotDraft{ID: keyring.NewSlotID(), NowMS: time.Now().UnixMilli()}
			o, err := s.unlocker.first(ctx, instanceID, &draft)
			if err != nil {
				return draft, err
			}
			root, out.RootFrom = o.root, o.words
			out.Fingerprint, draft.Root = root.Fingerprint(), root.Public()
			return draft, nil
		},
	})
	out.Restored = restored // a root key that was made stays in any case: of a commit whose answer is lost nobody knows
	return out, err
}

// Export writes a database that no server uses into a new folder, in the open: see [backup.ExportInstance]. Nothing in the
// database is changed.
func Export(ctx context.Context, o Options, folder string) (backup.Report, error) {
	s := &Server{o: o}
	s.unlocker = &unlocker{lookup: o.LookupEnv, config: &s.o.Config}
	if c := o.Config; c.Database == "" && !sqlite.Exists(c.Data) {
		return backup.Report{}, fault.New(fault.NotFound, "there is no database in %s", c.Data)
	}
	engine, err := s.openEngine(ctx)
	if err != nil {
		return backup.Report{}, err
	}
	report, err := s.export(ctx, engine, folder)
	return report, errors.Join(err, engine.Abandon())
}

func (s *Server) export(ctx context.Context, engine *store.Engine, folder string) (backup.Report, error) {
	peek, err := store.Peek(ctx, engine)
	if err != nil {
		return backup.Report{}, err
	}
	instance, err := peek.Instance(ctx)
	if err != nil {
		return backup.Report{}, err
	}
	rows, err := keys.Load(ctx, peek.Queries)
	if err != nil {
		return backup.Report{}, err
	}
	o, err := s.unlocker.open(ctx, instance.ID, rows.Slots)
	if err != nil {
		return backup.Report{}, err
	}
	defer o.root.Bytes().Wipe()
	if s.ring, err = keyring.Unlock(o.root, instance.ID, rows); err != nil {
		return backup.Report{}, err
	}
	s.world.instance, s.world.epoch = instance.ID, instance.Epoch
	return backup.ExportInstance(ctx, s.backupSource(peek), folder)
}
