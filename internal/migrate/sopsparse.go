package migrate

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/format"
)

func hexText(b []byte) string { return hex.EncodeToString(b) }

// parseSops reads a file in the form that it has.
func parseSops(name string, content []byte) (*sopsNode, *sopsMeta, error) {
	trimmed := bytes.TrimSpace(content)
	var root *sopsNode
	var meta *sopsMeta
	var err error
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")):
		root, meta, err = parseSopsJSON(name, content)
	case bytes.Contains(content, []byte("\nsops_mac=")) || bytes.HasPrefix(content, []byte("sops_mac=")):
		root, meta, err = parseSopsDotenv(name, content)
	default:
		root, meta, err = parseSopsYAML(name, content)
	}
	if err == nil && (meta == nil || meta.MAC == "") {
		err = unreadable(name, "a file of SOPS: it has no part of the name sops").WithHint("import it with keyturn import if it is not encrypted")
	}
	return root, meta, err
}

func parseSopsYAML(name string, content []byte) (*sopsNode, *sopsMeta, error) {
	if bytes.Count(content, []byte("\n"))+bytes.Count(content, []byte(",")) > format.MaxMarks {
		return nil, nil, fault.New(fault.Invalid, "%s has more than %d lines", name, format.MaxMarks)
	}
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(content))
	if d.Decode(&doc) != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, nil, unreadable(name, "a YAML file of SOPS")
	}
	if !errors.Is(d.Decode(new(yaml.Node)), io.EOF) {
		return nil, nil, fault.New(fault.Unsupported, "%s holds several documents", name).WithHint("decrypt it with sops --decrypt and import the parts")
	}
	root := &sopsNode{}
	var meta *sopsMeta
	top := doc.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value == "sops" {
			meta = &sopsMeta{}
			if top.Content[i+1].Decode(meta) != nil {
				return nil, nil, unreadable(name, "a YAML file of SOPS")
			}
			continue
		}
		child, ok := yamlNode(top.Content[i+1], 0)
		if !ok {
			return nil, nil, unreadable(name, "a YAML file of SOPS without aliases")
		}
		child.name = top.Content[i].Value
		root.children = append(root.children, child)
	}
	return root, meta, nil
}

// yamlNode takes over a node. Aliases are refused: SOPS writes none, and they may grow without end.
func yamlNode(n *yaml.Node, depth int) (*sopsNode, bool) {
	out := &sopsNode{}
	if depth > maxSopsDepth {
		return nil, false
	}
	switch n.Kind {
	case yaml.ScalarNode:
		out.leaf, out.text, out.kind = true, n.Value, "str"
		switch n.ShortTag() {
		case "!!int":
			out.kind = "int"
		case "!!float":
			out.kind = "float"
		case "!!bool":
			out.kind = "bool"
		case "!!null":
			out.kind = "null"
		}
		return out, true
	case yaml.SequenceNode:
		out.list = true
		for _, c := range n.Content {
			child, ok := yamlNode(c, depth+1)
			if !ok {
				return nil, false
			}
			out.children = append(out.children, child)
		}
		return out, true
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			child, ok := yamlNode(n.Content[i+1], depth+1)
			if !ok {
				return nil, false
			}
			child.name = n.Content[i].Value
			out.children = append(out.children, child)
		}
		return out, true
	}
	return nil, false
}

func parseSopsJSON(name string, content []byte) (*sopsNode, *sopsMeta, error) {
	d := jsontext.NewDecoder(bytes.NewReader(content))
	root, meta, err := jsonNode(d, true, 0)
	if err == nil {
		if _, end := d.ReadToken(); !errors.Is(end, io.EOF) {
			err = end
			if err == nil {
				err = errors.New("more than one value")
			}
		}
	}
	if err != nil || root.leaf || root.list {
		return nil, nil, unreadable(name, "a JSON file of SOPS")
	}
	return root, meta, nil
}

