// Package migratetest stands in for the systems that package migrate reads: small HTTP servers that answer as the real ones do
// and fail the test for every request that those would not take.
package migratetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Version is one version of a document. A nil Data is one that was destroyed.
type Version struct {
	Data    map[string]any
	Created string // RFC 3339
	Deleted string // RFC 3339, empty for a live one
}

// Vault is a Vault with KV engines. Set it up before it is asked.
type Vault struct {
	URL       string
	Token     string
	Namespace string
	Engines   map[string]string               // mount → "kv1", "kv2" or another type
	Docs      map[string]map[string][]Version // mount → path → versions, the first is version 1
	Meta      map[string]map[string]string    // mount/path → custom metadata
	Denied    map[string]bool                 // mount/path, or a whole path after /v1/, that the token may not see
	Policies  []string
	Requests  atomic.Int64
	t         testing.TB
}

// NewVault starts one that ends with the test.
func NewVault(t testing.TB) *Vault {
	v := &Vault{Token: "hvs.test-value", Engines: map[string]string{}, Docs: map[string]map[string][]Version{}, Meta: map[string]map[string]string{}, Denied: map[string]bool{}, t: t}
	s := httptest.NewServer(v)
	t.Cleanup(s.Close)
	v.URL = s.URL
	return v
}

// Put adds a version to a document.
func (v *Vault) Put(mount, path string, version Version) {
	if v.Docs[mount] == nil {
		v.Docs[mount] = map[string][]Version{}
	}
	v.Docs[mount][path] = append(v.Docs[mount][path], version)
}

func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.Requests.Add(1)
	w.Header().Set("Content-Type", "application/json")
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	switch {
	case !ok || r.Method != http.MethodGet:
		v.t.Errorf("Vault was asked %s %s", r.Method, r.URL.Path)
	case r.Header.Get("X-Vault-Request") != "true":
		v.t.Error("the request does not say that it is meant")
	case r.Header.Get("X-Vault-Namespace") != v.Namespace:
		v.t.Errorf("the namespace is %q", r.Header.Get("X-Vault-Namespace"))
	}
	if r.Header.Get("X-Vault-Token") != v.Token || v.Denied[path] {
		v.fail(w, http.StatusForbidden, "permission denied")
		return
	}
	list := r.URL.Query().Get("list") == "true"
	switch {
	case path == "sys/mounts" && !list:
		v.reply(w, http.StatusOK, v.mounts())
	case path == "sys/internal/ui/mounts" && !list:
		v.reply(w, http.StatusOK, map[string]any{"secret": map[string]any{}, "auth": map[string]any{}})
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		name := strings.TrimPrefix(path, "sys/internal/ui/mounts/")
		for mount := range v.Engines {
			if name == mount || strings.HasPrefix(name, mount+"/") {
				entry := v.mounts()[mount+"/"].(map[string]any)
				entry["path"] = mount + "/"
				v.reply(w, http.StatusOK, entry)
				return
			}
		}
		v.fail(w, http.StatusForbidden, "preflight capability check returned 403")
	case path == "sys/policies/acl" && list:
		v.reply(w, http.StatusOK, map[string]any{"keys": append([]string{"default", "root"}, v.Policies...)})
	case path == "auth/approle/role" && list:
		v.fail(w, http.StatusForbidden, "permission denied")
	default:
		v.engine(w, r, path, list)
	}
}

func (v *Vault) mounts() map[string]any {
	out := map[string]any{"sys/": map[string]any{"type": "system", "options": nil}, "cubbyhole/": map[string]any{"type": "cubbyhole", "options": nil}}
	for mount, kind := range v.Engines {
		switch kind {
		case "kv1":
			out[mount+"/"] = map[string]any{"type": "kv", "options": map[string]string{"version": "1"}}
		case "kv2":
			out[mount+"/"] = map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}
		default:
			out[mount+"/"] = map[string]any{"type": kind, "options": nil}
		}
	}
	return out
}

