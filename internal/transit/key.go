package transit

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// maxKeys bounds the keys of one place: one for each of very many users.
	maxKeys = 100_000
	// maxVersions bounds the versions of a key; more can be made after a trim.
	maxVersions = 1_000
	// maxName bounds a name, and maxDescription a description, in bytes.
	maxName, maxDescription = 255, 500
	// minPeriod and maxPeriod bound the time between two rotations that happen by themselves.
	minPeriod, maxPeriod = time.Hour, 100 * 365 * 24 * time.Hour
)

// Key is a named key without its material.
type Key struct {
	ID          string
	Org         domain.OrgID
	Project     domain.ProjectID // empty: of the organisation
	Name        string
	Description string
	Kind        Kind
	Disabled    bool
	Derived     bool // each context has a key of its own
	Convergent  bool // equal plaintexts give equal ciphertexts
	Exportable  bool
	PlainBackup bool
	Deletable   bool
	Imported    bool
	Latest      int64
	// MinAvailable is below every version that is still there, 0 when none was destroyed. The other two are the oldest that may
	// decrypt and that may be asked for to encrypt; of the last 0 is "the latest is used when none is asked for".
	MinAvailable, MinDecryption, MinEncryption int64
	RotateEvery                                time.Duration // 0: never by itself
	CreatedAt, RotatedAt                       int64         // unix milliseconds
	Versions                                   []Version     // that may still decrypt, oldest first
}

// Version is one generation of a key.
type Version struct {
	Number    int64
	CreatedAt int64  // unix milliseconds
	Public    []byte // SubjectPublicKeyInfo in DER, nil of symmetric keys
}

// NewKey is what a key is made of.
type NewKey struct {
	Name        string
	Description string
	Kind        Kind // empty for [AES256]
	Derived     bool
	Convergent  bool
	Exportable  bool
	PlainBackup bool
	Deletable   bool
	RotateEvery time.Duration
	Size        int // of a key of kind [HMAC] in bytes, 0 for 32
}

// ParseName accepts what can stand as one segment of a path.
func ParseName(s string) (string, error) {
	if len(s) > maxName {
		return "", notName()
	}
	if _, err := domain.ParseSecretName(s); err != nil {
		return "", notName()
	}
	return s, nil
}

func notName() error {
	return fault.New(fault.Invalid, "not a name of a key: want 1 to %d letters, digits, '_', '-' or '.'", maxName)
}

func (in *NewKey) check() error {
	if in.Kind == "" {
		in.Kind = AES256
	}
	if _, err := ParseName(in.Name); err != nil {
		return err
	}
	t, ok := in.Kind.traits()
	switch {
	case !ok:
		return unknownKind()
	case in.Convergent && !in.Derived:
		return fault.New(fault.Invalid, "convergent encryption requires derivation to be enabled")
	case in.Derived && !t.derives, in.Convergent && !t.encrypts:
		return fault.New(fault.Invalid, "key derivation and convergent encryption not supported for keys of type %v", in.Kind)
	case in.Size != 0 && in.Kind != HMAC:
		return fault.New(fault.Invalid, "key_size can only be set for keys of type hmac")
	}
	if err := checkDescription(in.Description); err != nil {
		return err
	}
	return checkPeriod(in.RotateEvery)
}

func checkDescription(s string) error {
	if len(s) > maxDescription || !utf8.ValidString(s) {
		return fault.New(fault.Invalid, "the description is longer than %d bytes or not text", maxDescription)
	}
	return nil
}

func checkPeriod(d time.Duration) error {
	if d != 0 && (d < minPeriod || d > maxPeriod) {
		return fault.New(fault.Invalid, "auto rotate period must be 0 to disable or at least an hour")
	}
	return nil
}

func (k *key) view() Key {
	r := &k.row
	out := Key{ID: r.ID, Org: r.Org, Project: r.Project, Name: r.Name, Description: r.Description, Kind: Kind(r.Kind), Disabled: r.Disabled, Derived: r.Derived,
		Convergent: r.Convergent, Exportable: r.Exportable, PlainBackup: r.PlainBackup, Deletable: r.Deletable, Imported: r.Imported, Latest: r.Latest,
		MinAvailable: r.MinAvailable, MinDecryption: r.MinDecryption, MinEncryption: r.MinEncryption, RotateEvery: time.Duration(r.RotateMS) * time.Millisecond,
		CreatedAt: r.CreatedAt, RotatedAt: r.RotatedAt}
	for _, v := range k.versions {
		if v.row.Version >= r.MinDecryption {
			out.Versions = append(out.Versions, Version{v.row.Version, v.row.CreatedAt, v.row.Public})
		}
	}
	slices.SortFunc(out.Versions, func(a, b Version) int { return int(a.Number - b.Number) })
	return out
}

