package scim

import (
	"encoding/json"
	"strings"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
)

const (
	// maxFilter bounds the text of a filter, in bytes.
	maxFilter = 2048
	// maxTerms bounds the comparisons of a filter.
	maxTerms = 10
)

// term is one comparison: attribute eq value.
type term struct {
	attribute string // in small letters, without a URN and without what is in brackets
	value     any    // string or bool
}

// parseFilter reads comparisons by eq that are joined by and (RFC 7644, section 3.4.2.2). Others are refused, never ignored: a
// directory that asks for one person must not be given all.
func parseFilter(text string) ([]term, error) {
	bad := wrong("invalidFilter", "the filter is not taken: want comparisons by eq, joined by and")
	if len(text) > maxFilter {
		return nil, bad
	}
	var out []term
	for rest := strings.TrimSpace(text); rest != ""; {
		if len(out) > 0 {
			word, after, ok := strings.Cut(rest, " ")
			if !ok || !strings.EqualFold(word, "and") {
				return nil, bad
			}
			rest = strings.TrimSpace(after)
		}
		t, after, ok := parseTerm(rest)
		if !ok || len(out) >= maxTerms {
			return nil, bad
		}
		if after != "" && after[0] != ' ' {
			return nil, bad
		}
		out, rest = append(out, t), strings.TrimSpace(after)
		if after != "" && rest == "" {
			break
		}
	}
	return out, nil
}

func parseTerm(s string) (t term, rest string, ok bool) {
	n := strings.IndexAny(s, " [")
	if n <= 0 {
		return term{}, "", false
	}
	name := s[:n]
	if s[n] == '[' { // members[value eq "id"], or emails[type eq "work"].value eq "address"
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return term{}, "", false
		}
		inner, after, ok := parseTerm(s[n+1 : end])
		if !ok || after != "" {
			return term{}, "", false
		}
		s = s[end+1:]
		if s == "" || s[0] == ' ' { // the brackets are the comparison
			if inner.attribute != "value" {
				return term{}, "", false
			}
			return term{attributeName(name) + ".value", inner.value}, s, true
		}
		sub, after, found := strings.Cut(s, " ")
		if !found || !strings.HasPrefix(sub, ".") {
			return term{}, "", false
		}
		name, s = name+sub, after
	} else {
		s = s[n+1:]
	}
	op, s, found := strings.Cut(strings.TrimLeft(s, " "), " ")
	if !found || !strings.EqualFold(op, "eq") {
		return term{}, "", false
	}
	value, rest, ok := parseValue(strings.TrimLeft(s, " "))
	return term{attributeName(name), value}, rest, ok
}

func attributeName(s string) string { return strings.ToLower(bare(s)) }

// parseValue reads a JSON string, or true or false in any case.
func parseValue(s string) (any, string, bool) {
	if !strings.HasPrefix(s, `"`) {
		word, rest, found := strings.Cut(s, " ")
		if found {
			rest = " " + rest
		}
		v, err := truth(word)
		return v, rest, err == nil
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			var v string
			if err := json.Unmarshal([]byte(s[:i+1]), &v); err != nil {
				return nil, "", false
			}
			return v, s[i+1:], true
		}
	}
	return nil, "", false
}

// filterOf turns comparisons into what the service asks the store. A value that nothing can have fits nobody.
func filterOf(text string, users bool) (access.DirectoryFilter, error) {
	var f access.DirectoryFilter
	terms, err := parseFilter(text)
	if err != nil {
		return f, err
	}
	set := func(field *string, value string) {
		if value == "" || *field != "" && *field != value {
			f.Nothing = true
		}
		*field = value
	}
	for _, t := range terms {
		value, isText := t.value.(string)
		switch {
		case isText && t.attribute == "id":
			set(&f.ID, value)
		case isText && t.attribute == "externalid":
			set(&f.ExternalID, value)
		case isText && users && t.attribute == "username":
			set(&f.UserKey, strings.ToLower(value))
		case isText && users && (t.attribute == "emails" || t.attribute == "emails.value"):
			email, err := domain.ParseEmail(value)
			if err != nil {
				f.Nothing = true
				continue
			}
			text := string(f.Email)
			set(&text, string(email))
			f.Email = email
		case !isText && users && t.attribute == "active":
			active, _ := t.value.(bool)
			if f.Active != nil && *f.Active != active {
				f.Nothing = true
			}
			f.Active = &active
		case isText && !users && t.attribute == "displayname":
			set(&f.Name, value)
		case isText && !users && (t.attribute == "members" || t.attribute == "members.value"):
			set(&f.Member, value)
		default:
			return f, wrong("invalidFilter", "the filter asks for an attribute that is not searched")
		}
	}
	return f, nil
}
