package cli

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"github.com/keyturn/keyturn/internal/format"
)

// document parses exactly one YAML or JSON document and gives its root, or nil after a problem. Both become one kind of tree,
// so that one walk reads either.
func (r *inventoryReader) document(content []byte) *yaml.Node {
	text := bytes.TrimPrefix(content, []byte("\ufeff"))
	switch {
	case len(content) > format.MaxFile:
		r.problem(0, "is larger than "+strconv.Itoa(format.MaxFile)+" bytes")
		return nil
	case !utf8.Valid(text):
		r.problem(0, "is not UTF-8")
		return nil
	case bytes.Count(text, []byte("\n"))+bytes.Count(text, []byte(",")) > format.MaxMarks:
		r.problem(0, "has too many lines and items; split it")
		return nil
	}
	if first := bytes.TrimLeft(text, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		return r.jsonDocument(text)
	}
	return r.yamlDocument(text)
}

func (r *inventoryReader) yamlDocument(text []byte) *yaml.Node {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	err := d.Decode(&document)
	if err == nil {
		switch err = d.Decode(&more); {
		case errors.Is(err, io.EOF):
			err = nil
		case err == nil:
			r.problem(more.Line, "there is more than one document")
			return nil
		}
	}
	if errors.Is(err, io.EOF) || err == nil && len(document.Content) != 1 {
		r.problem(0, "is empty")
		return nil
	}
	if err != nil {
		// The parser's own words may quote the text, which may be a secret; only its line is safe.
		_, after, _ := strings.Cut(err.Error(), "line ")
		digits, _, _ := strings.Cut(after, ":")
		line, _ := strconv.Atoi(digits)
		r.problem(line, "is not valid YAML")
		return nil
	}
	return document.Content[0]
}

// jsonDocument builds the tree that YAML would give for the same text.
func (r *inventoryReader) jsonDocument(text []byte) *yaml.Node {
	j := jsonTree{d: jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true)), text: text}
	root, err := j.value()
	if err == nil {
		if _, more := j.d.ReadToken(); !errors.Is(more, io.EOF) {
			r.problem(j.line(), "there is more after the end of the document")
			return nil
		}
		return root
	}
	r.problem(j.line(), "is not valid JSON")
	return nil
}

type jsonTree struct {
	d      *jsontext.Decoder
	text   []byte
	offset int
	lines  int
}

// line gives the line of the last token, from 1. Offsets never go back, so that the text is counted once.
func (j *jsonTree) line() int {
	at := min(int(j.d.InputOffset()), len(j.text))
	j.lines += bytes.Count(j.text[j.offset:at], []byte{'\n'})
	j.offset = at
	return j.lines + 1
}

func (j *jsonTree) value() (*yaml.Node, error) {
	t, err := j.d.ReadToken()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: j.line(), Value: t.String()}
	switch t.Kind() {
	case '{':
		n.Kind, n.Tag, n.Value = yaml.MappingNode, "!!map", ""
		return n, j.members(n, '}')
	case '[':
		n.Kind, n.Tag, n.Value = yaml.SequenceNode, "!!seq", ""
		return n, j.members(n, ']')
	case 'n':
		n.Tag = "!!null"
	case 't', 'f':
		n.Tag = "!!bool"
	case '0':
		n.Tag = "!!float"
	default:
		n.Tag = "!!str"
	}
	return n, nil
}

func (j *jsonTree) members(n *yaml.Node, end jsontext.Kind) error {
	for j.d.PeekKind() != end {
		child, err := j.value()
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	_, err := j.d.ReadToken()
	return err
}

// members gives the known keys of a mapping with their values and reports everything else.
func (r *inventoryReader) members(n *yaml.Node, known []string) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		if !r.plain(n) {
			return
		}
		if n.Kind != yaml.MappingNode {
			r.problem(n.Line, "want a mapping with the keys "+strings.Join(known, ", "))
			return
		}
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			switch {
			case !r.plain(key) || !r.plain(value):
			case key.Kind != yaml.ScalarNode:
				r.problem(key.Line, "a key is not plain text")
			case known != nil && !isKnown(known, key.Value):
				r.problem(key.Line, unknownKey(known))
			case seen[key.Value]:
				r.problem(key.Line, "a key stands there twice")
			default:
				seen[key.Value] = true
				if !yield(key.Value, value) {
					return
				}
			}
		}
	}
}

// plain refuses what stands for something else than its text.
func (r *inventoryReader) plain(n *yaml.Node) bool {
	what := ""
	switch {
	case n.Kind == yaml.AliasNode:
		what = "an alias"
	case n.Anchor != "":
		what = "an anchor"
	case n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str":
		what = "a tag"
	case n.ShortTag() == "!!merge":
		what = "a merge key"
	default:
		return true
	}
	r.problem(n.Line, what+" is not read: write out what it stands for")
	return false
}

// text gives the source text of a scalar that is there.
func (r *inventoryReader) text(n *yaml.Node, key string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		r.problem(n.Line, key+": want text")
	case n.ShortTag() == "!!null":
		r.problem(n.Line, key+` stands there without text: write "" for empty, or leave it away`)
	case len(n.Value) > format.MaxValue*2: // base64 is longer than its value; the server knows the exact bound
		r.problem(n.Line, key+" is too long")
	default:
		return n.Value, true
	}
	return "", false
}

func (r *inventoryReader) optional(n *yaml.Node, key string) *string {
	if s, ok := r.text(n, key); ok {
		return &s
	}
	return nil
}

func (r *inventoryReader) boolean(n *yaml.Node, key string) *bool {
	value := n.Value == "true"
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || !value && n.Value != "false" {
		r.problem(n.Line, key+": want true or false")
		return nil
	}
	return &value
}

func (r *inventoryReader) list(n *yaml.Node, key string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.problem(n.Line, key+": want a list")
		return nil
	}
	return n.Content
}

// texts gives a list of texts, never nil when the list is there.
func (r *inventoryReader) texts(n *yaml.Node, key string) []string {
	out := []string{}
	for _, entry := range r.list(n, key) {
		if !r.plain(entry) {
			continue
		}
		if s, ok := r.text(entry, key); ok {
			out = append(out, s)
		}
	}
	return out
}

func (r *inventoryReader) dictionary(n *yaml.Node, key string) *map[string]string {
	out := map[string]string{}
	for name, value := range r.members(n, nil) {
		if s, ok := r.text(value, key); ok {
			out[name] = s
		}
	}
	return &out
}