// Key shows one.
func (s *Service) Key(ctx context.Context, ref Ref) (Key, error) {
	var out Key
	err := s.use(ctx, policy.TransitRead, ref, "", func(_ guard.Permit, k *key) error {
		out = k.view()
		return nil
	})
	return out, err
}

// Keys lists those of a project, or of the organisation itself, that the caller may see, by name. Their versions are left out.
func (s *Service) Keys(ctx context.Context, project string) ([]Key, error) {
	at, err := s.where(ctx, policy.TransitRead, Ref{Project: project})
	if err != nil {
		return nil, err
	}
	op := at.op(policy.TransitRead, "list")
	op.Within = true
	var out []Key
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		rows, err := s.db.TransitKeys(ctx, at.org, at.project)
		if err != nil {
			return err
		}
		may := p.In(policy.TransitRead, op.Resource)
		for _, row := range rows {
			if may.May(domain.SecretName(row.Name), nil) {
				out = append(out, (&key{row: row}).view())
			}
		}
		return nil
	})
	return out, err
}

// fresh gives material for what the caller is about to do, outside of any transaction: an RSA key takes seconds. Whoever may
// not do it gets none, and is refused at the door.
func (s *Service) fresh(ctx context.Context, at spot, kind Kind, size int) (*material, error) {
	op := at.op(policy.TransitManage, "")
	if !s.door.Check(ctx, op.Action, op.Resource) {
		return nil, nil
	}
	if kind.RSA() {
		select {
		case s.making <- struct{}{}:
			defer func() { <-s.making }()
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "the client has left")
		}
	}
	return generate(kind, size)
}

// Create makes a key. One of the name that is there already is [fault.Exists].
func (s *Service) Create(ctx context.Context, project string, in NewKey) (Key, error) {
	if err := in.check(); err != nil {
		return Key{}, err
	}
	at, err := s.where(ctx, policy.TransitManage, Ref{Project: project, Name: in.Name})
	if err != nil {
		return Key{}, err
	}
	m, err := s.fresh(ctx, at, in.Kind, in.Size)
	if err != nil {
		return Key{}, err
	}
	var out Key
	err = s.door.Do(ctx, at.op(policy.TransitManage, "create"), func(tx *store.Tx, p guard.Permit) error {
		row := store.TransitKey{ID: domain.NewID[string](), Org: at.org, Project: at.project, Name: in.Name, Description: in.Description, Kind: string(in.Kind),
			Derived: in.Derived, Convergent: in.Convergent, Exportable: in.Exportable, PlainBackup: in.PlainBackup, Deletable: in.Deletable, Latest: 1, MinDecryption: 1,
			RotateMS: in.RotateEvery.Milliseconds(), RotatedAt: tx.Now(), CreatedAt: tx.Now(), CreatedBy: p.Principal().ID}
		if err := free(ctx, tx, &row); err != nil {
			return err
		}
		v, err := s.seal(ctx, tx, &row, 1, m)
		if err != nil {
			return err
		}
		p.Note("key_id", row.ID)
		p.Note("type", row.Kind)
		k := key{row: row, versions: map[int64]*version{1: {row: *v}}}
		out = k.view()
		return put(ctx, tx, &row, v)
	})
	return out, err
}

// free refuses a name that is taken, and more keys than a place may have.
func free(ctx context.Context, tx *store.Tx, row *store.TransitKey) error {
	_, err := tx.TransitKeyByName(ctx, row.Org, row.Project, row.Name)
	if err == nil {
		return fault.New(fault.Exists, "there is a key of this name already")
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	n, err := tx.CountTransitKeys(ctx, row.Org, row.Project)
	if err == nil && n >= maxKeys {
		err = fault.New(fault.Exhausted, "there are %d keys already, and no more are kept in one place", maxKeys)
	}
	return err
}

// put stores a key and new versions of it, and tells everybody.
func put(ctx context.Context, tx *store.Tx, row *store.TransitKey, versions ...*store.TransitVersion) error {
	if err := tx.PutTransitKey(ctx, row); err != nil {
		return err
	}
	if err := tx.PutTransitVersions(ctx, versions...); err != nil {
		return err
	}
	return changed(ctx, tx, row.Project)
}

// provide makes a key that is not there. Whoever may not encrypt with it learns nothing of that.
func (s *Service) provide(ctx context.Context, ref Ref, in NewKey) error {
	at := spot{org: guard.CallerOf(ctx).Principal.Org, name: ref.Name}
	if ref.Project != "" {
		id, _, err := s.places.Place(ctx, ref.Project)
		if err != nil {
			return nil // the operation itself says so
		}
		at.project = id
	}
	op := at.op(policy.TransitEncrypt, "")
	if !s.door.Check(ctx, op.Action, op.Resource) {
		return nil
	}
	if _, err := s.load(ctx, at); !errors.Is(err, ErrNoKey) {
		return err
	}
	in.Name = ref.Name
	_, err := s.Create(ctx, ref.Project, in)
	if errors.Is(err, fault.Exists) { // somebody was quicker
		return nil
	}
	return err
}

// change lets somebody change a key, in one transaction.
func (s *Service) change(ctx context.Context, ref Ref, what string, work func(*store.Tx, guard.Permit, *store.TransitKey) error) error {
	at, err := s.where(ctx, policy.TransitManage, ref)
	if err != nil {
		return err
	}
	return s.door.Do(ctx, at.op(policy.TransitManage, what), func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.TransitKeyByName(ctx, at.org, at.project, at.name)
		if err != nil {
			return missing(err)
		}
		p.Note("key_id", row.ID)
		return work(tx, p, &row)
	})
}

