package httpapi

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/keyturn/keyturn/api"
)

var update = flag.Bool("update", false, "write the generated files anew")

// golden compares a generated file with what lies there, or writes it.
func golden(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the source gives; if the change is meant: go test ./internal/httpapi -run OpenAPI -update (twice when comments changed)", file)
	}
}

// wireDocs reads the comments of package api: of types by "Type", of fields by "Type.Field".
func wireDocs(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../api/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("the wire types are not there", err)
	}
	docs := map[string]string{}
	put := func(name string, groups ...*ast.CommentGroup) {
		for _, g := range groups {
			if text := strings.Join(strings.Fields(g.Text()), " "); text != "" {
				docs[name] = text
				return
			}
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				ts, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				put(ts.Name.Name, ts.Doc, g.Doc)
				st, ok := ts.Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, field := range st.Fields.List {
					for _, n := range field.Names {
						put(ts.Name.Name+"."+n.Name, field.Doc, field.Comment)
					}
				}
			}
		}
	}
	return docs
}

func TestOpenAPIDescriptionsAreTheCommentsOfTheWireTypes(t *testing.T) {
	b, err := json.Marshal(wireDocs(t), json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "openapi_docs.json", append(b, '\n'))
}

func TestOpenAPIDocumentIsPinned(t *testing.T) {
	golden(t, "testdata/openapi.json", built(t))
}

func built(t *testing.T) []byte {
	t.Helper()
	b, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenAPI()
	if err != nil || !bytes.Equal(b, again) {
		t.Fatal("the same table gave two documents", err)
	}
	return b
}

