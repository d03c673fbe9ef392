package migrate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

// doppler answers as api.doppler.com does for two projects, one of which has more configs than a page.
func doppler(t *testing.T, configs int) *httptest.Server {
	secrets := func(project, config string) map[string]any {
		return map[string]any{
			"DOPPLER_PROJECT": map[string]any{"raw": project, "computed": project}, "DOPPLER_CONFIG": map[string]any{"raw": config, "computed": config}, "DOPPLER_ENVIRONMENT": map[string]any{"raw": config, "computed": config},
			"KEY": map[string]any{"raw": "test-value-" + config, "computed": "test-value-" + config, "note": "a note"},
			"URL": map[string]any{"raw": "<${KEY}> <${" + config + ".KEY}> <${shop.prd.KEY}> <${gone}>", "computed": "x"},
			"OFF": map[string]any{"raw": nil, "computed": nil},
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, single := r.URL.Query(), r.Header.Get("Authorization") == "Bearer dp.st.test-value"
		if r.Method != http.MethodGet || !single && r.Header.Get("Authorization") != "Bearer dp.pt.test-value" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var page, size int
		_, _ = fmt.Sscan(q.Get("page"), &page)
		_, _ = fmt.Sscan(q.Get("per_page"), &size)
		var body any
		switch {
		case r.URL.Path == "/v3/projects" && !single && page == 1:
			body = map[string]any{"projects": []any{map[string]any{"slug": "shop", "name": "Shop"}, map[string]any{"slug": "other", "name": ""}}, "page": 1}
		case r.URL.Path == "/v3/configs" && !single && size > 0:
			list := []any{}
			if q.Get("project") == "shop" {
				for i := (page - 1) * size; i < min(page*size, configs); i++ {
					name := "prd"
					if i > 0 {
						name = fmt.Sprintf("prd_%d", i)
					}
					list = append(list, map[string]any{"name": name, "root": i == 0, "environment": "prd"})
				}
			}
			body = map[string]any{"configs": list, "page": page}
		case r.URL.Path == "/v3/configs/config/secrets" && single && q.Get("project") == "":
			body = map[string]any{"secrets": secrets("shop", "prd")}
		case r.URL.Path == "/v3/configs/config/secrets" && !single && q.Get("project") == "shop" && q.Get("include_dynamic_secrets") == "false":
			body = map[string]any{"secrets": secrets("shop", q.Get("config"))}
		default:
			t.Errorf("Doppler was asked for %s", r.URL)
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(body) // the client may be gone
	}))
	t.Cleanup(s.Close)
	return s
}

func TestDopplerIsReadConfigByConfig(t *testing.T) {
	s := doppler(t, 2)
	p, err := Doppler(t.Context(), DopplerAccess{Address: s.URL, Token: text("dp.pt.test-value")}, Options{})
	same(t, fitted(t, p, err, Fitting{Rename: true, Only: []string{"shop"}}), `
[shop/prd]
/KEY="test-value-prd" # a note
/URL="<${KEY}> <${prd.KEY}> <${prd.KEY}> <$${gone}>"
[shop/prd-1]
/KEY="test-value-prd_1" # a note
/URL="<${KEY}> <${prd-1.KEY}> <${prd.KEY}> <$${gone}>"
changed shop/prd-1:/URL: points to ${gone}, which is not moved or does not exist: written $${, which stays as text
changed shop/prd:/URL: points to ${gone}, which is not moved or does not exist: written $${, which stays as text
identity service tokens: are made anew: keyturn identity create NAME, then keyturn identity secret create NAME
renamed shop/prd_1: becomes prd-1
unread shop/prd:/OFF: has a value that this token may not read
unread shop/prd_1:/OFF: has a value that this token may not read
`)
}

func TestDopplerIsReadPageByPage(t *testing.T) {
	s := doppler(t, 150)
	p, err := Doppler(t.Context(), DopplerAccess{Address: s.URL, Token: text("dp.pt.test-value")}, Options{})
	if err != nil || len(p.Projects[1].Envs) != 150 {
		t.Fatalf("%v", err)
	}
}

func TestAServiceTokenOfDopplerGivesItsConfig(t *testing.T) {
	s := doppler(t, 1)
	p, err := Doppler(t.Context(), DopplerAccess{Address: s.URL, Token: text("dp.st.test-value")}, Options{})
	p = fitted(t, p, err, Fitting{})
	if p.Projects[0].Slug != "shop" || p.Projects[0].Envs[0].Slug != "prd" || p.Size().Secrets != 2 {
		t.Errorf("got %s", shown(p))
	}
	_, err = Doppler(t.Context(), DopplerAccess{Address: s.URL, Token: text("test-value-wrong")}, Options{})
	refusedAs(t, err, fault.Unauthenticated)
}

func TestADownloadOfDopplerIsAFlatFile(t *testing.T) {
	p, err := Flat("doppler", "shop.json", []byte(`{"A": "test-value ${X}", "DOPPLER_PROJECT": "shop"}`), false, Options{Env: "prod"})
	same(t, fitted(t, p, err, Fitting{}), "[shop/prod]\n/A=\"test-value ${X}\" literal\n")
}
