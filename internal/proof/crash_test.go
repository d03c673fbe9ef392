package proof

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
)

// crash is one named moment at which a server dies, in the turn of one layer.
type crash struct{ point, layer string }

// The moments that the turns of layers pass. Between settling and the end all are alike.
var (
	afterSettling = []string{"keys.settled", "keys.census.after", "keys.counted", "keys.destroy.after", "keys.destroyed", "keys.scrubbed", "keys.end.after"}
	whileMoving   = append([]string{"keys.begin.after", "keys.move.after"}, afterSettling...)
	afterOverlap  = append([]string{"keys.begin.after", "keys.settle.after"}, afterSettling...)
	ofSlots       = append([]string{"keys.slot.added", "keys.slot.removed"}, afterSettling...)
	// These need somebody who meddles, and have tests of their own.
	meddled = []crash{{"keys.recount.after", "project"}, {"keys.problem.after", "project"}}
)

func crashes() []crash {
	var out []crash
	for _, of := range []struct {
		points []string
		layers []string
	}{{whileMoving, []string{"project", "instance", "index"}}, {afterOverlap, []string{"log", "tokens"}}, {ofSlots, []string{"root"}}} {
		for _, layer := range of.layers {
			for _, point := range of.points {
				out = append(out, crash{point, layer})
			}
		}
	}
	return out
}

func TestTurnsGoOnAfterADeathAtEveryNamedPointOnSQLite(t *testing.T) {
	template := onSQLite(t)
	server := template.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	server.stop(t)
	for _, c := range crashes() {
		t.Run(c.layer+"/"+c.point, func(t *testing.T) {
			t.Parallel()
			p := onSQLite(t)
			copyWorld(t, template.data(), p.data())
			c.survived(t, p, v)
		})
	}
}

// The same on PostgreSQL. The short form visits the moments that differ most there: keys that are just made, just destroyed,
// and tables that are about to be written anew.
func TestTurnsGoOnAfterADeathAtNamedPointsOnPostgreSQL(t *testing.T) {
	var few []crash
	for _, c := range crashes() {
		if c.layer == "instance" && (c.point == "keys.begin.after" || c.point == "keys.move.after") || c.point == "keys.destroy.after" && c.layer != "index" || c.point == "keys.slot.removed" {
			few = append(few, c)
		}
	}
	crashOnPostgres(t, few)
}

func crashOnPostgres(t *testing.T, all []crash) {
	for _, c := range all {
		t.Run(c.layer+"/"+c.point, func(t *testing.T) {
			t.Parallel()
			p := onPostgres(t, testpg.Start(t))
			server := p.start(t)
			s := siteAt(t, server.url)
			v := newVault(t, s, s.setUp(t))
			server.stop(t)
			c.survived(t, p, v)
		})
	}
}

// survived lets a server die at the point and starts another one, which must bring the turn to its end without any help but
// the end of overlaps.
func (c crash) survived(t *testing.T, p place, v *vault) {
	t.Helper()
	dying := p.with(crashAt, c.point).start(t)
	s := siteAt(t, dying.url)
	root := c.provoke(t, s, v)
	select {
	case <-dying.ended:
	case <-time.After(exitWithin):
		t.Fatalf("the server does not die at %s:\n%s", c.point, tail(dying.out.String()))
	}
	if root {
		p = p.with("KEYTURN_ROOT_KEY=", otherKey)
	}
	server := p.start(t)
	s = siteAt(t, server.url)
	v.unchanged(t, s) // also while the turn goes on
	if c.point == "keys.slot.added" {
		status := must[api.KeysStatus](t, s, v.token, "GET", "/keys", nil)
		proveSlot(t, s, v.token, slotOf(t, status, otherKey).ID, otherKey)
		removeSlot(t, s, v.token, slotOf(t, status, rootKey).ID)
	}
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	turns := must[api.KeyTurns](t, s, v.token, "GET", "/keys/turns", nil).Turns
	if len(turns) != 1 || turns[0].Layer != c.layer {
		t.Errorf("one turn was begun, and there are %d: %+v", len(turns), turns)
	}
	server.stop(t)
	if c.layer == "root" {
		p = p.with("KEYTURN_ROOT_KEY=", otherKey)
	}
	server = p.start(t)
	v.unchanged(t, siteAt(t, server.url))
	server.stop(t)
}

// provoke begins what comes to the point, and tells whether the old root key is gone by then. Answers may be cut off.
func (c crash) provoke(t *testing.T, s *site, v *vault) (rootGone bool) {
	t.Helper()
	switch c.layer {
	case "root":
		old := slotOf(t, must[api.KeysStatus](t, s, v.token, "GET", "/keys", nil), rootKey)
		if made := addSlot(s, v.token, otherKey, old.Fingerprint); made.ok() {
			proveSlot(t, s, v.token, decoded[api.KeySlotMade](t, made).ID, otherKey)
			s.call(v.token, "DELETE", "/keys/slots/"+old.ID+"?force=true", nil)
			return true
		}
		return false
	case "log", "tokens":
		begun := s.call(v.token, "POST", "/keys/rotations", rotationOf(c.layer))
		if begun.ok() {
			s.call(v.token, "POST", "/keys/turns/"+decoded[api.KeyRotated](t, begun).Turns[0].ID+"/finish", nil)
		}
	default:
		s.call(v.token, "POST", "/keys/rotations", rotationOf(c.layer))
	}
	return false
}

