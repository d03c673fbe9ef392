package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

func TestReferencesAndImportsReachWhatTheyName(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		t.Run("references are followed", func(t *testing.T) { follows(t, w) })
		t.Run("dangling ones are refused with their name", func(t *testing.T) { refusesDangling(t, w.project(t)) })
		t.Run("circles are refused with their way", func(t *testing.T) { refusesCircles(t, w) })
		t.Run("what is referenced is not deleted", func(t *testing.T) { keepsReferenced(t, w) })
		t.Run("renames rewrite references everywhere", func(t *testing.T) { rewrites(t, w) })
		t.Run("imports show other folders", func(t *testing.T) { importsShow(t, w) })
		t.Run("names that come between", func(t *testing.T) { namesBetween(t, w.project(t)) })
		t.Run("rights hold along references", func(t *testing.T) { rightsAlongReferences(t, w) })
		t.Run("values that would never end", func(t *testing.T) { bombs(t, w.project(t)) })
	})
}

func follows(t *testing.T, w *world) {
	e, other := w.project(t), w.project(t)
	other.in("prod").commit(t, set("/x/y", "FAR", "far"), set("/", "ROOT", "root"))
	e.in("prod").commit(t, set("/db", "HOST", "host"), set("/db", "URL", "pg://${HOST}"))
	e.commit(t, set("/", "LOCAL", "local"), set("/db", "PORT", "1"),
		set("/", "ALL", "${LOCAL} ${dev.db.PORT} ${prod.db.URL} ${@"+other.project+".prod.x.y.FAR} ${@"+other.project+".prod.ROOT} ${dev.LOCAL}"),
		set("/", "ESCAPED", "$${LOCAL} $$${LOCAL} ${} ${not a name} ${LOCAL"), set("/", "BYTES", "x"))
	literal := set("/", "LITERAL", "${NOTHING} ${LOCAL} $${x}")
	literal.Literal = ptr(true)
	e.commit(t, literal, setBytes("/", "BYTES", []byte("\xff${LOCAL}")))
	for name, want := range map[string]string{
		"ALL": "local 1 pg://host far root local", "ESCAPED": "${LOCAL} $${LOCAL} ${} ${not a name} ${LOCAL", "LITERAL": "${NOTHING} ${LOCAL} $${x}", "BYTES": "\xfflocal",
	} {
		if got := e.value(t, "/", name); got != want {
			t.Errorf("%s says %q, want %q", name, got, want)
		}
		if raw := e.value(t, "/", name, "raw", "true"); name != "LITERAL" && raw == want {
			t.Errorf("%s raw is expanded: %q", name, raw)
		}
	}
	for _, s := range e.list(t, "/", "reveal", "true", "only", "ALL").Secrets {
		if got := bytesOf(t, s); got != "local 1 pg://host far root local" {
			t.Errorf("in a list: %q", got)
		}
	}
	// What changes elsewhere shows at once.
	other.in("prod").commit(t, set("/x/y", "FAR", "farther"))
	if got := e.value(t, "/", "ALL"); got != "local 1 pg://host farther root local" {
		t.Errorf("%q", got)
	}
	// A value that is no longer literal must resolve.
	e.attempt(t, api.Change{Op: "set", Path: "/", Name: "LITERAL", Literal: ptr(false)}).refused(t, "invalid", "${NOTHING}", "/LITERAL")
}

func refusesDangling(t *testing.T, e env) {
	for _, ref := range []string{"MISSING", "dev.MISSING", "dev.x.MISSING", "nowhere.MISSING", "@nowhere.dev.MISSING", "prod.MISSING"} {
		e.attempt(t, set("/a", "K", "see ${"+ref+"}")).refused(t, "invalid", "${"+ref+"}", "/a/K")
	}
	p := e.attempt(t, set("/", "A", "${ONE} ${TWO}"), set("/", "B", "${THREE}")).refused(t, "invalid")
	if len(p.Fields) != 3 {
		t.Errorf("%+v", p.Fields)
	}
	// Within one commit the order does not matter.
	e.commit(t, set("/", "A", "${B}"), set("/", "B", "test-value"))
	e.attempt(t, remove("/", "A"), set("/", "C", "${A}")).refused(t, "invalid", "${A}")
	// A move takes local references along.
	e.commit(t, move("/", "A", "/x"))
	if raw := e.value(t, "/x", "A", "raw", "true"); raw != "${dev.B}" || e.value(t, "/x", "A") != "test-value" {
		t.Errorf("%q", raw)
	}
	e.attempt(t, rename("/", "B", "B.C")).refused(t, "invalid", "'.'", "/x/A")
}

