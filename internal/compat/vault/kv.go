package vault

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// notVersioned is what somebody reads who leaves out the prefix that version 2 of the engine has.
const notVersioned = "This path is not valid for a versioned key-value engine: its documents are below data/ and its lists below metadata/ of the mount. " +
	"With the command line client use 'kv get' and the like."

// kv2 answers below a mount of version 2.
func (s *Surface) kv2(ctx context.Context, c *call, m secrets.Mount, rest string) (*reply, error) {
	prefix, path, _ := strings.Cut(rest, "/")
	k := &kvCall{s: s, call: c, mount: m, path: path}
	var verbs map[verb]engine
	switch prefix {
	case "data":
		verbs = map[verb]engine{verbRead: k.read, verbWrite: k.write, verbPatch: k.patch, verbDelete: k.delete}
	case "metadata":
		verbs = map[verb]engine{verbRead: k.readMetadata, verbList: k.list, verbWrite: k.writeMetadata, verbPatch: k.patchMetadata, verbDelete: k.forget}
	case "delete":
		verbs = map[verb]engine{verbWrite: k.deleteVersions}
	case "undelete":
		verbs = map[verb]engine{verbWrite: k.undelete}
	case "destroy":
		verbs = map[verb]engine{verbWrite: k.destroy}
	case "subkeys":
		verbs = map[verb]engine{verbRead: k.subkeys}
	case "config":
		if path == "" {
			verbs = map[verb]engine{verbRead: k.config, verbWrite: k.configure}
		}
	}
	if verbs == nil {
		return &reply{status: http.StatusNotFound, warnings: []string{notVersioned}}, nil
	}
	e, ok := verbs[c.verb]
	if !ok {
		return nil, unsupported()
	}
	return e(ctx, c)
}

// kvCall is a call below a mount of documents.
type kvCall struct {
	s *Surface
	*call
	mount secrets.Mount
	path  string // below the prefix of the engine, "" for its root
}

// there names the document of a question: what nothing can be called is not there.
func (k *kvCall) there() (secrets.DocumentRef, error) {
	ref, err := k.mount.Document(k.path)
	if err != nil {
		return ref, nothing(k.call)
	}
	return ref, nil
}

// documentOf turns the members of a JSON object into the fields of a document.
func documentOf(members fields) ([]secrets.Field, error) {
	out := make([]secrets.Field, 0, len(members))
	for key, raw := range members {
		name, err := domain.ParseSecretName(key)
		if err != nil {
			return nil, fault.New(fault.Invalid, "a key of the data cannot be kept: %s", fault.As(err).Message)
		}
		f := secrets.Field{Name: name}
		if raw.Kind() == '"' {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, fault.New(fault.Invalid, "a value of the data is not valid text")
			}
			f.Value = sensitive.FromString(text)
		} else {
			raw = raw.Clone()
			if err := raw.Compact(); err != nil {
				return nil, fault.New(fault.Invalid, "a value of the data is not valid JSON")
			}
			f.Value, f.JSON = sensitive.New(raw), true
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b secrets.Field) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out, nil
}

// object writes fields as a JSON object. Values that are no text, which other views may keep, come in base64 and are named.
func object(all []secrets.Field) (jsontext.Value, []string, error) {
	size := 2
	for _, f := range all {
		size += len(f.Name) + f.Value.Len() + len(`"":"",`)
	}
	out, warnings := make([]byte, 1, size), []string(nil)
	out[0] = '{'
	for i, f := range all {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), f.Name...), `":`...) // no character of a name needs an escape
		value := f.Value.Reveal()
		if f.JSON {
			out = append(out, value...)
			continue
		}
		var err error
		if out, err = appendText(out, value); err != nil {
			return nil, nil, err
		}
		if !isText(value) {
			warnings = append(warnings, "the value of "+string(f.Name)+" is not text: it is shown in base64")
		}
	}
	return append(out, '}'), warnings, nil
}
