package format

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"go.yaml.in/yaml/v3"
)

// kubernetesMaxData is the most that the API server takes in one Secret (core/v1 MaxSecretSize).
const kubernetesMaxData = 1 << 20

// Kubernetes is one manifest of kind Secret (core/v1), as YAML or JSON: data in base64 and stringData as it is. A key in
// both is refused, though the API server would let stringData win: an import should not choose in silence.
func decodeKubernetes(c *collector, text []byte) {
	root := yamlDocument(c, text)
	if root == nil {
		if len(c.problems) == 0 {
			c.problem(1, "the file holds no manifest")
		}
		return
	}
	if root.Kind != yaml.MappingNode {
		c.problem(root.Line, "the file must hold one manifest of kind Secret")
		return
	}
	var kind, version string
	sections := map[string]*yaml.Node{}
	for key, value := range yamlMembers(c, root) {
		if _, twice := sections[key.Value]; twice {
			c.problem(key.Line, "%s occurs twice", label(key.Value))
			return
		}
		sections[key.Value] = value
		switch key.Value {
		case "kind":
			kind = value.Value
		case "apiVersion":
			version = value.Value
		}
	}
	if kind != "Secret" || version != "v1" {
		c.problem(root.Line, "the manifest must have apiVersion v1 and kind Secret")
		return
	}
	for _, section := range []string{"data", "stringData"} {
		node := sections[section]
		if node == nil || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
			continue
		}
		if node.Kind != yaml.MappingNode {
			c.problem(node.Line, "%s must be a mapping", section)
			continue
		}
		for key, value := range yamlMembers(c, node) {
			kubernetesEntry(c, section, key, value)
		}
	}
}

func kubernetesEntry(c *collector, section string, key, value *yaml.Node) {
	text, ok := yamlScalar(c, key.Value, value)
	if !ok {
		return
	}
	if tag := value.ShortTag(); tag != "!!str" && tag != "!!null" {
		c.problem(value.Line, "the value of %s is no string; put it in quotes", label(key.Value))
		return
	}
	if section == "data" {
		decoded, err := base64.StdEncoding.Strict().DecodeString(string(text))
		if err != nil {
			c.problem(value.Line, "the value of %s is not base64", label(key.Value))
			return
		}
		text = decoded
	}
	c.pair(key.Value, text, key.Line, "")
}

// kubernetesKey says whether a name can be a key of a Secret (apimachinery IsConfigMapKey): [-._a-zA-Z0-9]+, at most 253,
// neither "." nor beginning with "..".
func kubernetesKey(name string) string {
	if !identifier("_"+name, ".-") || name == "" || len(name) > MaxName || name == "." || strings.HasPrefix(name, "..") {
		return "the name must match [-._a-zA-Z0-9]+ and not be . or begin with .."
	}
	return ""
}

// kubernetesWhole checks the object's name and namespace (RFC 1123 as the API server reads it) and the size of all values.
func kubernetesWhole(pairs []Pair, opt Options) error {
	if name := opt.secretName(); !dnsName(name, 253) {
		return fault.New(fault.Invalid, "the name of the Kubernetes Secret must be lower-case letters, digits, dots and dashes")
	}
	if opt.Namespace != "" && (!dnsName(opt.Namespace, 63) || strings.Contains(opt.Namespace, ".")) {
		return fault.New(fault.Invalid, "the Kubernetes namespace must be lower-case letters, digits and dashes")
	}
	size := 0
	for _, p := range pairs {
		if size += len(p.Value); size > kubernetesMaxData {
			return fault.New(fault.Invalid, "couldn't write %s as %s: one Secret holds at most %d bytes", label(p.Name), Kubernetes, kubernetesMaxData).
				WithHint("export fewer folders at a time, or as %s", JSON)
		}
	}
	return nil
}

func (opt Options) secretName() string {
	if opt.Name == "" {
		return "keyturn"
	}
	return opt.Name
}

// dnsName tells whether s is labels of lower-case letters, digits and inner dashes with dots between.
func dnsName(s string, most int) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' {
			return false
		}
		if strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return len(s) <= most
}

func encodeKubernetes(w *bytes.Buffer, pairs []Pair, opt Options) {
	// Names are quoted: one of digits alone would else be read as a number.
	fmt.Fprintf(w, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: %q\n", opt.secretName())
	if opt.Namespace != "" {
		fmt.Fprintf(w, "  namespace: %q\n", opt.Namespace)
	}
	w.WriteString("type: Opaque\n")
	if len(pairs) == 0 {
		w.WriteString("data: {}\n")
		return
	}
	w.WriteString("data:\n")
	for _, p := range pairs {
		w.WriteString("  ")
		yamlKey(w, p.Name)
		fmt.Fprintf(w, ": %q\n", base64.StdEncoding.EncodeToString(p.Value))
	}
}
