package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/postgres"
	"github.com/keyturn/keyturn/internal/store/sqlite"
)

// RootKeyFile is where development mode keeps the root key, inside the data folder.
const RootKeyFile = "root.key"

// world is what was found or founded at the start.
type world struct {
	instance    string
	fresh       bool   // founded by this start
	rootFrom    string // where the root key came from, in words
	fingerprint string
	where       string // of the data, in words
	epoch       int64
	slot        string       // id of the one that was opened
	root        keyring.Root // until the services are built
	saved       *saved       // the backup before the schema was brought forward
}

func (w *world) describe(out io.Writer) {
	fmt.Fprintf(out, "  data:     %s\n  root key: %s (fingerprint %s)\n", w.where, w.rootFrom, w.fingerprint)
	if w.fresh {
		fmt.Fprintln(out, "            save it now: copy it away from this machine, to two places. Without it nothing here can ever be read again,")
		fmt.Fprintln(out, "            unless there is a recovery kit: once you are set up, keyturn keys recovery create")
	}
}

// openWorld opens the database and unlocks the keys. A root key that is wrong, missing or malformed is refused before
// anything is written.
func (s *Server) openWorld(ctx context.Context) error {
	c := &s.o.Config
	s.unlocker = &unlocker{s.o.LookupEnv, c, s.o.entered}
	offers, err := s.unlocker.offers()
	if err != nil {
		return err
	}
	for _, o := range offers {
		if o.strict { // a key that is none is told before anything is opened
			root, err := o.root(ctx)
			if err != nil {
				return err
			}
			root.Bytes().Wipe()
		}
	}
	if warning := keyring.RootFileWarning(s.unlocker.getenv, os.Stat); warning != "" {
		slog.Warn(warning)
	}
	if len(offers) == 0 && s.o.entered == nil && !c.WaitSealed && c.Mode == config.Production {
		return fault.New(fault.Sealed, "production mode needs a root key and never invents one").
			WithHint("make one with: openssl rand -hex 32, save it, and set KEYTURN_ROOT_KEY, KEYTURN_ROOT_KEY_FILE or KEYTURN_ROOT_SOURCES")
	}
	engine, err := s.openEngine(ctx)
	if err != nil {
		return err
	}
	if err := s.unlock(ctx, engine, len(offers) > 0); err != nil {
		if s.db != nil {
			return errors.Join(err, s.db.Close())
		}
		return errors.Join(err, engine.Abandon())
	}
	return nil
}

func (s *Server) openEngine(ctx context.Context) (*store.Engine, error) {
	c := s.o.Config
	if c.Database != "" {
		s.world.where = "PostgreSQL"
		return postgres.Open(ctx, c.Database)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the data folder %s cannot be made", c.Data)
	}
	s.world.where = filepath.Join(c.Data, sqlite.FileName)
	return sqlite.Open(ctx, c.Data)
}

// unlock finds out whether the database holds a world, and opens it or founds one. given tells whether the configuration
// names a root key.
func (s *Server) unlock(ctx context.Context, engine *store.Engine, given bool) error {
	peek, err := store.Peek(ctx, engine)
	var instance store.Instance
	if err == nil {
		instance, err = peek.Instance(ctx)
	}
	switch {
	case errors.Is(err, fault.NotFound):
		return s.found(ctx, engine, given, "")
	case err != nil:
		return err
	}
	rows, err := keys.Load(ctx, peek.Queries)
	if err != nil {
		return err
	}
	if len(rows.Slots) == 0 && instance.LogSize == 0 { // a first start that died before it had keys: nothing can be lost
		return s.found(ctx, engine, given, instance.ID)
	}
	o, err := s.unlocker.open(ctx, instance.ID, rows.Slots)
	if err != nil {
		return err
	}
	if s.ring, err = keyring.Unlock(o.root, instance.ID, rows); err != nil {
		return err
	}
	s.world = world{instance: instance.ID, fingerprint: o.root.Fingerprint(), epoch: instance.Epoch, slot: o.slot.ID, root: o.root,
		rootFrom: o.words, where: s.world.where}
	if err := s.beforeUpgrade(ctx, peek); err != nil {
		return err
	}
	s.db, err = store.Open(ctx, engine, s.failed)
	return err
}

func (s *Server) failed(err error) {
	slog.Error("the database failed, the server leaves service", "error", err)
	select {
	case s.fatal <- err:
	default:
	}
}

// found starts a new world: keys first, made durable, then the root key is shown.
// With an id it goes on where an earlier first start ended.
func (s *Server) found(ctx context.Context, engine *store.Engine, given bool, id string) error {
	c := s.o.Config
	if !given {
		if err := s.inventRoot(); err != nil {
			return err
		}
	}
	began := id
	if id == "" {
		id = uuid.Must(uuid.NewV7()).String()
	}
	draft := keyring.SlotDraft{ID: keyring.NewSlotID(), NowMS: time.Now().UnixMilli()}
	o, err := s.unlocker.first(ctx, id, &draft)
	if err != nil {
		return err
	}
	root := o.root
	db, err := store.Open(ctx, engine, s.failed)
	if err != nil {
		return err
	}
	s.db = db
	now := draft.NowMS
	if began == "" {
		if err := db.Found(ctx, id, now); err != nil {
			if fault.KindOf(err) == fault.Exists { // another server was quicker
				return fault.New(fault.Conflict, "another server founded this database just now").WithHint("start again")
			}
			return err
		}
	}
	ring, rows, err := keyring.CreateIn(root, draft, id)
	if err != nil {
		return err
	}
	entry := &audit.Entry{At: now, Action: "instance.found", Outcome: audit.Allowed, Actor: audit.Actor{Kind: "system", Name: "first start"},
		Detail: map[string]string{"root_fingerprint": root.Fingerprint(), "mode": string(c.Mode)}}
	err = db.Write(ctx, entry, func(tx *store.Tx) error {
		if slots, err := tx.KeySlots(ctx); err != nil {
			return err
		} else if len(slots) > 0 {
			return fault.New(fault.Conflict, "another server founded this database just now").WithHint("start again")
		}
		return keys.Save(ctx, tx, rows)
	})
	if err != nil {
		return err
	}
	if c.Database == "" {
		if err := sqlite.Settle(ctx, engine, c.Data); err != nil {
			return err
		}
	}
	s.ring = ring
	s.world = world{instance: id, fresh: true, rootFrom: o.words, fingerprint: root.Fingerprint(), where: s.world.where, epoch: 1, slot: draft.ID, root: root}
	return nil
}

// inventRoot makes a root key for development mode, readable by its owner only. One that is there already is used.
func (s *Server) inventRoot() error {
	file := filepath.Join(s.o.Config.Data, RootKeyFile)
	info, err := os.Stat(file)
	switch {
	case err == nil && info.Size() > 0:
		return nil
	case err == nil: // a first start was killed before it wrote the key, and there is no world yet that could need it
		err = os.Remove(file)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		return fault.Wrap(fault.Sealed, err, "the root key file %s cannot be read", file)
	}
	if err := os.MkdirAll(s.o.Config.Data, 0o700); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the data folder cannot be made")
	}
	root := keyring.NewRoot()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.Write(append(root.Hex().Reveal(), '\n'))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the root key file %s cannot be written", file)
	}
	return nil
}
