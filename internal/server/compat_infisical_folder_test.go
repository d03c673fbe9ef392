package server_test

import (
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

func TestInfisicalFolders(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		in := func(pairs ...any) map[string]any {
			m := c.in(pairs...)
			delete(m, "secretPath")
			return m
		}
		made := c.call(t, 200, "POST", "/v1/folders", in("name", "backend", "path", "/", "description", "of the API"))["folder"].(map[string]any)
		id := made["id"].(string)
		parent, _ := made["parentId"].(string)
		if !uuidForm.MatchString(parent) || !uuidForm.MatchString(made["envId"].(string)) {
			t.Errorf("%v", made)
		}
		for _, k := range []string{"createdAt", "updatedAt"} {
			if !timeForm.MatchString(made[k].(string)) {
				t.Errorf("%s: %v", k, made[k])
			}
		}
		if made["name"] != "backend" || made["path"] != "/backend" || made["isReserved"] != false || made["description"] != "of the API" || made["version"].(float64) < 1 {
			t.Errorf("%v", made)
		}
		// A second time it is the same folder, and under every other name of the parameters too.
		again := c.call(t, 200, "POST", "/v2/folders/", map[string]any{"projectId": c.id, "environment": "dev", "name": "backend", "directory": "/"})["folder"].(map[string]any)
		agree(t, "again", again["id"], id)
		agree(t, "its description", again["description"], "of the API")
		c.call(t, 200, "POST", "/v1/folders", in("name", "deep", "path", "/backend/more"))
		e.commit(t, set("/backend", "A", "test-value"))
		list := c.call(t, 200, "GET", "/v1/folders"+c.q("path", ""), nil)["folders"].([]any)
		if f := list[0].(map[string]any); len(list) != 1 || f["name"] != "backend" || f["id"] != id || !timeForm.MatchString(f["lastSecretModified"].(string)) {
			t.Errorf("%v", list)
		}
		var paths []string
		for _, f := range c.call(t, 200, "GET", "/v2/folders"+query("projectId", c.id, "environment", "dev", "directory", "/backend", "recursive", "true"), nil)["folders"].([]any) {
			paths = append(paths, f.(map[string]any)["relativePath"].(string))
		}
		agree(t, "recursive", paths, []string{"/more", "/more/deep"})
		agree(t, "since", c.call(t, 200, "GET", "/v1/folders"+c.q("lastSecretModified", "2999-01-01T00:00:00Z"), nil)["folders"], []any{})
		got := c.call(t, 200, "GET", "/v1/folders/"+id, nil)["folder"].(map[string]any)
		if env := got["environment"].(map[string]any); env["envSlug"] != "dev" || env["envId"] != got["envId"] || got["path"] != "/backend" || got["projectId"] != c.id {
			t.Errorf("%v", got)
		}
		moved := c.call(t, 200, "PATCH", "/v1/folders/"+id, in("name", "api", "path", "/"))["folder"].(map[string]any)
		if moved["id"] != id || moved["path"] != "/api" {
			t.Errorf("%v", moved)
		}
		agree(t, "what it holds", e.value(t, "/api", "A"), "test-value")
		for _, name := range []string{"a b", "", "a/b", "..", "\u202eab"} {
			c.call(t, 422, "POST", "/v1/folders", in("name", name, "path", "/"))
		}
		c.call(t, 404, "GET", "/v1/folders"+c.q("path", "/nowhere"), nil)
		// Somebody of another environment cannot delete it by naming his own.
		c.call(t, 404, "DELETE", "/v1/folders/"+id, map[string]any{"workspaceId": c.id, "environment": "prod", "path": "/"})
		c.call(t, 404, "DELETE", "/v1/folders/nothing", in("path", "/"))
		agree(t, "deleted", c.call(t, 200, "DELETE", "/v1/folders/api", in("path", "/"))["folder"].(map[string]any)["id"], id)
		c.call(t, 404, "GET", "/v1/folders/"+id, nil)
	})
}

