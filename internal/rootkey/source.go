package rootkey

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
)

// Environment is what sources may take from the world.
type Environment struct {
	Getenv   func(string) string          // os.Getenv; nil means that no variable is set
	ReadFile func(string) ([]byte, error) // nil means a read that stops early at files that are too large
	HTTP     *http.Client                 // for services; nil means http.DefaultClient
}

const (
	maxSources    = 16       // each is asked at every unsealing; nobody keeps that many
	maxURI        = 1024     // bytes; it is stored in the slot and shown in lists
	maxSourceText = 64 << 10 // bytes of configuration, comments included
)

// scheme is one manner of naming a source. parse gets what stands behind "name:".
type scheme struct {
	name  string
	parse func(rest string, env Environment) (Source, error)
}

// schemes is the list of all manners, sorted by name.
var schemes = []scheme{
	{"awskms", parseAWS},
	{"azurekv", parseAzure},
	{"command", parseCommand},
	{"credential", parseCredential},
	{"env", parseEnv},
	{"file", parseFile},
	{"gcpkms", parseGCP},
	{"pkcs11", parsePKCS11},
	{"tpm", parseTPM},
	{"transit", parseTransit},
}

// keyLike finds what looks like a root key: an address is shown to everybody, and people put the key where its place belongs.
var keyLike = regexp.MustCompile(`(^|[^0-9A-Fa-f])[0-9A-Fa-f]{64}($|[^0-9A-Fa-f])`)

// Parse reads the URI of one source. What is wrong with it is [fault.Invalid], an unknown scheme is [fault.Unsupported]; no
// error repeats the text, which may hold a key by mistake. Nothing is opened or asked yet.
func Parse(line string, env Environment) (Source, error) {
	line = strings.TrimSpace(line)
	switch {
	case len(line) > maxURI:
		return nil, fault.New(fault.Invalid, "a source of root keys has more than %d bytes", maxURI)
	case !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl):
		return nil, fault.New(fault.Invalid, "a source of root keys has a control character or is not UTF-8")
	case keyLike.MatchString(line):
		return nil, fault.New(fault.Invalid, "a source of root keys holds a key where the place of a key belongs").
			WithHint("put the key into a file or a variable and name that here; the key that stood here has been seen by others, so make a new one")
	}
	name, rest, ok := strings.Cut(line, ":")
	if !ok {
		return nil, fault.New(fault.Invalid, "a source of root keys has no scheme").WithHint("write it as %s", schemeHint())
	}
	for _, s := range schemes {
		if s.name == name {
			return s.parse(rest, env)
		}
	}
	return nil, fault.New(fault.Unsupported, "no source of root keys has that scheme").WithHint("write it as %s", schemeHint())
}

func schemeHint() string {
	names := make([]string, len(schemes))
	for i, s := range schemes {
		names[i] = s.name + ":..."
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// ParseAll reads one URI a line. Blank lines and lines that begin with # are left out; at most 16 sources, none twice. An
// error names the line and does not repeat it.
func ParseAll(text string, env Environment) ([]Source, error) {
	if len(text) > maxSourceText {
		return nil, fault.New(fault.Invalid, "the list of root key sources has more than %d KiB", maxSourceText>>10)
	}
	var found []Source
	at := map[string]int{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		source, err := Parse(line, env)
		if err != nil {
			return nil, fmt.Errorf("line %d of the root key sources: %w", number, err)
		}
		if first, twice := at[source.Name()]; twice {
			return nil, fault.New(fault.Invalid, "line %d of the root key sources: the same as line %d", number, first)
		}
		if len(found) == maxSources {
			return nil, fault.New(fault.Invalid, "line %d of the root key sources: more than %d sources", number, maxSources)
		}
		at[source.Name()] = number
		found = append(found, source)
	}
	return found, nil
}
