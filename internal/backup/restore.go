package backup

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/crashpoint"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
)

// Restoring says how an instance is brought back.
type Restoring struct {
	Check
	// Open opens the backup from its beginning. It is called twice: all of it is verified before the first write.
	Open func() (io.ReadCloser, error)
	// Engine is the database that is filled. It must hold no instance, or Replace be set. It stays the caller's: [store.Open]
	// it afterwards. No server may be open on it.
	Engine  *store.Engine
	Replace bool
	// KeepTokens leaves tokens, sessions and client secrets valid. Right only where the instance of the backup is gone and
	// this one takes its address; otherwise a clone takes the credentials of the other.
	KeepTokens bool
	// Slot tells the root key of the restored instance. Its slot and those of recovery kits are the only ones that remain.
	Slot func(instanceID string) (keyring.SlotDraft, error)
	// Actor is who restores, for the log.
	Actor audit.Actor
	// Confirm, which may be nil, is told the plan before the first write. An error of it ends the restore.
	Confirm func(Plan) error
}

// Restored is an instance that was brought back.
type Restored struct {
	Plan    Plan
	Epoch   int64
	Revoked int    // tokens, sessions and client secrets
	Slot    string // id of the new slot
	Dropped int    // slots of root keys that no longer open the instance
	LogKey  string // id of the log-signing key of the new life
}

// Restore verifies a backup, tells the plan, and fills the database in one transaction: until it is done, the database is what
// it was. The restored instance begins a new life: see [Life]; its first log entry, "instance.restore", names the backup and
// the log's old head. A backup with problems is [fault.Invalid]; a database that holds an instance is [fault.Exists] unless
// Replace is set.
func Restore(ctx context.Context, o Restoring) (Restored, error) {
	report, err := o.verify(ctx)
	if err != nil {
		return Restored{}, err
	}
	if !report.Sound() {
		return Restored{}, fault.New(fault.Invalid, "the backup has %d problems and is not restored; the first: %s: %s",
			len(report.Problems), report.Problems[0].Row, report.Problems[0].Text).
			WithHint("see them all with: keyturn backup verify; use another backup")
	}
	target, err := Look(ctx, o.Engine)
	if err != nil {
		return Restored{}, err
	}
	if target.Holds && !o.Replace {
		return Restored{}, fault.New(fault.Exists, "the database already holds instance %s", target.Instance).
			WithHint("restore into an empty place, or say --replace to throw that instance away")
	}
	plan := newPlan(report, target, time.Now().UnixMilli())
	if o.Confirm != nil {
		if err := o.Confirm(plan); err != nil {
			return Restored{}, err
		}
	}
	crashpoint.At("backup.restore.planned")
	out, err := o.fill(ctx, plan)
	crashpoint.At("backup.restore.done")
	out.Plan, out.Epoch = plan, plan.Epoch
	return out, err
}

func (o Restoring) verify(ctx context.Context) (Report, error) {
	r, err := o.Open()
	if err != nil {
		return Report{}, unreadable(err)
	}
	defer func() { _ = r.Close() }()
	return Verify(ctx, r, o.Check)
}

func (o Restoring) fill(ctx context.Context, plan Plan) (Restored, error) {
	r, err := o.Open()
	if err != nil {
		return Restored{}, unreadable(err)
	}
	defer func() { _ = r.Close() }()
	s, err := openStream(r, o.Identities)
	if err != nil {
		return Restored{}, err
	}
	life := &newLife{o: o, plan: plan}
	f, err := store.BeginFill(ctx, o.Engine, store.FillOptions{Schema: s.manifest.Schema, Replace: o.Replace})
	if err != nil {
		return Restored{}, err
	}
	defer f.Abort()
	if err := life.copy(ctx, f, s); err != nil {
		return Restored{}, err
	}
	if plan.Report.Content != [32]byte(s.end.Digest) {
		return Restored{}, fault.New(fault.Conflict, "the backup changed between its verification and its restore").
			WithHint("nothing was written; restore from a file that nobody writes to")
	}
	crashpoint.At("backup.restore.filled")
	err = life.begin(ctx, f) // before its result is looked at
	return life.out, err
}

// newLife is what a restore does beside copying rows.
type newLife struct {
	o    Restoring
	plan Plan
	made wireManifest // of the backup
	out  Restored
}

// copy fills the tables.
func (l *newLife) copy(ctx context.Context, f *store.Filling, s *stream) error {
	l.made = s.manifest
	total := s.manifest.Rows()
	for {
		b, err := s.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rows := make([][]any, 0, b.count)
		err = b.each(func(cells []cell) error {
			rows = append(rows, values(cells))
			return nil
		})
		if err == nil && len(rows) > 0 {
			err = f.Insert(ctx, b.Table, b.Columns, rows)
			crashpoint.At("backup.restore.filling")
		}
		if err != nil {
			return err
		}
		if l.o.Progress != nil {
			l.o.Progress(s.total, total)
		}
	}
}