func TestInfisicalImportsHaveIDs(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		e.in("prod").commit(t, set("/a", "A", "test-value-a"), set("/b", "A", "test-value-b"), set("/c", "A", "test-value-c"))
		body := func(pairs ...any) map[string]any {
			m := map[string]any{"workspaceId": c.id, "environment": "dev", "path": "/"}
			for i := 0; i < len(pairs); i += 2 {
				m[pairs[i].(string)] = pairs[i+1]
			}
			return m
		}
		from := func(path string) map[string]any { return map[string]any{"environment": "prod", "path": path} }
		var ids []string
		for i, path := range []string{"/a", "/b"} {
			made := c.call(t, 200, "POST", "/v1/secret-imports", body("import", from(path)))
			one := made["secretImport"].(map[string]any)
			if env := one["importEnv"].(map[string]any); made["message"] == "" || one["importPath"] != path || one["secretPath"] != "/" || one["position"] != float64(i+1) ||
				env["slug"] != "prod" || !uuidForm.MatchString(env["id"].(string)) || !uuidForm.MatchString(one["id"].(string)) || one["isReplication"] != false {
				t.Errorf("%v", made)
			}
			ids = append(ids, one["id"].(string))
		}
		value := func() any {
			return c.call(t, 200, "GET", "/v4/secrets/A"+c.q(), nil)["secret"].(map[string]any)["secretValue"]
		}
		agree(t, "the later one", value(), "test-value-b")
		agree(t, "moved", c.call(t, 200, "PATCH", "/v2/secret-imports/"+ids[1], body("import", map[string]any{"position": 1}))["secretImport"].(map[string]any)["position"], 1.0)
		agree(t, "the order counts", value(), "test-value-a")
		changed := c.call(t, 200, "PATCH", "/v1/secret-imports/"+ids[0], body("import", from("/c")))["secretImport"].(map[string]any)
		agree(t, "another folder", value(), "test-value-c")
		agree(t, "by id", c.call(t, 200, "GET", "/v1/secret-imports/"+changed["id"].(string), nil)["secretImport"], changed)
		var order []string
		for _, i := range c.call(t, 200, "GET", "/v2/secret-imports"+query("projectId", c.id, "environment", "dev", "path", "/"), nil)["secretImports"].([]any) {
			order = append(order, i.(map[string]any)["importPath"].(string))
		}
		agree(t, "the list", order, []string{"/b", "/c"})
		c.call(t, 400, "POST", "/v1/secret-imports", body("import", from("/b")))
		c.call(t, 400, "POST", "/v1/secret-imports", body("import", map[string]any{"environment": "dev", "path": "/"}))
		c.call(t, 400, "POST", "/v1/secret-imports", map[string]any{"workspaceId": c.id, "environment": "prod", "path": "/b", "import": map[string]any{"environment": "dev", "path": "/"}})
		c.call(t, 404, "POST", "/v1/secret-imports", body("import", from("/nowhere")))
		c.call(t, 422, "POST", "/v1/secret-imports", body())
		if m := c.call(t, 400, "POST", "/v1/secret-imports", body("import", from("/a"), "isReplication", true))["message"].(string); !strings.Contains(m, "replicated") {
			t.Error(m)
		}
		agree(t, "deleted", c.call(t, 200, "DELETE", "/v1/secret-imports/"+ids[1], body())["secretImport"].(map[string]any)["importPath"], "/b")
		c.call(t, 404, "DELETE", "/v1/secret-imports/"+ids[1], body())
		c.call(t, 404, "GET", "/v1/secret-imports/"+ids[1], nil)
		// Those who may not see the folder learn nothing by the id.
		c.as(w.machine(t)).call(t, 404, "GET", "/v1/secret-imports/"+changed["id"].(string), nil)
	})
}