func refusesCircles(t *testing.T, w *world) {
	e, other := w.project(t), w.project(t)
	e.attempt(t, set("/", "A", "${A}")).refused(t, "invalid", "circle", "/A -> /A")
	e.commit(t, set("/", "C", "x"), set("/", "B", "${C}"), set("/x", "A", "${dev.B}"))
	e.attempt(t, set("/", "C", "${dev.x.A}")).refused(t, "invalid", "circle", "/C -> /x/A -> /B -> /C")
	other.commit(t, set("/", "FAR", "${@"+e.project+".dev.x.A}"))
	e.attempt(t, set("/", "C", "${@"+other.project+".dev.FAR}")).refused(t, "invalid", "circle", other.project+"/dev:/FAR")
	if e.value(t, "/", "C") != "x" {
		t.Error("a circle was saved")
	}
	// A diamond is no circle.
	e.commit(t, set("/", "D", "${B}${C}${dev.x.A}"))
	// Literal values and escapes make none either.
	literal := set("/", "L", "${L}")
	literal.Literal = ptr(true)
	e.commit(t, literal, set("/", "M", "$${M}"))
	e.commit(t, api.Change{Op: "folder.create", Path: "/i/a"}, api.Change{Op: "folder.create", Path: "/i/b"}, showIn("/i/a", api.Place{Path: "/i/b"}))
	e.attempt(t, showIn("/i/b", api.Place{Path: "/i/a"})).refused(t, "invalid", "circle", "/i/b", "/i/a")
	e.attempt(t, showIn("/i/b", api.Place{Path: "/i/b"})).refused(t, "invalid", "circle")
	// A circle that only an import closes.
	e.commit(t, set("/i/b", "X", "x"), set("/i/c", "X", "${dev.i.a.Y}"), set("/i/a", "Y", "${X}"))
	e.attempt(t, showIn("/i/a", api.Place{Path: "/i/c"})).refused(t, "invalid", "circle", "/i/a/Y")
}

func keepsReferenced(t *testing.T, w *world) {
	e, other := w.project(t), w.project(t)
	e.commit(t, set("/f/g", "A", "test-value"), set("/", "LOCAL", "${dev.f.g.A}"))
	other.commit(t, set("/", "FAR", "${@"+e.project+".dev.f.g.A}"))
	e.attempt(t, remove("/f/g", "A")).refused(t, "conflict", "/f/g/A", "referenced")
	e.attempt(t, remove("/f/g", "A"), set("/", "LOCAL", "x")).refused(t, "conflict", other.project+"/dev:/FAR")
	e.attempt(t, api.Change{Op: "folder.delete", Path: "/f"}).refused(t, "conflict", "/f/g/A")
	w.admin.do(t, "DELETE", e.path(), nil).refused(t, "conflict", other.project+"/dev:/FAR")
	w.admin.do(t, "DELETE", "/projects/"+e.project, nil).refused(t, "conflict", other.project+"/dev:/FAR")
	// All of it together may go, and so may what only deleted values point to.
	send[api.Done](t, w.admin, "DELETE", "/projects/"+other.project, nil)
	e.commit(t, remove("/f/g", "A"), remove("/", "LOCAL"))
	e.attempt(t, api.Change{Op: "restore", Path: "/", Name: "LOCAL"}).refused(t, "invalid", "${dev.f.g.A}")
	e.commit(t, api.Change{Op: "restore", Path: "/", Name: "LOCAL"}, api.Change{Op: "restore", Path: "/f/g", Name: "A"})
	if e.value(t, "/", "LOCAL") != "test-value" {
		t.Error("restored values do not resolve")
	}
	// Its own secrets do not keep an environment, and another environment of it does not keep a project.
	e.in("prod").commit(t, set("/", "P", "${dev.LOCAL}"))
	w.admin.do(t, "DELETE", e.path(), nil).refused(t, "conflict", "/prod:/P")
	send[api.Done](t, w.admin, "DELETE", "/projects/"+e.project, nil)
}

