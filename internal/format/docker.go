package format

import "bytes"

// dockerMaxLine is the longest line that docker run --env-file reads (bufio.MaxScanTokenSize, line end included).
const dockerMaxLine = 64<<10 - 2

// Docker env files (docker run --env-file): NAME=value, the value being the raw rest of the line, quotes and blanks
// included. # begins a comment at the start of a line only. A name alone would take its value from the environment of the
// docker command and is refused, since that value is not in the file.
func decodeDocker(c *collector, text []byte) {
	for line := 1; len(text) > 0 && !c.done(); line++ {
		var row []byte
		row, text = cutLine(text)
		row = bytes.TrimLeft(row, " \t")
		if len(row) == 0 || row[0] == '#' {
			continue
		}
		name, value, ok := bytes.Cut(row, []byte{'='})
		if !ok {
			c.problem(line, "there is no = in this line")
			continue
		}
		c.pair(string(name), bytes.Clone(value), line, "")
	}
}

// dockerValue says why a value does not fit on one raw line.
func dockerValue(p Pair) string {
	switch {
	case bytes.IndexByte(p.Value, '\n') >= 0:
		return "the value has more than one line"
	case bytes.HasSuffix(p.Value, []byte{'\r'}):
		return "the value ends with a carriage return"
	case len(p.Name)+1+len(p.Value) > dockerMaxLine:
		return "the line would be longer than docker reads"
	}
	return plainText(p)
}

func encodeDocker(w *bytes.Buffer, pairs []Pair, _ Options) {
	for _, p := range pairs {
		w.WriteString(p.Name + "=")
		w.Write(p.Value)
		w.WriteByte('\n')
	}
}
