package secrets

import (
	"context"
	"log/slog"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// A signing secret is one with which an application signs JWTs (HS256). When it gets a new value, the value before lies beside
// it for as long as a token under it may live, so that an application which accepts both logs nobody out.
const (
	// MetaKind and MetaLifetime are the metadata that make a secret one for signing.
	MetaKind     = "kind"
	MetaLifetime = "jwt_lifetime"
	// KindSigning is the value of MetaKind.
	KindSigning = "jwt-signing"
	// PreviousSuffix is added to the name for the value before.
	PreviousSuffix = "_PREVIOUS"

	signingLength   = 64 // characters of a fresh value: 381 bits, more than the 256 of HS256
	maxLifetime     = 366 * 24 * time.Hour
	minLifetime     = time.Second
	signingEvery    = 5 * time.Second // between two looks for predecessors whose time is over
	signingBatch    = 100
	causeSigning    = "jwt rotation"
	causeSigningEnd = "end of a jwt rotation"
)

// SigningRotation says how a signing secret is changed.
type SigningRotation struct {
	Path domain.Path
	Name domain.SecretName
	// Lifetime is the longest that a token under it lives; 0 for what the secret's metadata say.
	Lifetime time.Duration
	// Value is the new one; nil for a random one.
	Value *sensitive.Value
	// Force changes it although the value before is still in its overlap: tokens older than the last change end then.
	Force bool
}

// Signing is what is known of a signing secret.
type Signing struct {
	Path     domain.Path
	Name     domain.SecretName
	Lifetime time.Duration
	Version  int64
	// RotatedAt is when the value came, EndsAt when that before ends; zero when there is none. Unix milliseconds.
	RotatedAt, EndsAt int64
	Revision          int64
}

// RotateSigning gives a signing secret a new value and keeps that before beside it until every token under it has ended.
func (s *Service) RotateSigning(ctx context.Context, ref EnvRef, r SigningRotation) (Signing, error) {
	if r.Lifetime != 0 && (r.Lifetime < minLifetime || r.Lifetime > maxLifetime) {
		return Signing{}, fault.New(fault.Invalid, "the longest lifetime of tokens is out of range").WithField("/lifetime", "want up to 366 days")
	}
	if r.Value != nil && r.Value.Len() < 32 {
		return Signing{}, fault.New(fault.Invalid, "a signing secret of HS256 has 32 bytes or more").WithField("/value", "too short")
	}
	previous, err := domain.ParseSecretName(string(r.Name) + PreviousSuffix)
	if err != nil {
		return Signing{}, err
	}
	out := Signing{Path: r.Path, Name: r.Name}
	change := Change{Verb: Set, Path: r.Path, Name: r.Name, Value: r.Value}
	if r.Value == nil {
		change.Generate = signingLength
	}
	before := Change{Verb: Set, Path: r.Path, Name: previous}
	commit := Commit{IfRevision: -1, Message: "rotate " + r.Path.Key(r.Name), Cause: causeSigning, Changes: []Change{change, before}}
	if err := commit.check(); err != nil {
		return Signing{}, err
	}
	done, err := s.commit(ctx, ref, &request{Commit: &commit, steps: func(ctx context.Context, d *draft) ([]Effect, error) {
		if err := d.allowed(policy.SecretWrite, d.home, r.Path); err != nil {
			return nil, err
		}
		_, row, err := d.find(ctx, r.Path, r.Name)
		if err != nil {
			return nil, err
		}
		meta := map[string]string{}
		for k, v := range row.row.Attrs.Meta {
			meta[k] = v
		}
		if out.Lifetime, err = lifetimeOf(meta, r.Lifetime); err != nil {
			return nil, err
		}
		meta[MetaKind], meta[MetaLifetime] = KindSigning, out.Lifetime.String()
		old, err := d.plaintext(row)
		if err != nil {
			return nil, err
		}
		if r.Value != nil && old.Equal(*r.Value) {
			return nil, fault.New(fault.Conflict, "the new value is the one that is there")
		}
		if err := d.stillOverlapping(ctx, r, previous); err != nil {
			return nil, err
		}
		out.EndsAt = d.tx.Now() + out.Lifetime.Milliseconds()
		ofBefore := map[string]string{MetaKind: KindSigning + "-previous"}
		before.Value, before.Attrs = &old, AttributeChange{Meta: &ofBefore, ExpiresAt: &out.EndsAt, Literal: &row.row.Attrs.Literal}
		first, err := d.apply(ctx, &before)
		if err != nil {
			return nil, err
		}
		change.Attrs.Meta = &meta
		second, err := d.apply(ctx, &change)
		if err != nil {
			return nil, err
		}
		_, kept, err := d.find(ctx, r.Path, previous)
		if err != nil {
			return nil, err
		}
		out.Version, out.RotatedAt = second.Version, d.tx.Now()
		overlap := store.SigningOverlap{Secret: kept.row.ID, Org: kept.row.Org, Project: kept.row.Project, Env: kept.row.Env, Path: r.Path, Name: previous,
			Version: kept.version(), BegunAt: d.tx.Now(), EndsAt: out.EndsAt}
		return []Effect{first, second}, d.tx.PutSigningOverlap(ctx, &overlap)
	}})
	out.Revision = done.Revision
	return out, err
}

func lifetimeOf(meta map[string]string, given time.Duration) (time.Duration, error) {
	if given > 0 {
		return given, nil
	}
	d, err := time.ParseDuration(meta[MetaLifetime])
	if meta[MetaKind] != KindSigning || err != nil || d < minLifetime || d > maxLifetime {
		return 0, fault.New(fault.Invalid, "it is not known how long tokens under this secret live").WithHint("say it once: keyturn jwt rotate NAME --lifetime 24h").WithField("/lifetime", "missing")
	}
	return d, nil
}

// stillOverlapping refuses to push out a predecessor under which tokens may still live.
func (d *draft) stillOverlapping(ctx context.Context, r SigningRotation, previous domain.SecretName) error {
	f, err := d.home.folder(r.Path, false)
	if err != nil {
		return err
	}
	there, err := d.secret(ctx, d.home, f, previous)
	if err != nil || there == nil {
		return err
	}
	overlap, err := d.tx.SigningOverlap(ctx, there.row.ID)
	switch {
	case fault.KindOf(err) == fault.NotFound && err != nil:
		if !r.Force {
			return fault.New(fault.Conflict, "%s is there already and is not of a rotation", r.Path.Key(previous)).WithHint("move it away, or overwrite it with --force")
		}
		return nil
	case err != nil:
		return err
	case !r.Force && overlap.EndsAt > d.tx.Now():
		return fault.New(fault.Conflict, "the value before the present one is in use until %s", time.UnixMilli(overlap.EndsAt).UTC().Format(time.RFC3339)).
			WithHint("wait until then, or after a leak rotate with --force, which ends the older tokens")
	}
	return nil
}

// SigningSecrets lists the signing secrets of an environment that the caller may see, with the time that predecessors have left.
func (s *Service) SigningSecrets(ctx context.Context, ref EnvRef) ([]Signing, error) {
	list, err := s.List(ctx, ref, domain.Root, ListOptions{Recursive: true})
	if err != nil {
		return nil, err
	}
	pl, err := s.where(ctx, policy.SecretList, ref)
	if err != nil {
		return nil, err
	}
	overlaps, err := s.db.SigningOverlaps(ctx, pl.env.ID)
	if err != nil {
		return nil, err
	}
	ends := map[string]int64{}
	for _, o := range overlaps {
		ends[o.Path.Key(o.Name)] = o.EndsAt
	}
	out := []Signing{}
	for _, item := range list.Items {
		if item.From != "" || item.Attrs.Meta[MetaKind] != KindSigning {
			continue
		}
		lifetime, err := lifetimeOf(item.Attrs.Meta, 0)
		if err != nil {
			continue
		}
		out = append(out, Signing{Path: item.Path, Name: item.Name, Lifetime: lifetime, Version: item.Version, RotatedAt: item.Attrs.RotatedAt,
			EndsAt: ends[item.Path.Key(item.Name+PreviousSuffix)], Revision: list.Revision})
	}
	return out, nil
}

// runSigning deletes the predecessors of signing secrets whose time is over, until the context ends.
func (s *Service) runSigning(ctx context.Context) {
	every := time.NewTicker(signingEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			s.endSigning(ctx)
		}
	}
}

