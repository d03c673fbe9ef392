package format

import (
	"bytes"
	"errors"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// TOML 1.0 with flat keys whose values are strings, integers, floats (which keep their text) or booleans. Tables, dotted
// keys, lists and dates are refused.
func decodeTOML(c *collector, text []byte) {
	if c.tooManyMarks(text, "\n", ",", ".") {
		return
	}
	var p unstable.Parser
	p.Reset(text)
	at := lines{text: text}
	inTable := false
	for p.NextExpression() && !c.done() {
		e := p.Expression()
		var path []string
		line := 0
		for keys := e.Key(); keys.Next(); {
			if line == 0 {
				line = at.at(int(keys.Node().Raw.Offset))
			}
			path = append(path, string(keys.Node().Data))
		}
		switch {
		case e.Kind == unstable.Table || e.Kind == unstable.ArrayTable:
			inTable = true
			c.problem(line, "%s is a table; only flat keys can be read", pointer(path...))
		case e.Kind != unstable.KeyValue || inTable: // what is in a table was refused with the table
		case len(path) != 1:
			c.problem(line, "%s is a dotted key; only flat keys can be read", pointer(path...))
		default:
			tomlValue(c, path[0], e.Value(), line)
		}
	}
	if c.done() || len(c.problems) > 0 && p.Error() == nil {
		return
	}
	// The walk above checks the grammar; the decoder also checks numbers and the like.
	var all map[string]any
	if err := toml.Unmarshal(text, &all); err != nil {
		line := 0
		if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, _ = bad.Position()
		}
		// The decoder's own words may quote the text, which may be a secret.
		c.problem(line, "is not valid TOML")
	} else if p.Error() != nil {
		c.problem(0, "is not valid TOML")
	}
}

func tomlValue(c *collector, name string, v *unstable.Node, line int) {
	switch v.Kind {
	case unstable.String, unstable.Integer, unstable.Float, unstable.Bool:
		c.pair(name, bytes.Clone(v.Data), line, "")
	case unstable.Array, unstable.InlineTable:
		c.problem(line, "%s is a list or a table; only flat keys can be read", pointer(name))
	default:
		c.problem(line, "%s is a date or a time; put it in quotes", pointer(name))
	}
}

func encodeTOML(w *bytes.Buffer, pairs []Pair, _ Options) {
	for _, p := range pairs {
		if identifier(p.Name, "-") {
			w.WriteString(p.Name)
		} else {
			quoted(w, []byte(p.Name))
		}
		w.WriteString(" = ")
		quoted(w, p.Value)
		w.WriteByte('\n')
	}
}