func (v *Vault) engine(w http.ResponseWriter, r *http.Request, path string, list bool) {
	mount, rest, _ := strings.Cut(path, "/")
	kind, ok := v.Engines[mount]
	if !ok {
		v.t.Errorf("Vault was asked for %s", r.URL.Path)
		v.fail(w, http.StatusNotFound)
		return
	}
	if kind == "kv1" {
		if list {
			v.list(w, mount, rest)
			return
		}
		versions := v.Docs[mount][rest]
		if len(versions) == 0 || v.Denied[mount+"/"+rest] {
			v.fail(w, http.StatusNotFound)
			return
		}
		v.reply(w, http.StatusOK, versions[len(versions)-1].Data)
		return
	}
	part, doc, _ := strings.Cut(rest, "/")
	versions := v.Docs[mount][doc]
	switch {
	case list && part == "metadata":
		v.list(w, mount, doc)
	case v.Denied[mount+"/"+doc]:
		v.fail(w, http.StatusForbidden, "permission denied")
	case list || part != "metadata" && part != "data" || len(versions) == 0:
		v.t.Errorf("Vault was asked for %s", r.URL)
		v.fail(w, http.StatusNotFound)
	case part == "metadata":
		all := map[string]any{}
		for i := range versions {
			all[strconv.Itoa(i+1)] = v.meta(mount, doc, i+1, false)
		}
		v.reply(w, http.StatusOK, map[string]any{"current_version": len(versions), "versions": all, "custom_metadata": v.Meta[mount+"/"+doc], "cas_required": false})
	default:
		n := len(versions)
		if q := r.URL.Query().Get("version"); q != "" {
			n, _ = strconv.Atoi(q)
		}
		if n < 1 || n > len(versions) {
			v.fail(w, http.StatusNotFound)
			return
		}
		version, status := versions[n-1], http.StatusOK
		var data any = version.Data
		if at, err := time.Parse(time.RFC3339, version.Deleted); version.Data == nil || err == nil && at.Before(time.Now()) {
			data, status = nil, http.StatusNotFound
		}
		v.reply(w, status, map[string]any{"data": data, "metadata": v.meta(mount, doc, n, true)})
	}
}

func (v *Vault) meta(mount, doc string, n int, whole bool) map[string]any {
	version := v.Docs[mount][doc][n-1]
	out := map[string]any{"created_time": version.Created, "deletion_time": version.Deleted, "destroyed": version.Data == nil}
	if whole {
		out["version"] = n
		out["custom_metadata"] = v.Meta[mount+"/"+doc]
		if v.Meta[mount+"/"+doc] == nil {
			out["custom_metadata"] = nil
		}
	}
	return out
}

// list answers the names in a directory.
func (v *Vault) list(w http.ResponseWriter, mount, dir string) {
	if dir != "" && !strings.HasSuffix(dir, "/") {
		v.t.Errorf("Vault was asked for a list of %s, without the slash", dir)
	}
	if v.Denied[mount+"/"+dir] && dir != "" {
		v.fail(w, http.StatusForbidden, "permission denied")
		return
	}
	var keys []string
	for path := range v.Docs[mount] {
		rest, ok := strings.CutPrefix(path, dir)
		if !ok {
			continue
		}
		if name, _, below := strings.Cut(rest, "/"); below {
			rest = name + "/"
		}
		keys = append(keys, rest)
	}
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) == 0 {
		v.fail(w, http.StatusNotFound)
		return
	}
	v.reply(w, http.StatusOK, map[string]any{"keys": keys})
}

func (v *Vault) reply(w http.ResponseWriter, status int, data any) {
	write(w, status, map[string]any{"request_id": "0", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data, "wrap_info": nil, "warnings": nil, "auth": nil})
}

func (v *Vault) fail(w http.ResponseWriter, status int, errors ...string) {
	if errors == nil {
		errors = []string{}
	}
	write(w, status, map[string]any{"errors": errors})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
