package cli

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/format"
)

// inventoryFormat is the name of the format on the command line, beside those of package format.
const inventoryFormat = "inventory"

// An inventory describes folders with their secrets and all that is known of each, as one YAML or JSON document:
//
//	folders:
//	  - path: /backend
//	    owner: Backend Lead              # of each secret that names no other
//	    required: [DATABASE_URL]         # names without which the folder is incomplete
//	    secrets:
//	      - name: DATABASE_URL
//	        value: postgres://...        # or encoding: base64 beside it, or generate: 32; absent: leave it as it is
//	        owner, comment, rotate_every: text
//	        sensitive, literal: true or false
//	        tags: [a, b]
//	        metadata: {key: value}
//	        expires_at: 2027-01-31T00:00:00Z
//
// What is absent stays as it is on the server. Anchors, aliases and tags of YAML are refused, unknown keys too.
var inventoryKeys = struct{ top, folder, secret []string }{
	top:    []string{"folders"},
	folder: []string{"path", "owner", "required", "secrets"},
	secret: []string{"name", "value", "encoding", "generate", "owner", "comment", "rotate_every", "sensitive", "literal", "tags", "metadata", "expires_at"},
}

// decodeInventory reads a whole inventory or nothing. Relative folder paths lie below base. It fails with [fault.Invalid]
// that has one field for each bad line, "file:line", and never holds a value.
func decodeInventory(file, base string, content []byte) ([]item, error) {
	r := &inventoryReader{file: file, base: base}
	if root := r.document(content); root != nil {
		r.top(root)
	}
	if err := r.fault(); err != nil {
		return nil, err
	}
	if len(r.items) == 0 {
		return nil, fault.New(fault.Invalid, "%s describes no secret", file)
	}
	return r.items, nil
}

// inventoryReader walks the document and gathers changes and problems.
type inventoryReader struct {
	file, base string
	items      []item
	problems   []fault.Field
	cut        bool
}

func (r *inventoryReader) problem(line int, text string) {
	if len(r.problems) >= format.MaxProblems {
		r.cut = true
		return
	}
	where := r.file
	if line > 0 {
		where += ":" + strconv.Itoa(line)
	}
	r.problems = append(r.problems, fault.Field{Where: where, Problem: text})
}

func (r *inventoryReader) fault() error {
	if len(r.problems) == 0 {
		return nil
	}
	count := strconv.Itoa(len(r.problems)) + " problems"
	if len(r.problems) == 1 {
		count = "1 problem"
	}
	if r.cut {
		count = "at least " + count
	}
	err := fault.New(fault.Invalid, "couldn't read %s as an inventory: %s, nothing was taken from it", r.file, count)
	err.Fields = r.problems
	return err
}

func (r *inventoryReader) top(root *yaml.Node) {
	seen := map[string]int{} // folder → line
	for key, value := range r.members(root, inventoryKeys.top) {
		if key != "folders" {
			continue
		}
		for _, n := range r.list(value, "folders") {
			path, line := r.folder(n)
			if first, twice := seen[path]; twice && path != "" {
				r.problem(line, "the folder "+label(path)+" stands already at line "+strconv.Itoa(first))
			}
			seen[path] = line
		}
	}
}

func (r *inventoryReader) folder(n *yaml.Node) (path string, line int) {
	line = n.Line
	var owner *string
	var required []string
	var secrets []*yaml.Node
	requiredAt := 0
	for key, value := range r.members(n, inventoryKeys.folder) {
		switch key {
		case "path":
			if s, ok := r.text(value, key); ok {
				path, line = s, value.Line
			}
		case "owner":
			owner = r.optional(value, key)
		case "required":
			required, requiredAt = r.texts(value, key), value.Line
		case "secrets":
			secrets = r.list(value, key)
		}
	}
	if path == "" {
		r.problem(n.Line, "a folder has no path")
		return "", line
	}
	path = below(r.base, path)
	if len(secrets) == 0 {
		r.items = append(r.items, item{api.Change{Op: "folder.create", Path: path}, line})
	}
	seen := map[string]int{}
	for _, s := range secrets {
		it := r.secret(s, path, owner)
		if first, twice := seen[it.change.Name]; twice && it.change.Name != "" {
			r.problem(it.line, label(it.change.Name)+" is already set at line "+strconv.Itoa(first))
		}
		seen[it.change.Name] = it.line
		r.items = append(r.items, it)
	}
	if required != nil {
		r.items = append(r.items, item{api.Change{Op: "folder.required", Path: path, Requires: required}, requiredAt})
	}
	return path, line
}

func (r *inventoryReader) secret(n *yaml.Node, path string, owner *string) item {
	c := api.Change{Op: "set", Path: path, Owner: owner}
	for key, value := range r.members(n, inventoryKeys.secret) {
		switch key {
		case "name":
			c.Name, _ = r.text(value, key)
		case "value":
			c.Value = r.optional(value, key)
		case "encoding":
			if c.Encoding, _ = r.text(value, key); c.Encoding != "base64" {
				r.problem(value.Line, "encoding: want base64, or leave it away")
			}
		case "generate":
			s, _ := r.text(value, key)
			if length, err := strconv.Atoi(s); err != nil || length < 1 {
				r.problem(value.Line, "generate: want the number of characters")
			} else {
				c.Generate = length
			}
		case "owner":
			c.Owner = r.optional(value, key)
		case "comment":
			c.Comment = r.optional(value, key)
		case "rotate_every":
			c.RotateEvery = r.optional(value, key)
		case "sensitive":
			if b := r.boolean(value, key); b != nil {
				public := !*b
				c.Public = &public
			}
		case "literal":
			c.Literal = r.boolean(value, key)
		case "tags":
			tags := r.texts(value, key)
			c.Tags = &tags
		case "metadata":
			c.Metadata = r.dictionary(value, key)
		case "expires_at":
			c.ExpiresAt = r.moment(value, key)
		}
	}
	switch {
	case c.Name == "":
		r.problem(n.Line, "a secret has no name")
	case c.Encoding != "" && c.Value == nil:
		r.problem(n.Line, "encoding says how the value is written, and there is none")
	case c.Generate > 0 && c.Value != nil:
		r.problem(n.Line, "want value or generate, not both")
	case c.Value != nil && c.Encoding == "base64":
		if _, err := (api.Value{Value: *c.Value, Encoding: c.Encoding}).Bytes(); err != nil {
			r.problem(n.Line, "the value is not base64")
		}
	}
	return item{c, n.Line}
}

func (r *inventoryReader) moment(n *yaml.Node, key string) *time.Time {
	s, ok := r.text(n, key)
	if !ok {
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return &t
		}
	}
	r.problem(n.Line, key+": want a date such as 2027-01-31, or a time as in RFC 3339")
	return nil
}

// below gives an absolute folder path: as it is, or below base.
func below(base, path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return strings.TrimRight(base, "/") + "/" + path
}

// label shows a name in an error: never long, since text that is no name may be a value in the wrong place.
func label(name string) string {
	const most = 64
	if len(name) > most {
		return strconv.QuoteToASCII(name[:most]) + "..."
	}
	return name
}

func unknownKey(known []string) string {
	return "an unknown key: want " + strings.Join(known[:len(known)-1], ", ") + orLast(known)
}

func orLast(known []string) string {
	if len(known) == 1 {
		return known[0]
	}
	return " or " + known[len(known)-1]
}

func isKnown(known []string, key string) bool { return slices.Contains(known, key) }
