package rootkey

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// commandTimeout is how long a program may take to print a root key: longer than a slow network, shorter than a person
	// waits for a server to start.
	commandTimeout = 10 * time.Second
	// maxArguments bounds the words of a command.
	maxArguments = 64
)

// command holds a root key behind a program that prints it.
type command struct{ argv []string }

// parseCommand reads "/abs/program argument argument". Words are split at blanks and nothing else: there is no shell, no
// quoting and no variable, so that what runs is what is written.
func parseCommand(rest string, _ Environment) (Source, error) {
	argv := strings.Fields(rest)
	switch {
	case len(argv) == 0 || !filepath.IsAbs(argv[0]):
		return nil, fault.New(fault.Invalid, "the program of a root key command is not an absolute path").
			WithHint("write command: and a path from the root, then its arguments: command:/usr/local/bin/root-key production")
	case len(argv) > maxArguments:
		return nil, fault.New(fault.Invalid, "a root key command has more than %d words", maxArguments)
	case strings.ContainsAny(rest, `'"`+"`$|;<>&\\"):
		return nil, fault.New(fault.Invalid, "a root key command has a character that only a shell understands").
			WithHint("there is no shell; put what needs one into a script and name the script")
	}
	return command{argv}, nil
}

func (c command) Kind() string { return "command" }
func (c command) Name() string { return "command:" + strings.Join(c.argv, " ") }

// Root runs the program. One that cannot be started, fails, takes longer than ten seconds or prints more than 4 KiB is
// [fault.Unavailable]; its first line of standard error is the cause, for the log.
func (c command) Root(ctx context.Context) (sensitive.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	text, err := program{argv: c.argv, limit: maxRootFile}.run(ctx)
	if err != nil {
		return sensitive.Value{}, fault.Wrap(fault.Unavailable, err, "the root key command %s failed", c.argv[0]).
			WithHint("run it by hand as the server's user: it must print 64 hex characters and end with exit code 0 within %v", commandTimeout)
	}
	return sensitive.New(text), nil
}