func TestInfisicalTags(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		base := "/v1/projects/" + c.id + "/tags"
		c.call(t, 404, "GET", base+"/slug/core", nil)
		made := c.call(t, 200, "POST", base, map[string]any{"slug": "core", "color": ""})
		tag := made["tag"].(map[string]any)
		agree(t, "both spellings", made["workspaceTag"], made["tag"])
		if tag["slug"] != "core" || tag["name"] != "core" || tag["color"] != "" || !uuidForm.MatchString(tag["id"].(string)) {
			t.Errorf("%v", tag)
		}
		c.call(t, 400, "POST", base, map[string]any{"slug": "core", "color": "#fff"})
		c.call(t, 422, "POST", base, map[string]any{"slug": "Not A Slug"})
		e.commit(t, api.Change{Op: "set", Path: "/", Name: "OLD", Value: ptr("test-value"), Tags: &[]string{"only-here"}})
		only := c.call(t, 200, "GET", "/v1/workspace/"+c.id+"/tags/slug/only-here", nil)["workspaceTag"].(map[string]any)
		c.create(t, "A", "test-value", "tagIds", []string{tag["id"].(string), only["id"].(string)})
		agree(t, "natively", e.secret(t, "/", "A").Tags, []string{"core", "only-here"})
		agree(t, "by tag", secretsIn(c.list(t, "tagSlugs", "core,none")["secrets"]), map[string]string{"/A": "test-value"})
		c.call(t, 404, "POST", "/v3/secrets/raw/B", c.in("secretValue", "x", "tagIds", []string{c.id}))
		etag := func() string { return c.do(t, "GET", c.url+"/api/v3/secrets/raw"+c.q(), nil).header.Get("ETag") }
		before := etag()
		c.call(t, 200, "PATCH", base+"/"+tag["id"].(string), map[string]any{"color": "#00ff00", "name": "Core"})
		if etag() == before {
			t.Error("the colour of a tag is shown, so the tag of the answer changes with it")
		}
		agree(t, "shown", c.list(t, "tagSlugs", "core")["secrets"].([]any)[0].(map[string]any)["tags"].([]any)[0],
			map[string]any{"id": tag["id"], "slug": "core", "name": "Core", "color": "#00ff00"})
		if n := len(c.call(t, 200, "GET", base, nil)["tags"].([]any)); n != 2 {
			t.Errorf("%d tags", n)
		}
		c.call(t, 400, "PATCH", base+"/"+tag["id"].(string), map[string]any{"slug": "other"})
		c.call(t, 400, "DELETE", base+"/"+tag["id"].(string), nil)
		c.call(t, 200, "PATCH", "/v3/secrets/raw/A", c.in("tagIds", []string{}))
		c.call(t, 200, "DELETE", base+"/"+tag["id"].(string), nil)
		// Whoever may write nothing cannot make tags, and other projects' tags are not there.
		c.as(w.machine(t, api.GrantRequest{Project: e.project, Role: "viewer"})).call(t, 403, "POST", base, map[string]any{"slug": "x"})
		c.as(w.machine(t)).call(t, 404, "GET", base, nil)
		meta := func(filter string) any { return secretsIn(c.list(t, "metadataFilter", filter)["secrets"]) }
		c.create(t, "M", "test-value", "secretMetadata", []any{map[string]any{"key": "team", "value": "a"}})
		agree(t, "metadata", meta("key=team,value=a|key=team"), map[string]string{"/M": "test-value"})
		agree(t, "metadata", meta("key=team,value=b"), map[string]string{})
		c.call(t, 400, "POST", "/v3/secrets/raw/E", c.in("secretValue", "x", "secretMetadata", []any{map[string]any{"key": "k", "value": "v", "isEncrypted": true}}))
	})
}

func TestInfisicalProjectLookUps(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		all := c.call(t, 200, "GET", "/v1/workspace", nil)["workspaces"].([]any)
		one := all[len(all)-1].(map[string]any)
		if one["_id"] != c.id || one["id"] != c.id || one["slug"] != e.project || !uuidForm.MatchString(one["orgId"].(string)) || len(one["environments"].([]any)) != 3 {
			t.Errorf("%v", one)
		}
		agree(t, "wrapped", c.call(t, 200, "GET", "/v1/workspace/"+c.id, nil)["workspace"], any(one))
		agree(t, "wrapped", c.call(t, 200, "GET", "/v1/projects/"+c.id, nil)["project"], any(one))
		for _, path := range []string{"/v1/projects/slug/", "/v2/workspace/", "/v1/workspace/slug/"} {
			agree(t, path, c.call(t, 200, "GET", path+e.project, nil), one)
		}
		c.call(t, 404, "GET", "/v1/projects/slug/nothing", nil)
		c.call(t, 404, "GET", "/v1/projects/"+e.project, nil)
		c.as(w.machine(t)).call(t, 404, "GET", "/v1/workspace/"+c.id, nil)
		d := query("projectSlug", e.project, "environmentSlug", "dev", "path", "/")
		agree(t, "dynamic", c.call(t, 200, "GET", "/v1/dynamic-secrets"+d, nil), map[string]any{"dynamicSecrets": []any{}})
		c.call(t, 404, "GET", "/v1/dynamic-secrets/db"+d, nil)
		c.call(t, 404, "GET", "/v1/dynamic-secrets/db/leases"+d, nil)
		c.call(t, 404, "DELETE", "/v1/dynamic-secrets/leases/"+c.id, map[string]any{})
		body := map[string]any{"projectSlug": e.project, "environmentSlug": "dev", "path": "/", "name": "db", "dynamicSecretName": "db"}
		if m := c.call(t, 400, "POST", "/v1/dynamic-secrets", body)["message"].(string); !strings.Contains(m, "no engine") {
			t.Error(m)
		}
		c.call(t, 404, "POST", "/v1/dynamic-secrets/leases", body)
	})
}