func (s *Service) endSigning(ctx context.Context) {
	rows, err := s.db.SigningOverlapsEnded(ctx, time.Now().UnixMilli(), signingBatch)
	if err != nil {
		return // the database tells others of that
	}
	for _, row := range rows {
		who := &domain.Principal{Kind: domain.System, ID: "jwt", Name: "end of jwt rotations", Org: row.Org}
		ctx := guard.WithCaller(ctx, &guard.Caller{Principal: who, Request: domain.NewID[string](), Dialect: "native"})
		err := s.endOne(ctx, row)
		if fault.KindOf(err) == fault.NotFound && err != nil { // the environment or the secret is gone
			err = s.door.Do(ctx, guard.Op{Action: policy.SecretDelete, Resource: policy.Resource{Org: row.Org, Project: row.Project, Env: row.Env}, Keys: []string{row.Path.Key(row.Name)},
				Detail: map[string]string{"end": "the predecessor is gone already"}}, func(tx *store.Tx, _ guard.Permit) error { return tx.RemoveSigningOverlap(ctx, &row) })
		}
		if err != nil {
			slog.Warn("the value before a rotation could not be deleted", "secret", row.Secret, "error", err)
		}
	}
}

// endOne deletes one predecessor wherever it lies by now, unless somebody has given it another value.
func (s *Service) endOne(ctx context.Context, row store.SigningOverlap) error {
	commit := Commit{IfRevision: -1, Message: "end of " + row.Path.Key(row.Name), Cause: causeSigningEnd}
	_, err := s.commit(ctx, EnvRef{Project: string(row.Project), Env: string(row.Env)}, &request{Commit: &commit, steps: func(ctx context.Context, d *draft) ([]Effect, error) {
		now, err := d.tx.SigningOverlap(ctx, row.Secret)
		if err != nil {
			if fault.KindOf(err) == fault.NotFound { // another server has done it
				return nil, store.ErrUndo
			}
			return nil, err
		}
		if now.EndsAt > d.tx.Now() {
			return nil, store.ErrUndo
		}
		if err := d.tx.RemoveSigningOverlap(ctx, &now); err != nil {
			return nil, err
		}
		e, it, err := d.byID(ctx, row.Secret)
		if err != nil {
			return nil, err
		}
		f := e.byID[it.row.Folder]
		if it.row.Deleted != 0 || it.row.Version != now.Version || e != d.home || f == nil {
			return nil, nil
		}
		if err := d.bind(ctx, &Change{Verb: Delete, Path: f.row.Path, Name: it.row.Name}); err != nil {
			return nil, err
		}
		d.p.Names(f.row.Path.Key(it.row.Name))
		d.remove(e, f, it)
		return []Effect{{Path: f.row.Path, Name: it.row.Name, Outcome: Removed, Version: it.row.Version}}, nil
	}})
	return err
}
