package backup

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
)

func restoring(tb testing.TB, i *instance, file []byte, e *store.Engine, root keyring.Root) Restoring {
	return Restoring{
		Check:  i.check(),
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil },
		Engine: e,
		Slot: func(id string) (keyring.SlotDraft, error) {
			if id != i.id {
				tb.Errorf("a slot for instance %s, want %s", id, i.id)
			}
			return keyring.SlotDraft{Kind: keyring.SlotFile, Root: root.Public()}, nil
		},
		Actor: audit.Actor{Kind: "system", Name: "you"},
	}
}

func TestARestoreMovesAnInstanceToAnotherMachineAndStore(t *testing.T) {
	for from, fresh := range engines {
		for to, target := range engines {
			t.Run(from+" to "+to, func(t *testing.T) {
				ctx := t.Context()
				i := found(t, fresh(t), 300, 80)
				_, err := OwnIdentity(ctx, i.db, i.ring)
				must(t, err)
				file, w := i.backup(t)
				root := keyring.NewRoot()
				at := target(t)
				e, err := at(ctx)
				must(t, err)
				o := restoring(t, i, file, e, root)
				var plan Plan
				o.Confirm = func(p Plan) error { plan = p; return nil }
				out, err := Restore(ctx, o)
				must(t, err)
				if plan.Target.Holds || plan.Report.Content != w.Content || out.Revoked != 2 || out.Dropped != 1 {
					t.Errorf("plan %+v, restored %+v", plan, out)
				}
				db, err := store.Open(ctx, e, func(err error) { t.Errorf("the engine failed: %v", err) })
				must(t, err)
				defer func() { _ = db.Close() }()

				// It opens with the new root key only, by the code of every start.
				rows, err := keys.Load(ctx, db.Queries)
				must(t, err)
				_, err = keyring.Unlock(i.root, i.id, rows)
				want(t, err, fault.Sealed)
				ring, err := keyring.Unlock(root, i.id, rows)
				must(t, err)
				if len(rows.Slots) != 1 || rows.Slots[0].ID != out.Slot {
					t.Errorf("%d slots", len(rows.Slots))
				}

				// Every value opens, the counts and the log are those of the manifest.
				c := newChecker(&w.Manifest)
				must(t, c.database(ctx, db, root))
				if len(c.problems) > 0 || c.values.Load() != 301 {
					t.Errorf("%d values, problems %v", c.values.Load(), c.problems)
				}

				// A new life: epoch, log key, own identity.
				inst, err := db.Instance(ctx)
				must(t, err)
				if audit.Life(inst.Epoch) == 0 || inst.Epoch != out.Epoch || inst.LogSize != w.Manifest.Log.Size+1 {
					t.Errorf("instance %+v", inst)
				}
				seed, key := ring.LogSeed()
				old, _ := i.ring.LogSeed()
				if seed.Equal(old) || key.String() != out.LogKey {
					t.Error("the log signs with the old key")
				}
				_, err = db.InstanceSecret(ctx, drillSecret)
				want(t, err, fault.NotFound)

				// What the log says of rows is so.
				logged, err := audit.LastRows(ctx, db.Log())
				must(t, err)
				must(t, db.Digests(ctx, func(table, key string, digest [32]byte) error {
					if logged[audit.RowKey{T: table, K: key}] != digest {
						t.Errorf("%s %s is not as the log says", table, key)
					}
					delete(logged, audit.RowKey{T: table, K: key})
					return nil
				}))
				for k, d := range logged {
					if d != [32]byte{} && k.T != store.PurgeMark {
						t.Errorf("%s %s is gone", k.T, k.K)
					}
				}

				// The server goes on from here: it writes, and backs itself up again.
				must(t, db.Record(entry("secret.read")))
				var again bytes.Buffer
				_, err = Write(ctx, &again, Source{DB: db, Ring: ring, Origin: audit.Origin("test", inst.Epoch), Recipients: i.source().Recipients})
				must(t, err)
				r, err := Verify(ctx, &again, i.check())
				must(t, err)
				if !r.Sound() {
					t.Errorf("problems of the second backup: %v", r.Problems)
				}
			})
		}
	}
}

