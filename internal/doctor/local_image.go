package doctor

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
)

// imageFile tells whether a file builds a container image.
func imageFile(name string) bool {
	base := strings.ToLower(filepath.Base(name))
	return base == "dockerfile" || base == "containerfile" || strings.HasPrefix(base, "dockerfile.") || strings.HasSuffix(base, ".dockerfile")
}

// images finds secrets that are baked into image layers or passed as build arguments, which the image's metadata keeps.
func (c *checkout) images() api.Check {
	out := api.Check{ID: "local.image", Title: "no image build holds a secret", Source: operationsChecklist}
	files := c.matching(imageFile)
	if len(files) == 0 {
		return c.nothing(out, "no Dockerfile")
	}
	var baked, passed, unread []string
	for _, name := range files {
		b, ok := c.read(name)
		if !ok {
			unread = append(unread, name)
			continue
		}
		for _, a := range assignments(string(b)) {
			place := name + ":" + strconv.Itoa(a.line) + " " + a.verb + " " + a.name
			switch {
			case a.verb == "COPY":
				baked = append(baked, place)
			case a.set && !strings.HasPrefix(a.value, "$") && (secretName(a.name) && domain.Placeholder([]byte(a.value)) != "empty" || looksReal(a.name, a.value)):
				baked = append(baked, place)
			case secretName(a.name) && (a.verb == "ARG" || strings.HasPrefix(a.value, "$")):
				passed = append(passed, place)
			}
		}
	}
	out.Fix = "take it out; give it when the container starts, for example with ENTRYPOINT [\"keyturn\", \"run\", \"--\", ...], or with RUN --mount=type=secret while building"
	switch {
	case len(baked) > 0:
		out.Outcome, out.Evidence = Fail, "in the image: "+evidence(baked)
	case len(passed) > 0:
		out.Outcome, out.Evidence = Fail, "build arguments stay in the image's history: "+evidence(passed)
	case len(unread) > 0:
		out.Outcome, out.Evidence, out.Fix = Unknown, "couldn't read "+evidence(unread), ""
	default:
		out.Outcome, out.Evidence, out.Fix = Pass, evidence(files), ""
	}
	return out
}

// assignment is one NAME or NAME=value of an ENV or ARG instruction, or an environment file that COPY or ADD puts in.
type assignment struct {
	verb, name, value string
	set               bool
	line              int
}

// assignments reads as much of a Dockerfile as this check needs: instructions with continued lines, quotes, and the old form
// "ENV NAME value".
func assignments(text string) []assignment {
	var out []assignment
	line, start, pending := 0, 0, ""
	for row := range strings.Lines(text) {
		line++
		row = strings.TrimSpace(row)
		if strings.HasPrefix(row, "#") || row == "" {
			continue // comments and blank lines may stand inside a continued instruction
		}
		if pending == "" {
			start = line
		}
		if rest, more := strings.CutSuffix(row, `\`); more {
			pending += rest + " "
			continue
		}
		out = append(out, instruction(pending+row, start)...)
		pending = ""
	}
	if pending != "" {
		out = append(out, instruction(pending, start)...)
	}
	return out
}

func instruction(text string, line int) []assignment {
	verb, rest, _ := strings.Cut(text, " ")
	verb, rest = strings.ToUpper(verb), strings.TrimSpace(rest)
	words := splitWords(rest)
	var out []assignment
	switch verb {
	case "COPY", "ADD":
		for i, w := range words {
			if i < len(words)-1 && envFile(w) && !strings.HasPrefix(w, "--") {
				out = append(out, assignment{verb: "COPY", name: w, line: line})
			}
		}
	case "ENV", "ARG":
		if verb == "ENV" && len(words) > 1 && !strings.Contains(words[0], "=") {
			return []assignment{{verb: verb, name: words[0], value: strings.Join(words[1:], " "), set: true, line: line}}
		}
		for _, w := range words {
			name, value, set := strings.Cut(w, "=")
			out = append(out, assignment{verb: verb, name: name, value: value, set: set, line: line})
		}
	}
	return out
}

// splitWords splits at spaces outside of quotes and takes the quotes away.
func splitWords(s string) []string {
	var out []string
	var word strings.Builder
	quote, inside := byte(0), false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case quote != 0 && b == quote:
			quote = 0
		case quote == 0 && (b == '"' || b == '\''):
			quote, inside = b, true
		case b == '\\' && quote != '\'' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			inside = true
		case quote == 0 && (b == ' ' || b == '\t'):
			if inside {
				out = append(out, word.String())
				word.Reset()
				inside = false
			}
		default:
			word.WriteByte(b)
			inside = true
		}
	}
	if inside {
		out = append(out, word.String())
	}
	return out
}