func rewrites(t *testing.T, w *world) {
	e, other := w.project(t), w.project(t)
	e.commit(t, set("/f/g", "A", "test-value"), set("/f/g", "NEXT", "${A}!"), set("/f", "UP", "${dev.f.g.A} $${dev.f.g.A}"))
	e.in("prod").commit(t, set("/", "P", "${dev.f.g.A}${dev.f.g.NEXT}"))
	other.commit(t, set("/", "FAR", "<${@"+e.project+".dev.f.g.A}>"))
	check := func(what, next, up, p, far string) {
		t.Helper()
		for _, c := range []struct {
			e                     env
			path, name, raw, want string
		}{
			{e.in("prod"), "/", "P", p, "test-valuetest-value!"}, {other, "/", "FAR", "<" + far + ">", "<test-value>"},
		} {
			if got := c.e.value(t, c.path, c.name, "raw", "true"); got != c.raw {
				t.Errorf("%s: %s is written %q, want %q", what, c.name, got, c.raw)
			}
			if got := c.e.value(t, c.path, c.name); got != c.want {
				t.Errorf("%s: %s says %q", what, c.name, got)
			}
		}
		l := e.list(t, "/", "recursive", "true", "reveal", "true", "raw", "true")
		for _, s := range l.Secrets {
			if want := map[string]string{"NEXT": next, "UP": up}[s.Name]; want != "" && bytesOf(t, s) != want {
				t.Errorf("%s: %s is written %q, want %q", what, s.Name, bytesOf(t, s), want)
			}
		}
	}
	at := "@" + e.project
	revision := other.revision(t)
	e.commit(t, rename("/f/g", "A", "B"))
	check("a rename", "${B}!", "${dev.f.g.B} $${dev.f.g.A}", "${dev.f.g.B}${dev.f.g.NEXT}", "${"+at+".dev.f.g.B}")
	if got := other.revision(t); got != revision+1 {
		t.Errorf("the other environment went from %d to %d", revision, got)
	}
	if c := get[api.Commits](t, other.person, other.path()+"/commits").Commits[0]; !strings.Contains(c.Cause, e.project+"/dev") {
		t.Errorf("its commit: %+v", c)
	}
	e.commit(t, move("/f/g", "B", "/h"))
	check("a move", "${dev.h.B}!", "${dev.h.B} $${dev.f.g.A}", "${dev.h.B}${dev.f.g.NEXT}", "${"+at+".dev.h.B}")
	e.commit(t, moveFolder("/h", "/f/g/h"), moveFolder("/f", "/k"))
	check("folder moves", "${dev.k.g.h.B}!", "${dev.k.g.h.B} $${dev.f.g.A}", "${dev.k.g.h.B}${dev.k.g.NEXT}", "${"+at+".dev.k.g.h.B}")
	send[api.Env](t, w.admin, "PATCH", e.path(), api.RenameRequest{Slug: "development"})
	e = e.in("development")
	check("a new slug of the environment", "${development.k.g.h.B}!", "${development.k.g.h.B} $${dev.f.g.A}", "${development.k.g.h.B}${development.k.g.NEXT}", "${"+at+".development.k.g.h.B}")
	send[api.Project](t, w.admin, "PATCH", "/projects/"+e.project, api.RenameRequest{Slug: e.project + "-new", Name: "New"})
	e.project += "-new"
	check("a new slug of the project", "${development.k.g.h.B}!", "${development.k.g.h.B} $${dev.f.g.A}", "${development.k.g.h.B}${development.k.g.NEXT}", "${"+at+"-new.development.k.g.h.B}")
	// A name alone changes nothing.
	before := e.revision(t)
	send[api.Env](t, w.admin, "PATCH", e.path(), api.RenameRequest{Name: "Where we try things"})
	if got := e.revision(t); got != before {
		t.Errorf("a new display name made revision %d of %d", got, before)
	}
	// References are found again when the environment is back.
	if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
		t.Errorf("the deep verification found %+v", v.Problems)
	}
}