// Something under a key that was counted as empty, put back by hand between the count's two moments, keeps the key alive: the
// turn moves it and counts again, also when the server dies right after it saw that.
func TestADeathAfterARecount(t *testing.T) {
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	server.stop(t)
	old := t.TempDir()
	copyWorld(t, p.data(), old)
	server = p.with(crashAt, "keys.settled").start(t)
	siteAt(t, server.url).call(v.token, "POST", "/keys/rotations", rotationOf("project"))
	<-server.ended
	db := openFile(t, p.data())
	if _, err := db.Exec("ATTACH DATABASE ? AS old", filepath.Join(old, "keyturn.db")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE secret SET value = (SELECT value FROM old.secret o WHERE o.id = secret.id) WHERE name = 'V03'"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	server = p.with(crashAt, meddled[0].point).start(t)
	<-server.ended
	server = p.start(t)
	s = siteAt(t, server.url)
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}

// A row that does not open is passed over and named; the key stays. A server that dies right after it has said so says so
// again, and when the row is repaired the turn ends by itself.
func TestADeathAfterAProblem(t *testing.T) {
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	server.stop(t)
	flip := func() {
		db := openFile(t, p.data())
		flipBit(t, db, "secret", "value", "name = 'V03'")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	flip()
	server = p.with(crashAt, meddled[1].point).start(t)
	siteAt(t, server.url).call(v.token, "POST", "/keys/rotations", rotationOf("project"))
	<-server.ended
	flip() // back
	server = p.start(t)
	s = siteAt(t, server.url)
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}

// Every point that the source names must be visited by a case, and every case's point must be there.
func TestEveryNamedPointIsVisited(t *testing.T) {
	visited := map[string]bool{}
	for _, c := range append(crashes(), meddled...) {
		visited[c.point] = true
	}
	for _, point := range slices.Concat(backupPoints, streamPoints, restorePoints, archivePoints) {
		visited[point] = true
	}
	named := crashPoints(t, filepath.Join("..", "..", "internal"))
	for _, point := range slices.Sorted(maps.Keys(named)) {
		if !visited[point] {
			t.Errorf("no case visits %s, of %s", point, named[point])
		}
	}
	for point := range visited {
		if named[point] == "" {
			t.Errorf("a case visits %s, and nothing names it", point)
		}
	}
	const known = 14
	if len(named) < known {
		t.Errorf("the scan found %d points only: %v", len(named), named)
	}
}

// crashPoints finds the names of all points in the source and where each stands. A name is a text, or texts around one
// parameter of the function; then every call of that function must give the parameter as a text.
func crashPoints(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	files := token.NewFileSet()
	var all []*ast.File
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "crashpoint") {
			return err
		}
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		all = append(all, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, d := range f.Decls {
			function, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(function, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || called(call) != "crashpoint.At" {
					return true
				}
				where := files.Position(call.Pos()).String()
				texts := []string{""}
				for _, part := range concatenated(call.Args[0]) {
					if text, ok := literal(part); ok {
						for i := range texts {
							texts[i] += text
						}
						continue
					}
					given := argumentsOf(t, all, function, part, where)
					var longer []string
					for _, text := range texts {
						for _, g := range given {
							longer = append(longer, text+g)
						}
					}
					texts = longer
				}
				for _, text := range texts {
					out[text] = where
				}
				return true
			})
		}
	}
	return out
}

func called(call *ast.CallExpr) string {
	if s, ok := call.Fun.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
		return "." + s.Sel.Name
	}
	return ""
}

func concatenated(e ast.Expr) []ast.Expr {
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == token.ADD {
		return append(concatenated(b.X), concatenated(b.Y)...)
	}
	return []ast.Expr{e}
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

// argumentsOf gives the texts that callers give a parameter of a method.
func argumentsOf(t *testing.T, all []*ast.File, function *ast.FuncDecl, parameter ast.Expr, where string) []string {
	t.Helper()
	name, ok := parameter.(*ast.Ident)
	position := -1
	if ok {
		n := 0
		for _, field := range function.Type.Params.List {
			for _, p := range field.Names {
				if p.Name == name.Name {
					position = n
				}
				n++
			}
		}
	}
	if position < 0 {
		t.Fatalf("%s: the name of a point is neither a text nor made with a parameter", where)
	}
	var out []string
	for _, f := range all {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !strings.HasSuffix(called(call), "."+function.Name.Name) || len(call.Args) <= position {
				return true
			}
			if fmt.Sprint(called(call)) != "s."+function.Name.Name { // another type's method of that name
				return true
			}
			text, ok := literal(call.Args[position])
			if !ok {
				t.Fatalf("%s: a caller of %s gives no text", where, function.Name.Name)
			}
			out = append(out, text)
			return true
		})
	}
	return out
}