// Rotate makes a new version, which encrypts and signs from now on.
func (s *Service) Rotate(ctx context.Context, ref Ref) (Key, error) {
	return s.rotate(ctx, ref, "rotate", 0)
}

// rotate makes a new version. With due, only if the key's time has come at that moment (unix milliseconds): another server may
// have been quicker.
func (s *Service) rotate(ctx context.Context, ref Ref, what string, due int64) (Key, error) {
	at, err := s.where(ctx, policy.TransitManage, ref)
	if err != nil {
		return Key{}, err
	}
	var m *material
	var kind Kind
	if k, err := s.load(ctx, at); err == nil {
		size := 0
		if kind = k.kind(); kind == HMAC {
			size = k.codeSize()
		}
		if m, err = s.fresh(ctx, at, kind, size); err != nil {
			return Key{}, err
		}
	} else if !errors.Is(err, ErrNoKey) {
		return Key{}, err
	}
	err = s.change(ctx, Ref{Project: string(at.project), Name: at.name}, what, func(tx *store.Tx, p guard.Permit, row *store.TransitKey) error {
		switch {
		case due != 0 && (row.RotateMS == 0 || row.RotatedAt+row.RotateMS > due):
			return store.ErrUndo
		case m == nil || row.Kind != string(kind):
			return fault.New(fault.Conflict, "the key was made anew meanwhile").WithHint("try again")
		case row.Latest-max(row.MinAvailable, 1)+1 >= maxVersions:
			return fault.New(fault.Exhausted, "the key has %d versions, and no more are kept: trim the oldest", maxVersions)
		}
		row.Latest++
		row.RotatedAt = tx.Now()
		v, err := s.seal(ctx, tx, row, row.Latest, m)
		if err != nil {
			return err
		}
		p.Note("version", strconv.FormatInt(row.Latest, 10))
		return put(ctx, tx, row, v)
	})
	if err != nil {
		return Key{}, err
	}
	return s.look(ctx, at)
}

// codeSize is the length of the latest key of kind hmac, told by its envelope.
func (k *key) codeSize() int {
	v := k.versions[k.row.Latest]
	if v == nil {
		return 0
	}
	return len(v.row.Value) - envelopeOverhead - 3
}

// look gives a key to whoever has just changed it.
func (s *Service) look(ctx context.Context, at spot) (Key, error) {
	k, err := s.load(ctx, at)
	if err != nil {
		return Key{}, err
	}
	return k.view(), nil
}

// Delete destroys a key with all its versions, and shows what it was like. What was encrypted with it is lost.
func (s *Service) Delete(ctx context.Context, ref Ref) (Key, error) {
	var out Key
	err := s.change(ctx, ref, "delete", func(tx *store.Tx, _ guard.Permit, row *store.TransitKey) error {
		if !row.Deletable {
			return fault.New(fault.Conflict, "deletion is not allowed for this key")
		}
		out = (&key{row: *row}).view()
		if err := tx.RemoveTransitKey(ctx, row); err != nil {
			return err
		}
		return changed(ctx, tx, row.Project)
	})
	return out, err
}

// maxRotateRounds bounds one look at what is due; the next one goes on.
const maxRotateRounds = 100

// rotateDue rotates the keys whose time has come at a moment, in unix milliseconds.
func (s *Service) rotateDue(ctx context.Context, now int64) error {
	var failed []error
	for skip, round := int64(0), 0; round < maxRotateRounds; round++ { // what is left standing must not keep others from their turn
		rows, err := s.db.TransitKeysDue(ctx, now, skip, rotateBatch)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, row := range rows {
			who := &domain.Principal{Kind: domain.System, ID: "transit", Name: "rotation of keys", Org: row.Org}
			ctx := guard.WithCaller(ctx, &guard.Caller{Principal: who, Request: domain.NewID[string](), Dialect: "native"})
			if row.Project != "" {
				if _, _, err := s.places.Place(ctx, string(row.Project)); err != nil {
					skip++
					continue // of a deleted project, which may come back
				}
			}
			if _, err := s.rotate(ctx, Ref{Project: string(row.Project), Name: row.Name}, "rotate by schedule", now); err != nil {
				skip++
				failed = append(failed, err)
			}
		}
		if len(rows) < rotateBatch {
			break
		}
	}
	return errors.Join(failed...)
}
