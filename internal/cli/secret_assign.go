package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

const (
	defaultGenerated = 32  // letters and digits: 190 bits
	maxGenerated     = 512 // the server's bound
)

// assignment is one secret that is set. Without value and length only its attributes change.
type assignment struct {
	key      secretKey
	value    []byte // nil: none given
	generate int    // characters; 0: none
	typed    bool   // the value stood on the command line
}

// sources are the flags that say where values come from, beside NAME=VALUE.
type sources struct {
	files, generate []string
	stdin           string
}

func (s *sources) register(f *pflag.FlagSet) {
	f.StringArrayVar(&s.files, "file", nil, "`NAME=FILE`: take the value from a file, byte for byte; may be repeated")
	f.StringVar(&s.stdin, "stdin", "", "`NAME`: take the value from standard input, byte for byte")
	f.StringArrayVar(&s.generate, "generate", nil, "`NAME[=LENGTH]`: let the server make a random value (32 characters unless told); may be repeated")
}

// assignments reads arguments and flags: each secret once, in the order given. A bare NAME comes without a value.
func (s *sources) assignments(base string, args []string, stdin io.Reader) ([]assignment, error) {
	var out []assignment
	seen := map[secretKey]bool{}
	add := func(where, name string, one assignment) error {
		var err error
		if one.key, err = parseSecretKey(base, name); err != nil {
			return fault.As(err).WithField(where, "not the name of a secret")
		}
		if seen[one.key] {
			return fault.New(fault.Invalid, "%s is set twice", one.key)
		}
		seen[one.key] = true
		out = append(out, one)
		return nil
	}
	for i, arg := range args {
		name, value, given := strings.Cut(arg, "=")
		one := assignment{typed: given}
		if given {
			one.value = []byte(value)
		}
		if err := add("argument "+ordinal(i), name, one); err != nil {
			return nil, err
		}
	}
	for _, arg := range s.files {
		name, file, ok := strings.Cut(arg, "=")
		if !ok || file == "" {
			return nil, fault.New(fault.Invalid, "--file wants NAME=FILE")
		}
		value, err := readValueFile(file)
		if err != nil {
			return nil, err
		}
		if err := add("--file", name, assignment{value: value}); err != nil {
			return nil, err
		}
	}
	for _, arg := range s.generate {
		name, digits, given := strings.Cut(arg, "=")
		n := defaultGenerated
		if given {
			var err error
			if n, err = strconv.Atoi(digits); err != nil || n < 1 || n > maxGenerated {
				return nil, fault.New(fault.Invalid, "--generate wants NAME or NAME=LENGTH, with a length of 1 to %d", maxGenerated)
			}
		}
		if err := add("--generate", name, assignment{generate: n}); err != nil {
			return nil, err
		}
	}
	if s.stdin != "" {
		if err := add("--stdin", s.stdin, assignment{}); err != nil {
			return nil, err
		}
		value, err := readValue(stdin, "standard input")
		if err != nil {
			return nil, err
		}
		out[len(out)-1].value = value
	}
	return out, nil
}

// change makes the part of the commit.
func (s *assignment) change() api.Change {
	c := api.Change{Op: "set", Path: string(s.key.path), Name: string(s.key.name), Generate: s.generate}
	if s.value != nil {
		v := api.NewValue(s.value)
		c.Value, c.Encoding = &v.Value, v.Encoding
	}
	return c
}

// readValueFile gives the bytes of a file as they are.
func readValueFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the value cannot be read: %s", err)
	}
	defer f.Close()
	return readValue(f, file)
}

// readValue reads to the end and trims nothing. The result is never nil.
func readValue(r io.Reader, from string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, domain.MaxValue+1))
	if err != nil {
		return nil, fmt.Errorf("read the value from %s: %w", from, err)
	}
	if len(b) > domain.MaxValue {
		return nil, fault.New(fault.Invalid, "the value in %s is too large: at most %d bytes", from, domain.MaxValue)
	}
	return append([]byte{}, b...), nil
}

// endsLikeALine tells whether a value is one line with its end: mostly the end came from a tool and is not meant.
func endsLikeALine(b []byte) bool {
	return len(b) > 1 && b[len(b)-1] == '\n' && strings.Count(string(b), "\n") == 1
}
