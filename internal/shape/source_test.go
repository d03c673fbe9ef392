package shape

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// file is one Go file of the module, outside tests.
type file struct {
	path    string // relative to the root, with slashes
	pkg     string // import path relative to the module
	syntax  *ast.File
	lines   int
	imports []string
}

// pkg is one package of the module.
type pkg struct {
	path    string // relative to the module
	name    string
	files   []file
	imports []string // of all files, whatever their build tags; module packages relative, sorted, each once
}

var fileSet = token.NewFileSet()

// house loads every package of the module once: go list names them, and all their files are parsed, those for other
// systems and build tags included.
var house = sync.OnceValues(func() ([]pkg, error) {
	out, err := run("go", "list", "-e", "-json=Dir,ImportPath,Name,GoFiles,CgoFiles,IgnoredGoFiles", "-buildvcs=false", "./...")
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs(rootFolder)
	if err != nil {
		return nil, err
	}
	var pkgs []pkg
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var listed struct {
			Dir, ImportPath, Name             string
			GoFiles, CgoFiles, IgnoredGoFiles []string
		}
		if err := decoder.Decode(&listed); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		p := pkg{path: relative(listed.ImportPath), name: listed.Name}
		for _, name := range slices.Concat(listed.GoFiles, listed.CgoFiles, listed.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parse(root, filepath.Join(listed.Dir, name), p.path)
			if err != nil {
				return nil, err
			}
			p.files = append(p.files, f)
			p.imports = append(p.imports, f.imports...)
		}
		slices.Sort(p.imports)
		p.imports = slices.Compact(p.imports)
		pkgs = append(pkgs, p)
	}
})

// rootFolder is where the module lies as seen from this package, in which go test runs the tests.
const rootFolder = "../.."

func parse(root, path, of string) (file, error) {
	syntax, err := parser.ParseFile(fileSet, path, nil, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return file{}, err
	}
	f := file{path: filepath.ToSlash(rel), pkg: of, syntax: syntax, lines: fileSet.File(syntax.Pos()).LineCount()}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, relative(imported))
	}
	return f, nil
}

// run runs a program in the root of the module and gives what it prints.
func run(program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = rootFolder
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", errors.New(program + " " + strings.Join(args, " ") + ": " + err.Error() + "\n" + problems.String())
	}
	return string(out), nil
}

// own marks the packages of the module, so that "api" in a table cannot be taken for a package of that name elsewhere.
const own = "./"

// relative turns an import path of the module into own plus the path from its root, and leaves others alone.
func relative(importPath string) string {
	if importPath == module {
		return own
	}
	if rest, ok := strings.CutPrefix(importPath, module+"/"); ok {
		return own + rest
	}
	return importPath
}

// under tells whether a package of the module is one of the named ones or lies below one.
func under(path string, names []string) bool {
	path, ok := strings.CutPrefix(path, own)
	return ok && slices.ContainsFunc(names, func(name string) bool {
		return path == name || strings.HasPrefix(path, name+"/")
	})
}

func packages(t *testing.T) []pkg {
	t.Helper()
	pkgs, err := house()
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 3 { // sensitive, fault and this one are older than every rule
		t.Fatalf("go list found only %d packages", len(pkgs))
	}
	return pkgs
}

func files(t *testing.T) []file {
	t.Helper()
	var all []file
	for _, p := range packages(t) {
		all = append(all, p.files...)
	}
	return all
}

func readRoot(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(rootFolder, filepath.FromSlash(path)))
	if err != nil && !errors.Is(err, os.ErrNotExist) { // listed by git, deleted since
		t.Fatal(err)
	}
	return b
}
