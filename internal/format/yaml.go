package format

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML 1.2 is one document with one flat mapping. Scalars keep the text of the source, so that 0123, yes and 1.0 stay what
// they look like; null, ~ and nothing are the empty value. Anchors, aliases, merge keys and tags are refused: what they
// stand for is not what is written.
func decodeYAML(c *collector, text []byte) {
	root := yamlDocument(c, text)
	if root == nil {
		return
	}
	if root.Kind != yaml.MappingNode {
		c.problem(root.Line, "the file must hold one mapping of names to values")
		return
	}
	for key, value := range yamlMembers(c, root) {
		if text, ok := yamlScalar(c, key.Value, value); ok {
			c.pair(key.Value, text, key.Line, "")
		}
	}
}

// yamlDocument parses exactly one document and gives its root, or nil when it is empty or wrong.
func yamlDocument(c *collector, text []byte) *yaml.Node {
	if c.tooManyMarks(text, ",", "\n", "\r", "\u0085", "\u2028", "\u2029") {
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	err := d.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		switch err = d.Decode(&more); {
		case errors.Is(err, io.EOF):
			err = nil
		case err == nil:
			c.problem(more.Line, "there is more than one document")
			return nil
		}
	}
	if err != nil {
		// The parser's own words may quote the text, which may be a secret; only its line is safe.
		c.problem(yamlErrorLine(err), "is not valid YAML")
		return nil
	}
	if len(document.Content) != 1 {
		return nil
	}
	root := document.Content[0]
	if wrong := yamlMagic(root); wrong != "" {
		c.problem(root.Line, "the document %s", wrong)
		return nil
	}
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil
	}
	return root
}

// yamlMembers walks a mapping and reports every key that is no plain name, and every magic node, instead of giving it.
func yamlMembers(c *collector, mapping *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(mapping.Content) && !c.done(); i += 2 {
			key, value := mapping.Content[i], mapping.Content[i+1]
			if wrong := yamlMagic(key); wrong != "" {
				c.problem(key.Line, "the name %s", wrong)
				continue
			}
			if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
				c.problem(key.Line, "the name is not a plain scalar")
				continue
			}
			if wrong := yamlMagic(value); wrong != "" {
				c.problem(value.Line, "the value of %s %s", label(key.Value), wrong)
				continue
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

// yamlScalar gives the source text of a scalar, or reports that it is none.
func yamlScalar(c *collector, name string, value *yaml.Node) ([]byte, bool) {
	if value.Kind != yaml.ScalarNode {
		c.problem(value.Line, "%s is a mapping or a list; only a flat mapping can be read", pointer(name))
		return nil, false
	}
	if value.ShortTag() == "!!null" {
		return []byte{}, true
	}
	return []byte(value.Value), true
}

// yamlMagic says what makes a node stand for something else than its text; empty means nothing.
func yamlMagic(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode:
		return "is an alias, which is not read"
	case n.Anchor != "":
		return "has an anchor, which is not read"
	case n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str":
		return "has a tag, which is not read"
	}
	return ""
}

// yamlErrorLine takes the number out of "yaml: line N: ...", 0 when there is none.
func yamlErrorLine(err error) int {
	_, after, _ := strings.Cut(err.Error(), "line ")
	digits, _, _ := strings.Cut(after, ":")
	n, _ := strconv.Atoi(digits)
	return max(n, 0)
}

func encodeYAML(w *bytes.Buffer, pairs []Pair, _ Options) {
	if len(pairs) == 0 {
		w.WriteString("{}\n")
	}
	for _, p := range pairs {
		yamlKey(w, p.Name)
		w.WriteString(": ")
		quoted(w, p.Value)
		w.WriteByte('\n')
	}
}

// yamlKey writes a name bare where no version of YAML could take it for something else, quoted otherwise.
func yamlKey(w *bytes.Buffer, name string) {
	switch strings.ToLower(name) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null": // YAML 1.1 readers see booleans and null
	default:
		if looseEnvName(name) == "" {
			w.WriteString(name)
			return
		}
	}
	quoted(w, []byte(name))
}
