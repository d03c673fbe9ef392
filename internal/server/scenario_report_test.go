package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

func TestReportsTellWhatIsThereAndWhatIsMissing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		t.Run("personal values", func(t *testing.T) { personals(t, w) })
		t.Run("schema and example", func(t *testing.T) { schemas(t, w) })
		t.Run("due", func(t *testing.T) { dues(t, w) })
		t.Run("reuse", func(t *testing.T) { reuses(t, w) })
		t.Run("search", func(t *testing.T) { searches(t, w) })
		t.Run("where", func(t *testing.T) { wheres(t, w) })
	})
}

func (e env) own(t tb, path, name, value string) reply {
	t.Helper()
	return e.do(t, "PUT", e.path()+"/personal", api.PersonalRequest{Path: path, Name: name, Value: api.NewValue([]byte(value))})
}

func personals(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/f", "A", "test-value-shared"), set("/f", "B", "${A}"))
	dev := w.user(t, api.GrantRequest{Project: e.project, Role: "developer"})
	mine := e.as(dev)
	mine.own(t, "/f", "A", "test-value-mine\x00\xff").fits(t, &api.Done{})
	for _, c := range []struct {
		who      env
		personal string
		want     string
	}{{mine, "true", "test-value-mine\x00\xff"}, {mine, "false", "test-value-shared"}, {e, "true", "test-value-shared"}} {
		s := c.who.secret(t, "/f", "A", "personal", c.personal)
		if bytesOf(t, s) != c.want || s.Personal != strings.Contains(c.want, "mine") {
			t.Errorf("%+v", s)
		}
		for _, s := range c.who.list(t, "/f", "reveal", "true", "personal", c.personal).Secrets {
			if s.Name == "A" && bytesOf(t, s) != c.want {
				t.Errorf("in a list: %q", bytesOf(t, s))
			}
		}
	}
	// It is nobody else's business: the environment stands where it stood, and others' references say what they said.
	if mine.value(t, "/f", "B", "personal", "true") != "test-value-shared" || e.revision(t) != 1 {
		t.Error("a personal value shows elsewhere")
	}
	// It stays with the secret, whatever that is called.
	e.commit(t, rename("/f", "A", "A2"))
	if got := mine.value(t, "/f", "A2", "personal", "true"); got != "test-value-mine\x00\xff" {
		t.Errorf("%q", got)
	}
	mine.own(t, "/f", "A2", "test-value-mine-2").fits(t, &api.Done{})
	if got := mine.value(t, "/f", "A2", "personal", "true"); got != "test-value-mine-2" {
		t.Errorf("%q", got)
	}
	send[api.Done](t, dev, "DELETE", e.path()+"/personal/A2?path=/f", nil)
	if got := mine.value(t, "/f", "A2", "personal", "true"); got != "test-value-shared" {
		t.Errorf("%q", got)
	}
	dev.do(t, "DELETE", e.path()+"/personal/A2?path=/f", nil).refused(t, "not_found")
	mine.own(t, "/f", "NOTHING", "x").refused(t, "not_found")
	mine.own(t, "/f", "A2", strings.Repeat("x", 64<<10+1)).refused(t, "invalid", "/f/A2")
	viewer := w.machine(t, api.GrantRequest{Project: e.project, Role: "viewer"})
	e.as(viewer).own(t, "/f", "A2", "x").refused(t, "denied")
	machine := w.machine(t, api.GrantRequest{Project: e.project, Role: "developer"})
	e.as(machine).own(t, "/f", "A2", "x").refused(t, "denied", "only people")
	// A token that may only read does not change what its owner's programs get.
	e.as(dev.scoped(t, e.project, "dev:/f:read,list")).own(t, "/f", "A2", "x").refused(t, "denied")
}

