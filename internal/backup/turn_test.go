package backup

import (
	"bytes"
	"testing"

	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
)

// turn turns a key as package keys does, with nothing around it.
func (i *instance) turn(tb testing.TB, layer keyring.Layer, project string) keyring.KeyID {
	tb.Helper()
	ctx := tb.Context()
	old, ok := i.ring.Primary(layer, project)
	if !ok {
		tb.Fatalf("no %s key", layer)
	}
	var fresh keyring.Rows
	must(tb, i.db.Write(ctx, entry("turn"), func(tx *store.Tx) error {
		now, err := keys.Load(ctx, tx.Queries)
		if err != nil {
			return err
		}
		if fresh, err = i.ring.Next(layer, project, now.Slots, tx.Now()); err != nil {
			return err
		}
		tx.MoveEpoch()
		return keys.Save(ctx, tx, fresh)
	}))
	must(tb, i.ring.Update(fresh))
	return old
}

func TestTheOwnIdentityMovesWithTheInstanceKey(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			i := found(t, fresh(t), 3, 60)
			own, err := OwnIdentity(ctx, i.db, i.ring)
			must(t, err)
			old := i.turn(t, keyring.LayerInstance, "")
			var h keys.Holder = Holder{i.ring}
			for want := int64(1); want >= 0; want-- {
				must(t, i.db.Write(ctx, entry("reseal"), func(tx *store.Tx) error {
					n, err := h.Reseal(ctx, tx, keyring.LayerInstance, old, &keys.Pass{}, 10)
					if n != want {
						t.Errorf("%d moved, want %d", n, want)
					}
					return err
				}))
			}
			row, err := i.db.InstanceSecret(ctx, drillSecret)
			must(t, err)
			if header, err := keyring.ParseHeader(row.Value); err != nil || header.Key == old {
				t.Errorf("it lies under the old key (%v)", err)
			}
			again, err := OwnIdentity(ctx, i.db, i.ring)
			must(t, err)
			if again.x25519.String() != own.x25519.String() {
				t.Error("another identity after the turn")
			}
		})
	}
}

// An old backup opens with today's kit, however often keys turned since; and a backup made in the middle of turns opens too.
func TestABackupOfFiveTurnsAgoOpensWithTodaysKit(t *testing.T) {
	i := found(t, engines["sqlite"](t), 60, 60)
	var files [][]byte
	for _, layer := range []keyring.Layer{keyring.LayerInstance, keyring.LayerProject, keyring.LayerIndex, keyring.LayerLog, keyring.LayerTokens} {
		file, _ := i.backup(t)
		files = append(files, file)
		project := ""
		if layer == keyring.LayerProject {
			project = string(i.project.ID)
		}
		i.turn(t, layer, project)
		i.fill(t, 5, 40)
	}
	file, _ := i.backup(t)
	check := i.check()
	var err error
	check.Signers, err = LogKeys(t.Context(), i.db.Queries)
	must(t, err)
	for n, file := range append(files, file) {
		r, err := Verify(t.Context(), bytes.NewReader(file), check)
		must(t, err)
		if !r.Sound() || !r.Known || r.Manifest.Count("secret") != int64(60+5*n) {
			t.Errorf("backup %d: %d secrets, known %t, problems %v", n, r.Manifest.Count("secret"), r.Known, r.Problems)
		}
		d, err := Drill(t.Context(), bytes.NewReader(file), check, t.TempDir())
		must(t, err)
		if !d.Report.Sound() {
			t.Errorf("drill of backup %d: %v", n, d.Report.Problems)
		}
	}
}
