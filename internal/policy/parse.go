package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// ParseRules reads the rules of a role from YAML or JSON: a list of rules, or a mapping with "rules" and perhaps a
// "description". Lists of one may be written without brackets. A fault tells line, rule and part, and what would be right.
func ParseRules(text []byte) (rules []domain.Rule, description string, err error) {
	root, err := parseTree(text)
	if err != nil {
		return nil, "", err
	}
	r := &ruleReader{lines: map[string]int{}}
	list := root
	if root.Kind == yaml.MappingNode {
		list = nil
		r.fields(root, nil, map[string]func(*yaml.Node, []any){
			"rules":       func(n *yaml.Node, _ []any) { list = n },
			"description": func(n *yaml.Node, at []any) { description = r.text(n, at) },
		})
	}
	switch {
	case list == nil:
		r.add(root, "no rules: want a list of them, or rules: with a list", nil)
	case list.Kind != yaml.SequenceNode:
		r.add(list, "want a list of rules", nil)
	case len(list.Content) > MaxRules:
		r.add(list, fmt.Sprintf("too many rules: at most %d", MaxRules), nil)
	default:
		for i, n := range list.Content {
			rules = append(rules, r.rule(n, i))
		}
	}
	problems := r.problems
	if len(problems) == 0 {
		problems = checkRules(rules)
	}
	return rules, description, failure(problems, r.where)
}

// parseTree parses exactly one document.
func parseTree(text []byte) (*yaml.Node, error) {
	switch {
	case len(text) > maxRuleText:
		return nil, fault.New(fault.Invalid, "the text is too long: at most %d bytes", maxRuleText)
	case !utf8.Valid(text):
		return nil, fault.New(fault.Invalid, "the text is not UTF-8")
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fault.New(fault.Invalid, "the text is empty")
		}
		return nil, fault.New(fault.Invalid, "the text is neither YAML nor JSON%s", lineOfError(err))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "the text holds more than one document")
	}
	if len(doc.Content) != 1 {
		return nil, fault.New(fault.Invalid, "the text is empty")
	}
	return doc.Content[0], nil
}

// lineOfError takes nothing but the line out of a parser's error: the rest may quote the text.
func lineOfError(err error) string {
	if _, rest, ok := strings.Cut(err.Error(), "line "); ok {
		if n, err := strconv.Atoi(rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]); err == nil {
			return fmt.Sprintf(", near line %d", n)
		}
	}
	return ""
}

// ruleReader walks the tree of a file of rules and remembers in which line each part stands.
type ruleReader struct {
	problems []problem
	lines    map[string]int
}

func (r *ruleReader) add(n *yaml.Node, text string, at []any) {
	p := problem{slices.Clone(at), text}
	r.lines[p.pointer()] = n.Line
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, p)
	}
}

// where tells line, rule and part: "line 7, rule 2, actions".
func (r *ruleReader) where(p problem) string {
	out := ""
	for at := p.at; ; at = at[:len(at)-1] { // the nearest part above whose line is known
		if line, ok := r.lines[(problem{at: at}).pointer()]; ok {
			out = fmt.Sprintf("line %d", line)
			break
		}
		if len(at) == 0 {
			break
		}
	}
	for i, step := range p.at {
		text := fmt.Sprint(step)
		if n, ok := step.(int); ok {
			text = fmt.Sprint(n + 1)
			if i == 0 {
				text = "rule " + text
			}
		}
		if out != "" {
			out += ", "
		}
		out += text
	}
	if out == "" {
		return "rules"
	}
	return out
}

// fields reads a mapping whose keys are known.
func (r *ruleReader) fields(n *yaml.Node, at []any, known map[string]func(*yaml.Node, []any)) {
	r.lines[(problem{at: at}).pointer()] = n.Line
	if n.Kind != yaml.MappingNode {
		r.add(n, "want a mapping of "+keys(known), at)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read, ok := known[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || !ok:
			r.add(key, "holds a part that is not known: want "+keys(known), at)
		case seen[key.Value]:
			r.add(key, "stands there twice", append(slices.Clone(at), key.Value))
		default:
			inner := append(slices.Clone(at), key.Value)
			r.lines[(problem{at: inner}).pointer()] = value.Line
			read(value, inner)
		}
		seen[key.Value] = true
	}
}

