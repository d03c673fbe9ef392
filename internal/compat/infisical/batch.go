package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

// maxBatch bounds one batch: what one commit holds, a rename for each change counted.
const maxBatch = 10_000

// The ways of an update of many to treat what is not there.
const (
	failOnNotFound = "failOnNotFound"
	ignoreNotFound = "ignore"
	upsert         = "upsert"
)

// batch reads the secrets of a request for many.
func (s *Surface) batch(ctx context.Context, c *call) (secrets.EnvRef, domain.Path, []written, error) {
	ref, path, err := s.place(ctx, c)
	if err != nil {
		return ref, path, nil, err
	}
	var list []written
	if err := c.into("secrets", &list); err != nil {
		return ref, path, nil, err
	}
	switch {
	case len(list) == 0:
		return ref, path, nil, wrong("secrets", "a list of secrets")
	case len(list) > maxBatch:
		return ref, path, nil, fault.New(fault.Invalid, "too many secrets in one batch: at most %d", maxBatch).WithHint("send several batches")
	}
	for i := range list {
		switch w := &list[i]; {
		case w.Type != "" && w.Type != shared && w.Type != personal:
			return ref, path, nil, wrong("type", "shared or personal")
		case w.Type == personal:
			return ref, path, nil, fault.New(fault.Unsupported, "personal values cannot be changed in a batch").WithHint("change each by a request of its own, or say type=shared")
		}
	}
	return ref, path, list, nil
}

// finish commits a batch, all or nothing, and answers with one secret for each item. ends are the numbers of the changes that
// say what became of an item.
func (s *Surface) finish(ctx context.Context, ref secrets.EnvRef, changes []secrets.Change, ends []int) (*answer, error) {
	if len(changes) == 0 {
		return with(object{"secrets": []secret{}}), nil
	}
	out, waits, err := s.commit(ctx, ref, changes...)
	if err != nil || waits != nil {
		return waits, err
	}
	for i, end := range ends {
		out.Effects[i] = out.Effects[end]
	}
	out.Effects = out.Effects[:len(ends)]
	list, err := s.states(ctx, ref, out)
	return with(object{"secrets": list}), err
}

func (s *Surface) createSecrets(ctx context.Context, c *call) (*answer, error) {
	ref, path, list, err := s.batch(ctx, c)
	if err != nil {
		return nil, err
	}
	var changes []secrets.Change
	var ends []int
	for i := range list {
		name, err := nameOf("secretKey", list[i].Key)
		if err != nil {
			return nil, err
		}
		if list[i].Value == nil {
			empty := ""
			list[i].Value = &empty
		}
		ch, err := s.set(ctx, ref, path, name, &list[i], secrets.Absent)
		if err != nil {
			return nil, err
		}
		ends = append(ends, len(changes))
		changes = append(changes, ch)
	}
	return s.finish(ctx, ref, changes, ends)
}

func (s *Surface) updateSecrets(ctx context.Context, c *call) (*answer, error) {
	ref, path, list, err := s.batch(ctx, c)
	if err != nil {
		return nil, err
	}
	mode, err := c.text("mode")
	if err != nil {
		return nil, err
	}
	must := secrets.Present
	switch mode {
	case "", failOnNotFound:
	case ignoreNotFound:
		must = secrets.PresentOrSkip
	case upsert:
		must = secrets.Anyway
	default:
		return nil, wrong("mode", "failOnNotFound, ignore or upsert")
	}
	var changes []secrets.Change
	var ends []int
	for i := range list {
		name, err := nameOf("secretKey", list[i].Key)
		if err != nil {
			return nil, err
		}
		at := path
		if list[i].Path != nil {
			if at, err = domain.ParsePath(*list[i].Path); err != nil {
				return nil, fault.As(err).WithField("/secretPath", "no path of a folder")
			}
		}
		more, err := s.update(ctx, ref, at, name, &list[i], must)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
		ends = append(ends, len(changes)-1)
	}
	return s.finish(ctx, ref, changes, ends)
}

func (s *Surface) deleteSecrets(ctx context.Context, c *call) (*answer, error) {
	ref, path, list, err := s.batch(ctx, c)
	if err != nil {
		return nil, err
	}
	var changes []secrets.Change
	var ends []int
	for i := range list {
		name, err := nameOf("secretKey", list[i].Key)
		if err != nil {
			return nil, err
		}
		ends = append(ends, len(changes))
		changes = append(changes, secrets.Change{Verb: secrets.Delete, Path: path, Name: name})
	}
	return s.finish(ctx, ref, changes, ends)
}
