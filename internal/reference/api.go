package reference

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/httpapi"
)

// The parts of the OpenAPI document that the page shows.
type (
	document struct {
		Info       struct{ Description string }
		Tags       []struct{ Name, Description string }
		Paths      map[string]map[string]operation
		Components struct {
			Schemas    map[string]schema
			Parameters map[string]parameter
		}
	}
	operation struct {
		ID         string `json:"operationId"`
		Summary    string
		Tags       []string
		Action     string `json:"x-keyturn-action"`
		Auth       string `json:"x-keyturn-auth"`
		Parameters []parameter
		Body       *struct {
			MaxBytes int64 `json:"x-keyturn-max-bytes"`
			Content  map[string]content
		} `json:"requestBody"`
		Responses map[string]struct {
			Description string
			Content     map[string]content
		}
	}
	parameter struct {
		Ref         string `json:"$ref"`
		Name, In    string
		Description string
		Required    bool
		Schema      schema
	}
	content struct {
		Schema  schema
		Example json.RawMessage
	}
	schema struct {
		Ref         string `json:"$ref"`
		Type        string
		Format      string
		Description string
		Items       *schema
		Properties  map[string]schema
		Required    []string
		Additional  json.RawMessage `json:"additionalProperties"`
	}
)

func writeAPI(p *page) error {
	raw, err := httpapi.OpenAPI()
	if err != nil {
		return err
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("read the OpenAPI document: %w", err)
	}
	p.line("All paths lie below `%s`. A server gives the same as an OpenAPI 3.1 document at `%s`, without a token.\n", api.Prefix, api.Prefix+httpapi.DocumentPath)
	p.line("%s\n", doc.Info.Description)
	p.line("A call shows its token as `Authorization: Bearer TOKEN`. Errors are listed in [errors](errors.md), actions in [permissions](permissions.md);")
	p.line("the action of a route is also the action of its entry in the audit log.\n")
	key := doc.Components.Parameters["IdempotencyKey"]
	p.line("Writes that need a token take the header `%s`: %s.", key.Name, key.Description)
	for _, tag := range doc.Tags {
		p.heading(2, tag.Name)
		p.line("%s\n", sentence(tag.Description))
		var rows [][]string
		for _, r := range tagged(&doc, tag.Name) {
			rows = append(rows, []string{fmt.Sprintf("[%s](#%s)", r.operation.ID, strings.ToLower(r.operation.ID)), code(r.method + " " + r.path), code(r.operation.Action), r.operation.Summary})
		}
		p.table([]string{"operation", "route", "action", "what it does"}, rows)
		for _, r := range tagged(&doc, tag.Name) {
			p.operation(r)
		}
	}
	p.heading(2, "Types")
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		p.schema(name, doc.Components.Schemas[name])
	}
	return nil
}

type route struct {
	method, path string
	operation    operation
}

// tagged lists the routes of a section in the order of the table.
func tagged(doc *document, tag string) []route {
	var out []route
	for _, r := range httpapi.Routes() {
		op := doc.Paths[r.Path][strings.ToLower(r.Method)]
		if slices.Contains(op.Tags, tag) {
			out = append(out, route{r.Method, r.Path, op})
		}
	}
	return out
}

func (p *page) operation(r route) {
	op := r.operation
	p.heading(3, op.ID)
	p.line("`%s %s%s`\n\n%s\n", r.method, api.Prefix, r.path, op.Summary)
	who := "anybody; the body proves who it is"
	if op.Auth == string(httpapi.Token) {
		who = "whoever shows a token that allows the action"
	}
	rows := [][]string{{"action, also in the log", code(op.Action)}, {"open to", who}}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if status == "default" {
			continue
		}
		a := op.Responses[status]
		what := a.Description
		for kind, c := range a.Content {
			what = typeName(c.Schema)
			if kind != "application/json" {
				what += " in each data line of " + code(kind)
			}
		}
		rows = append(rows, []string{"answer " + status, what})
	}
	if op.Body != nil {
		rows = append(rows, []string{"body", typeName(op.Body.Content["application/json"].Schema) + ", at most " + size(op.Body.MaxBytes)})
	}
	p.table([]string{"", ""}, rows)
	var params [][]string
	for _, x := range op.Parameters {
		if x.Ref == "" {
			params = append(params, []string{code(x.Name), x.In, typeName(x.Schema), x.Description})
		}
	}
	p.table([]string{"parameter", "in", "type", "what it says"}, params)
	if op.Body != nil {
		p.line("Body:\n")
		p.block("json", indented(op.Body.Content["application/json"].Example))
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		for _, c := range op.Responses[status].Content {
			if len(c.Example) > 0 {
				p.line("Answer:\n")
				p.block("json", indented(c.Example))
			}
		}
	}
}

func (p *page) schema(name string, s schema) {
	p.heading(3, "Type "+name)
	if s.Description != "" {
		p.line("%s\n", s.Description)
	}
	var rows [][]string
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		x := s.Properties[field]
		there := "may be absent"
		if slices.Contains(s.Required, field) {
			there = "always"
		}
		rows = append(rows, []string{code(field), typeName(x), there, x.Description})
	}
	p.table([]string{"field", "type", "there", "what it says"}, rows)
}

// typeName writes a type in words, with a link to a type of the page.
func typeName(s schema) string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return "[" + name + "](#type-" + strings.ToLower(name) + ")"
	case s.Items != nil:
		return "list of " + typeName(*s.Items)
	case s.Format == "date-time":
		return "time"
	case s.Type == "object" && len(s.Additional) > 0:
		var values schema
		if json.Unmarshal(s.Additional, &values) == nil {
			return "object of " + typeName(values)
		}
	}
	return s.Type
}

func size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// indented writes JSON for people, its members in the order of the wire.
func indented(raw json.RawMessage) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(raw); err != nil {
		return string(raw)
	}
	return b.String()
}

// sentence makes a sentence of a phrase.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}
