package transit

import (
	"context"
	"encoding/base64"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// backupFormat is the number in a backup; a later form gets the next.
	backupFormat = 1
	// maxBackup bounds a backup, in bytes: a thousand versions of an RSA key.
	maxBackup = 8 << 20
)

// backup is a key with its material, in the open.
type backup struct {
	Format        int             `json:"keyturn_transit_backup"`
	Name          string          `json:"name"`
	Description   string          `json:"description,omitzero"`
	Kind          Kind            `json:"type"`
	Derived       bool            `json:"derived,omitzero"`
	Convergent    bool            `json:"convergent_encryption,omitzero"`
	Latest        int64           `json:"latest_version"`
	MinAvailable  int64           `json:"min_available_version,omitzero"`
	MinDecryption int64           `json:"min_decryption_version"`
	MinEncryption int64           `json:"min_encryption_version,omitzero"`
	RotateMS      int64           `json:"auto_rotate_ms,omitzero"`
	Versions      []backupVersion `json:"versions"`
}

type backupVersion struct {
	Version   int64  `json:"version"`
	CreatedAt int64  `json:"created_at"` // unix milliseconds
	Material  []byte `json:"material"`   // as it is sealed
}

// Backup gives a key with all its versions in the open, as base64 of JSON. The key must allow both to be exported and plaintext
// backups.
func (s *Service) Backup(ctx context.Context, ref Ref) (sensitive.Value, error) {
	var out sensitive.Value
	err := s.use(ctx, policy.TransitExport, ref, "backup", func(p guard.Permit, k *key) error {
		switch {
		case !k.row.Exportable:
			return fault.New(fault.Invalid, "exporting is disallowed on the policy")
		case !k.row.PlainBackup:
			return fault.New(fault.Invalid, "plaintext backup is disallowed on the policy")
		}
		b := backup{Format: backupFormat, Name: k.row.Name, Description: k.row.Description, Kind: k.kind(), Derived: k.row.Derived, Convergent: k.row.Convergent,
			Latest: k.row.Latest, MinAvailable: k.row.MinAvailable, MinDecryption: k.row.MinDecryption, MinEncryption: k.row.MinEncryption, RotateMS: k.row.RotateMS}
		for number := max(1, k.row.MinAvailable); number <= k.row.Latest; number++ {
			v := k.versions[number]
			if v == nil {
				return fault.New(fault.Internal, "version %d of a key is missing", number)
			}
			m, err := s.open(ctx, p, v)
			if err != nil {
				return err
			}
			b.Versions = append(b.Versions, backupVersion{number, v.row.CreatedAt, m.encode(v.kind).Reveal()})
		}
		raw, err := json.Marshal(b)
		if err != nil {
			return err
		}
		defer clear(raw)
		out = sensitive.New(base64.StdEncoding.AppendEncode(nil, raw))
		return nil
	})
	return out, err
}

// parseBackup reads what [Service.Backup] gave, and opens every version.
func parseBackup(text sensitive.Value) (*backup, []*material, error) {
	wrong := func() (*backup, []*material, error) {
		return nil, nil, fault.New(fault.Invalid, "the backup is not one of a key of this service")
	}
	if text.Len() > maxBackup {
		return nil, nil, fault.New(fault.Invalid, "the backup is longer than %d bytes", maxBackup)
	}
	raw, err := base64.StdEncoding.AppendDecode(nil, text.Reveal())
	if err != nil {
		return wrong()
	}
	defer clear(raw)
	b := &backup{}
	if err := json.Unmarshal(raw, b, json.RejectUnknownMembers(true)); err != nil || b.Format != backupFormat {
		return wrong()
	}
	in := NewKey{Name: b.Name, Description: b.Description, Kind: b.Kind, Derived: b.Derived, Convergent: b.Convergent}
	if err := in.check(); err != nil {
		return nil, nil, err
	}
	first := max(1, b.MinAvailable)
	whole := b.Latest >= first && b.Latest < 1<<31 && b.MinAvailable >= 0 && b.MinDecryption >= first && b.MinDecryption <= b.Latest && b.MinEncryption >= 0 && b.MinEncryption <= b.Latest &&
		(b.MinEncryption == 0 || b.MinEncryption >= b.MinDecryption) && int64(len(b.Versions)) == b.Latest-first+1 && len(b.Versions) <= maxVersions &&
		(b.RotateMS == 0 || b.RotateMS >= minPeriod.Milliseconds() && b.RotateMS <= maxPeriod.Milliseconds())
	if !whole {
		return wrong()
	}
	var out []*material
	for i, v := range b.Versions {
		if v.Version != first+int64(i) || v.CreatedAt < 0 {
			return wrong()
		}
		m, err := decode(b.Kind, sensitive.New(v.Material))
		if err != nil {
			return wrong()
		}
		out = append(out, m)
	}
	return b, out, nil
}

// Restore makes a key of a backup, under its old name or another. One that is there is [fault.Exists], or destroyed with force.
func (s *Service) Restore(ctx context.Context, project, name string, text sensitive.Value, force bool) (Key, error) {
	b, materials, err := parseBackup(text)
	if err != nil {
		return Key{}, err
	}
	if name == "" {
		name = b.Name
	}
	if _, err := ParseName(name); err != nil {
		return Key{}, err
	}
	at, err := s.where(ctx, policy.TransitManage, Ref{Project: project, Name: name})
	if err != nil {
		return Key{}, err
	}
	err = s.door.Do(ctx, at.op(policy.TransitManage, "restore"), func(tx *store.Tx, p guard.Permit) error {
		row := store.TransitKey{ID: domain.NewID[string](), Org: at.org, Project: at.project, Name: name, Description: b.Description, Kind: string(b.Kind),
			Derived: b.Derived, Convergent: b.Convergent, Exportable: true, PlainBackup: true, Imported: true, Latest: b.Latest, MinAvailable: b.MinAvailable,
			MinDecryption: b.MinDecryption, MinEncryption: b.MinEncryption, RotateMS: b.RotateMS, RotatedAt: tx.Now(), CreatedAt: tx.Now(), CreatedBy: p.Principal().ID}
		if there, err := tx.TransitKeyByName(ctx, at.org, at.project, name); err == nil && force {
			p.Note("replaced", there.ID)
			if err := tx.RemoveTransitKey(ctx, &there); err != nil {
				return err
			}
		}
		if err := free(ctx, tx, &row); err != nil {
			return err
		}
		p.Note("key_id", row.ID)
		var versions []*store.TransitVersion
		for i, m := range materials {
			v, err := s.seal(ctx, tx, &row, b.Versions[i].Version, m)
			if err != nil {
				return err
			}
			v.CreatedAt = b.Versions[i].CreatedAt
			versions = append(versions, v)
		}
		return put(ctx, tx, &row, versions...)
	})
	if err != nil {
		return Key{}, err
	}
	return s.look(ctx, at)
}