func schemas(t *testing.T, w *world) {
	e := w.project(t)
	public := set("/f", "LEVEL", "changeme")
	public.Public = ptr(true)
	owned := set("/f", "REAL", "test-value-that-is-one")
	owned.Owner, owned.RotateEvery = ptr("team"), ptr("90d")
	e.commit(t, owned, public, set("/f", "AUDIT", "infraudit123"), set("/f", "CHANGE", "ChangeMe"), set("/f", "EMPTY", " "), set("/f", "REPEATED", "aaaaaaaa"),
		set("/base", "IMPORTED", "test-value-of-base"), showIn("/f", api.Place{Path: "/base"}),
		api.Change{Op: "folder.required", Path: "/f", Requires: []string{"REAL", "MISSING", "IMPORTED", "MISSING"}})
	read := func(p person) map[string]string {
		s := get[api.Schema](t, p, e.path()+"/schema?path=/f")
		if fmt.Sprint(s.Required) != "[IMPORTED MISSING REAL]" {
			t.Errorf("%v", s.Required)
		}
		out := map[string]string{}
		for _, n := range s.Names {
			out[n.Name] = fmt.Sprintf("%s %s %v %v", n.Problem, n.Owner, n.Public, n.Missing)
		}
		return out
	}
	same(t, "the schema", read(w.admin), map[string]string{"REAL": " team false false", "LEVEL": "  true false", "AUDIT": "placeholder  false false", "CHANGE": "placeholder  false false",
		"EMPTY": "empty  false false", "REPEATED": "one character repeated  false false", "MISSING": "  false true", "IMPORTED": "  false false"})
	viewer := w.machine(t, api.GrantRequest{Project: e.project, Role: "viewer"})
	for name, facts := range read(viewer) {
		if strings.Contains(facts, "placeholder") || strings.Contains(facts, "empty") || strings.Contains(facts, "repeated") {
			t.Errorf("a viewer learns of the value of %s: %s", name, facts)
		}
	}
	text := get[api.Example](t, w.admin, e.path()+"/example?path=/f").Text
	for _, want := range []string{"REAL=\n", "MISSING=\n", "IMPORTED=\n", "# owner: team, sensitive, rotate: 90d\n", "# public\n", "# required\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the example lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "test-value") || strings.Contains(text, "infraudit") || strings.Count(text, "REAL=") != 1 {
		t.Errorf("the example:\n%s", text)
	}
	e.do(t, "GET", e.path()+"/schema?path=/nowhere", nil).refused(t, "not_found")
	e.commit(t, api.Change{Op: "folder.required", Path: "/f", Requires: []string{}})
	if s := get[api.Schema](t, w.admin, e.path()+"/schema?path=/f"); len(s.Required) != 0 {
		t.Errorf("%v", s.Required)
	}
	e.attempt(t, api.Change{Op: "folder.required", Path: "/f", Requires: []string{"not a name"}}).refused(t, "invalid")
}