// begin makes the first entry of the new life and commits.
func (l *newLife) begin(ctx context.Context, f *store.Filling) error {
	m := l.plan.Report.Manifest
	entry := &audit.Entry{Action: "instance.restore", Outcome: audit.Allowed, Actor: l.o.Actor, Detail: map[string]string{
		"backup":     hex.EncodeToString(l.plan.Report.Content[:]),
		"made":       time.UnixMilli(m.CreatedMS).UTC().Format(time.RFC3339),
		"engine":     m.Engine,
		"old_epoch":  strconv.FormatInt(m.Epoch, 10),
		"epoch":      strconv.FormatInt(l.plan.Epoch, 10),
		"log_size":   strconv.FormatInt(m.Log.Size, 10),
		"log_root":   hex.EncodeToString(m.Log.Root),
		"log_key":    m.Log.Key,
		"keep_token": strconv.FormatBool(l.o.KeepTokens),
	}}
	return f.Finish(ctx, l.plan.Epoch, entry, func(tx *store.Tx) error {
		ring, err := l.unlock(ctx, tx)
		if err != nil {
			return err
		}
		if err := l.rootKeys(ctx, tx, ring); err != nil {
			return err
		}
		if err := l.logKey(ctx, tx, ring); err != nil {
			return err
		}
		// The server makes a fresh one: with this one, the clone could open what the other instance backs up from now on.
		if err := tx.RemoveInstanceSecret(ctx, drillSecret); err != nil {
			return err
		}
		if !l.o.KeepTokens {
			if l.out.Revoked, err = tx.RevokeCredentials(ctx); err != nil {
				return err
			}
		}
		entry.Detail["revoked"] = strconv.Itoa(l.out.Revoked)
		entry.Detail["new_log_key"] = l.out.LogKey
		crashpoint.At("backup.restore.begun")
		return reserve(ctx, tx, ring)
	})
}

func (l *newLife) unlock(ctx context.Context, tx *store.Tx) (*keyring.Ring, error) {
	rows, err := keys.Load(ctx, tx.Queries)
	if err != nil {
		return nil, err
	}
	return l.made.open(rows)
}

// rootKeys makes the new slot and drops those of the machines that served before.
func (l *newLife) rootKeys(ctx context.Context, tx *store.Tx, ring *keyring.Ring) error {
	old, err := tx.KeySlots(ctx)
	if err != nil {
		return err
	}
	draft, err := l.o.Slot(l.plan.Report.Manifest.Instance)
	if err != nil {
		return err
	}
	draft.NowMS = tx.Now()
	fresh, err := ring.NewSlot(draft)
	if err != nil {
		return err
	}
	l.out.Slot = fresh.ID
	for _, s := range old {
		if s.Kind == recoveryKind {
			continue
		}
		l.out.Dropped++
		if err := tx.RemoveKeySlot(ctx, &s); err != nil {
			return err
		}
	}
	return tx.PutKeySlots(ctx, keys.StoredSlot(fresh))
}

// logKey turns the log-signing key, so that no other clone signs with the one of this life. Those before it sign nothing any
// more and stay for verifying.
func (l *newLife) logKey(ctx context.Context, tx *store.Tx, ring *keyring.Ring) error {
	if err := keys.AfterRestore(ctx, tx); err != nil {
		return err
	}
	rows, err := ring.Next(keyring.LayerLog, "", nil, tx.Now())
	if err != nil {
		return err
	}
	all, err := keys.Load(ctx, tx.Queries)
	if err != nil {
		return err
	}
	changed := keyring.Rows{}
	for _, k := range all.Keys {
		if k.Layer == keyring.LayerLog && (k.State == keyring.StatePrimary || k.State == keyring.StateActive) {
			k.State = keyring.StateRetired
			changed.Keys = append(changed.Keys, k)
		}
	}
	for _, k := range rows.Keys {
		if k.State == keyring.StatePrimary {
			l.out.LogKey = k.ID.String()
			changed.Keys = append(changed.Keys, k)
		}
	}
	if err := ring.Add(changed.Keys...); err != nil { // before it is stored: a set of keys that could not serve is refused
		return err
	}
	return keys.Save(ctx, tx, changed)
}

// reserve stores the seals that were taken out in this transaction.
func reserve(ctx context.Context, tx *store.Tx, ring *keyring.Ring) error {
	rows := ring.Reservations()
	for i := range rows {
		n, err := tx.ReserveSeals(ctx, rows[i].ID.String(), keyring.SealBlock)
		if err != nil {
			return err
		}
		rows[i].SealsReserved = n
	}
	tx.After(func() { ring.Reserved(rows) })
	return nil
}

func sortLines(lines []Line) {
	slices.SortFunc(lines, func(a, b Line) int { return cmp.Compare(a.Environment, b.Environment) })
}