func TestARestoreReplacesOnlyWhatItWasToldTo(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			i := found(t, fresh(t), 20, 80)
			file, _ := i.backup(t)
			i.fill(t, 10, 80) // another commit that the backup does not hold
			at := fresh(t)
			other := found(t, at, 7, 20)
			must(t, other.db.Close())
			e, err := at(ctx)
			must(t, err)
			defer func() { _ = e.Close() }()
			o := restoring(t, i, file, e, keyring.NewRoot())
			_, err = Restore(ctx, o)
			want(t, err, fault.Exists)
			o.Replace = true
			o.Confirm = func(p Plan) error {
				if !p.Target.Holds || p.Same || p.Target.Instance != other.id || len(p.Target.Tables) == 0 {
					t.Errorf("plan %+v", p.Target)
				}
				return fault.New(fault.Denied, "no")
			}
			_, err = Restore(ctx, o)
			want(t, err, fault.Denied)
			here, err := Look(ctx, e)
			must(t, err)
			if here.Instance != other.id {
				t.Error("the refused restore changed something")
			}
			o.Confirm = nil
			_, err = Restore(ctx, o)
			must(t, err)
			if here, err = Look(ctx, e); err != nil || here.Instance != i.id {
				t.Errorf("instance %s (%v), want %s", here.Instance, err, i.id)
			}
		})
	}
}

func TestARestoreOverItsOwnInstanceTellsWhatIsLost(t *testing.T) {
	folder := engines["sqlite"](t)
	i := found(t, folder, 20, 80)
	file, _ := i.backup(t)
	i.fill(t, 10, 80)
	must(t, i.db.Close())
	e, err := folder(t.Context())
	must(t, err)
	defer func() { _ = e.Close() }()
	o := restoring(t, i, file, e, keyring.NewRoot())
	o.Replace = true
	o.Confirm = func(p Plan) error {
		if !p.Same || len(p.Lost) != 1 || p.Lost[0] != (Line{string(i.env.ID), 1}) {
			t.Errorf("lost %v", p.Lost)
		}
		return nil
	}
	_, err = Restore(t.Context(), o)
	must(t, err)
}

func TestARestoreThatFailsLeavesTheDatabaseAsItWas(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			i := found(t, fresh(t), 2000, 200)
			file, _ := i.backup(t)
			at := fresh(t)
			other := found(t, at, 7, 20)
			before, _ := other.backup(t)
			must(t, other.db.Close())
			e, err := at(ctx)
			must(t, err)
			o := restoring(t, i, file, e, keyring.NewRoot())
			o.Replace = true
			times := 0
			o.Open = func() (io.ReadCloser, error) {
				if times++; times == 1 {
					return io.NopCloser(bytes.NewReader(file)), nil
				}
				return io.NopCloser(bytes.NewReader(file[:len(file)-200])), nil // cut in the meantime
			}
			_, err = Restore(ctx, o)
			want(t, err, fault.Invalid)
			canceled, cancel := context.WithCancel(ctx)
			o.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }
			o.Confirm = func(Plan) error {
				o.Progress = func(int64, int64) { cancel() }
				return nil
			}
			o.Progress = func(done, _ int64) {
				if done > 1000 && times > 2 {
					cancel()
				}
			}
			o.Open = func() (io.ReadCloser, error) { times++; return io.NopCloser(bytes.NewReader(file)), nil }
			times = 1
			_, err = Restore(canceled, o)
			want(t, err, fault.Unavailable)
			db, err := store.Open(ctx, e, func(err error) { t.Errorf("the engine failed: %v", err) })
			must(t, err)
			defer func() { _ = db.Close() }()
			other.db = db
			after, _ := other.backup(t)
			a, err := Verify(ctx, bytes.NewReader(before), other.check())
			must(t, err)
			b, err := Verify(ctx, bytes.NewReader(after), other.check())
			must(t, err)
			if !b.Sound() || a.Rows != b.Rows || !bytes.Equal(a.Manifest.Log.Root, b.Manifest.Log.Root) {
				t.Error("something changed")
			}
		})
	}
}

