package migrate

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/format"
)

const (
	maxEnvFiles  = 10_000  // .env files below one folder
	maxEntries   = 500_000 // files and folders that are looked at: a home folder by mistake ends here
	maxEnvBytes  = format.MaxFile
	exampleHint  = "is an example without values"
	keyFileHint  = "holds the keys of dotenvx: keep them where they are, or import them by hand"
	symlinkHint  = "is a link: it is not followed, since it may lead out of the folder"
	vaultFileTip = "is a sealed file of dotenv-vault, which cannot be read"
)

// passed are folders that hold programs of others.
var passed = []string{".git", ".hg", ".svn", "node_modules", "vendor", ".venv", "venv", "__pycache__", "target", "dist", ".next", ".terraform"}

// EnvFolder reads all .env files of a folder: the folder is the project, the folders in it are folders, and what stands behind
// ".env." or before ".env" is the environment. Links are not followed. Files of dotenvx are opened with the keys that key
// gives, or left out with a note.
func EnvFolder(ctx context.Context, folder string, key DotenvxKeys, o Options) (*Plan, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "the folder %s cannot be opened", folder)
	}
	defer root.Close()
	p := &Plan{Source: "env-folder", Where: folder, References: true}
	project := Project{Slug: projectName(folder), Name: projectName(folder)}
	seen, files := 0, 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if seen++; seen > maxEntries {
			return fault.New(fault.Exhausted, "%s holds more than %d files", folder, maxEntries).WithHint("name the folder of one project")
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			p.note(Unread, word(name), "cannot be read")
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			if slices.Contains(passed, d.Name()) && name != "." {
				return fs.SkipDir
			}
			return nil
		}
		env, skip, is := envOf(d.Name(), o.Env)
		switch {
		case !is:
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			p.note(Skipped, word(name), symlinkHint)
			return nil
		case !d.Type().IsRegular():
			p.note(Skipped, word(name), "is no regular file")
			return nil
		case skip != "":
			p.note(Skipped, word(name), skip)
			return nil
		}
		if files++; files > maxEnvFiles {
			return fault.New(fault.Exhausted, "%s holds more than %d .env files", folder, maxEnvFiles)
		}
		return envFile(root, p, &project, name, env, key, o)
	})
	if err != nil {
		return nil, err
	}
	if len(project.Envs) == 0 {
		return nil, fault.New(fault.NotFound, "there is no .env file in %s", folder).WithHint("names such as .env, .env.production and prod.env are looked for")
	}
	slices.SortFunc(project.Envs, func(a, b *Env) int { return strings.Compare(a.Slug, b.Slug) })
	p.Projects = []Project{project}
	p.Advice = []string{"keyturn run --project {project:" + project.Slug + "} --env ENV -- COMMAND instead of loading the files; then delete them"}
	return p, nil
}

// envFile reads one file into the environment that its name says.
func envFile(root *os.Root, p *Plan, project *Project, name, env string, key DotenvxKeys, o Options) error {
	folder := canonicalPath(strings.TrimPrefix(path.Dir(name), "."))
	if !wanted(o.Only, project.Slug+"/"+env+strings.TrimSuffix(folder, "/")) {
		return nil
	}
	f, err := root.Open(name)
	if err != nil {
		p.note(Unread, word(name), "cannot be read")
		return nil
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxEnvBytes+1))
	if err != nil {
		p.note(Unread, word(name), "cannot be read")
		return nil
	}
	found, err := format.Decode(format.Dotenv, name, content)
	if err != nil {
		return err
	}
	if found, err = key.open(name, found); err != nil {
		if fault.KindOf(err) == fault.Unauthenticated {
			p.note(Unread, word(name), "is encrypted by dotenvx, and its private key is not there: set "+key.variable(name))
			return nil
		}
		return err
	}
	sets, err := pairs(p, folder, found)
	if err != nil {
		return err
	}
	e := project.env(env)
	e.addFolder(folder)
	have := map[Key]bool{}
	for _, st := range e.Steps {
		for _, s := range st.Sets {
			have[s.Key] = true
		}
	}
	for _, s := range sets {
		if have[s.Key] {
			return fault.New(fault.Invalid, "%s stands in two files of the environment %s", s.Key, env).
				WithField(name, "the second one").WithHint("delete one of them, or move one of the files away")
		}
	}
	e.Steps = append(e.Steps, Step{Sets: sets})
	return nil
}

// envOf tells the environment that a file's name says. Skip is why a file that is one of its kind is not taken.
func envOf(name, fallback string) (env, skip string, is bool) {
	lower := strings.ToLower(name)
	rest, front := strings.CutPrefix(lower, ".env")
	if !front {
		var back bool
		if rest, back = strings.CutSuffix(lower, ".env"); !back || rest == "" {
			return "", "", false
		}
		rest = "." + rest
	}
	if rest == "" {
		return fallback, "", true
	}
	if rest[0] != '.' && rest[0] != '-' && rest[0] != '_' {
		return "", "", false // .envrc is a program
	}
	rest = rest[1:]
	switch rest {
	case "keys":
		return "", keyFileHint, true
	case "vault":
		return "", vaultFileTip, true
	}
	var words []string
	for _, w := range strings.FieldsFunc(rest, func(r rune) bool { return r == '.' || r == '_' || r == '-' }) {
		switch w {
		case "example", "sample", "template", "dist", "tpl", "schema", "defaults":
			return "", exampleHint, true
		case "production", "live":
			w = "prod"
		case "development", "develop":
			w = "dev"
		case "stage", "stg":
			w = "staging"
		case "testing":
			w = "test"
		case "bak", "old", "orig", "swp", "save":
			return "", "is an old copy", true
		}
		words = append(words, w)
	}
	if len(words) == 0 {
		return fallback, "", true
	}
	return strings.Join(words, "-"), "", true
}