func importsShow(t *testing.T, w *world) {
	e, other := w.project(t), w.project(t)
	other.commit(t, set("/shared", "FAR", "far"), set("/shared", "BOTH", "from far"))
	e.commit(t, set("/base", "BASE", "base"), set("/base", "BOTH", "from base"), set("/base", "OWN", "from base"), set("/deep", "DEEP", "deep ${BESIDE}"), set("/deep", "BESIDE", "beside"))
	e.commit(t, showIn("/base", api.Place{Path: "/deep"}))
	e.commit(t, set("/app", "OWN", "own"), showIn("/app", api.Place{Path: "/base"}, api.Place{Project: other.project, Env: "dev", Path: "/shared"}), set("/app", "USER", "${BASE} ${DEEP} ${FAR} ${OWN} ${BOTH}"))
	if got := e.value(t, "/app", "USER"); got != "base deep beside far own from far" {
		t.Errorf("%q", got)
	}
	want := map[string]string{"OWN": "own", "BASE": "base", "BOTH": "from far", "DEEP": "deep beside", "BESIDE": "beside", "FAR": "far", "USER": "base deep beside far own from far"}
	l := e.list(t, "/app", "imports", "true", "reveal", "true")
	if len(l.Secrets) != len(want) {
		t.Errorf("%v", names(l))
	}
	for _, s := range l.Secrets {
		if bytesOf(t, s) != want[s.Name] {
			t.Errorf("%s is %q", s.Name, bytesOf(t, s))
		}
		one := e.secret(t, "/app", s.Name)
		if bytesOf(t, one) != want[s.Name] || one.From != s.From || (s.From == "") != slices.Contains([]string{"OWN", "USER"}, s.Name) {
			t.Errorf("%s alone is %q from %q, in the list from %q", s.Name, bytesOf(t, one), one.From, s.From)
		}
	}
	if got := names(e.list(t, "/app")); fmt.Sprint(got) != "[/app/OWN /app/USER]" {
		t.Errorf("without imports: %v", got)
	}
	if from := e.secret(t, "/app", "FAR").From; from != other.project+"/dev:/shared" {
		t.Errorf("from %q", from)
	}
	// An import of the other environment that is named alone means the same slug.
	e.commit(t, showIn("/app2", api.Place{Project: other.project, Path: "/shared"}))
	if e.value(t, "/app2", "FAR") != "far" {
		t.Error("an import of another project without an environment")
	}
	// Imports follow renames by themselves.
	e.commit(t, moveFolder("/base", "/ground"))
	other.commit(t, moveFolder("/shared", "/common"))
	if got := e.value(t, "/app", "USER"); got != "base deep beside far own from far" {
		t.Errorf("after folder moves: %q", got)
	}
	// What is used or shown stays.
	e.attempt(t, api.Change{Op: "folder.delete", Path: "/ground"}).refused(t, "conflict", "/app")
	e.attempt(t, remove("/ground", "BASE")).refused(t, "conflict", "/ground/BASE", "/app/USER")
	e.attempt(t, showIn("/app", api.Place{Path: "/ground"})).refused(t, "conflict", "${FAR}", "/app/USER")
	e.attempt(t, showIn("/ground")).refused(t, "conflict", "${DEEP}", "/app/USER")
	e.attempt(t, showIn("/app", api.Place{Path: "/nowhere"})).refused(t, "not_found")
	many := make([]api.Place, 33)
	for i := range many {
		many[i] = api.Place{Path: "/ground"}
	}
	e.attempt(t, showIn("/app", many...)).refused(t, "invalid", "32")
	// In one commit the import goes and with it the folder.
	e.commit(t, set("/app", "USER", "x"), showIn("/app"), api.Change{Op: "folder.delete", Path: "/ground"})
}

