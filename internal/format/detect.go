package format

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// Detect guesses the format from the file's name, and from the content where the name says nothing or two formats share it
// (YAML and JSON may be Kubernetes manifests). It fails with [fault.Invalid] when neither tells. A guess that is wrong does
// no harm: [Decode] then refuses the file.
func Detect(filename string, content []byte) (Format, error) {
	text := bytes.TrimPrefix(content[:min(len(content), MaxFile)], []byte(byteOrderMark))
	f := byName(filename)
	if f == "" {
		f = byContent(text)
	}
	if (f == YAML || f == JSON) && isManifest(text) {
		f = Kubernetes
	}
	if f == "" {
		return "", fault.New(fault.Invalid, "couldn't tell the format of the file from its name or content").
			WithHint("name the format, one of %s", strings.Join(Names(), ", "))
	}
	return f, nil
}

func byName(filename string) Format {
	base := strings.ToLower(path.Base(strings.ReplaceAll(filename, `\`, "/")))
	switch base {
	case "env.list", "docker.env", ".dockerenv":
		return Docker
	case ".envrc":
		return Shell
	case "env":
		return Dotenv
	}
	switch path.Ext(base) {
	case ".json":
		return JSON
	case ".yaml", ".yml":
		return YAML
	case ".toml":
		return TOML
	case ".csv":
		return CSV
	case ".sh", ".bash":
		return Shell
	case ".properties":
		return Properties
	case ".env":
		return Dotenv
	}
	if strings.HasPrefix(base, ".env.") {
		return Dotenv // .env.production and the like
	}
	return ""
}

func byContent(text []byte) Format {
	if bytes.HasPrefix(text, []byte("#!")) {
		return Shell
	}
	first := firstStatement(text)
	switch {
	case len(first) == 0:
		return ""
	case first[0] == '{' || first[0] == '[':
		return JSON
	case csvColumns(bytes.Split(first, []byte{','})) > 0:
		return CSV
	case bytes.HasPrefix(first, []byte("---")):
		return YAML
	}
	name := regexp.MustCompile(`^(?:export[ \t]+)?[A-Za-z_][A-Za-z0-9_.-]*[ \t]*([=:])(.?)`).FindSubmatch(first)
	switch {
	case name == nil:
		return ""
	case name[1][0] == '=':
		return Dotenv
	case len(name[2]) == 0 || name[2][0] == ' ':
		return YAML
	}
	return ""
}

// firstStatement gives the first line that is neither blank nor a comment.
func firstStatement(text []byte) []byte {
	for row := range bytes.Lines(text) {
		if row = bytes.TrimSpace(row); len(row) > 0 && row[0] != '#' {
			return row
		}
	}
	return nil
}

// isManifest looks for the kind of a Secret manifest: at the top level of YAML, anywhere in JSON, where a quote inside a
// value would be escaped.
func isManifest(text []byte) bool {
	return bytes.Contains(text, []byte("apiVersion")) &&
		regexp.MustCompile(`"kind"\s*:\s*"Secret"|(?m:^kind[ \t]*:[ \t]*["']?Secret["']?[ \t]*(?:#.*)?\r?$)`).Match(text)
}
