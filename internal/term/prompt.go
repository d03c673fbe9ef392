package term

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxLine bounds what a person types, in bytes.
const maxLine = 64 << 10

// ErrNoTerminal says that nobody sits there to be asked.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

// Console asks a person on the terminal device, whatever standard input is.
type Console struct {
	in, out *os.File
	lines   *bufio.Reader
}

// OpenConsole opens the terminal device, and gives [ErrNoTerminal] when there is none.
func OpenConsole() (*Console, error) {
	in, out, err := openDevice()
	if err != nil {
		return nil, ErrNoTerminal
	}
	if !term.IsTerminal(int(in.Fd())) {
		closeDevice(in, out)
		return nil, ErrNoTerminal
	}
	return &Console{in: in, out: out, lines: bufio.NewReader(io.LimitReader(in, maxLine))}, nil
}

// Close closes the device.
func (c *Console) Close() error {
	closeDevice(c.in, c.out)
	return nil
}

func closeDevice(in, out *os.File) {
	_ = in.Close()
	if out != in {
		_ = out.Close()
	}
}

// Ask shows a question and reads a line, without its end and blanks around.
func (c *Console) Ask(question string) (string, error) {
	if _, err := fmt.Fprint(c.out, Clean(question), " "); err != nil {
		return "", err
	}
	line, err := c.lines.ReadString('\n')
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}

// AskSecret is Ask without showing what is typed. The line is taken as it is, without its end.
func (c *Console) AskSecret(question string) ([]byte, error) {
	if _, err := fmt.Fprint(c.out, Clean(question), " "); err != nil {
		return nil, err
	}
	b, err := term.ReadPassword(int(c.in.Fd()))
	_, _ = fmt.Fprintln(c.out)
	return b, err
}

// Erase takes everything off the screen that was shown so far, also what can be scrolled back to: a secret was shown.
func (c *Console) Erase() error {
	_, err := c.out.WriteString("\x1b[H\x1b[2J\x1b[3J")
	return err
}
