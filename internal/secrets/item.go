package secrets

import (
	"context"
	"fmt"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Item is one secret as a caller sees it.
type Item struct {
	ID       domain.SecretID
	Path     domain.Path
	Name     domain.SecretName
	Version  int64
	Revision int64 // of the environment, when this state was made
	At       int64
	Deleted  int64
	Attrs    domain.Attributes
	Value    *sensitive.Value // nil when it was not asked for or may not be seen
	Comment  sensitive.Value
	Personal bool   // the value is the caller's own
	From     string // "project/env:/path" of the folder that an import shows it from, "" when it is at home here
	Purged   bool
	Hidden   bool // there is a value, and the caller may not read it
}

func item(row *store.Secret, path domain.Path) Item {
	return Item{ID: row.ID, Path: path, Name: row.Name, Version: row.Version, Revision: row.Revision, At: row.At, Deleted: row.Deleted,
		Attrs: row.Attrs, Purged: row.Value == nil}
}

// reader expands references for one answer and remembers what it opened, for the record.
type reader struct {
	s    *Service
	p    guard.Permit
	home place // where the question is about: names elsewhere are recorded in full
	// raw leaves references as they are written.
	raw bool
	// personal holds the caller's own values by secret; nil when there are none.
	personal map[domain.SecretID]store.Personal
	// lenient leaves a reference to nothing, and one that leads back, as text.
	lenient bool
	// basis notes what the answer depends on; nil: nobody asks.
	basis *basis
	// open are the secrets that are being followed, so that a circle is seen. Only where lenient.
	open map[domain.SecretID]bool
	// expanded holds what references were found to say, so that each is followed once, however often it stands there.
	expanded map[domain.SecretID]string
}

// maxExpansion bounds a value whose references were followed: 16 times what one value may hold.
const maxExpansion = 16 * domain.MaxValue

// value opens a state and follows its references.
func (r *reader) value(ctx context.Context, pl place, path domain.Path, row *store.Secret) (sensitive.Value, bool, error) {
	if own, ok := r.personal[row.ID]; ok {
		v, err := r.s.openPersonal(r.p, row, own)
		return v, true, err
	}
	v, err := r.s.show(r.p, row)
	if err != nil || r.raw || row.Attrs.Literal {
		return v, false, err
	}
	text, ok := referenceText(v)
	if !ok {
		return v, false, nil
	}
	if r.lenient {
		r.open = map[domain.SecretID]bool{row.ID: true}
	}
	out, err := r.expand(ctx, pl, path, text, 0)
	for pass := 1; r.lenient && err == nil && pass < maxPasses && nested(text) && out != text; pass++ {
		text = out
		out, err = r.expand(ctx, pl, path, text, 0)
	}
	if r.lenient && row.Attrs.OneLine && strings.Contains(out, "\n") {
		out = `"` + strings.ReplaceAll(out, "\n", `\n`) + `"`
	}
	return sensitive.FromString(out), false, err
}

// maxPasses bounds how often a value is looked at again whose references are spelled by references.
const maxPasses = 10

// nested tells whether a reference stands inside the spelling of another one, as in ${dev.${FOLDER}.KEY}: foreign clients write
// that, and what the inner one says is then part of the outer one's name.
func nested(text string) bool {
	for _, part := range strings.Split(text, "${")[1:] {
		if !strings.Contains(part, "}") {
			return true
		}
	}
	return false
}

// maxDepth bounds chains of references. Cycles are refused at save; this is the second net.
const maxDepth = 32

func (r *reader) expand(ctx context.Context, pl place, path domain.Path, text string, depth int) (string, error) {
	if depth > maxDepth {
		if r.lenient {
			return text, nil
		}
		return "", fault.New(fault.Invalid, "references go deeper than %d", maxDepth)
	}
	var b strings.Builder
	for _, part := range domain.ParseReferences(text) {
		if part.Ref == nil {
			b.WriteString(part.Text)
			continue
		}
		tp, tpath, row, err := r.follow(ctx, pl, path, *part.Ref)
		switch {
		case r.lenient && (missing(err) || err == nil && r.open[row.ID]):
			b.WriteString("${" + part.Ref.String() + "}")
			continue
		case missing(err):
			return "", fault.New(fault.Conflict, "${%s} in %s of %s points to nothing now", part.Ref, path, pl).
				WithHint("ask for the raw value to see what is written there")
		case err != nil:
			return "", fmt.Errorf("${%s} in %s of %s: %w", part.Ref, path, pl, err)
		case !r.p.Can(policy.SecretRead, tp.row(tpath, row)):
			return "", fault.New(fault.Denied, "${%s} points to a secret that you may not read", part.Ref).
				WithHint("ask for the right to read it, or ask for the raw value")
		}
		inner, known := r.expanded[row.ID]
		if !known {
			if inner, err = r.inner(ctx, tp, tpath, row, depth); err != nil {
				return "", err
			}
			r.p.Names(r.s.fullKey(r.home, tp, tpath.Key(row.Name)))
		}
		b.WriteString(inner)
		if b.Len() > maxExpansion {
			return "", fault.New(fault.Invalid, "references make the value longer than %d bytes", maxExpansion)
		}
	}
	return b.String(), nil
}

// inner opens a secret that a reference points to and follows its own references.
func (r *reader) inner(ctx context.Context, pl place, path domain.Path, row *store.Secret, depth int) (string, error) {
	if r.lenient {
		if r.open == nil {
			r.open = map[domain.SecretID]bool{}
		}
		r.open[row.ID] = true
		defer delete(r.open, row.ID)
	}
	v, err := r.s.show(r.p, row)
	if err != nil {
		return "", err
	}
	out := string(v.Reveal())
	if !row.Attrs.Literal && strings.Contains(out, "${") {
		if out, err = r.expand(ctx, pl, path, out, depth+1); err != nil {
			return "", err
		}
	}
	if r.expanded == nil {
		r.expanded = map[domain.SecretID]string{}
	}
	r.expanded[row.ID] = out
	return out, nil
}

func (s *Service) fullKey(home, at place, key string) string {
	if home.env.ID == at.env.ID {
		return key
	}
	return at.String() + ":" + key
}

// follow finds what a reference points to.
func (r *reader) follow(ctx context.Context, pl place, path domain.Path, ref domain.Reference) (place, domain.Path, *store.Secret, error) {
	if ref.Local() {
		tp, tpath, row, err := r.s.visible(ctx, pl, path, ref.Name, r.basis.passes(ctx, r.s), nil)
		r.basis.row(row, err)
		return tp, tpath, row, err
	}
	project := ref.Project
	if project == "" {
		project = pl.project.Slug
	}
	tp, err := r.s.dir.find(ctx, r.p.Org(), EnvRef{string(project), string(ref.Env)})
	if err != nil {
		return tp, "", nil, err
	}
	r.basis.env(ctx, r.s, tp.env.ID)
	if r.lenient {
		if err := r.closed(tp, ref); err != nil {
			return tp, ref.Folder, nil, err
		}
	}
	row, _, _, err := r.s.cache.secret(ctx, tp.env.ID, ref.Folder, ref.Name)
	r.basis.row(row, err)
	return tp, ref.Folder, row, err
}

// closed refuses a reference into a folder that the caller may not see: the same whether there is such a secret or not, so that
// nobody feels for names by references.
func (r *reader) closed(to place, ref domain.Reference) error {
	res := to.resource(ref.Folder)
	if r.p.In(policy.SecretList, res).Some() || r.p.In(policy.SecretRead, res).Some() {
		return nil
	}
	return fault.New(fault.Denied, "${%s} points to a secret that you may not read", ref).WithHint("ask for the right to read it, or ask for the raw value")
}

// visible finds a name in a folder or in what it imports; its own secrets win, then the last import. With may, imports for
// which it says no, asked without a secret, and secrets in them for which it does are left out.
func (s *Service) visible(ctx context.Context, pl place, path domain.Path, name domain.SecretName, may func(place, domain.Path, *store.Secret) bool, seen seenFolders) (place, domain.Path, *store.Secret, error) {
	row, folder, _, err := s.cache.secret(ctx, pl.env.ID, path, name)
	if err == nil || fault.KindOf(err) != fault.NotFound || len(folder.Settings.Imports) == 0 {
		return pl, path, row, err
	}
	if seen == nil {
		seen = seenFolders{}
	}
	seen[folder.ID] = true
	for i := len(folder.Settings.Imports) - 1; i >= 0; i-- {
		imp := folder.Settings.Imports[i]
		if seen[imp.Folder] || len(seen) > maxImports*maxImportDepth {
			continue
		}
		ip, ipath, ok, ierr := s.importedPlace(ctx, folder.Org, imp)
		if ierr != nil {
			return pl, path, nil, ierr
		}
		if !ok || may != nil && !may(ip, ipath, nil) {
			continue
		}
		if tp, tpath, row, ierr := s.visible(ctx, ip, ipath, name, may, seen); ierr != nil && fault.KindOf(ierr) != fault.NotFound || ierr == nil && (may == nil || may(tp, tpath, row)) {
			return tp, tpath, row, ierr
		}
	}
	return pl, path, nil, err
}

// importedPlace finds where an import comes from; false when that folder or environment is deleted.
func (s *Service) importedPlace(ctx context.Context, org domain.OrgID, imp store.Import) (place, domain.Path, bool, error) {
	ip, err := s.dir.find(ctx, org, EnvRef{string(imp.Project), string(imp.Env)})
	var f store.Folder
	if err == nil {
		f, err = s.cache.folderByID(ctx, imp.Env, imp.Folder)
	}
	if missing(err) {
		return ip, "", false, nil
	}
	return ip, f.Path, err == nil, err
}
