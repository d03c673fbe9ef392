package shape

import (
	"go/ast"
	"go/parser"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTheModuleHasThePathThatUsersImport(t *testing.T) {
	out, err := run("go", "list", "-m")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(out); got != module {
		t.Errorf("the module is called %s, want %s", got, module)
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.files) == 0 {
			continue // tests only
		}
		documented := slices.ContainsFunc(p.files, func(f file) bool {
			text := f.syntax.Doc.Text()
			return text != "" && (p.name == "main" || strings.HasPrefix(text, "Package "+p.name+" "))
		})
		if !documented {
			t.Errorf("%s has no package comment that begins with \"Package %s\"", p.path, p.name)
		}
	}
}

func TestNoFileHoldsTwoIdeas(t *testing.T) {
	for _, f := range files(t) {
		if f.lines > maxLines && !ast.IsGenerated(f.syntax) {
			t.Errorf("%s has %d lines, more than %d: split it by noun", f.path, f.lines, maxLines)
		}
	}
}

func TestNothingHappensBeforeMain(t *testing.T) {
	for _, f := range files(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function: hidden order; let the one who needs it call it", fileSet.Position(fn.Pos()))
			}
		}
	}
}

// prints lists the calls in a file that write to standard output or error behind the back of the command line and the log.
func prints(syntax *ast.File) []*ast.CallExpr {
	fmtName := ""
	for _, spec := range syntax.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil && path == "fmt" {
			fmtName = "fmt"
			if spec.Name != nil {
				fmtName = spec.Name.Name
			}
		}
	}
	var found []*ast.CallExpr
	ast.Inspect(syntax, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch fn := call.Fun.(type) {
		case *ast.SelectorExpr:
			from, ok := fn.X.(*ast.Ident)
			if ok && fmtName != "" && from.Name == fmtName && slices.Contains([]string{"Print", "Printf", "Println"}, fn.Sel.Name) {
				found = append(found, call)
			}
		case *ast.Ident:
			if fn.Name == "print" || fn.Name == "println" {
				found = append(found, call)
			}
		}
		return true
	})
	return found
}

func TestOnlyTheCommandLinePrints(t *testing.T) {
	for _, f := range files(t) {
		if !under(f.pkg, []string{"internal"}) || under(f.pkg, printers) {
			continue
		}
		for _, call := range prints(f.syntax) {
			t.Errorf("%s prints: return it, log it, or write to an io.Writer that the caller gives", fileSet.Position(call.Pos()))
		}
	}
}

// tie is a text that belongs to one place only, and a word for it.
type tie struct {
	pattern *regexp.Regexp
	what    string
}

// foreign are texts that tie the source to one machine or one mirror. They are spelled with a class in the middle so that
// this file does not match itself.
var foreign = [...]tie{
	{regexp.MustCompile(`/hom[e]/[a-z][a-z0-9_-]*/|/User[s]/[A-Za-z]|[A-Z]:\\User[s]\\`), "somebody's home folder"},
	{regexp.MustCompile(`GOPROX[Y]=["']?http|GOSUMD[B]=["']?http|registr[y]=["']?http|index-ur[l]\s*=\s*["']?http`), "the address of a package registry"},
	{regexp.MustCompile(`"resolve[d]":\s*"http`), "the address of a package registry"},
}

// systemFolders begin the paths that documentation may name on any machine.
var systemFolders = []string{
	"bin", "boot", "data", "dev", "etc", "home", "lib", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys",
	"tmp", "usr", "var", "Users", "private", "Volumes",
}

// machinePaths gives the path of this checkout and of the folders beside it, unless they are such as any machine has.
func machinePaths(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Abs(rootFolder)
	if err != nil {
		t.Fatal(err)
	}
	parent := filepath.Dir(root)
	first, _, _ := strings.Cut(strings.TrimPrefix(filepath.ToSlash(root), "/"), "/")
	if filepath.Dir(parent) == parent || slices.Contains(systemFolders, first) {
		// Its neighbours may have names that mean something; the checkout's own path is specific if it is deep.
		if strings.Count(filepath.ToSlash(root), "/") < 3 {
			return nil
		}
		return []string{root}
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range entries {
		paths = append(paths, filepath.Join(parent, e.Name()))
	}
	return paths
}

func TestNoTrackedFileNamesAMachineOrARegistry(t *testing.T) {
	// Also what is about to be added. The command-line setting lets git read a checkout that belongs to another user.
	out, err := run("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		t.Fatal(err)
	}
	paths := machinePaths(t)
	names := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	if len(names) < 5 {
		t.Fatalf("git lists only %d files", len(names))
	}
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(rootFolder, filepath.FromSlash(name)))
		if err != nil || !info.Mode().IsRegular() {
			continue // deleted since, or a link
		}
		text := string(readRoot(t, name))
		for _, path := range paths {
			if strings.Contains(text, path) {
				t.Errorf("%s names %s, a folder of this machine", name, path)
			}
		}
		for _, f := range foreign {
			if found := f.pattern.FindStringIndex(text); found != nil {
				line := 1 + strings.Count(text[:found[0]], "\n")
				t.Errorf("%s:%d names %s", name, line, f.what)
			}
		}
	}
}

// As with the imports: each check is shown what it forbids.
func TestTheSourceChecksSeeWhatTheyForbid(t *testing.T) {
	parsed := func(body string) *ast.File {
		t.Helper()
		f, err := parser.ParseFile(fileSet, "sample.go", "package sample\nimport say \"fmt\"\nfunc f() { "+body+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for body, want := range map[string]int{
		"say.Println(1); say.Printf(``); println(2)":        3,
		"say.Fprintln(w, 1); fmt.Println(2); say.Sprint(3)": 0,
	} {
		if got := len(prints(parsed(body))); got != want {
			t.Errorf("%s: %d prints, want %d", body, got, want)
		}
	}
	if got := reveals(parsed("use(v.Reveal()); open := w.Reveal; open(); Reveal()")); got != 2 {
		t.Errorf("%d reveals, want 2", got)
	}
	for _, text := range []string{
		"see /ho" + "me/somebody/notes", "open /Use" + "rs/Somebody", `C:\Use` + `rs\x`,
		"GOPR" + "OXY=http://10.0.0.1", "regi" + "stry=https://npm.example.com", `"reso` + `lved": "https://npm.example.com/a.tgz"`,
	} {
		if !slices.ContainsFunc(foreign[:], func(f tie) bool { return f.pattern.MatchString(text) }) {
			t.Errorf("nothing finds the foreign text in %q", text)
		}
	}
}
