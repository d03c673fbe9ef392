package backup

import (
	"context"
	"time"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// drillSecret is the id of the instance's own age identities among its secrets.
const drillSecret = "backup.drill"

// Own is the server's own identity: it opens backups for the drill while no people are there. It comes in both kinds, since a
// backup is sealed to one kind only.
type Own struct {
	x25519 *age.X25519Identity
	hybrid *age.HybridIdentity
}

// Identities opens what was sealed for [Own.Recipient].
func (o Own) Identities() []age.Identity { return []age.Identity{o.x25519, o.hybrid} }

// Recipient is the public part that fits recovery recipients: see [Source.Drill].
func (o Own) Recipient(recipients []string) string {
	if len(recipients) > 0 && isHybrid(recipients[0]) {
		return o.hybrid.Recipient().String()
	}
	return o.x25519.Recipient().String()
}

func ownPlace() keyring.Place { return keyring.Place{Record: drillSecret, Field: fieldInstance} }

// OwnIdentity gives the server's own identity and makes it where there is none. It is stored sealed under the instance key.
func OwnIdentity(ctx context.Context, db *store.DB, ring *keyring.Ring) (Own, error) {
	row, err := db.InstanceSecret(ctx, drillSecret)
	if err == nil {
		return openOwn(ring, row)
	}
	if fault.KindOf(err) != fault.NotFound {
		return Own{}, err
	}
	fresh, err := freshOwn()
	if err != nil {
		return Own{}, err
	}
	envelope, err := ring.Seal(ownPlace(), sensitive.FromString(fresh.x25519.String()+"\n"+fresh.hybrid.String()+"\n"))
	if err != nil {
		return Own{}, err
	}
	entry := &audit.Entry{Action: "backup.identity", Outcome: audit.Allowed, Actor: audit.Actor{Kind: "system", ID: "backup", Name: "backup"},
		Detail: map[string]string{"recipient": fresh.x25519.Recipient().String()}}
	var there *store.InstanceSecret
	err = db.Write(ctx, entry, func(tx *store.Tx) error {
		row, err := tx.InstanceSecret(ctx, drillSecret)
		if err == nil { // another server was quicker
			there = &row
			return store.ErrUndo
		}
		if fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err := reserve(ctx, tx, ring); err != nil {
			return err
		}
		return tx.PutInstanceSecret(ctx, &store.InstanceSecret{ID: drillSecret, At: time.Now().UnixMilli(), Value: envelope})
	})
	if err != nil {
		return Own{}, err
	}
	if there != nil {
		return openOwn(ring, *there)
	}
	return fresh, nil
}

func freshOwn() (o Own, err error) {
	if o.x25519, err = age.GenerateX25519Identity(); err == nil {
		o.hybrid, err = age.GenerateHybridIdentity()
	}
	return o, err
}

func openOwn(ring *keyring.Ring, row store.InstanceSecret) (Own, error) {
	v, err := ring.Open(ownPlace(), row.Value)
	if err != nil {
		return Own{}, err
	}
	defer v.Wipe()
	var o Own
	list, err := age.ParseIdentities(newReader(v))
	for _, id := range list {
		switch id := id.(type) {
		case *age.X25519Identity:
			o.x25519 = id
		case *age.HybridIdentity:
			o.hybrid = id
		}
	}
	if err != nil || o.x25519 == nil || o.hybrid == nil {
		return Own{}, fault.New(fault.Internal, "the server's own identity for backups is damaged") // age's error may quote it
	}
	return o, nil
}