func dues(t *testing.T, w *world) {
	e := w.project(t)
	at := func(path, name, owner, every string, in time.Duration) api.Change {
		c := set(path, name, "test-value")
		c.Owner, c.RotateEvery = &owner, &every
		if in != 0 {
			c.ExpiresAt = ptr(time.Now().Add(in))
		}
		return c
	}
	const day = 24 * time.Hour
	e.commit(t, at("/", "OVERDUE", "Team", "", -day), at("/", "SOON", "other", "", 10*day), at("/f", "WEEKLY", "team", "1w or on compromise", 0),
		at("/", "LATER", "team", "90d", 0), at("/", "NEVER", "team", "never", 0), at("/", "LEAK", "team", "on compromise", 0))
	due := func(pairs ...string) string {
		var out []string
		for _, s := range get[api.Found](t, w.admin, "/due"+query(append(pairs, "project", e.project)...)).Secrets {
			if s.DueAt == nil || s.Value != nil || s.Project != e.project || s.Env != "dev" {
				t.Errorf("%+v", s)
			}
			out = append(out, s.Name)
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		pairs []string
		want  string
	}{
		{nil, "OVERDUE WEEKLY SOON"}, {[]string{"within", "1h"}, "OVERDUE"}, {[]string{"within", "200d"}, "OVERDUE WEEKLY SOON LATER"}, {[]string{"owner", "TEAM"}, "OVERDUE WEEKLY"},
	} {
		if got := due(c.pairs...); got != c.want {
			t.Errorf("%v: %s, want %s", c.pairs, got, c.want)
		}
	}
	w.admin.do(t, "GET", "/due?within=soon", nil).refused(t, "invalid", "?within")
	// A new value starts the time anew, an attribute does not.
	e.commit(t, set("/f", "WEEKLY", "test-value-2"))
	stranger := w.machine(t)
	if f := get[api.Found](t, stranger, "/due"); len(f.Secrets) != 0 {
		t.Errorf("a stranger sees %+v", f)
	}
}

// places gives project/env:/path/NAME of what was found, of some projects only.
func placesOf(f api.Found, projects ...string) []string {
	var out []string
	for _, s := range f.Secrets {
		if slices.Contains(projects, s.Project) {
			out = append(out, s.Project+"/"+s.Env+":"+full(s.Path, s.Name))
		}
	}
	return out
}

func reuses(t *testing.T, w *world) {
	e, other := w.project(t), w.project(t)
	value := w.fresh("test-value-used-twice-")
	public := set("/", "PUBLIC", value)
	public.Public = ptr(true)
	e.commit(t, set("/", "A", value), set("/f", "B", value), set("/", "ALONE", value+"-not"), set("/", "EMPTY", ""), set("/", "EMPTY2", ""), public)
	e.in("prod").commit(t, set("/", "A", value))
	other.commit(t, set("/", "FAR", value))
	f := get[api.Found](t, w.admin, "/reuse")
	want := []string{e.project + "/dev:/A", e.project + "/dev:/f/B", e.project + "/prod:/A", other.project + "/dev:/FAR"}
	slices.Sort(want)
	if got := placesOf(f, e.project, other.project); !slices.Equal(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	group := ""
	for _, s := range f.Secrets {
		if s.Value != nil {
			t.Error("it shows a value")
		}
		if s.Project == e.project {
			if group != "" && s.Group != group {
				t.Errorf("groups %s and %s for one value", group, s.Group)
			}
			group = s.Group
		}
	}
	dev := w.machine(t, api.GrantRequest{Project: e.project, Env: "dev", Role: "developer"})
	if got := fmt.Sprint(placesOf(get[api.Found](t, dev, "/reuse"), e.project, other.project)); got != fmt.Sprintf("[%[1]s/dev:/A %[1]s/dev:/f/B]", e.project) {
		t.Errorf("who may read dev alone sees %s", got)
	}
	// Equality tells something about a value, so who may not read values sees none.
	viewer := w.machine(t, api.GrantRequest{Role: "viewer"})
	if got := get[api.Found](t, viewer, "/reuse"); len(got.Secrets) != 0 {
		t.Errorf("a viewer sees %+v", got)
	}
}

func searches(t *testing.T, w *world) {
	e := w.project(t)
	word := w.fresh("needle")
	tagged, owned, noted := set("/f", "T", "x"), set("/", "O", "x"), set("/", "M", "x")
	tagged.Tags, owned.Owner, noted.Metadata = &[]string{"a-" + word}, ptr("The "+strings.ToUpper(word)+" team"), &map[string]string{"note": "has " + word}
	commented := set("/", "C", "x")
	commented.Comment = ptr(word)
	e.commit(t, tagged, owned, noted, commented, set("/", "N_"+strings.ToUpper(word), "x"), set("/", "V", word), set("/", "OTHER", "x"))
	want := fmt.Sprintf("[%[1]s/dev:/M %[1]s/dev:/N_%[2]s %[1]s/dev:/O %[1]s/dev:/f/T]", e.project, strings.ToUpper(word))
	if got := fmt.Sprint(placesOf(get[api.Found](t, w.admin, "/search"+query("text", word)), e.project)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	viewer := w.machine(t, api.GrantRequest{Project: e.project, Role: "viewer"})
	if got := fmt.Sprint(placesOf(get[api.Found](t, viewer, "/search"+query("text", word)), e.project)); got != want {
		t.Errorf("a viewer: %s", got)
	}
	if f := get[api.Found](t, w.machine(t), "/search"+query("text", word)); len(f.Secrets) != 0 {
		t.Errorf("a stranger sees %+v", f)
	}
	narrow := w.admin.scoped(t, e.project, "dev:/f:list")
	if got := fmt.Sprint(placesOf(get[api.Found](t, narrow, "/search"+query("text", word)), e.project)); got != "["+e.project+"/dev:/f/T]" {
		t.Errorf("a token for one folder: %s", got)
	}
	w.admin.do(t, "GET", "/search?text=", nil).refused(t, "invalid", "?text")
	if f := get[api.Found](t, w.admin, "/search"+query("text", word, "project", "nowhere")); len(f.Secrets) != 0 {
		t.Errorf("%+v", f)
	}
}

func wheres(t *testing.T, w *world) {
	e := w.project(t)
	old, now := w.fresh("test-value-somewhere-"), w.fresh("test-value-somewhere-")
	e.commit(t, set("/", "A", old), set("/f", "B", now), set("/", "GONE", now))
	e.commit(t, set("/", "A", now), remove("/", "GONE"))
	where := func(p person, value string) string {
		var out []string
		for _, s := range send[api.Found](t, p, "POST", "/where", api.WhereRequest{Value: api.NewValue([]byte(value))}).Secrets {
			if s.Value != nil {
				t.Error("it shows a value")
			}
			out = append(out, fmt.Sprint(full(s.Path, s.Name), " ", s.Replaced, " ", s.Deleted))
		}
		return strings.Join(out, ", ")
	}
	if got := where(w.admin, now); got != "/A false false, /GONE false true, /f/B false false" {
		t.Errorf("%s", got)
	}
	if got := where(w.admin, old); got != "/A true false" {
		t.Errorf("%s", got)
	}
	if got := where(w.admin, "test-value-nowhere"); got != "" {
		t.Errorf("%s", got)
	}
	// Nobody can feel for a value that is not his to know.
	if got := where(w.machine(t, api.GrantRequest{Role: "viewer"}), now); got != "" {
		t.Errorf("a viewer: %s", got)
	}
	if got := where(w.machine(t, api.GrantRequest{Project: e.project, Env: "prod", Role: "developer"}), now); got != "" {
		t.Errorf("of another environment: %s", got)
	}
}
