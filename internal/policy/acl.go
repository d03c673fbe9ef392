package policy

import (
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// Capability is one thing that a path of an ACL policy allows, as the API of Vault names it.
type Capability string

// The capabilities.
const (
	CanCreate Capability = "create"
	CanRead   Capability = "read"
	CanUpdate Capability = "update"
	CanPatch  Capability = "patch"
	CanDelete Capability = "delete"
	CanList   Capability = "list"
	CanSudo   Capability = "sudo"
	CanDeny   Capability = "deny"
)

var capabilities = []Capability{CanCreate, CanRead, CanUpdate, CanPatch, CanDelete, CanList, CanSudo, CanDeny}

// older are the words that stood in place of lists of capabilities once, and that are still taken.
var older = map[string][]Capability{
	"deny": {CanDeny}, "read": {CanRead, CanList}, "write": {CanCreate, CanRead, CanUpdate, CanDelete, CanList},
	"sudo": {CanCreate, CanRead, CanUpdate, CanDelete, CanList, CanSudo},
}

// unkept are the parts of a path that narrow what it allows and that no rule can say. To leave them out would loosen it.
var unkept = []string{"allowed_parameters", "denied_parameters", "required_parameters", "min_wrapping_ttl", "max_wrapping_ttl", "mfa_methods",
	"control_group", "subscribe_event_types", "expiration", "pagination_limit", "list_scan_response_keys_filter_path"}

// maxACLPaths bounds a policy: each path is compared with each other one.
const maxACLPaths = 400

// ACLPath is one path of an ACL policy.
type ACLPath struct {
	Line         int    // where it stands, from 1
	Path         string // without a slash at the beginning; '*' at the end for whatever begins so, '+' for one segment
	Capabilities []Capability
}

func (p *ACLPath) can(c Capability) bool { return slices.Contains(p.Capabilities, c) }

// ParseACL reads a policy of Vault: HCL or JSON. Paths that stand there twice are put together, as Vault does it. A fault tells
// the line. What a path says beside its capabilities is refused: parameters, wrapping times, templates.
func ParseACL(text string) ([]ACLPath, error) {
	members, err := readACL(text)
	if err != nil {
		return nil, err
	}
	var out []ACLPath
	add := func(line int, path string, v aclValue) error {
		p, err := aclPathOf(line, path, v)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(out, func(o ACLPath) bool { return o.Path == p.Path }); i >= 0 {
			out[i].Capabilities = append(out[i].Capabilities, p.Capabilities...)
		} else {
			out = append(out, p)
		}
		if len(out) > maxACLPaths {
			return aclWrong(line, "too many paths: at most %d", maxACLPaths)
		}
		return nil
	}
	for _, m := range members {
		switch {
		case m.key == "name" && len(m.labels) == 0 && m.value.kind == aclText: // the name is that of the request
		case m.key != "path":
			return nil, aclWrong(m.line, "a part that is not known: want path")
		case len(m.labels) == 1:
			err = add(m.line, m.labels[0], m.value)
		case len(m.labels) > 1:
			err = aclWrong(m.line, "want one path")
		default:
			err = aclPathsIn(m.value, add)
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range out {
		slices.Sort(out[i].Capabilities)
		if out[i].Capabilities = slices.Compact(out[i].Capabilities); out[i].can(CanDeny) {
			out[i].Capabilities = []Capability{CanDeny}
		}
	}
	return out, nil
}

// aclPathsIn reads paths as JSON writes them: an object of objects, or a list of such objects.
func aclPathsIn(v aclValue, add func(int, string, aclValue) error) error {
	if v.kind == aclList {
		for _, item := range v.list {
			if item.kind != aclObject {
				return aclWrong(item.line, "want an object of paths")
			}
			if err := aclPathsIn(item, add); err != nil {
				return err
			}
		}
		return nil
	}
	if v.kind != aclObject {
		return aclWrong(v.line, "want an object of paths")
	}
	for _, m := range v.members {
		if len(m.labels) > 0 {
			return aclWrong(m.line, "want one path")
		}
		parts := []aclValue{m.value}
		if m.value.kind == aclList {
			parts = m.value.list
		}
		for _, part := range parts {
			if err := add(m.line, m.key, part); err != nil {
				return err
			}
		}
	}
	return nil
}

func aclPathOf(line int, path string, v aclValue) (ACLPath, error) {
	p := ACLPath{Line: line, Path: strings.TrimPrefix(path, "/")}
	if err := aclPathForm(line, p.Path); err != nil {
		return p, err
	}
	if v.kind != aclObject {
		return p, aclWrong(line, "want a block of capabilities")
	}
	seen := map[string]bool{}
	for _, m := range v.members {
		if seen[m.key] {
			return p, aclWrong(m.line, "a part stands there twice")
		}
		seen[m.key] = true
		switch {
		case m.key == "comment":
		case m.key == "policy" && m.value.kind == aclText && older[m.value.text] != nil:
			p.Capabilities = append(p.Capabilities, older[m.value.text]...)
		case m.key == "capabilities":
			items := []aclValue{m.value}
			if m.value.kind == aclList {
				items = m.value.list
			}
			for _, item := range items {
				if item.kind != aclText || !slices.Contains(capabilities, Capability(item.text)) {
					return p, aclWrong(item.line, "no such capability: want create, read, update, patch, delete, list, sudo or deny")
				}
				p.Capabilities = append(p.Capabilities, Capability(item.text))
			}
		case slices.Contains(unkept, m.key):
			return p, aclWrong(m.line, "%s cannot be kept here: no rule narrows requests by it, and to leave it out would allow more; take it out", m.key).
				WithHint("see docs/guides/vault-policies.md for what can be said in its place")
		default:
			return p, aclWrong(m.line, "a part that is not known: want capabilities")
		}
	}
	return p, nil
}

// aclPathForm refuses what no path can be.
func aclPathForm(line int, path string) error {
	body, glob := strings.CutSuffix(path, "*")
	switch {
	case path == "":
		return aclWrong(line, "the path is empty")
	case strings.Contains(path, "{{"):
		return aclWrong(line, "templates such as {{identity.entity.id}} cannot be kept here; write a policy for each of those whom it is for")
	case strings.Contains(body, "*"):
		return aclWrong(line, "'*' may stand only at the end; '+' stands for one segment")
	case glob && strings.HasSuffix(body, "+"):
		return aclWrong(line, "'+*' is not allowed: write '+/*'")
	case strings.Contains(path, "//"):
		return aclWrong(line, "a segment of the path is empty")
	}
	for seg := range strings.SplitSeq(body, "/") {
		if seg != "+" && strings.Contains(seg, "+") {
			return aclWrong(line, "'+' stands for a whole segment")
		}
	}
	return nil
}

// aclRefused says which line of a policy cannot be kept and what to write in its place.
func aclRefused(line int, why, instead string) *fault.Error {
	f := fault.New(fault.Invalid, "failed to parse policy: line %d: %s", line, why)
	if instead != "" {
		f = f.WithHint("%s", instead)
	}
	return f
}