func namesBetween(t *testing.T, e env) {
	e.commit(t, set("/base", "K", "from base"), set("/other", "K2", "moved"), set("/app", "USER", "${K}"), showIn("/app", api.Place{Path: "/base"}))
	// Somebody's rename must not change what another value says.
	e.commit(t, move("/other", "K2", "/app"))
	e.commit(t, rename("/app", "K2", "K"))
	if got := e.value(t, "/app", "USER"); got != "from base" {
		t.Errorf("a secret that took the name by a rename came between: %q", got)
	}
	if raw := e.value(t, "/app", "USER", "raw", "true"); raw != "${dev.base.K}" {
		t.Errorf("it is written %q", raw)
	}
	// A new secret of the name stands before the import on purpose, and is what counts from then on.
	e.commit(t, remove("/app", "K"), set("/app", "USER", "${K}"))
	e.commit(t, set("/app", "K", "own"))
	if got := e.value(t, "/app", "USER"); got != "own" {
		t.Errorf("%q", got)
	}
	e.commit(t, rename("/app", "K", "K3"))
	if got := e.value(t, "/app", "USER"); got != "own" {
		t.Errorf("after the rename of what stood before the import: %q", got)
	}
	e.commit(t, rename("/app", "K3", "K"), set("/app", "USER", "${K}"))
	e.commit(t, remove("/base", "K")) // nobody uses that one any more
	e.attempt(t, remove("/app", "K")).refused(t, "conflict", "/app/USER")
	e.commit(t, set("/base", "K", "base again"))
	e.commit(t, remove("/app", "K"))
	if got := e.value(t, "/app", "USER"); got != "base again" {
		t.Errorf("without its own it says %q", got)
	}
	e.attempt(t, remove("/base", "K")).refused(t, "conflict", "/app/USER")
	// The same by a circle: a new name closes it.
	e.commit(t, set("/base", "LOOP", "x"), set("/app", "A", "${LOOP}"))
	e.attempt(t, set("/app", "LOOP", "${A}")).refused(t, "invalid", "circle")
	e.commit(t, remove("/base", "K"), set("/base", "K", "replaced"))
	if got := e.value(t, "/app", "USER"); got != "replaced" {
		t.Errorf("a secret that was replaced in one commit: %q", got)
	}
}

