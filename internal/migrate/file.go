package migrate

import (
	"path"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/format"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// MaxFile bounds a file that is imported; archives may be larger unpacked, see their readers.
const MaxFile = 64 << 20

// tooLarge refuses a file before it is parsed.
func tooLarge(name string, content []byte) error {
	if len(content) > MaxFile {
		return fault.New(fault.Invalid, "%s is larger than %d MiB", name, MaxFile>>20)
	}
	return nil
}

// unreadable says that a file is not what it should be. What a parser says of it may quote it, so it is not passed on.
func unreadable(name, kind string) *fault.Error {
	return fault.New(fault.Invalid, "%s is not %s", name, kind)
}

// projectName makes a slug of a file's name: "shop.env" and "/srv/shop/" are shop.
func projectName(name string) string {
	base := path.Base(strings.ReplaceAll(strings.TrimRight(name, `/\`), `\`, "/"))
	bare, _, _ := strings.Cut(strings.TrimLeft(base, "."), ".")
	return first(string(domain.Slugify(bare)), "imported")
}

// filePlan is a plan of one project with one environment, which a file becomes.
func filePlan(source, name string, o Options) (*Plan, *Env) {
	p := &Plan{Source: source, Where: name, Projects: []Project{{Slug: projectName(name), Name: projectName(name)}}}
	return p, p.Projects[0].env(o.Env)
}

// addFolder notes a folder once.
func (e *Env) addFolder(path string) {
	if !slices.ContainsFunc(e.Folders, func(f Folder) bool { return f.Path == path }) {
		e.Folders = append(e.Folders, Folder{Path: path})
	}
}

// pairs makes secrets of a flat file.
func pairs(p *Plan, folder string, found []format.Pair) ([]Secret, error) {
	var out []Secret
	for _, pair := range found {
		if err := p.count(len(pair.Value)); err != nil {
			return nil, err
		}
		out = append(out, Secret{Key: Key{folder, pair.Name}, Value: sensitive.New(pair.Value), Comment: pair.Comment})
	}
	return out, nil
}

// Flat reads a file in one of the formats of package format, for sources that export such: doppler, infisical. References says
// whether ${...} in it points to other secrets.
func Flat(source, name string, content []byte, references bool, o Options) (*Plan, error) {
	if err := tooLarge(name, content); err != nil {
		return nil, err
	}
	kind, err := format.Detect(name, content)
	if err != nil {
		return nil, err
	}
	found, err := format.Decode(kind, name, content)
	if err != nil {
		return nil, err
	}
	p, e := filePlan(source, name, o)
	p.References = references
	if source == "doppler" {
		found = slices.DeleteFunc(found, func(pair format.Pair) bool {
			return pair.Name == "DOPPLER_PROJECT" || pair.Name == "DOPPLER_CONFIG" || pair.Name == "DOPPLER_ENVIRONMENT"
		})
	}
	sets, err := pairs(p, "/", found)
	e.Folders, e.Steps = []Folder{{Path: "/"}}, []Step{{Sets: sets}}
	return p, err
}
