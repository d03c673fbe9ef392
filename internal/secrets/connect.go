package secrets

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// connect resolves the references of every value that this commit wrote or brought into another place. A dangling one or a
// cycle refuses the commit and shows the path that makes it.
func (d *draft) connect(ctx context.Context) error {
	var problems []fault.Field
	for _, e := range d.envs {
		for _, s := range e.order {
			if s.row.Deleted != 0 {
				d.refs[s.row.ID] = []domain.SecretID{}
				continue
			}
			if s.old != nil && s.value == nil && s.old.Folder == s.row.Folder && s.old.Deleted == 0 && s.old.Attrs.Literal == s.row.Attrs.Literal {
				continue // neither value nor place changed
			}
			dangling, err := d.edges(ctx, e, s)
			if err != nil {
				return err
			}
			for _, ref := range dangling {
				if d.loose { // it stays text, unless a stronger reader would see there what the author may not
					beyond, err := d.beyond(ctx, e, ref)
					if err != nil {
						return err
					}
					if !beyond || !s.authored {
						continue
					}
				}
				problems = append(problems, fault.Field{Where: d.key(e, s), Problem: "${" + ref.String() + "} points to nothing"})
			}
		}
	}
	if len(problems) > 0 {
		f := fault.New(fault.Invalid, "a reference points to nothing: %s: %s", problems[0].Where, problems[0].Problem).
			WithHint("set the missing secret in the same commit, write $${ for a plain ${, or mark the secret as literal")
		f.Fields = problems
		return f
	}
	if err := d.reconnect(ctx); err != nil {
		return err
	}
	if err := d.refuseDangling(ctx); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(d.refs)) {
		if len(d.refs[id]) > 0 {
			if err := d.refuseCycle(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// reconnect looks again at values that this commit did not write, where what they reach may be another secret now: a name
// came into a folder that shows that name by an import, or the imports of a folder changed.
func (d *draft) reconnect(ctx context.Context) error {
	for _, e := range d.envs {
		for _, s := range e.order {
			if err := d.reconnectName(ctx, e, s); err != nil {
				return err
			}
		}
		for _, f := range e.forders {
			if err := d.reconnectFolder(ctx, e, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *draft) reconnectName(ctx context.Context, e *envDraft, s *secretDraft) error {
	f := e.byID[s.row.Folder]
	if s.row.Deleted != 0 || f == nil || s.old != nil && s.old.Deleted == 0 && s.old.Folder == s.row.Folder && s.old.Name == s.row.Name {
		return nil
	}
	all, err := d.seers(ctx, e, f)
	if err != nil {
		return err
	}
	for _, g := range all {
		if len(g.folder.row.Settings.Imports) == 0 {
			continue // it shows its own names only, and this one is new
		}
		err := d.bearers(ctx, g.env, g.folder, s.row.Name, seenFolders{}, func(t *secretDraft) error {
			edges, err := d.tx.ReferencesTo(ctx, t.row.ID)
			if err != nil {
				return err
			}
			for _, edge := range edges {
				if re, r, err := d.byID(ctx, edge.From); err == nil && r.row.Folder == g.folder.row.ID {
					err = d.recheck(ctx, re, r)
					if err != nil {
						return err
					}
				} else if err != nil && !missing(err) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *draft) reconnectFolder(ctx context.Context, e *envDraft, f *folderDraft) error {
	if f.row.Deleted != 0 || f.old == nil && len(f.row.Settings.Imports) == 0 || f.old != nil && f.old.Deleted == 0 && slices.Equal(f.old.Settings.Imports, f.row.Settings.Imports) {
		return nil
	}
	all, err := d.seers(ctx, e, f)
	if err != nil {
		return err
	}
	for _, g := range all {
		secrets, err := d.live(ctx, g.env, g.folder)
		if err != nil {
			return err
		}
		for _, s := range secrets {
			if err := d.recheck(ctx, g.env, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// recheck finds anew what a value points to that this commit did not write.
func (d *draft) recheck(ctx context.Context, e *envDraft, s *secretDraft) error {
	if _, done := d.refs[s.row.ID]; done || s.row.Deleted != 0 {
		return nil
	}
	before, err := d.tx.ReferencesFrom(ctx, s.row.ID)
	if err != nil {
		return err
	}
	dangling, err := d.edges(ctx, e, s)
	if err == nil && len(dangling) > 0 && d.lost(before, s) {
		err = fault.New(fault.Conflict, "${%s} in %s would point to nothing", dangling[0], d.key(e, s)).
			WithHint("change that value first, or in the same commit")
	}
	return err
}

// lost tells whether a value pointed to something that it does not reach now. What pointed to nothing before may go on.
func (d *draft) lost(before []store.Reference, s *secretDraft) bool {
	return slices.ContainsFunc(before, func(r store.Reference) bool { return !slices.Contains(d.refs[s.row.ID], r.To) })
}

// edges finds what the value of s points to and gives the references that point to nothing. What the author may not see
// counts as nothing, so that a commit cannot be used to feel for names.
func (d *draft) edges(ctx context.Context, e *envDraft, s *secretDraft) ([]domain.Reference, error) {
	d.refs[s.row.ID] = []domain.SecretID{}
	text, ok, err := d.text(s)
	if err != nil || !ok {
		return nil, err
	}
	var dangling []domain.Reference
	for _, ref := range domain.References(text) {
		te, t, err := d.resolve(ctx, e, e.byID[s.row.Folder], ref)
		if err != nil {
			return nil, err
		}
		if t == nil || s.authored && !d.p.Can(policy.SecretList, te.place.row(te.byID[t.row.Folder].row.Path, &t.row)) {
			dangling = append(dangling, ref)
			continue
		}
		if !slices.Contains(d.refs[s.row.ID], t.row.ID) {
			d.refs[s.row.ID] = append(d.refs[s.row.ID], t.row.ID)
		}
	}
	return dangling, nil
}

// beyond tells whether a reference leads into an environment that is there, and into a folder of it that the author may not see,
// whatever lies in it.
func (d *draft) beyond(ctx context.Context, e *envDraft, ref domain.Reference) (bool, error) {
	if ref.Local() {
		return false, nil
	}
	to, err := d.namedEnv(ctx, e, ref)
	if err != nil {
		return false, err
	}
	return to != nil && !d.p.In(policy.SecretList, to.place.resource(ref.Folder)).Some(), nil
}

// refuseDangling refuses to delete what others point to, unless their values reach another secret of that name then.
func (d *draft) refuseDangling(ctx context.Context) error {
	for _, e := range d.envs {
		for _, s := range e.order {
			if s.row.Deleted == 0 || s.old == nil || s.old.Deleted != 0 {
				continue
			}
			edges, err := d.tx.ReferencesTo(ctx, s.row.ID)
			if err != nil {
				return err
			}
			for _, edge := range edges {
				if err := d.refuseDangler(ctx, e, s, edge.From); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d *draft) refuseDangler(ctx context.Context, e *envDraft, s *secretDraft, from domain.SecretID) error {
	re, r, err := d.byID(ctx, from)
	if missing(err) {
		return nil
	}
	if err != nil || r.row.Deleted != 0 {
		return err
	}
	if _, known := d.refs[from]; !known {
		before, err := d.tx.ReferencesFrom(ctx, from)
		if err != nil {
			return err
		}
		dangling, err := d.edges(ctx, re, r)
		if err != nil {
			return err
		}
		if len(dangling) > 0 && d.lost(before, r) {
			return fault.New(fault.Conflict, "%s is referenced by %s", d.key(e, s), d.key(re, r)).
				WithHint("change that value first, or in the same commit")
		}
	}
	return nil
}

// refuseCycle follows the references of a secret and shows the way when it leads back.
func (d *draft) refuseCycle(ctx context.Context, start domain.SecretID) error {
	var way []string
	seen := map[domain.SecretID]bool{}
	var follow func(id domain.SecretID) (bool, error)
	follow = func(id domain.SecretID) (bool, error) {
		targets, ok := d.refs[id]
		if !ok {
			rows, err := d.tx.ReferencesFrom(ctx, id)
			if err != nil {
				return false, err
			}
			for _, row := range rows {
				targets = append(targets, row.To)
			}
		}
		for _, t := range targets {
			if t != start && seen[t] {
				continue
			}
			seen[t] = true
			te, ts, err := d.byID(ctx, t)
			if missing(err) {
				continue
			}
			if err != nil {
				return false, err
			}
			way = append(way, d.key(te, ts))
			if t == start {
				return true, nil
			}
			if back, err := follow(t); back || err != nil {
				return back, err
			}
			way = way[:len(way)-1]
		}
		return false, nil
	}
	back, err := follow(start)
	if err == nil && back {
		return fault.New(fault.Invalid, "references form a circle: %s -> %s", way[len(way)-1], strings.Join(way, " -> "))
	}
	return err
}
