package migrate

import (
	"regexp"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// braces finds all that may be a reference at the source, whatever its names hold.
var braces = regexp.MustCompile(`\$\{[^{}]+\}`)

// respell gives the references of a value our names of what they point to. What points to nothing stays as it is.
func (t *fitter) respell(s *Secret, at spot, e *Env) sensitive.Value {
	text := string(s.Value.Reveal())
	changed := braces.ReplaceAllStringFunc(text, func(ref string) string {
		if own, ok := t.reference(ref[2:len(ref)-1], at, e); ok {
			return "${" + own + "}"
		}
		return ref
	})
	if changed == text {
		return s.Value
	}
	return sensitive.FromString(changed)
}

// reference finds what a reference of the source points to, and spells it as we do.
func (t *fitter) reference(text string, at spot, e *Env) (string, bool) {
	rest, foreign := strings.CutPrefix(text, "@")
	parts := strings.Split(rest, ".")
	if !foreign && len(parts) == 1 {
		project, env, k, ok := t.raw.shows(at.project, e, Key{at.path, text}, 0)
		if !ok {
			return "", false
		}
		to, ok := t.to[spot{project, env.Slug, k.Path, k.Name}]
		return to.name, ok && !strings.Contains(to.name, ".")
	}
	project := at.project
	if foreign {
		if len(parts) < 3 {
			return "", false
		}
		project, parts = parts[0], parts[1:]
	}
	last := len(parts) - 1
	path := canonicalPath(strings.Join(parts[1:last], "/"))
	foundIn, env, k, ok := t.raw.shows(project, t.raw.projects[project][parts[0]], Key{path, parts[last]}, 0)
	if !ok {
		return "", false
	}
	name, okName := t.to[spot{foundIn, env.Slug, k.Path, k.Name}]
	folder, okFolder := t.to[spot{project, parts[0], path, ""}]
	if !okName || !okFolder || strings.Contains(name.name, ".") {
		return "", false
	}
	here := t.to[spot{project: at.project, env: at.env}]
	r := domain.Reference{Env: domain.Slug(folder.env), Folder: domain.Path(folder.path), Name: domain.SecretName(name.name)}
	if folder.project != here.project {
		r.Project = domain.Slug(folder.project)
	}
	return r.String(), true
}
