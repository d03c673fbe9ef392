package scim

import (
	"net/http"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/access"
)

// maxOperations bounds a PATCH; directories send large groups in portions.
const maxOperations = 1000

// operation is one change of a PATCH (RFC 7644, section 3.5.2). Entra ID writes the verbs with capitals, and values of true and
// false as words; Okta leaves the path out and sends an object.
type operation struct {
	verb  string // add, replace or remove
	path  string // in small letters, without a URN and brackets; "" when the value is an object of attributes
	where *term  // what stood in brackets
	value any
}

func readPatch(r *http.Request) ([]operation, error) {
	o, err := read(r)
	if err != nil {
		return nil, err
	}
	all, err := many(o["operations"])
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || len(all) > maxOperations {
		return nil, wrong("invalidSyntax", "want 1 to %d operations", maxOperations)
	}
	out := make([]operation, 0, len(all))
	for _, x := range all {
		verb, err := x.text("op")
		if err != nil {
			return nil, err
		}
		path, err := x.text("path")
		if err != nil {
			return nil, err
		}
		op := operation{verb: strings.ToLower(verb), value: x["value"]}
		if !slices.Contains([]string{"add", "replace", "remove"}, op.verb) {
			return nil, wrong("invalidSyntax", "an operation is not add, replace or remove")
		}
		if op.path, op.where, err = parsePath(path); err != nil {
			return nil, err
		}
		switch {
		case op.path == "" && op.verb == "remove":
			return nil, wrong("noTarget", "what is to be removed is not named")
		case op.path == "":
			if _, ok := op.value.(object); !ok {
				return nil, wrong("invalidValue", "without a path the value must be an object")
			}
		}
		out = append(out, op)
	}
	return out, nil
}

// parsePath reads name, name.part, name[part eq "value"] and name[part eq "value"].part.
func parsePath(text string) (path string, where *term, err error) {
	bad := wrong("invalidPath", "a path is not taken")
	text = bare(strings.TrimSpace(text))
	if len(text) > maxFilter {
		return "", nil, bad
	}
	head, rest, ok := strings.Cut(text, "[")
	if !ok {
		return strings.ToLower(text), nil, nil
	}
	inner, after, ok := strings.Cut(rest, "]")
	if !ok || after != "" && !strings.HasPrefix(after, ".") {
		return "", nil, bad
	}
	t, left, ok := parseTerm(strings.TrimSpace(inner))
	if !ok || left != "" {
		return "", nil, bad
	}
	return strings.ToLower(head + after), &t, nil
}

// onUser applies an operation to a user.
func (op operation) onUser(u *access.DirectoryUser) error {
	if op.path != "" {
		if op.verb != "remove" {
			return setUser(u, op.path, op.value)
		}
		switch op.path {
		case "username", "active":
			return wrong("mutability", "this attribute cannot be removed")
		}
		return setUser(u, op.path, removed(op.path))
	}
	for name, value := range op.value.(object) { // readPatch has looked
		path, _, err := parsePath(name)
		if err != nil {
			return err
		}
		if err := setUser(u, path, value); err != nil {
			return err
		}
	}
	return nil
}

// removed is the value of an attribute that was removed.
func removed(path string) any {
	if path == "name" {
		return object{"givenname": nil, "familyname": nil}
	}
	return nil
}

// onGroup applies an operation to a group.
func (op operation) onGroup(g *access.DirectoryGroup) error {
	if op.path == "" {
		for name, value := range op.value.(object) { // readPatch has looked
			inner := operation{verb: op.verb, value: value}
			var err error
			if inner.path, inner.where, err = parsePath(name); err != nil {
				return err
			}
			if inner.path == "" {
				return wrong("invalidPath", "a path is not taken")
			}
			if err := inner.onGroup(g); err != nil {
				return err
			}
		}
		return nil
	}
	switch op.path {
	case "displayname":
		if op.verb == "remove" {
			return wrong("mutability", "this attribute cannot be removed")
		}
		text, err := object{"displayname": op.value}.text("displayname")
		g.Name = text
		return err
	case "externalid":
		text, err := object{"externalid": op.value}.text("externalid")
		g.ExternalID = text
		return err
	case "members":
		return op.onMembers(g)
	}
	return nil // an attribute that nothing here has a use for
}

func (op operation) onMembers(g *access.DirectoryGroup) error {
	if op.where != nil { // members[value eq "id"]
		id, ok := op.where.value.(string)
		if !ok || op.where.attribute != "value" || op.verb != "remove" {
			return wrong("invalidPath", "a path is not taken")
		}
		g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return m == id })
		return nil
	}
	ids, err := memberIDs(op.value)
	if err != nil {
		return err
	}
	switch {
	case op.verb == "add":
		g.Members = append(g.Members, ids...)
	case op.verb == "replace":
		g.Members = ids
	case op.value == nil:
		g.Members = nil
	default: // Entra ID names those to be removed in the value
		gone := map[string]bool{}
		for _, id := range ids {
			gone[id] = true
		}
		g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return gone[m] })
	}
	return nil
}

func memberIDs(value any) ([]string, error) {
	all, err := many(value)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(all))
	for _, m := range all {
		id, err := m.text("value")
		if err != nil {
			return nil, err
		}
		if kind, _ := m.text("type"); kind == "Group" {
			return nil, wrong("invalidValue", "groups in groups are not kept")
		}
		out = append(out, id)
	}
	return out, nil
}
