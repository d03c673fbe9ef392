package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/api"
)

// Whatever is renamed and moved, in whatever order, and whether or not it is refused: no value says anything else than before.
func TestRenamesAndMovesChangeNoValue(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		rapid.Check(t, func(r *rapid.T) {
			f := forest{w: w, slugs: []string{w.fresh("tree-"), w.fresh("tree-")}, envs: [][]string{{"dev", "prod"}, {"dev", "prod"}}}
			f.grow(r)
			want := f.values(r)
			for range rapid.IntRange(1, 6).Draw(r, "steps") {
				f.step(r)
				same(r, "after a step", f.values(r), want)
			}
		})
	})
}

// forest is two projects with two environments each.
type forest struct {
	w     *world
	slugs []string
	envs  [][]string
}

var (
	treePaths = []string{"/", "/a", "/b", "/a/c", "/d/e"}
	treeNames = []string{"K", "L", "M", "N"}
)

func (f *forest) env(p, e int) env { return env{f.w.admin, f.slugs[p], f.envs[p][e]} }

// grow fills the environments: each value may point to those that were set before, near and far, and folders show others.
func (f *forest) grow(r *rapid.T) {
	var refs []func(p, e int, path string) string // how a secret is spelled from a place
	for p := range f.slugs {
		send[api.Project](r, f.w.admin, "POST", "/projects", api.ProjectRequest{Slug: f.slugs[p], Envs: f.envs[p]})
	}
	for p := range f.slugs {
		for e := range f.envs[p] {
			var changes []api.Change
			shown := map[string]string{}
			for to := 1; to < len(treePaths); to++ {
				if rapid.Bool().Draw(r, "imports") {
					shown[treePaths[to]] = treePaths[rapid.IntRange(0, to-1).Draw(r, "shown")]
				}
			}
			taken := map[string]bool{}
			for _, path := range treePaths {
				changes = append(changes, api.Change{Op: "folder.create", Path: path})
				for _, name := range treeNames {
					if !rapid.Bool().Draw(r, "there") {
						continue
					}
					value := fmt.Sprintf("<%d%d%s>", p, e, full(path, name))
					for range rapid.IntRange(0, 2).Draw(r, "references") {
						if len(refs) > 0 {
							value += refs[rapid.IntRange(0, len(refs)-1).Draw(r, "to")](p, e, path)
						}
					}
					if from, ok := shown[path]; ok {
						for _, through := range treeNames {
							if taken[full(from, through)] && through < name && !taken[full(path, through)] {
								value += "${" + through + "}"
							}
						}
					}
					changes = append(changes, set(path, name, value))
					taken[full(path, name)] = true
					refs = append(refs, func(fp, fe int, fpath string) string {
						switch {
						case fp == p && fe == e && fpath == path:
							return "${" + name + "}"
						case fp == p:
							return "${" + dotted(f.envs[p][e], path, name) + "}"
						}
						return "${@" + f.slugs[p] + "." + dotted(f.envs[p][e], path, name) + "}"
					})
				}
			}
			for _, to := range treePaths {
				if from, ok := shown[to]; ok {
					changes = append(changes, showIn(to, api.Place{Path: from}))
				}
			}
			f.env(p, e).commit(r, changes...)
		}
	}
}

func dotted(env, path, name string) string {
	out := env
	if path != "/" {
		out += strings.ReplaceAll(path, "/", ".")
	}
	return out + "." + name
}

// step renames or moves something, one to three things in one commit. What is refused must change nothing, so both are fine.
func (f *forest) step(r *rapid.T) {
	p, e := rapid.IntRange(0, 1).Draw(r, "project"), rapid.IntRange(0, 1).Draw(r, "env")
	at := f.env(p, e)
	switch rapid.IntRange(0, 9).Draw(r, "kind") {
	case 0:
		slug := f.w.fresh("env-")
		send[api.Env](r, at.person, "PATCH", at.path(), api.RenameRequest{Slug: slug})
		f.envs[p][e] = slug
	case 1:
		slug := f.w.fresh("tree-")
		send[api.Project](r, at.person, "PATCH", "/projects/"+at.project, api.RenameRequest{Slug: slug})
		f.slugs[p] = slug
	default:
		var changes []api.Change
		l := at.list(r, "/", "recursive", "true")
		for range rapid.IntRange(1, 3).Draw(r, "changes") {
			c := rapid.IntRange(0, 2).Draw(r, "change")
			switch {
			case c == 0 && len(l.Folders) > 0:
				changes = append(changes, moveFolder(rapid.SampledFrom(l.Folders).Draw(r, "folder"), rapid.SampledFrom([]string{"/a", "/b", "/x", "/b/y", "/a/c/z"}).Draw(r, "to folder")))
			case len(l.Secrets) > 0:
				s := rapid.SampledFrom(l.Secrets).Draw(r, "secret")
				if c == 1 {
					changes = append(changes, rename(s.Path, s.Name, rapid.SampledFrom(append(slices.Clone(treeNames), "P", "Q")).Draw(r, "name")))
				} else {
					changes = append(changes, move(s.Path, s.Name, rapid.SampledFrom(append(slices.Clone(treePaths), "/x")).Draw(r, "to")))
				}
			}
		}
		if len(changes) > 0 {
			if a := at.attempt(r, changes...); a.status != 200 && a.status != 404 && a.status != 409 && a.status != 400 {
				r.Fatalf("%v: status %d: %s", changes, a.status, a.body)
			}
		}
	}
}

// values is what each secret says, by its id.
func (f *forest) values(r *rapid.T) map[string]string {
	out := map[string]string{}
	for p := range f.slugs {
		for e := range f.envs[p] {
			for _, s := range f.env(p, e).list(r, "/", "recursive", "true", "reveal", "true").Secrets {
				out[s.ID] = bytesOf(r, s)
			}
		}
	}
	return out
}