func bombs(t *testing.T, e env) {
	// Layers that each say the one before twice, or say nothing a thousand times.
	changes := []api.Change{set("/", "A0", "0123456789"), set("/", "E0", "")}
	for i := 1; i <= 30; i++ {
		changes = append(changes, set("/", fmt.Sprint("A", i), fmt.Sprintf("${A%[1]d}${A%[1]d}", i-1)))
		changes = append(changes, set("/", fmt.Sprint("E", i), strings.Repeat(fmt.Sprintf("${E%d}", i-1), 1000)))
	}
	e.commit(t, changes...)
	began := time.Now()
	e.ask(t, "/", "A30").refused(t, "invalid", "longer than")
	if got := e.value(t, "/", "E30"); got != "" {
		t.Errorf("%d bytes", len(got))
	}
	// Folders that all import each other in layers: one name that is nowhere asks for every way through them.
	var layers []api.Change
	for layer := range 8 {
		for i := range 8 {
			layers = append(layers, api.Change{Op: "folder.create", Path: fmt.Sprintf("/l%d/f%d", layer, i)})
		}
	}
	for layer := range 7 {
		for i := range 8 {
			var from []api.Place
			for j := range 8 {
				from = append(from, api.Place{Path: fmt.Sprintf("/l%d/f%d", layer+1, j)})
			}
			layers = append(layers, showIn(fmt.Sprintf("/l%d/f%d", layer, i), from...))
		}
	}
	e.commit(t, layers...)
	e.ask(t, "/l0/f0", "NOWHERE").refused(t, "not_found")
	e.list(t, "/l0/f0", "imports", "true")
	e.attempt(t, set("/l0/f0", "USER", "${NOWHERE}")).refused(t, "invalid", "${NOWHERE}")
	e.commit(t, set("/l7/f7", "BOTTOM", "x"), set("/l0/f0", "USER", "${BOTTOM}"))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

func rightsAlongReferences(t *testing.T, w *world) {
	e := w.project(t)
	dev := w.user(t, api.GrantRequest{Project: e.project, Env: "dev", Role: "developer"})
	prod := e.in("prod")
	prod.commit(t, set("/", "SECRET", "test-value-prod"), set("/shared", "PART", "test-value-part"))
	e.commit(t, set("/", "OWN", "test-value"), set("/", "LINK", "${prod.SECRET}"), showIn("/app", api.Place{Env: "prod", Path: "/shared"}), set("/app", "USER", "${PART}"), set("/app", "OWN", "test-value"))
	mine := e.as(dev)
	if mine.value(t, "/", "OWN") != "test-value" || mine.value(t, "/", "LINK", "raw", "true") != "${prod.SECRET}" {
		t.Error("what he may read")
	}
	mine.ask(t, "/", "LINK").refused(t, "denied", "prod.SECRET")
	mine.ask(t, "/app", "USER").refused(t, "denied", "${PART}")
	mine.ask(t, "/app", "PART").refused(t, "not_found")
	mine.do(t, "GET", e.path()+"/secrets?path=/&reveal=true", nil).refused(t, "denied", "prod.SECRET")
	if got := names(mine.list(t, "/app", "imports", "true", "reveal", "true", "raw", "true")); fmt.Sprint(got) != "[/app/OWN /app/USER]" {
		t.Errorf("an import that he may not read shows %v", got)
	}
	if got := names(e.list(t, "/app", "imports", "true")); fmt.Sprint(got) != "[/app/OWN /app/PART /app/USER]" {
		t.Errorf("the admin sees %v", got)
	}
	// He cannot feel for names that he may not see: there or not, the answer is the same.
	there := mine.attempt(t, set("/", "FEEL", "${prod.SECRET}")).refused(t, "invalid")
	missing := mine.attempt(t, set("/", "FEEL", "${prod.SECREX}")).refused(t, "invalid")
	if strings.ReplaceAll(there.Detail, "SECRET", "SECREX") != missing.Detail {
		t.Errorf("%q and %q", there.Detail, missing.Detail)
	}
	there = mine.attempt(t, rename("/", "OWN", "OWN2"), set("/", "OWN2", "${prod.SECRET}")).refused(t, "invalid")
	missing = mine.attempt(t, rename("/", "OWN", "OWN2"), set("/", "OWN2", "${prod.SECREX}")).refused(t, "invalid")
	if strings.ReplaceAll(there.Detail, "SECRET", "SECREX") != missing.Detail {
		t.Errorf("after a rename: %q and %q", there.Detail, missing.Detail)
	}
	for _, changes := range [][2]api.Change{
		{showIn("/app2", api.Place{Env: "prod", Path: "/shared"}), showIn("/app2", api.Place{Env: "prod", Path: "/sharex"})},
		{showIn("/app2", api.Place{Env: "prod", Path: "/shared"}), showIn("/app2", api.Place{Env: "nowhere", Path: "/shared"})},
		{{Op: "copy", Path: "/", From: &api.Place{Env: "prod", Path: "/", Name: "SECRET"}}, {Op: "copy", Path: "/", From: &api.Place{Env: "prod", Path: "/", Name: "NOTHING"}}},
		{{Op: "copy", Path: "/", From: &api.Place{Env: "prod", Path: "/", Name: "SECRET"}}, {Op: "copy", Path: "/", From: &api.Place{Project: "nowhere", Env: "prod", Path: "/", Name: "SECRET"}}},
	} {
		alike(t, mine.attempt(t, changes[0]), mine.attempt(t, changes[1]))
	}
	// The message of a refusal does not name what he may not see.
	prod.commit(t, set("/", "USES_DEV", "${dev.OWN}"))
	if p := mine.attempt(t, remove("/", "OWN")).refused(t, "conflict", "/OWN"); strings.Contains(p.Detail, "USES_DEV") {
		t.Errorf("%q", p.Detail)
	}
	// A rename of his rewrites what he may not see, and the value stays what it was.
	mine.commit(t, rename("/", "OWN", "MINE"))
	if prod.value(t, "/", "USES_DEV", "raw", "true") != "${dev.MINE}" || prod.value(t, "/", "USES_DEV") != "test-value" {
		t.Error("a reference that he may not see did not follow")
	}
}