func keys(known map[string]func(*yaml.Node, []any)) string {
	var out []string
	for k := range known {
		out = append(out, k)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (r *ruleReader) text(n *yaml.Node, at []any) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.add(n, "want a text", at)
		return ""
	}
	return n.Value
}

func (r *ruleReader) list(n *yaml.Node, at []any) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{r.text(n, at)}
	}
	if n.Kind != yaml.SequenceNode {
		r.add(n, "want a text or a list of texts", at)
		return nil
	}
	if len(n.Content) == 0 {
		r.add(n, "is an empty list: leave it out to narrow nothing", at)
	}
	var out []string
	for i, item := range n.Content {
		inner := append(slices.Clone(at), i)
		r.lines[(problem{at: inner}).pointer()] = item.Line
		out = append(out, r.text(item, inner))
	}
	return out
}

func (r *ruleReader) rule(n *yaml.Node, i int) (out domain.Rule) {
	list := func(to *[]string) func(*yaml.Node, []any) {
		return func(n *yaml.Node, at []any) { *to = r.list(n, at) }
	}
	r.fields(n, []any{i}, map[string]func(*yaml.Node, []any){
		"effect":       func(n *yaml.Node, at []any) { out.Effect = domain.Effect(r.text(n, at)) },
		"actions":      list(&out.Actions),
		"environments": list(&out.Environments),
		"projects": func(n *yaml.Node, at []any) {
			for _, text := range r.list(n, at) {
				out.Projects = append(out.Projects, domain.ProjectID(text)) // a slug, which the service of roles looks up, or an id
			}
		},
		"names": list(&out.Names),
		"tags":  list(&out.Tags),
		"paths": func(n *yaml.Node, at []any) {
			for j, text := range r.list(n, at) {
				p, err := domain.ParsePattern(text)
				if err != nil {
					r.add(n, fault.As(err).Message, append(slices.Clone(at), j))
				}
				out.Paths = append(out.Paths, p)
			}
		},
		"when":   func(n *yaml.Node, at []any) { out.When = r.when(n, at) },
		"unless": func(n *yaml.Node, at []any) { out.Unless = r.when(n, at) },
	})
	return out
}

func (r *ruleReader) when(n *yaml.Node, at []any) *domain.When {
	var out domain.When
	r.fields(n, at, map[string]func(*yaml.Node, []any){
		"networks":   func(n *yaml.Node, at []any) { out.Networks = r.list(n, at) },
		"mfa_within": func(n *yaml.Node, at []any) { out.MFAWithin = r.text(n, at) },
		"times": func(n *yaml.Node, at []any) {
			items := []*yaml.Node{n}
			if n.Kind == yaml.SequenceNode {
				items = n.Content
			}
			for j, item := range items {
				out.Times = append(out.Times, r.window(item, append(slices.Clone(at), j)))
			}
		},
		"attributes": func(n *yaml.Node, at []any) {
			if n.Kind != yaml.MappingNode {
				r.add(n, "want a mapping of attributes to values", at)
				return
			}
			out.Attribute = map[string]string{}
			for i := 0; i+1 < len(n.Content); i += 2 {
				name := r.text(n.Content[i], at)
				if _, twice := out.Attribute[name]; twice {
					r.add(n.Content[i], "stands there twice", append(slices.Clone(at), name))
				}
				out.Attribute[name] = r.text(n.Content[i+1], append(slices.Clone(at), name))
			}
		},
	})
	return &out
}

func (r *ruleReader) window(n *yaml.Node, at []any) (out domain.Window) {
	r.fields(n, at, map[string]func(*yaml.Node, []any){
		"days": func(n *yaml.Node, at []any) { out.Days = r.list(n, at) },
		"from": func(n *yaml.Node, at []any) { out.From = r.text(n, at) },
		"to":   func(n *yaml.Node, at []any) { out.To = r.text(n, at) },
	})
	return out
}
