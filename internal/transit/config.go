package transit

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// Config is what may be changed of a key; nil leaves a setting as it is.
type Config struct {
	Name          *string
	Description   *string
	Disabled      *bool
	MinDecryption *int64 // 0 is 1
	MinEncryption *int64
	Deletable     *bool
	Exportable    *bool // can be allowed, and never forbidden again: copies may be anywhere
	PlainBackup   *bool // the same
	RotateEvery   *time.Duration
}

// Configure changes settings of a key.
func (s *Service) Configure(ctx context.Context, ref Ref, c Config) (Key, error) {
	at, err := s.where(ctx, manage, ref)
	if err != nil {
		return Key{}, err
	}
	err = s.change(ctx, Ref{Project: string(at.project), Name: at.name}, "configure", func(tx *store.Tx, p guard.Permit, row *store.TransitKey) error {
		if c.Name != nil && *c.Name != row.Name {
			if _, err := ParseName(*c.Name); err != nil {
				return err
			}
			was := at.op(manage, "").Resource
			now := was
			now.Name = nameOf(*c.Name)
			if !p.Can(manage, now) {
				return fault.New(fault.Denied, "you may not make a key of the new name")
			}
			row.Name = *c.Name
			if err := free(ctx, tx, row); err != nil {
				return err
			}
			p.Note("to", row.Name)
		}
		if err := c.apply(row); err != nil {
			return err
		}
		return put(ctx, tx, row)
	})
	if err != nil {
		return Key{}, err
	}
	if c.Name != nil {
		at.name = *c.Name
	}
	return s.look(ctx, at)
}

// apply changes a row, or says what is wrong with that.
func (c Config) apply(row *store.TransitKey) error {
	if c.Description != nil {
		if err := checkDescription(*c.Description); err != nil {
			return err
		}
		row.Description = *c.Description
	}
	if c.RotateEvery != nil {
		if err := checkPeriod(*c.RotateEvery); err != nil {
			return err
		}
		row.RotateMS = c.RotateEvery.Milliseconds()
	}
	if c.Disabled != nil {
		row.Disabled = *c.Disabled
	}
	if c.Deletable != nil {
		row.Deletable = *c.Deletable
	}
	if c.Exportable != nil {
		row.Exportable = row.Exportable || *c.Exportable
	}
	if c.PlainBackup != nil {
		row.PlainBackup = row.PlainBackup || *c.PlainBackup
	}
	return c.versions(row)
}

func (c Config) versions(row *store.TransitKey) error {
	if c.MinDecryption != nil {
		n := *c.MinDecryption
		if n == 0 {
			n = 1
		}
		switch {
		case n < 0:
			return fault.New(fault.Invalid, "min decryption version cannot be negative")
		case n > row.Latest:
			return fault.New(fault.Invalid, "cannot set min decryption version of %d, latest key version is %d", n, row.Latest)
		case n < row.MinAvailable:
			return fault.New(fault.Invalid, "cannot set min decryption version of %d, versions below %d were trimmed", n, row.MinAvailable)
		}
		row.MinDecryption = n
	}
	if c.MinEncryption != nil {
		n := *c.MinEncryption
		switch {
		case n < 0:
			return fault.New(fault.Invalid, "min encryption version cannot be negative")
		case n > row.Latest:
			return fault.New(fault.Invalid, "cannot set min encryption version of %d, latest key version is %d", n, row.Latest)
		}
		row.MinEncryption = n
	}
	if row.MinEncryption > 0 && row.MinEncryption < row.MinDecryption {
		return fault.New(fault.Invalid, "cannot set min encryption/decryption values; min encryption version of %d must be greater than or equal to min decryption version of %d",
			row.MinEncryption, row.MinDecryption)
	}
	return nil
}

// Trim destroys the versions below one. Both minimum versions must be set, and not below it, so that nothing that may still be
// used is destroyed.
func (s *Service) Trim(ctx context.Context, ref Ref, below int64) (Key, error) {
	at, err := s.where(ctx, manage, ref)
	if err != nil {
		return Key{}, err
	}
	err = s.change(ctx, Ref{Project: string(at.project), Name: at.name}, "trim", func(tx *store.Tx, p guard.Permit, row *store.TransitKey) error {
		switch {
		case below < 0:
			return fault.New(fault.Invalid, "minimum available version cannot be negative")
		case below < row.MinAvailable:
			return fault.New(fault.Invalid, "minimum available version cannot be decremented")
		case row.MinEncryption == 0:
			return fault.New(fault.Invalid, "minimum available version cannot be set when minimum encryption version is not set")
		case row.MinDecryption == 0:
			return fault.New(fault.Invalid, "minimum available version cannot be set when minimum decryption version is not set")
		case below > row.Latest:
			return fault.New(fault.Invalid, "minimum available version cannot be higher than the latest key version")
		case below > row.MinEncryption:
			return fault.New(fault.Invalid, "minimum available version cannot be higher than minimum encryption version")
		case below > row.MinDecryption:
			return fault.New(fault.Invalid, "minimum available version cannot be higher than minimum decryption version")
		}
		row.MinAvailable = below
		if _, err := tx.RemoveTransitVersions(ctx, row.ID, below); err != nil {
			return err
		}
		return put(ctx, tx, row)
	})
	if err != nil {
		return Key{}, err
	}
	return s.look(ctx, at)
}
