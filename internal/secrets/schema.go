package secrets

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
)

// Requirement is one name that a folder needs, or has with a value that is none.
type Requirement struct {
	Name    domain.SecretName
	Owner   string
	Public  bool
	Missing bool
	// Problem says why the value is not a real one: "empty", "placeholder", "one character repeated"; "" when it is fine
	// or may not be looked at.
	Problem string
}

// Schema is what a folder needs.
type Schema struct {
	Path         domain.Path
	Required     []domain.SecretName
	Requirements []Requirement // required names and everything else that is there, in order
}

// Schema tells for a folder what is missing and which value is a placeholder. The values are looked at here and not told;
// a caller who may not read values sees only what is missing.
func (s *Service) Schema(ctx context.Context, ref EnvRef, path domain.Path) (Schema, error) {
	pl, err := s.where(ctx, policy.SecretList, ref)
	if err != nil {
		return Schema{}, err
	}
	out := Schema{Path: path}
	err = s.door.Read(ctx, guard.Op{Action: policy.SecretList, Resource: pl.resource(path), Within: true}, func(p guard.Permit) error {
		rows, folder, revision, err := s.cache.folder(ctx, pl.env.ID, path)
		if err != nil {
			return hidden(err)
		}
		p.Revision(revision)
		out.Required = folder.Settings.Required
		required := map[domain.SecretName]bool{}
		for _, name := range folder.Settings.Required {
			required[name] = true
		}
		list, read := p.In(policy.SecretList, pl.resource(path)), p.In(policy.SecretRead, pl.resource(path))
		for _, row := range rows {
			if !list.May(row.Name, row.Attrs.Tags) {
				continue // a required name among these counts as missing
			}
			r := Requirement{Name: row.Name, Owner: row.Attrs.Owner, Public: row.Attrs.Public}
			delete(required, row.Name)
			if read.May(row.Name, row.Attrs.Tags) && !row.Attrs.Public {
				v, err := s.open(p, row)
				if err != nil {
					return err
				}
				r.Problem = domain.Placeholder(v.Reveal())
				p.Names(path.Key(row.Name))
			}
			out.Requirements = append(out.Requirements, r)
		}
		for name := range required {
			at, from, row, err := s.visible(ctx, pl, path, name, s.readable(p, policy.SecretList), nil)
			if err != nil && !missing(err) {
				return err
			}
			there := err == nil && p.Can(policy.SecretList, at.row(from, row))
			out.Requirements = append(out.Requirements, Requirement{Name: name, Missing: !there})
		}
		slices.SortFunc(out.Requirements, func(a, b Requirement) int { return strings.Compare(string(a.Name), string(b.Name)) })
		return nil
	})
	return out, err
}

// Example writes a .env.example for a folder: every name that is there or required, what is known of it, no value.
func (s *Service) Example(ctx context.Context, ref EnvRef, path domain.Path) ([]byte, error) {
	list, err := s.List(ctx, ref, path, ListOptions{Imports: true})
	if err != nil {
		return nil, err
	}
	schema, err := s.Schema(ctx, ref, path)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("# made by: keyturn example; it holds names, no values\n")
	for _, it := range list.Items {
		var facts []string
		if it.Attrs.Owner != "" {
			facts = append(facts, "owner: "+it.Attrs.Owner)
		}
		if it.Attrs.Public {
			facts = append(facts, "public")
		} else {
			facts = append(facts, "sensitive")
		}
		if it.Attrs.Cadence != "" {
			facts = append(facts, "rotate: "+string(it.Attrs.Cadence))
		}
		b.WriteString("# " + strings.Join(facts, ", ") + "\n" + string(it.Name) + "=\n")
	}
	for _, r := range schema.Requirements {
		if r.Missing {
			b.WriteString("# required\n" + string(r.Name) + "=\n")
		}
	}
	return b.Bytes(), nil
}
