package secrets

import (
	"context"
	"maps"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds of metadata, as Vault has them.
const (
	maxCustom      = 64
	maxCustomKey   = 128 // bytes
	maxCustomValue = 512 // bytes
)

// DocumentSettings change the settings of a document. Pointers that are nil leave the thing as it is.
type DocumentSettings struct {
	MaxVersions *int64
	CASRequired *bool
	DeleteAfter *time.Duration
	Custom      *map[string]string // in place of all that there is
	// Merge asks for a document that is there already, and sets and, where the value is nil, removes entries of its metadata.
	Merge map[string]*string
	Patch bool
}

func (c *DocumentSettings) check() error {
	switch {
	case c.MaxVersions != nil && (*c.MaxVersions < 0 || *c.MaxVersions > maxVersions):
		return fault.New(fault.Invalid, "the number of versions must be 0 to %d", maxVersions)
	case c.DeleteAfter != nil && *c.DeleteAfter > maxDeleteAfter:
		return fault.New(fault.Invalid, "versions cannot be kept for longer than %d days and be deleted then", int(maxDeleteAfter/(24*time.Hour)))
	case c.Custom != nil:
		return checkCustom(*c.Custom)
	}
	return nil
}

func checkCustom(m map[string]string) error {
	text := func(s string) bool {
		return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
	}
	if len(m) > maxCustom {
		return fault.New(fault.Invalid, "custom_metadata validation failed: at most %d keys", maxCustom)
	}
	for k, v := range m {
		switch {
		case k == "" || len(k) > maxCustomKey || !text(k):
			return fault.New(fault.Invalid, "custom_metadata validation failed: want keys of 1 to %d bytes of printable text", maxCustomKey)
		case v == "" || len(v) > maxCustomValue || !text(v):
			return fault.New(fault.Invalid, "custom_metadata validation failed: want values of 1 to %d bytes of printable text", maxCustomValue)
		}
	}
	return nil
}

// SetDocument changes settings and metadata of a document, and makes one without versions where there is none, unless it is a patch.
func (s *Service) SetDocument(ctx context.Context, ref DocumentRef, c DocumentSettings) error {
	if err := c.check(); err != nil {
		return err
	}
	pl, err := s.docPlace(ctx, policy.SecretWrite, ref)
	if err != nil {
		return err
	}
	op := docOp(policy.SecretWrite, pl, ref.Path)
	op.Detail = map[string]string{"document": "metadata"}
	none := false
	r := &request{Commit: &Commit{IfRevision: -1, Cause: causeDocument, Message: "metadata of " + string(ref.Path)}}
	r.steps = func(ctx context.Context, d *draft) ([]Effect, error) {
		doc, err := d.document(ctx, ref, policy.SecretWrite)
		if err != nil {
			return nil, err
		}
		if err := d.allowed(policy.SecretWrite, d.home, ref.Path); err != nil {
			return nil, err
		}
		if c.Patch && (doc.f == nil || !isDocument(&doc.f.row)) {
			none = true
			return nil, guard.Missing()
		}
		f, err := d.home.folder(ref.Path, true)
		if err != nil {
			return nil, err
		}
		now := d.tx.Now()
		settings := store.DocumentSettings{CreatedAt: now}
		if f.row.Settings.Document != nil {
			settings = *f.row.Settings.Document
		} else if f.row.Version > 0 {
			settings.CreatedAt = 0 // its versions tell
		}
		settings.UpdatedAt = now
		if err := c.apply(&settings); err != nil {
			return nil, err
		}
		f.row.Settings.Document = &settings
		d.home.changeFolder(f)
		return nil, nil
	}
	_, err = s.commitAs(ctx, op, pl, r)
	if none {
		return guard.Missing()
	}
	return s.refusedWrite(ctx, pl, ref, err)
}

func (c *DocumentSettings) apply(to *store.DocumentSettings) error {
	assign(&to.MaxVersions, c.MaxVersions)
	assign(&to.CASRequired, c.CASRequired)
	if c.DeleteAfter != nil {
		to.DeleteAfter = c.DeleteAfter.Milliseconds()
	}
	if c.Custom != nil {
		to.Custom = *c.Custom
	}
	if c.Merge != nil {
		to.Custom = maps.Clone(to.Custom)
		if to.Custom == nil {
			to.Custom = map[string]string{}
		}
		for k, v := range c.Merge {
			if v == nil {
				delete(to.Custom, k)
			} else {
				to.Custom[k] = *v
			}
		}
		return checkCustom(to.Custom)
	}
	return nil
}
