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
	"github.com/keyturn/keyturn/internal/secrets"
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
}

func (w *world) describe(out io.Writer) {
	fmt.Fprintf(out, "  data:     %s\n  root key: %s (fingerprint %s)\n", w.where, w.rootFrom, w.fingerprint)
	if w.fresh {
		fmt.Fprintln(out, "            save it now: copy it away from this machine, to two places. Without it nothing here can ever be read again")
	}
}

// openWorld opens the database and unlocks the keys. A root key that is wrong, missing or malformed is refused before
// anything is written.
func (s *Server) openWorld(ctx context.Context) error {
	c := &s.o.Config
	root, kind, given, err := s.givenRoot()
	if err != nil {
		return err
	}
	if !given && c.Mode == config.Production {
		return fault.New(fault.Sealed, "production mode needs a root key and never invents one").
			WithHint("make one with: openssl rand -hex 32, save it, and set KEYTURN_ROOT_KEY or KEYTURN_ROOT_KEY_FILE")
	}
	engine, err := s.openEngine(ctx)
	if err != nil {
		return err
	}
	if err := s.unlock(ctx, engine, root, kind, given); err != nil {
		if s.db != nil {
			return errors.Join(err, s.db.Close())
		}
		return errors.Join(err, engine.Abandon())
	}
	return nil
}

// givenRoot reads the root key from the environment. An empty variable is a mistake, not "none": somebody meant to set it.
func (s *Server) givenRoot() (keyring.Root, string, bool, error) {
	for _, name := range []string{keyring.EnvRoot, keyring.EnvRootFile} {
		if v, ok := s.o.LookupEnv(name); ok && v == "" {
			return keyring.Root{}, "", false, fault.New(fault.Invalid, "%s is set but empty", name).
				WithHint("want 64 hex characters (openssl rand -hex 32), or unset it")
		}
	}
	getenv := func(name string) string { v, _ := s.o.LookupEnv(name); return v }
	root, kind, ok, err := keyring.LoadRoot(getenv, os.ReadFile)
	if err == nil && ok {
		s.world.rootFrom = map[string]string{keyring.SlotEnvironment: "from " + keyring.EnvRoot, keyring.SlotFile: "from the file in " + keyring.EnvRootFile}[kind]
		if warning := keyring.RootFileWarning(getenv, os.Stat); warning != "" {
			slog.Warn(warning)
		}
	}
	return root, kind, ok, err
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

// unlock finds out whether the database holds a world, and opens it or founds one.
func (s *Server) unlock(ctx context.Context, engine *store.Engine, root keyring.Root, kind string, given bool) error {
	peek, err := store.Peek(ctx, engine)
	var instance store.Instance
	if err == nil {
		instance, err = peek.Instance(ctx)
	}
	switch {
	case errors.Is(err, fault.NotFound):
		return s.found(ctx, engine, root, kind, given, "")
	case err != nil:
		return err
	}
	rows, err := secrets.LoadKeys(ctx, peek.Queries)
	if err != nil {
		return err
	}
	if len(rows.Slots) == 0 && instance.LogSize == 0 { // a first start that died before it had keys: nothing can be lost
		return s.found(ctx, engine, root, kind, given, instance.ID)
	}
	if !given {
		if root, _, err = s.savedRoot(); err != nil {
			return err
		}
	}
	if s.ring, err = keyring.Unlock(root, instance.ID, rows); err != nil {
		return err
	}
	s.world.instance, s.world.fingerprint = instance.ID, root.Fingerprint()
	if s.db, err = store.Open(ctx, engine, s.failed); err != nil {
		return err
	}
	s.db.Fence(s.fence)
	return nil
}

func (s *Server) failed(err error) {
	slog.Error("the database failed, the server leaves service", "error", err)
	select {
	case s.fatal <- err:
	default:
	}
}

// fence refuses to write under keys that another server has turned since.
func (s *Server) fence(epoch int64) error {
	if epoch != firstEpoch {
		return fault.New(fault.Unavailable, "another server has turned the keys").WithHint("this server must be restarted")
	}
	return nil
}

// firstEpoch is the epoch of a fresh world; nothing moves it on yet.
const firstEpoch = 1

// savedRoot reads the root key that development mode keeps beside the data.
func (s *Server) savedRoot() (keyring.Root, string, error) {
	file := filepath.Join(s.o.Config.Data, RootKeyFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return keyring.Root{}, "", fault.Wrap(fault.Sealed, err, "the root key file %s cannot be read", file).
			WithHint("put the saved root key back, or give it in KEYTURN_ROOT_KEY")
	}
	root, err := keyring.ParseRoot(text)
	s.world.rootFrom = file
	return root, keyring.SlotFile, err
}

// found starts a new world: keys first, made durable, then the root key is shown.
// With an id it goes on where an earlier first start ended.
func (s *Server) found(ctx context.Context, engine *store.Engine, root keyring.Root, kind string, given bool, id string) error {
	c := s.o.Config
	if !given {
		var err error
		if root, kind, err = s.inventRoot(); err != nil {
			return err
		}
	}
	db, err := store.Open(ctx, engine, s.failed)
	if err != nil {
		return err
	}
	s.db = db
	now := time.Now().UnixMilli()
	if id == "" {
		id = uuid.Must(uuid.NewV7()).String()
		if err := db.Found(ctx, id, now); err != nil {
			if fault.KindOf(err) == fault.Exists { // another server was quicker
				return fault.New(fault.Conflict, "another server founded this database just now").WithHint("start again")
			}
			return err
		}
	}
	ring, rows, err := keyring.Create(root, kind, id, now)
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
		return secrets.SaveKeys(ctx, tx, rows)
	})
	if err != nil {
		return err
	}
	if c.Database == "" {
		if err := sqlite.Settle(ctx, engine, c.Data); err != nil {
			return err
		}
	}
	db.Fence(s.fence)
	s.ring = ring
	s.world.instance, s.world.fingerprint, s.world.fresh = id, root.Fingerprint(), true
	return nil
}

// inventRoot makes a root key for development mode, readable by its owner only. One that is there already is used.
func (s *Server) inventRoot() (keyring.Root, string, error) {
	file := filepath.Join(s.o.Config.Data, RootKeyFile)
	info, err := os.Stat(file)
	switch {
	case err == nil && info.Size() > 0:
		return s.savedRoot()
	case err == nil: // a first start was killed before it wrote the key, and there is no world yet that could need it
		err = os.Remove(file)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		return keyring.Root{}, "", fault.Wrap(fault.Sealed, err, "the root key file %s cannot be read", file)
	}
	if err := os.MkdirAll(s.o.Config.Data, 0o700); err != nil {
		return keyring.Root{}, "", fault.Wrap(fault.Unavailable, err, "the data folder cannot be made")
	}
	root := keyring.NewRoot()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.Write(append(root.Hex().Reveal(), '\n'))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return root, "", fault.Wrap(fault.Unavailable, err, "the root key file %s cannot be written", file)
	}
	s.world.rootFrom = file
	return root, keyring.SlotFile, nil
}
