package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// maxPassword bounds what is read where a password or client secret is expected, in bytes; the server takes up to 1024.
const maxPassword = 4 << 10

// password gets a password: from a file, with "-" from standard input, else by asking on the terminal, else from standard
// input. The line end that editors and echo add is taken off. With twice, a person types it two times.
func (a *app) password(file, question string, twice bool) (string, error) {
	if file != "" {
		return a.passwordFrom(file)
	}
	console, err := a.console()
	if errors.Is(err, term.ErrNoTerminal) {
		if term.IsTerminal(a.in) {
			return "", fault.New(fault.Invalid, "there is no terminal to ask for a password on").WithHint("add --password-file FILE")
		}
		return a.passwordFrom("-")
	}
	if err != nil {
		return "", err
	}
	defer console.Close()
	typed, err := console.AskSecret(question)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if twice {
		again, err := console.AskSecret("The same again:")
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		if !bytes.Equal(typed, again) {
			return "", fault.New(fault.Invalid, "the two passwords differ")
		}
	}
	return string(typed), nil
}

func (a *app) passwordFrom(file string) (string, error) {
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fault.Wrap(fault.Invalid, err, "the password file cannot be read")
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	b = bytes.TrimSuffix(b, []byte("\n"))
	b = bytes.TrimSuffix(b, []byte("\r"))
	switch {
	case len(b) == 0:
		return "", fault.New(fault.Invalid, "the password is empty").WithHint("give it in --password-file FILE, or on standard input")
	case len(b) > maxPassword:
		return "", fault.New(fault.Invalid, "the password is too long: at most %d bytes", maxPassword)
	case bytes.ContainsAny(b, "\r\n"):
		return "", fault.New(fault.Invalid, "the password has more than one line")
	}
	return string(b), nil
}

// ask gets a short text: as given, else by asking on the terminal, else a fault that names the flag.
func (a *app) ask(given, question, flag string) (string, error) {
	if given != "" {
		return given, nil
	}
	console, err := a.console()
	if err != nil {
		return "", fault.New(fault.Invalid, "--%s is missing", flag)
	}
	defer console.Close()
	answer, err := console.Ask(question)
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	if answer == "" {
		return "", errDeclined
	}
	return answer, nil
}
