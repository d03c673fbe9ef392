// Package format reads and writes the file formats in which secrets come and go: dotenv, JSON, YAML, TOML, CSV, shell,
// Docker env files, systemd environment files, Kubernetes Secret manifests and Java properties.
//
// Reading is all or nothing: [Decode] returns every pair of a file or a fault that names each bad line. Writing is checked:
// [Encode] reads back what it wrote and refuses what the format cannot carry. No error of this package holds a value.
package format

import (
	"bytes"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// Format names a file format. Make one with [ParseFormat] or [Detect].
type Format string

// The formats, by the names that users type.
const (
	Dotenv     Format = "dotenv"
	JSON       Format = "json"
	YAML       Format = "yaml"
	TOML       Format = "toml"
	CSV        Format = "csv"
	Shell      Format = "shell"
	Docker     Format = "docker"
	Systemd    Format = "systemd"
	Kubernetes Format = "kubernetes"
	Properties Format = "properties"
)

// Bounds of what is read and written. Exceeding one is [fault.Invalid].
const (
	// MaxFile is the size of a file in bytes: parsers hold the whole file and several times its size in memory.
	MaxFile = 16 << 20
	// MaxPairs is the number of pairs in a file, ten times the largest import that is planned for.
	MaxPairs = 100_000
	// MaxValue is the size of one value in bytes, the same as the store's bound.
	MaxValue = 64 << 10
	// MaxName is the length of a name in bytes; names end up in paths, logs and environment blocks.
	MaxName = 253
	// MaxMarks is how many line ends, commas and (in TOML) dots a YAML or TOML file may have. Their parsers build a tree
	// before anything can be counted, so this is what bounds its nodes; base64 lines to [MaxFile] stay under half of it.
	MaxMarks = 1 << 19
	// MaxProblems is how many bad lines one error lists; more would hide the first from the reader.
	MaxProblems = 20
)

// Pair is one secret of a file.
type Pair struct {
	Name    string // as written in the file
	Value   []byte // the exact bytes, never nil after decoding, owned by the holder of the pair
	Line    int    // where the pair begins, from 1; ignored by [Encode]
	Comment string // the comment lines directly above (dotenv) or the comment column (CSV), without marks; else empty
}

// Options are what some formats need beyond the pairs. The zero value is good.
type Options struct {
	Name      string // Kubernetes metadata.name, "keyturn" when empty
	Namespace string // Kubernetes metadata.namespace, left out when empty
}

// codec is one format: how to read it, how to write it, and what it can carry.
type codec struct {
	// decode reports pairs and problems to c. The text is UTF-8 without a byte order mark.
	decode func(c *collector, text []byte)
	// encode writes pairs that passed every check below.
	encode func(w *bytes.Buffer, pairs []Pair, opt Options)
	// nameIn says what is wrong with a name that was read, nameOut with one to be written; empty means nothing.
	nameIn, nameOut func(name string) string
	// valueOut says why a value cannot be written; empty means that it can.
	valueOut func(p Pair) string
	// comments says that the format carries Pair.Comment.
	comments bool
	// whole checks what concerns the file and not one pair; nil means nothing.
	whole func(pairs []Pair, opt Options) error
}

// codecOf is a function and not a table, so that no package state can be changed.
func codecOf(f Format) (codec, bool) {
	switch f {
	case Dotenv:
		return codec{decodeDotenv, encodeDotenv, looseEnvName, envName, plainText, true, nil}, true
	case JSON:
		return codec{decodeJSON, encodeJSON, anyName, anyName, anyText, false, nil}, true
	case YAML:
		return codec{decodeYAML, encodeYAML, anyName, anyName, anyText, false, nil}, true
	case TOML:
		return codec{decodeTOML, encodeTOML, anyName, anyName, anyText, false, nil}, true
	case CSV:
		return codec{decodeCSV, encodeCSV, anyName, anyName, plainText, true, nil}, true
	case Shell:
		return codec{decodeShell, encodeShell, looseEnvName, envName, plainText, false, nil}, true
	case Docker:
		return codec{decodeDocker, encodeDocker, looseEnvName, envName, dockerValue, false, nil}, true
	case Systemd:
		return codec{decodeSystemd, encodeSystemd, looseEnvName, envName, systemdValue, false, nil}, true
	case Kubernetes:
		return codec{decodeKubernetes, encodeKubernetes, kubernetesKey, kubernetesKey, anyBytes, false, kubernetesWhole}, true
	case Properties:
		return codec{decodeProperties, encodeProperties, anyName, anyName, anyText, false, nil}, true
	}
	return codec{}, false
}

// Names lists the formats, sorted.
func Names() []string {
	names := []string{
		string(Dotenv), string(JSON), string(YAML), string(TOML), string(CSV),
		string(Shell), string(Docker), string(Systemd), string(Kubernetes), string(Properties),
	}
	slices.Sort(names)
	return names
}

// ParseFormat finds a format by its name or a usual other name, whatever the case. It fails with [fault.Invalid].
func ParseFormat(s string) (Format, error) {
	name := strings.ToLower(s)
	switch name {
	case "env", ".env":
		return Dotenv, nil
	case "yml":
		return YAML, nil
	case "sh", "bash":
		return Shell, nil
	case "docker-env", "env-file":
		return Docker, nil
	case "k8s":
		return Kubernetes, nil
	case "java":
		return Properties, nil
	}
	if _, ok := codecOf(Format(name)); ok {
		return Format(name), nil
	}
	return "", unknownFormat()
}

func unknownFormat() error {
	return fault.New(fault.Invalid, "there is no such file format").WithHint("formats are %s", strings.Join(Names(), ", "))
}