func loaded(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(built(t))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOpenAPIDocumentIsValid(t *testing.T) {
	doc := loaded(t)
	if !doc.IsOpenAPI31OrLater() {
		t.Fatalf("the document says that it is OpenAPI %s", doc.OpenAPI)
	}
	if err := doc.Validate(context.Background(), openapi3.IsOpenAPI31OrLater(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Error(err)
	}
}

// fits checks a value against a component of the document, as JSON Schema 2020-12 has it.
func fits(t *testing.T, doc *openapi3.T, component string, v any) error {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var generic any
	if err := stdjson.Unmarshal(b, &generic); err != nil {
		return err
	}
	ref := doc.Components.Schemas[component]
	if ref == nil {
		t.Fatalf("the document has no schema %s", component)
	}
	return ref.Value.VisitJSON(generic, openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation())
}

func TestEveryExampleOfTheTableFitsItsSchema(t *testing.T) {
	doc := loaded(t)
	for _, r := range Routes() {
		want := r.answerType()
		if r.request != nil {
			want = r.request
		}
		if got := reflect.TypeOf(r.Example); got != want && (r.answer.Kind() != reflect.Interface || r.request != nil) {
			t.Errorf("%s: the example is a %s, want %s", r.Pattern(), got, want)
			continue
		}
		if r.request == nil && reflect.ValueOf(r.Example).IsZero() {
			continue // it only names the type; the sample of the type is shown
		}
		if err := fits(t, doc, want.Name(), r.Example); err != nil {
			t.Errorf("%s: %v", r.Pattern(), err)
		}
		if !strict(t, r.Example) {
			t.Errorf("%s: the example does not read back", r.Pattern())
		}
	}
}

func TestEveryAnswerHasAnExampleThatFitsAndReadsBackStrictly(t *testing.T) {
	doc := loaded(t)
	for _, r := range Routes() {
		sample := sampleOf(r.answerType())
		if sample == nil {
			t.Errorf("%s: there is no sample of %s", r.Pattern(), r.answerType())
			continue
		}
		if err := fits(t, doc, r.answerType().Name(), sample); err != nil {
			t.Errorf("%s: %v", r.Pattern(), err)
		}
		if !strict(t, sample) {
			t.Errorf("%s: the sample does not read back", r.Pattern())
		}
	}
	used := map[reflect.Type]bool{reflect.TypeFor[api.Problem](): true}
	for _, r := range Routes() {
		used[r.answerType()] = true
	}
	for _, s := range samples() {
		if !used[reflect.TypeOf(s)] {
			t.Errorf("no route answers with the sample of %T", s)
		}
	}
}

// strict tells whether a value survives the wire, read as the server reads bodies.
func strict(t *testing.T, v any) bool {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
		return false
	}
	back := reflect.New(reflect.TypeOf(v))
	if err := json.Unmarshal(b, back.Interface(), json.RejectUnknownMembers(true)); err != nil {
		t.Error(err)
		return false
	}
	again, err := json.Marshal(back.Elem().Interface())
	if err != nil || !bytes.Equal(b, again) {
		t.Error(cmp.Diff(string(b), string(again)), err)
		return false
	}
	return true
}

func TestASchemaRefusesWhatTheServerRefuses(t *testing.T) {
	doc := loaded(t)
	for name, body := range map[string]any{
		"a member that is not known": map[string]any{"to": 1, "paht": "/"},
		"a missing member":           map[string]any{"path": "/"},
		"a text for a number":        map[string]any{"to": "1"},
	} {
		if fits(t, doc, "RollbackRequest", body) == nil {
			t.Errorf("the schema takes %s", name)
		}
	}
	if err := fits(t, doc, "Done", map[string]any{"done": true, "later": 1}); err != nil {
		t.Errorf("the schema of an answer does not let it grow: %v", err)
	}
}

func TestEveryRouteIsInTheDocumentWithActionAuthAndLimit(t *testing.T) {
	doc := loaded(t)
	ids := map[string]string{}
	count := 0
	for _, r := range Routes() {
		op := doc.Paths.Value(r.Path).GetOperation(r.Method)
		if op == nil {
			t.Errorf("%s is not in the document", r.Pattern())
			continue
		}
		count++
		if other := ids[op.OperationID]; other != "" {
			t.Errorf("%s and %s are both called %s", r.Pattern(), other, op.OperationID)
		}
		ids[op.OperationID] = r.Pattern()
		if op.Extensions["x-keyturn-action"] != r.Action || op.Extensions["x-keyturn-auth"] != string(r.Auth) {
			t.Errorf("%s: action and auth are %v", r.Pattern(), op.Extensions)
		}
		if (op.Security != nil) != (r.Auth == Anyone) {
			t.Errorf("%s: the document says the opposite of auth %s", r.Pattern(), r.Auth)
		}
		if (op.RequestBody == nil) != (r.request == nil) {
			t.Errorf("%s: body and no body are mixed up", r.Pattern())
		} else if op.RequestBody != nil && op.RequestBody.Value.Extensions["x-keyturn-max-bytes"] != float64(r.MaxBody) {
			t.Errorf("%s: the limit is %v, want %d", r.Pattern(), op.RequestBody.Value.Extensions["x-keyturn-max-bytes"], r.MaxBody)
		}
		if op.Responses.Status(r.status()) == nil || op.Responses.Default() == nil {
			t.Errorf("%s: an answer is missing", r.Pattern())
		}
		for _, p := range r.params.list {
			in := "path"
			if p.Query {
				in = "query"
			}
			if got := op.Parameters.GetByInAndName(in, p.Name); got == nil || got.Description == "" {
				t.Errorf("%s: parameter %s is missing or says nothing", r.Pattern(), p.Name)
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		count -= len(item.Operations())
		if !strings.HasPrefix(path, "/") {
			t.Errorf("path %s", path)
		}
	}
	if count != 0 {
		t.Errorf("the document has %d operations more than the table", -count)
	}
}

func TestSectionsAreTheTable(t *testing.T) {
	var got, want []string
	for _, s := range sections() {
		for _, r := range s.routes {
			got = append(got, r.Pattern())
		}
	}
	for _, r := range Routes() {
		want = append(want, r.Pattern())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOperationsHaveNamesThatReadWell(t *testing.T) {
	for _, want := range []struct{ method, path, name string }{
		{"POST", "/setup", "setup"}, {"GET", "/whoami", "getWhoami"}, {"GET", "/status", "getStatus"},
		{"POST", "/login/identity", "identityLogin"}, {"POST", "/identities", "createIdentity"},
		{"GET", "/identities/{name}/client-secrets", "listIdentityClientSecrets"},
		{"DELETE", "/identities/{name}/client-secrets/{id}", "deleteIdentityClientSecret"},
		{"GET", "/projects", "listProjects"}, {"PATCH", "/projects/{project}", "updateProject"},
		{"POST", "/projects/{project}/restore", "restoreProject"}, {"POST", "/projects/{project}/envs", "createEnv"},
		{"POST", "/projects/{project}/envs/{env}/restore", "restoreEnv"},
		{"GET", "/projects/{project}/envs/{env}/secrets/{name}", "getSecret"},
		{"GET", "/projects/{project}/envs/{env}/secrets", "listSecrets"},
		{"POST", "/projects/{project}/envs/{env}/secrets/purge", "purgeSecret"},
		{"PUT", "/projects/{project}/envs/{env}/personal", "setPersonal"},
		{"GET", "/audit/entries/{index}/proof", "getAuditEntryProof"}, {"POST", "/audit/verify", "verifyAudit"},
		{"POST", "/address/confirm", "confirmAddress"}, {"POST", "/self/address", "createSelfAddress"},
		{"POST", "/tasks/{id}/dismiss", "dismissTask"}, {"GET", "/break-glass", "listBreakGlass"},
		{"POST", "/break-glass", "createBreakGlass"}, {"POST", "/break-glass/{name}/open", "openBreakGlass"},
		{"GET", "/break-glass/{name}/report", "getBreakGlassReport"},
	} {
		r := Route{Method: want.method, Path: want.path}
		if got := r.OperationID(); got != want.name {
			t.Errorf("%s %s is called %s, want %s", want.method, want.path, got, want.name)
		}
	}
}

func TestTheDocumentIsServedWithoutATokenAndOnlyOnceToThoseWhoKeepIt(t *testing.T) {
	mux := http.NewServeMux()
	(&API{}).Register(mux)
	ask := func(tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, api.Prefix+DocumentPath, nil)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	first := ask("")
	if first.Code != http.StatusOK || first.Header().Get("Content-Type") != "application/json" || !bytes.Equal(first.Body.Bytes(), built(t)) {
		t.Fatalf("status %d, type %s, %d bytes", first.Code, first.Header().Get("Content-Type"), first.Body.Len())
	}
	if again := ask(first.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("asked again with the tag: status %d and %d bytes", again.Code, again.Body.Len())
	}
}
