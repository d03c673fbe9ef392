package rootkey

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"unicode/utf8"
)

// awsModel is an AWS api-2 model, as far as bodies need it.
type awsModel struct {
	Metadata   struct{ TargetPrefix, JSONVersion, EndpointPrefix, SignatureVersion string }
	Operations map[string]struct {
		Input, Output struct{ Shape string }
		Errors        []struct{ Shape string }
	}
	Shapes map[string]awsShape
}

type awsShape struct {
	Type               string
	Required           []string
	Members            map[string]struct{ Shape string }
	Member, Key, Value struct{ Shape string }
	Min, Max           *int
	Pattern            string
	Enum               []string
}

func loadAWSModel(t *testing.T) awsModel {
	t.Helper()
	var m awsModel
	loadJSON(t, "testdata/aws-kms.json", &m)
	if m.Metadata.TargetPrefix != "TrentService" || m.Metadata.SignatureVersion != "v4" || m.Metadata.EndpointPrefix != "kms" {
		t.Fatalf("the model is of another service: %+v", m.Metadata)
	}
	return m
}

func loadJSON(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// validate tells what of a JSON value its shape does not allow.
func (m awsModel) validate(name string, v any) error {
	s, ok := m.Shapes[name]
	if !ok {
		return fmt.Errorf("the model has no shape %s", name)
	}
	wrong := func(problem string, args ...any) error { return fmt.Errorf(name+": "+problem, args...) }
	switch s.Type {
	case "structure":
		object, ok := v.(map[string]any)
		if !ok {
			return wrong("is no object")
		}
		for _, member := range s.Required {
			if _, ok := object[member]; !ok {
				return wrong("lacks %s", member)
			}
		}
		for member, inner := range object {
			shape, ok := s.Members[member]
			if !ok {
				return wrong("has no member %s", member)
			}
			if err := m.validate(shape.Shape, inner); err != nil {
				return err
			}
		}
	case "map":
		object, ok := v.(map[string]any)
		if !ok {
			return wrong("is no object")
		}
		for key, inner := range object {
			if err := m.validate(s.Key.Shape, key); err != nil {
				return err
			}
			if err := m.validate(s.Value.Shape, inner); err != nil {
				return err
			}
		}
	case "list":
		list, ok := v.([]any)
		if !ok || !s.holds(len(list)) {
			return wrong("is no list of that length")
		}
		for _, inner := range list {
			if err := m.validate(s.Member.Shape, inner); err != nil {
				return err
			}
		}
	case "string":
		text, ok := v.(string)
		if !ok || !s.holds(utf8.RuneCountInString(text)) {
			return wrong("is no text of that length")
		}
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
			return wrong("is not in its list of values")
		}
		if s.Pattern != "" && !regexp.MustCompile("^(?:"+s.Pattern+")$").MatchString(text) {
			return wrong("does not match its pattern")
		}
	case "blob":
		text, ok := v.(string)
		b, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || !s.holds(len(b)) {
			return wrong("is no base64 of that length")
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong("is no boolean")
		}
	case "integer", "long", "timestamp", "double":
		if _, ok := v.(float64); !ok {
			return wrong("is no number")
		}
	default:
		return wrong("is of the type %s, which is not known", s.Type)
	}
	return nil
}

func (s awsShape) holds(n int) bool {
	return (s.Min == nil || n >= *s.Min) && (s.Max == nil || n <= *s.Max)
}

// A validator that lets everything pass proves nothing.
func TestTheValidatorOfAWSModelsSeesWhatIsWrong(t *testing.T) {
	m := loadAWSModel(t)
	good := func() map[string]any {
		return map[string]any{"KeyId": "k", "Plaintext": "AAAA", "EncryptionContext": map[string]any{"a": "b"}, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
	}
	if err := m.validate("EncryptRequest", good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string]any){
		"missing":     func(o map[string]any) { delete(o, "KeyId") },
		"empty":       func(o map[string]any) { o["KeyId"] = "" },
		"unknown":     func(o map[string]any) { o["keyId"] = "k" },
		"not base64":  func(o map[string]any) { o["Plaintext"] = "!" },
		"too long":    func(o map[string]any) { o["Plaintext"] = base64.StdEncoding.EncodeToString(make([]byte, 4097)) },
		"not in enum": func(o map[string]any) { o["EncryptionAlgorithm"] = "ROT13" },
		"map value":   func(o map[string]any) { o["EncryptionContext"] = map[string]any{"a": 1.0} },
		"boolean":     func(o map[string]any) { o["DryRun"] = "yes" },
		"list":        func(o map[string]any) { o["GrantTokens"] = []any{""} },
	} {
		bad := good()
		change(bad)
		if m.validate("EncryptRequest", bad) == nil {
			t.Errorf("%s passes", name)
		}
	}
}
