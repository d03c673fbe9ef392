package secrets

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

func sortDifferences(d []Difference) {
	slices.SortFunc(d, func(a, b Difference) int { return strings.Compare(a.Path.Key(a.Name), b.Path.Key(b.Name)) })
}

// Located is a secret together with where it is.
type Located struct {
	Item
	Project domain.Slug
	Env     domain.Slug
	// Replaced is true when only an older version has the value that was looked for.
	Replaced bool
	// DueAt is when a value must be replaced that was read under a break-glass credential, zero for others. Cause says so.
	DueAt int64
	Cause string
	// Group is the same for secrets of equal value in one answer; it tells nothing about the value.
	Group string
}

// scan runs over the live secrets of all environments that the caller may list, or of one project.
func (s *Service) scan(ctx context.Context, p guard.Permit, project string, visit func(pl place, path domain.Path, row *store.Secret) error) error {
	o, err := s.dir.org(ctx, p.Org())
	if err != nil {
		return err
	}
	for _, row := range o.list {
		if project != "" && project != string(row.Slug) && project != string(row.ID) {
			continue
		}
		for _, env := range o.projects[string(row.ID)].list {
			pl := place{row, env}
			if !p.Reaches(policy.SecretList, pl.resource("")) {
				continue
			}
			folders, err := s.db.Folders(ctx, env.ID)
			if err != nil {
				return err
			}
			paths := map[domain.FolderID]domain.Path{}
			looks := map[domain.FolderID]policy.Folder{}
			for _, f := range folders {
				if look := p.In(policy.SecretList, pl.resource(f.Path)); look.Some() {
					paths[f.ID], looks[f.ID] = f.Path, look
				}
			}
			rows, err := s.db.LiveSecrets(ctx, env.ID)
			if err != nil {
				return err
			}
			for i := range rows {
				if path, ok := paths[rows[i].Folder]; ok && looks[rows[i].Folder].May(rows[i].Name, rows[i].Attrs.Tags) {
					if err := visit(pl, path, &rows[i]); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func located(pl place, path domain.Path, row *store.Secret) Located {
	return Located{Item: item(row, path), Project: pl.project.Slug, Env: pl.env.Slug}
}

func byPlace(a, b Located) int {
	return cmp.Or(strings.Compare(string(a.Project), string(b.Project)), strings.Compare(string(a.Env), string(b.Env)),
		strings.Compare(a.Path.Key(a.Name), b.Path.Key(b.Name)))
}

// reportOp is the question for the door of a report over everything that one may see.
func reportOp(ctx context.Context, name string) guard.Op {
	who := guard.CallerOf(ctx).Principal
	return guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"report": name}}
}

func (l *Located) due() int64 { return cmp.Or(l.DueAt, l.Attrs.Due()) }

// urgent gives the values that were read under break-glass credentials, with the time when those closed.
func (s *Service) urgent(ctx context.Context, p guard.Permit) (map[domain.SecretID]int64, error) {
	tasks, err := s.db.OpenBreakGlassTasks(ctx, p.Org())
	out := map[domain.SecretID]int64{}
	for _, t := range tasks {
		out[t.Secret] = max(out[t.Secret], t.DueAt)
	}
	delete(out, "")
	return out, err
}

// Due lists what is overdue or falls due before a time (unix milliseconds), soonest first; with an owner only his.
func (s *Service) Due(ctx context.Context, project, owner string, before int64) ([]Located, error) {
	var out []Located
	err := s.door.Read(ctx, reportOp(ctx, "due"), func(p guard.Permit) error {
		urgent, err := s.urgent(ctx, p)
		if err != nil {
			return err
		}
		return s.scan(ctx, p, project, func(pl place, path domain.Path, row *store.Secret) error {
			l := located(pl, path, row)
			due := l.due()
			if read := urgent[row.ID]; read > 0 && row.Attrs.RotatedAt <= read && (due == 0 || read < due) {
				due, l.DueAt, l.Cause = read, read, "read under a break-glass credential"
			}
			if due != 0 && due <= before && (owner == "" || strings.EqualFold(owner, row.Attrs.Owner)) {
				out = append(out, l)
			}
			return nil
		})
	})
	slices.SortFunc(out, func(a, b Located) int { return cmp.Or(cmp.Compare(a.due(), b.due()), byPlace(a, b)) })
	return out, err
}

// Reuse lists secrets whose value is stored in more than one place, by digest: nothing is opened. Public ones and places
// that the caller may not read values of are left out, since equality tells something about a value.
func (s *Service) Reuse(ctx context.Context, project string) ([]Located, error) {
	groups := map[string][]Located{}
	err := s.door.Read(ctx, reportOp(ctx, "reuse"), func(p guard.Permit) error {
		return s.scan(ctx, p, project, func(pl place, path domain.Path, row *store.Secret) error {
			if row.Attrs.Public || row.Digest == nil || !p.Can(policy.SecretRead, pl.row(path, row)) {
				return nil
			}
			groups[string(row.Digest)] = append(groups[string(row.Digest)], located(pl, path, row))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	empty := s.emptyDigests()
	var out [][]Located
	for digest, group := range groups {
		if len(group) > 1 && !empty[digest] {
			slices.SortFunc(group, byPlace)
			out = append(out, group)
		}
	}
	slices.SortFunc(out, func(a, b []Located) int { return byPlace(a[0], b[0]) })
	var flat []Located
	for i, group := range out {
		for _, l := range group {
			l.Group = hex.EncodeToString([]byte{byte((i + 1) >> 8), byte(i + 1)})
			flat = append(flat, l)
		}
	}
	return flat, nil
}

// Search finds secrets whose name, tags, owner or metadata hold the text, whatever its case.
func (s *Service) Search(ctx context.Context, project, text string) ([]Located, error) {
	text = strings.ToLower(text)
	holds := func(in string) bool { return strings.Contains(strings.ToLower(in), text) }
	var out []Located
	err := s.door.Read(ctx, reportOp(ctx, "search"), func(p guard.Permit) error {
		return s.scan(ctx, p, project, func(pl place, path domain.Path, row *store.Secret) error {
			found := holds(string(row.Name)) || holds(row.Attrs.Owner) || slices.ContainsFunc(row.Attrs.Tags, func(t domain.Tag) bool { return holds(string(t)) })
			for k, v := range row.Attrs.Meta {
				found = found || holds(k) || holds(v)
			}
			if found {
				out = append(out, located(pl, path, row))
			}
			return nil
		})
	})
	slices.SortFunc(out, byPlace)
	return out, err
}

// Where finds the places that hold a value, now or in an older version, by its digest. Only places whose values the caller
// may read are told, so that nobody can feel for a value that is not his to know.
func (s *Service) Where(ctx context.Context, value sensitive.Value) ([]Located, error) {
	var out []Located
	err := s.door.Read(ctx, reportOp(ctx, "where"), func(p guard.Permit) error {
		now, old, err := s.db.SecretsWithDigest(ctx, p.Org(), s.ring.DigestAll(value)...)
		if err != nil {
			return err
		}
		seen := map[domain.SecretID]bool{}
		for i, row := range append(now, old...) {
			if seen[row.ID] {
				continue
			}
			pl, err := s.dir.find(ctx, p.Org(), EnvRef{string(row.Project), string(row.Env)})
			if missing(err) {
				continue
			}
			if err != nil {
				return err
			}
			f, err := s.db.Folder(ctx, row.Folder)
			if err != nil {
				return err
			}
			if !s.mayState(ctx, p, pl)(policy.SecretRead, f.Path, &row) {
				continue
			}
			seen[row.ID] = true
			l := located(pl, f.Path, &row)
			l.Replaced = i >= len(now)
			p.Names(pl.String() + ":" + f.Path.Key(row.Name))
			out = append(out, l)
		}
		return nil
	})
	slices.SortFunc(out, byPlace)
	return out, err
}
