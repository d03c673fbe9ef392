package vault

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/secrets"
)

// defaultLease is how long clients may keep what version 1 of the engine answers: 32 days, as the originals say by default.
const defaultLease = 32 * 24 * time.Hour

// kv1 answers below a mount of version 1: the same documents, without their versions.
func (s *Surface) kv1(ctx context.Context, c *call, m secrets.Mount, rest string) (*reply, error) {
	k := &kvCall{s: s, call: c, mount: m, path: rest}
	switch c.verb {
	case verbRead:
		return k.readPlain(ctx)
	case verbList:
		return k.listed(ctx, secrets.ListOfDocuments{Held: true})
	case verbWrite:
		return k.writePlain(ctx)
	case verbDelete:
		return k.delete(ctx, c)
	}
	return nil, unsupported()
}

func (k *kvCall) readPlain(ctx context.Context) (*reply, error) {
	ref, err := k.there()
	if err != nil {
		return nil, err
	}
	doc, err := k.s.Secrets.ReadDocument(ctx, ref, 0)
	if err != nil {
		return nil, orNothing(k.call, err)
	}
	if doc.Gone || len(doc.Fields) == 0 {
		return nil, nothing(k.call)
	}
	text, warnings, err := object(doc.Fields)
	if err != nil {
		return nil, err
	}
	return &reply{data: text, warnings: warnings, lease: lease{duration: leaseOf(doc.Fields)}}, nil
}

// leaseOf gives how long an answer may be kept: a document says so itself in a key called ttl or lease.
func leaseOf(all []secrets.Field) time.Duration {
	for _, want := range []string{"ttl", "lease"} {
		for _, f := range all {
			if string(f.Name) != want {
				continue
			}
			if d, err := parseDuration(string(f.Value.Reveal())); err == nil && d > 0 {
				return d
			}
		}
	}
	return defaultLease
}

func (k *kvCall) writePlain(ctx context.Context) (*reply, error) {
	ref, err := k.mount.Document(k.path)
	if err != nil {
		return nil, err
	}
	if len(k.fields) == 0 {
		return nil, bad("missing data fields")
	}
	w := secrets.DocumentWrite{Plain: true}
	if w.Fields, err = documentOf(k.fields); err != nil {
		return nil, err
	}
	_, _, err = k.s.Secrets.WriteDocument(ctx, ref, w)
	return nil, err
}