func TestADrillOpensEveryValue(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			i := found(t, fresh(t), 300, 80)
			own, err := OwnIdentity(ctx, i.db, i.ring)
			must(t, err)
			if again, err := OwnIdentity(ctx, i.db, i.ring); err != nil || again.x25519.String() != own.x25519.String() {
				t.Errorf("another identity the second time: %v", err)
			}
			src := i.source()
			src.Own = &own
			var file bytes.Buffer
			_, err = Write(ctx, &file, src)
			must(t, err)
			dir := t.TempDir()
			d, err := Drill(ctx, bytes.NewReader(file.Bytes()), Check{Identities: own.Identities()}, dir)
			must(t, err)
			if !d.Report.Sound() || d.Report.Values != 301 {
				t.Errorf("drill %+v", d)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
			stranger, err := age.GenerateX25519Identity()
			must(t, err)
			_, err = Drill(ctx, bytes.NewReader(file.Bytes()), Check{Identities: []age.Identity{stranger}}, dir)
			want(t, err, fault.Denied)
		})
	}
}

func TestABackupUnderLoadIsOfOneMoment(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			i := found(t, fresh(t), 200, 80)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						i.fill(t, 1, 30)
					}
				}
			})
			defer wg.Wait()
			defer close(stop)
			for range 5 {
				var file bytes.Buffer
				_, err := Write(t.Context(), &file, i.source())
				must(t, err)
				r, err := Verify(t.Context(), &file, i.check())
				must(t, err)
				if !r.Sound() {
					t.Fatalf("problems: %v", r.Problems)
				}
			}
		})
	}
}

func TestRecoveryKitsOutliveARestoreAndAreWhatBackupsAreSealedTo(t *testing.T) {
	ctx := t.Context()
	i := found(t, engines["sqlite"](t), 20, 60)
	src := i.source()
	src.Recipients = nil
	_, err := Write(ctx, &bytes.Buffer{}, src)
	want(t, err, fault.Invalid)

	kit := keyring.NewRoot()
	slot, err := i.ring.NewSlot(keyring.SlotDraft{Kind: recoveryKind, Source: i.recovery.Recipient().String(), Kept: []byte("sealed to the kit"), Root: kit.Public(), NowMS: 1})
	must(t, err)
	must(t, i.db.Write(ctx, entry("slot"), func(tx *store.Tx) error { return tx.PutKeySlots(ctx, keys.StoredSlot(slot)) }))
	var file bytes.Buffer
	w, err := Write(ctx, &file, src)
	must(t, err)
	if len(w.Manifest.Recipients) != 1 || len(w.Manifest.Slots) != 2 {
		t.Errorf("manifest %+v", w.Manifest)
	}
	if got, err := RecoveryRecipients(ctx, i.db.Queries); err != nil || len(got) != 1 || got[0] != i.recovery.Recipient().String() {
		t.Errorf("recipients %v (%v)", got, err)
	}

	e, err := engines["sqlite"](t)(ctx)
	must(t, err)
	root := keyring.NewRoot()
	o := restoring(t, i, file.Bytes(), e, root)
	o.KeepTokens = true
	out, err := Restore(ctx, o)
	must(t, err)
	db, err := store.Open(ctx, e, func(err error) { t.Errorf("the engine failed: %v", err) })
	must(t, err)
	defer func() { _ = db.Close() }()
	rows, err := keys.Load(ctx, db.Queries)
	must(t, err)
	if len(rows.Slots) != 2 || out.Dropped != 1 || out.Revoked != 0 {
		t.Errorf("%d slots, restored %+v", len(rows.Slots), out)
	}
	for _, r := range []keyring.Root{kit, root} {
		_, err := keyring.Unlock(r, i.id, rows)
		must(t, err)
	}
	_, err = keyring.Unlock(i.root, i.id, rows)
	want(t, err, fault.Sealed)
}
