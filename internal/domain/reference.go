package domain

import (
	"strings"
)

// Reference points from one value to another secret: ${KEY} in the same folder (or what that folder imports),
// ${env.folder.KEY} in the same project, ${@project.env.folder.KEY} in another one.
type Reference struct {
	Project Slug // "" for the same project
	Env     Slug // "" for the same folder
	Folder  Path // only with Env
	Name    SecretName
}

// Local tells whether the reference stays in its own folder.
func (r Reference) Local() bool { return r.Env == "" }

// String gives the spelling inside the braces.
func (r Reference) String() string {
	if r.Local() {
		return string(r.Name)
	}
	parts := append([]string{string(r.Env)}, r.Folder.Segments()...)
	if r.Project != "" {
		parts = append([]string{"@" + string(r.Project)}, parts...)
	}
	return strings.Join(append(parts, string(r.Name)), ".")
}

// parseReference takes the canonical spelling only, so that a reference is found by comparing it.
func parseReference(s string) (Reference, bool) {
	rest, foreign := strings.CutPrefix(s, "@")
	parts := strings.Split(rest, ".")
	if !foreign && len(parts) == 1 {
		name, err := ParseSecretName(s)
		return Reference{Name: name}, err == nil
	}
	var r Reference
	var err error
	if foreign {
		if r.Project, err = ParseSlug(parts[0]); err != nil || len(parts) < 3 {
			return Reference{}, false
		}
		parts = parts[1:]
	}
	last := len(parts) - 1
	if r.Env, err = ParseSlug(parts[0]); err != nil {
		return Reference{}, false
	}
	if r.Folder, err = ParsePath(strings.Join(parts[1:last], "/")); err != nil {
		return Reference{}, false
	}
	if r.Name, err = ParseSecretName(parts[last]); err != nil {
		return Reference{}, false
	}
	return r, r.String() == s // ParsePath forgives slashes, a reference does not
}

// Part is a stretch of a value: text, or a reference when Ref is set.
type Part struct {
	Text string
	Ref  *Reference
}

// scan walks through a value and calls text for each stretch of it that holds no reference and found for each reference,
// in order; raw is always the bytes as they stand. An escaped "${" comes as a stretch of its own, "$${". No name holds a
// brace, so a reference ends at the next one or is none: each byte is looked at a bounded number of times, whatever the value.
func scan(value string, text func(raw string, escape bool), found func(raw string, r Reference)) {
	done, at := 0, 0 // all before done is told, all before at is looked at
	for {
		i := strings.Index(value[at:], "${")
		if i < 0 {
			break
		}
		i += at
		at = i + len("${")
		if i > done && value[i-1] == '$' {
			text(value[done:i-1], false)
			text(value[i-1:at], true)
			done = at
			continue
		}
		end := strings.IndexAny(value[at:], "{}")
		if end < 0 || value[at+end] != '}' {
			continue
		}
		ref, ok := parseReference(value[at : at+end])
		if !ok {
			continue
		}
		at += end + len("}")
		text(value[done:i], false)
		found(value[i:at], ref)
		done = at
	}
	text(value[done:], false)
}

// ParseReferences splits a value. "$${" is an escaped "${"; braces that hold no reference are text.
// Without a reference in it the value is one text part, and the result of joining is the value with escapes undone.
func ParseReferences(value string) []Part {
	var parts []Part
	var pending strings.Builder
	flush := func() {
		if pending.Len() > 0 {
			parts = append(parts, Part{Text: pending.String()})
			pending.Reset()
		}
	}
	scan(value, func(raw string, escape bool) {
		if escape {
			raw = raw[len("$"):]
		}
		pending.WriteString(raw)
	}, func(_ string, r Reference) {
		flush()
		parts = append(parts, Part{Ref: &r})
	})
	flush()
	if len(parts) == 0 {
		parts = []Part{{}}
	}
	return parts
}

// References lists what a value points to, in order, without repeats.
func References(value string) []Reference {
	var out []Reference
	seen := map[Reference]bool{}
	scan(value, func(string, bool) {}, func(_ string, r Reference) {
		if !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	})
	return out
}

// RewriteReferences replaces each reference for which change gives another one and leaves every other byte as it is. A
// secret whose name holds a '.' cannot be referred to, so change must not give one.
func RewriteReferences(value string, change func(Reference) (Reference, bool)) string {
	var b strings.Builder
	scan(value, func(raw string, _ bool) { b.WriteString(raw) }, func(raw string, r Reference) {
		if to, changed := change(r); changed {
			raw = "${" + to.String() + "}"
		}
		b.WriteString(raw)
	})
	return b.String()
}
