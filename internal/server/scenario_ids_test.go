package server_test

import (
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// Whoever moves in keeps the ids that applications carry, and nobody gets an id that was ever used.
func TestProjectsAndEnvironmentsKeepTheIDsThatTheyCameWith(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		const project, prod, later = "3f2b8c1e-0d4a-4b7f-9c55-5e8a1d2f7b60", "7d9e6a52-1c3b-4f80-8a77-0b1c2d3e4f50", "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
		made := send[api.Project](t, w.admin, "POST", "/projects", api.ProjectRequest{Slug: "moved", Envs: []string{"dev", "prod"}, ID: project, EnvIDs: map[string]string{"prod": prod}})
		if made.ID != project || made.Envs[1].ID != prod || made.Envs[0].ID == "" || made.Envs[0].ID == prod {
			t.Fatalf("made %+v", made)
		}
		env := env{w.admin, project, prod} // both by id, as applications do
		env.commit(t, set("/", "KEY", "test-value"))
		if env.value(t, "/", "KEY") != "test-value" {
			t.Error("a value under a brought id cannot be read")
		}
		if e := send[api.Env](t, w.admin, "POST", "/projects/moved/envs", api.EnvRequest{Slug: "later", ID: later}); e.ID != later {
			t.Errorf("an environment got the id %s", e.ID)
		}

		taken := func(r api.ProjectRequest) {
			t.Helper()
			r.Slug = w.fresh("other-")
			w.admin.do(t, "POST", "/projects", r).refused(t, "exists", "used already")
			w.admin.do(t, "GET", "/projects/"+r.Slug, nil).refused(t, "not_found") // nothing of it was made
		}
		taken(api.ProjectRequest{ID: project})                                                // a project has it
		taken(api.ProjectRequest{ID: prod})                                                   // an environment has it
		taken(api.ProjectRequest{Envs: []string{"x"}, EnvIDs: map[string]string{"x": later}}) // an environment has it
		w.admin.do(t, "POST", "/projects/moved/envs", api.EnvRequest{Slug: "again", ID: project}).refused(t, "exists")

		send[api.Done](t, w.admin, "DELETE", "/projects/moved/envs/later", nil)
		taken(api.ProjectRequest{ID: later}) // a deleted environment had it
		send[api.Done](t, w.admin, "DELETE", "/projects/"+project, nil)
		taken(api.ProjectRequest{ID: project}) // a deleted project had it
		send[api.Done](t, w.admin, "POST", "/projects/"+project+"/purge", nil)
		taken(api.ProjectRequest{ID: project}) // a purged project had it
		taken(api.ProjectRequest{ID: prod})    // an environment of a purged project had it

		for _, bad := range []string{
			"moved", "not-a-uuid", strings.ToUpper(project), "{" + project + "}", "urn:uuid:" + project, strings.ReplaceAll(project, "-", ""), project + " ",
			"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "../../" + project,
		} {
			w.admin.do(t, "POST", "/projects", api.ProjectRequest{Slug: "bad", ID: bad}).refused(t, "invalid", "UUID")
			w.admin.do(t, "POST", "/projects", api.ProjectRequest{Slug: "bad", Envs: []string{"x"}, EnvIDs: map[string]string{"x": bad}}).refused(t, "invalid", "UUID")
		}
		free := "11111111-2222-4333-8444-555555555555"
		for _, r := range []api.ProjectRequest{
			{Slug: "bad", Envs: []string{"x"}, EnvIDs: map[string]string{"y": free}},
			{Slug: "bad", Envs: []string{"x", "y"}, EnvIDs: map[string]string{"x": free, "y": free}},
			{Slug: "bad", ID: free, Envs: []string{"x"}, EnvIDs: map[string]string{"x": free}},
			{Slug: "bad", EnvIDs: map[string]string{"dev": free}}, // the default environments are nobody's
		} {
			w.admin.do(t, "POST", "/projects", r).refused(t, "invalid")
		}
	})
}
