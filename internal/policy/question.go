package policy

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// Where is a resource as people write it: "" for the organisation, PROJECT, PROJECT/ENV, PROJECT/ENV:/path/ for a folder, or
// PROJECT/ENV:/path/NAME for a secret.
type Where struct {
	Project string // slug or id
	Env     string // slug
	Path    domain.Path
	Name    domain.SecretName
}

// ParseWhere reads one.
func ParseWhere(s string) (Where, error) {
	var w Where
	if s == "" || s == "*" {
		return w, nil
	}
	place, rest, inside := strings.Cut(s, ":")
	project, env, ok := strings.Cut(place, "/")
	bad := fault.New(fault.Invalid, "not a resource: want PROJECT, PROJECT/ENV, PROJECT/ENV:/folder/ or PROJECT/ENV:/folder/NAME, or * for the organisation")
	if _, err := domain.ParseSlug(project); err != nil && !domain.IsID(project) {
		return w, bad
	}
	w.Project = project
	if ok {
		if _, err := domain.ParseSlug(env); err != nil {
			return w, bad
		}
		w.Env = env
	}
	if !inside {
		return w, nil
	}
	if !ok {
		return w, bad
	}
	folder, name := rest, ""
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		folder, name = rest[:i+1], rest[i+1:]
	} else {
		folder, name = "/", rest
	}
	var err error
	if w.Path, err = domain.ParsePath(folder); err != nil {
		return w, err
	}
	if name != "" {
		w.Name, err = domain.ParseSecretName(name)
	}
	return w, err
}

// ParseAction knows the listed actions.
func ParseAction(s string) (Action, error) {
	if indexOf(Action(s)) < 0 {
		return "", fault.New(fault.Invalid, "no such action: want one such as secret.read; the reference of permissions lists them").WithField("/action", "unknown")
	}
	return Action(s), nil
}

// Expectation is one line of a policy test.
type Expectation struct {
	Line       int
	Kind       domain.PrincipalKind
	Principal  string
	Action     Action
	Resource   string
	Allow      bool
	Address    string
	At         int64         // unix milliseconds, zero for now
	MFA        time.Duration // how long ago a second factor was shown, zero for never
	Attributes map[string]string
}

// maxExpectations bounds one file of tests.
const maxExpectations = 5000

// ParseExpectations reads a policy test from YAML or JSON: a list, or a mapping with "tests". A fault tells the line.
func ParseExpectations(text []byte) ([]Expectation, error) {
	root, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	r := &ruleReader{lines: map[string]int{}}
	list := root
	if root.Kind == yaml.MappingNode {
		list = nil
		r.fields(root, nil, map[string]func(*yaml.Node, []any){"tests": func(n *yaml.Node, _ []any) { list = n }})
	}
	switch {
	case list == nil || list.Kind != yaml.SequenceNode:
		r.add(root, "want a list of tests, or tests: with a list", nil)
	case len(list.Content) > maxExpectations:
		r.add(list, fmt.Sprintf("too many tests: at most %d", maxExpectations), nil)
	}
	var out []Expectation
	if len(r.problems) == 0 {
		for i, n := range list.Content {
			out = append(out, r.expectation(n, i))
		}
	}
	if len(r.problems) > 0 {
		p := r.problems[0]
		f := fault.New(fault.Invalid, "the tests are not right: %s: %s", r.whereTest(p), p.text)
		for _, p := range r.problems {
			f = f.WithField(r.whereTest(p), "%s", p.text)
		}
		return nil, f
	}
	return out, nil
}

func (r *ruleReader) whereTest(p problem) string {
	return strings.Replace(r.where(p), "rule ", "test ", 1)
}

func (r *ruleReader) expectation(n *yaml.Node, i int) Expectation {
	e := Expectation{Line: n.Line}
	expect := ""
	var seen struct{ principal, action bool }
	check := func(n *yaml.Node, at []any, err error) {
		if err != nil {
			r.add(n, fault.As(err).Message, at)
		}
	}
	r.fields(n, []any{i}, map[string]func(*yaml.Node, []any){
		"principal": func(n *yaml.Node, at []any) {
			var err error
			seen.principal = true
			e.Kind, e.Principal, err = ParsePrincipal(r.text(n, at))
			check(n, at, err)
		},
		"action": func(n *yaml.Node, at []any) {
			var err error
			seen.action = true
			e.Action, err = ParseAction(r.text(n, at))
			check(n, at, err)
		},
		"resource": func(n *yaml.Node, at []any) {
			e.Resource = r.text(n, at)
			_, err := ParseWhere(e.Resource)
			check(n, at, err)
		},
		"expect": func(n *yaml.Node, at []any) {
			if expect = r.text(n, at); expect != "allow" && expect != "deny" {
				r.add(n, "want allow or deny", at)
			}
		},
		"address": func(n *yaml.Node, at []any) { e.Address = r.text(n, at) },
		"at": func(n *yaml.Node, at []any) {
			t, err := time.Parse(time.RFC3339, r.text(n, at))
			if err != nil {
				r.add(n, "want a time such as 2026-11-25T09:00:00Z", at)
			}
			e.At = t.UnixMilli()
		},
		"mfa": func(n *yaml.Node, at []any) {
			d, err := time.ParseDuration(r.text(n, at))
			if err != nil || d < 0 {
				r.add(n, "want how long ago a second factor was shown, such as 5m", at)
			}
			e.MFA = max(d, time.Millisecond)
		},
		"attributes": func(n *yaml.Node, at []any) {
			w := r.when(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "attributes"}, n}}, at)
			e.Attributes = w.Attribute
		},
	})
	if !seen.principal || !seen.action || expect == "" {
		r.add(n, "lacks a part: want principal, action, resource and expect", []any{i})
	}
	e.Allow = expect == "allow"
	return e
}

// ParsePrincipal reads "user:ann@example.com", "identity:backend" or "group:ops". Without a kind, what holds an '@' is a user
// and everything else an identity.
func ParsePrincipal(s string) (domain.PrincipalKind, string, error) {
	kind, name, ok := strings.Cut(s, ":")
	switch k := domain.PrincipalKind(kind); {
	case ok && (k == domain.User || k == domain.Identity || k == domain.Group) && name != "":
		return k, name, nil
	case !ok && s != "" && strings.Contains(s, "@"):
		return domain.User, s, nil
	case !ok && s != "":
		return domain.Identity, s, nil
	}
	return "", "", fault.New(fault.Invalid, "not a principal: want user:ADDRESS, identity:NAME or group:NAME").WithField("/principal", "unknown kind")
}