// jsonNode reads the next value. At the top, the member sops is the metadata.
func jsonNode(d *jsontext.Decoder, top bool, depth int) (*sopsNode, *sopsMeta, error) {
	if depth > maxSopsDepth {
		return nil, nil, errors.New("too deep")
	}
	out := &sopsNode{}
	var meta *sopsMeta
	switch d.PeekKind() {
	case '{', '[':
		open, err := d.ReadToken()
		if err != nil {
			return nil, nil, err
		}
		out.list = open.Kind() == '['
		for d.PeekKind() != '}' && d.PeekKind() != ']' {
			key := ""
			if !out.list {
				token, err := d.ReadToken()
				if err != nil {
					return nil, nil, err
				}
				key = token.String()
			}
			if top && key == "sops" {
				meta = &sopsMeta{}
				if err := json.UnmarshalDecode(d, meta); err != nil {
					return nil, nil, err
				}
				continue
			}
			child, _, err := jsonNode(d, false, depth+1)
			if err != nil {
				return nil, nil, err
			}
			child.name = key
			out.children = append(out.children, child)
		}
		_, err = d.ReadToken()
		return out, meta, err
	}
	token, err := d.ReadToken()
	if err != nil {
		return nil, nil, err
	}
	out.leaf, out.text = true, token.String()
	switch token.Kind() {
	case '"':
		out.kind = "str"
	case 't', 'f':
		out.kind = "bool"
	case 'n':
		out.kind = "null"
	default: // JSON knows only one kind of number, which SOPS reads as a float
		out.kind = "float"
	}
	return out, nil, nil
}

// parseSopsDotenv reads the flat form. Line breaks in values are written as \n there.
func parseSopsDotenv(name string, content []byte) (*sopsNode, *sopsMeta, error) {
	root, meta := &sopsNode{}, &sopsMeta{}
	ages := map[string]string{}
	var order []string
	for line := range strings.SplitSeq(string(content), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, nil, unreadable(name, "a dotenv file of SOPS")
		}
		value = strings.ReplaceAll(value, `\n`, "\n")
		field, ours := strings.CutPrefix(key, "sops_")
		if !ours {
			root.children = append(root.children, &sopsNode{name: key, leaf: true, kind: "str", text: value})
			continue
		}
		switch {
		case field == "mac":
			meta.MAC = value
		case field == "lastmodified":
			meta.LastModified = value
		case field == "mac_only_encrypted":
			meta.MACOnly = value == "true"
		case strings.HasPrefix(field, "key_groups"):
			meta.KeyGroups = append(meta.KeyGroups, field)
		case strings.HasPrefix(field, "age__list_") && strings.HasSuffix(field, "__map_enc"):
			if _, twice := ages[field]; !twice {
				order = append(order, field)
			}
			ages[field] = value
		}
	}
	for _, field := range order {
		meta.Age = append(meta.Age, struct {
			Enc string `json:"enc" yaml:"enc"`
		}{ages[field]})
	}
	return root, meta, nil
}

// json writes a node as JSON.
func (n *sopsNode) json() ([]byte, error) {
	var b bytes.Buffer
	e := jsontext.NewEncoder(&b)
	if err := n.encode(e); err != nil {
		return nil, fault.New(fault.Invalid, "a list cannot be written as JSON").WithField(word(n.name), "holds a name twice, or text that is not UTF-8")
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func (n *sopsNode) encode(e *jsontext.Encoder) error {
	switch {
	case n.leaf:
		switch n.kind {
		case "int", "float", "bool", "null":
			text := n.plain
			if n.kind == "null" {
				text = []byte("null")
			}
			if jsontext.Value(text).IsValid() {
				return e.WriteValue(text)
			}
		}
		return e.WriteToken(jsontext.String(string(n.plain)))
	case n.list:
		if err := e.WriteToken(jsontext.BeginArray); err != nil {
			return err
		}
	default:
		if err := e.WriteToken(jsontext.BeginObject); err != nil {
			return err
		}
	}
	for _, c := range n.children {
		if !n.list {
			if err := e.WriteToken(jsontext.String(c.name)); err != nil {
				return err
			}
		}
		if err := c.encode(e); err != nil {
			return err
		}
	}
	if n.list {
		return e.WriteToken(jsontext.EndArray)
	}
	return e.WriteToken(jsontext.EndObject)
}
