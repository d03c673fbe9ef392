package httpapi

import (
	_ "embed"
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// schema is the part of JSON Schema 2020-12 that the wire types need.
type schema struct {
	Ref         string             `json:"$ref,omitzero"`
	Type        string             `json:"type,omitzero"`
	Format      string             `json:"format,omitzero"`
	Encoding    string             `json:"contentEncoding,omitzero"`
	Description string             `json:"description,omitzero"`
	Minimum     *int64             `json:"minimum,omitzero"`
	MaxLength   int                `json:"maxLength,omitzero"`
	Items       *schema            `json:"items,omitzero"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  any                `json:"additionalProperties,omitzero"` // false, or the schema of a map's values
}

// schemas collects the schemas of Go types, one component for each named struct.
type schemas struct {
	all    map[string]*schema
	input  map[string]bool // reached from a request body
	output map[string]bool // reached from an answer
	docs   map[string]string
}

//go:embed openapi_docs.json
var fieldDocs string // what the comments in package api say, by "Type" and "Type.Field"; made by go test -update

func newSchemas() (*schemas, error) {
	s := &schemas{all: map[string]*schema{}, input: map[string]bool{}, output: map[string]bool{}}
	return s, json.Unmarshal([]byte(fieldDocs), &s.docs)
}

// content gives schema and example of a body.
func (s *schemas) content(t reflect.Type, example any, input bool) (content, error) {
	reached := s.output
	if input {
		reached = s.input
	}
	schema, err := s.of(t, reached)
	if err != nil {
		return content{}, err
	}
	if example == nil {
		return content{Schema: schema}, nil
	}
	b, err := json.Marshal(example, json.Deterministic(true))
	return content{schema, jsontext.Value(b)}, err
}

// about gives the first sentence on a type.
func (s *schemas) about(t reflect.Type) string {
	text := strings.TrimSuffix(s.docs[t.Name()], ".")
	if text == "" {
		return t.Name()
	}
	text, _, _ = strings.Cut(text, ". ")
	return text
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[stdjson.RawMessage]()
	byteType = reflect.TypeFor[[]byte]()
)

// of gives the schema of a type as it stands in a field: named structs by reference.
func (s *schemas) of(t reflect.Type, reached map[string]bool) (*schema, error) {
	switch {
	case t == timeType:
		return &schema{Type: "string", Format: "date-time"}, nil
	case t == byteType: // OpenAPI 3.1 says it as JSON Schema does
		return &schema{Type: "string", Encoding: "base64"}, nil
	case t == rawType: // entries of the log, settings of login methods
		return &schema{Type: "object"}, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem(), reached)
	case reflect.String:
		return &schema{Type: "string"}, nil
	case reflect.Bool:
		return &schema{Type: "boolean"}, nil
	case reflect.Int, reflect.Int64:
		return &schema{Type: "integer", Format: "int64"}, nil
	case reflect.Float64:
		return &schema{Type: "number", Format: "double"}, nil
	case reflect.Uint32:
		return &schema{Type: "integer", Format: "int64", Minimum: new(int64)}, nil
	case reflect.Slice:
		items, err := s.of(t.Elem(), reached)
		return &schema{Type: "array", Items: items}, err
	case reflect.Map:
		values, err := s.of(t.Elem(), reached)
		return &schema{Type: "object", Additional: values}, err
	case reflect.Struct:
		return s.component(t, reached)
	}
	return nil, fmt.Errorf("the OpenAPI document has no schema for the type %s", t)
}

// component gives a reference to a named struct, and describes it the first time.
func (s *schemas) component(t reflect.Type, reached map[string]bool) (*schema, error) {
	name := t.Name()
	ref := &schema{Ref: "#/components/schemas/" + name}
	if name == "" {
		return nil, fmt.Errorf("the OpenAPI document has no name for the type %s", t)
	}
	if reached[name] {
		return ref, nil
	}
	reached[name] = true
	out := &schema{Type: "object", Description: s.docs[name], Properties: map[string]*schema{}}
	s.all[name] = out
	return ref, s.fields(t, out, reached, false)
}

// fields adds the fields of a struct. Those of an embedded one stand among them, as on the wire; behind a pointer they may
// all be absent.
func (s *schemas) fields(t reflect.Type, out *schema, reached map[string]bool, optional bool) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			inner, behind := f.Type, f.Type.Kind() == reflect.Pointer
			if behind {
				inner = inner.Elem()
			}
			if err := s.fields(inner, out, reached, optional || behind); err != nil {
				return err
			}
			continue
		}
		if name == "" {
			return fmt.Errorf("field %s of %s has no JSON name", f.Name, t)
		}
		p, err := s.of(f.Type, reached)
		if err != nil {
			return err
		}
		if d := s.docs[t.Name()+"."+f.Name]; d != "" {
			p.Description = d
		}
		out.Properties[name] = p
		if !optional && options != "omitzero" && options != "omitempty" {
			out.Required = append(out.Required, name)
		}
	}
	return nil
}

// finish closes what only requests hold: the server refuses members that it does not know. Answers may grow.
func (s *schemas) finish() map[string]*schema {
	for name, x := range s.all {
		if s.input[name] && !s.output[name] {
			x.Additional = false
		}
	}
	return s.all
}
