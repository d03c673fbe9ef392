package scim

import "strings"

// object is a JSON object whose names are in small letters.
type object map[string]any

// lower puts the names of an object and of those inside it into small letters. Two that differ in case only are refused.
func lower(v map[string]any) (object, error) {
	out := make(object, len(v))
	for name, value := range v {
		key := strings.ToLower(name)
		if _, twice := out[key]; twice {
			return nil, wrong("invalidSyntax", "an attribute stands there twice")
		}
		fixed, err := lowered(value)
		if err != nil {
			return nil, err
		}
		out[key] = fixed
	}
	return out, nil
}

func lowered(value any) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		return lower(v)
	case []any:
		for i := range v {
			var err error
			if v[i], err = lowered(v[i]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

// text reads an attribute that is text; null and absence are the empty one.
func (o object) text(name string) (string, error) {
	switch v := o[name].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", wrong("invalidValue", "%s is not text", name)
}

// truth reads what is true or false. Entra ID sends words.
func truth(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		if strings.EqualFold(v, "true") || strings.EqualFold(v, "false") {
			return strings.EqualFold(v, "true"), nil
		}
	}
	return false, wrong("invalidValue", "want true or false")
}

// many reads a list of objects; a single one is taken for a list of it.
func many(v any) ([]object, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case object:
		return []object{v}, nil
	case []any:
		out := make([]object, 0, len(v))
		for _, x := range v {
			o, ok := x.(object)
			if !ok {
				return nil, wrong("invalidValue", "want a list of objects")
			}
			out = append(out, o)
		}
		return out, nil
	}
	return nil, wrong("invalidValue", "want a list of objects")
}

// bare takes the URN of the core schema from the front of a name.
func bare(path string) string {
	for _, urn := range []string{schemaUser, schemaGroup} {
		if rest, ok := strings.CutPrefix(strings.ToLower(path), strings.ToLower(urn)+":"); ok {
			return path[len(path)-len(rest):]
		}
	}
	return path
}
