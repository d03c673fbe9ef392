package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// DocumentPath is where the OpenAPI document is served, below api.Prefix, to anybody: it holds nothing of the instance.
const DocumentPath = "/openapi.json"

// The parts of an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1) that this API needs.
type (
	document struct {
		OpenAPI    string                           `json:"openapi"`
		Info       info                             `json:"info"`
		Servers    []docServer                      `json:"servers"`
		Security   []map[string][]string            `json:"security"`
		Tags       []docTag                         `json:"tags"`
		Paths      map[string]map[string]*operation `json:"paths"`
		Components components                       `json:"components"`
	}
	info struct {
		Title       string `json:"title"`
		Version     string `json:"version"`
		Description string `json:"description"`
		License     struct {
			Name       string `json:"name"`
			Identifier string `json:"identifier"`
		} `json:"license"`
	}
	docServer struct {
		URL string `json:"url"`
	}
	docTag struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	components struct {
		Schemas         map[string]*schema     `json:"schemas"`
		Responses       map[string]*docAnswer  `json:"responses"`
		Parameters      map[string]*docParam   `json:"parameters"`
		SecuritySchemes map[string]docSecurity `json:"securitySchemes"`
	}
	docSecurity struct {
		Type        string `json:"type"`
		Scheme      string `json:"scheme"`
		Description string `json:"description"`
	}
	operation struct {
		ID        string                 `json:"operationId"`
		Summary   string                 `json:"summary"`
		Tags      []string               `json:"tags"`
		Security  *[]map[string][]string `json:"security,omitzero"` // only where it differs from the document's
		Action    string                 `json:"x-keyturn-action"`
		Auth      Auth                   `json:"x-keyturn-auth"`
		Params    []*docParam            `json:"parameters,omitempty"`
		Body      *docBody               `json:"requestBody,omitzero"`
		Responses map[string]*docAnswer  `json:"responses"`
	}
	docParam struct {
		Ref         string  `json:"$ref,omitzero"`
		Name        string  `json:"name,omitzero"`
		In          string  `json:"in,omitzero"`
		Description string  `json:"description,omitzero"`
		Required    bool    `json:"required,omitzero"`
		Schema      *schema `json:"schema,omitzero"`
	}
	docBody struct {
		Description string             `json:"description"`
		Required    bool               `json:"required"`
		MaxBytes    int64              `json:"x-keyturn-max-bytes"`
		Content     map[string]content `json:"content"`
	}
	docAnswer struct {
		Ref         string               `json:"$ref,omitzero"`
		Description string               `json:"description,omitzero"`
		Headers     map[string]docHeader `json:"headers,omitempty"`
		Content     map[string]content   `json:"content,omitempty"`
	}
	docHeader struct {
		Description string  `json:"description"`
		Schema      *schema `json:"schema"`
	}
	content struct {
		Schema  *schema        `json:"schema"`
		Example jsontext.Value `json:"example,omitzero"`
	}
)

const description = `Times are RFC 3339 in UTC with milliseconds. Ids are lower-case UUIDs. Wherever a path or field takes a project or an
environment, its slug or its id will do. Request bodies are strict JSON: valid UTF-8, no unknown, doubled or other-case names, nothing after the
value. Every error is a problem body (RFC 9457). Every call but one that is answered 304 leaves an entry in the audit log under the action in x-keyturn-action before its
answer leaves.`

// idempotencyParam names the shared parameter of all writes.
const idempotencyParam = "IdempotencyKey"

// OpenAPI writes the document of the table. The same table gives the same bytes.
func OpenAPI() ([]byte, error) {
	types, err := newSchemas()
	if err != nil {
		return nil, err
	}
	doc := document{
		OpenAPI:  "3.1.0",
		Info:     info{Title: "Keyturn native API", Version: "1", Description: description},
		Servers:  []docServer{{api.Prefix}},
		Security: []map[string][]string{{"bearer": {}}},
		Paths:    map[string]map[string]*operation{},
		Components: components{
			Parameters: map[string]*docParam{idempotencyParam: {Name: "Idempotency-Key", In: "header", Schema: &schema{Type: "string", MaxLength: maxIdempotencyKey},
				Description: "any text of the client's choice: within a day, the same request with the same key gets the first answer again instead of being done twice"}},
			SecuritySchemes: map[string]docSecurity{"bearer": {"http", "bearer", "a token from a login, or one made by token create"}},
		},
	}
	doc.Info.License.Name, doc.Info.License.Identifier = "Apache License 2.0", "Apache-2.0"
	problem, err := types.content(reflect.TypeFor[api.Problem](), sampleOf(reflect.TypeFor[api.Problem]()), false)
	if err != nil {
		return nil, err
	}
	doc.Components.Responses = map[string]*docAnswer{"Problem": {Description: "what is wrong and how to mend it", Content: map[string]content{"application/problem+json": problem}}}
	for _, s := range sections() {
		doc.Tags = append(doc.Tags, docTag{s.name, s.about})
		for i := range s.routes {
			r := &s.routes[i]
			op, err := types.operation(r, s.name)
			if err != nil {
				return nil, err
			}
			if doc.Paths[r.Path] == nil {
				doc.Paths[r.Path] = map[string]*operation{}
			}
			doc.Paths[r.Path][lower(r.Method)] = op
		}
	}
	doc.Components.Schemas = types.finish()
	return json.Marshal(doc, json.Deterministic(true), jsontext.WithIndent("  "))
}

// section is a part of the table that reads as one.
type section struct {
	name, about string
	routes      []Route
}

func sections() []section {
	return []section{
		{"Access", "set-up, logins, people, machines, tokens and roles", accessRoutes()},
		{"Machines", "login methods, API keys, wrapped values, identity tokens, signing secrets", machineRoutes()},
		{"Projects", "projects and their environments, and where clients of Vault find them", slices.Concat(projectRoutes(), mountRoutes())},
		{"Secrets", "secrets, their history, and what is asked about them", secretRoutes()},
		{"Log and server", "the audit log with its proofs, and how the server stands", auditRoutes()},
		{"Keys", "turns of keys, the ways to unlock, and the census", keyRoutes()},
		{"Watching", "where the log is sent on, decoys, alerts, and who uses what", slices.Concat(streamRoutes(), canaryRoutes(), alertRoutes(), consumerRoutes())},
		{"Backups", "sealed copies of the whole instance, and proofs that they can be restored", backupRoutes()},
		{"Passkeys", "login and confirmation by Web Authentication", passkeyRoutes()},
		{"People", "invitations, one's own account, second factors, sessions, and what leavers have read", slices.Concat(peopleRoutes(), inviteRoutes(), accountRoutes())},
		{"Single sign-on", "identity providers and directories, and logins through them", ssoRoutes()},
		{"Policy", "roles, groups, grants, what they decide and why, freeze and kill switch", policyRoutes()},
		{"Approvals", "changes that wait for others", approvalRoutes()},
		{"Access requests", "roles that somebody asks for, for a time", requestRoutes()},
		{"Break-glass", "credentials for emergencies, and what is to be done after one was opened", breakGlassRoutes()},
		{"Encryption service", "keys that encrypt and sign for applications, which ask for that through the dialects", transitRoutes()},
	}
}

func (s *schemas) operation(r *Route, tag string) (*operation, error) {
	op := &operation{ID: r.OperationID(), Summary: r.Summary, Tags: []string{tag}, Action: r.Action, Auth: r.Auth, Responses: map[string]*docAnswer{"default": {Ref: "#/components/responses/Problem"}}}
	if r.Auth == Anyone {
		op.Security = &[]map[string][]string{}
	}
	for _, p := range r.params.list {
		op.Params = append(op.Params, docParamOf(p))
	}
	if r.Method != http.MethodGet && r.Auth == Token {
		op.Params = append(op.Params, &docParam{Ref: "#/components/parameters/" + idempotencyParam})
	}
	if r.request != nil {
		c, err := s.content(r.request, r.Example, true)
		if err != nil {
			return nil, err
		}
		op.Body = &docBody{Description: "at most " + strconv.FormatInt(r.MaxBody, 10) + " bytes", Required: true, MaxBytes: r.MaxBody, Content: map[string]content{"application/json": c}}
	}
	answer := r.answerType()
	c, err := s.content(answer, sampleOf(answer), false)
	if err != nil {
		return nil, err
	}
	success := &docAnswer{Description: s.about(answer), Content: map[string]content{"application/json": c}}
	if r.Stream {
		c.Example = nil // the stream is text; the schema is that of its data lines
		success.Content = map[string]content{"text/event-stream": c}
	}
	if r.Content != "" {
		success.Content = map[string]content{r.Content: {Schema: &schema{Type: "string", Format: "binary"}}}
		success.Description = "a file"
	}
	if r.conditional() {
		success.Headers = map[string]docHeader{"ETag": {"names the state that the answer was made from", &schema{Type: "string"}}}
		op.Params = append(op.Params, &docParam{Name: "If-None-Match", In: "header", Description: "ETag of an earlier answer", Schema: &schema{Type: "string"}})
		op.Responses["304"] = &docAnswer{Description: "nothing has changed since the answer with that ETag; nothing was opened"}
	}
	if r.Waits {
		waiting := reflect.TypeFor[api.Waiting]()
		c, err := s.content(waiting, sampleOf(waiting), false)
		if err != nil {
			return nil, err
		}
		op.Responses["202"] = &docAnswer{Description: s.about(waiting), Content: map[string]content{"application/json": c}}
	}
	op.Responses[strconv.Itoa(r.status())] = success
	return op, nil
}

func docParamOf(p param) *docParam {
	d := &docParam{Name: p.Name, In: "path", Required: true, Description: p.Doc, Schema: &schema{Type: p.Type}}
	if p.Query {
		d.In, d.Required = "query", false
	}
	if p.Type == "integer" {
		d.Schema.Format, d.Schema.Minimum = "int64", new(int64) // params.go refuses what is below zero
	}
	return d
}

// answerType gives the type of the answer. A handler that may also answer by itself returns any; its example tells then.
func (r *Route) answerType() reflect.Type {
	if r.answer.Kind() == reflect.Interface {
		return reflect.TypeOf(r.Example)
	}
	return r.answer
}

// conditional tells whether the route answers If-None-Match: those handlers answer 304 by themselves, and so return any.
func (r *Route) conditional() bool {
	return r.answer.Kind() == reflect.Interface && !r.Stream && r.Content == ""
}

// serveDocument answers with the document. It is built when somebody first asks, so that no start pays for it.
func serveDocument() http.HandlerFunc {
	build := sync.OnceValues(OpenAPI)
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := build()
		if err != nil {
			httpkit.WriteError(w, r, err)
			return
		}
		sum := sha256.Sum256(body)
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache") // keep it, and ask each time whether it is still the one
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		httpkit.WriteBody(w, http.StatusOK, body)
	}
}
