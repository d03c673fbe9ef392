package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/fault"
)

// exampleMark is how a file begins that the example command made, so that it may be made anew.
const exampleMark = "# made by: keyturn example"

// exampleMode lets the file be read by all: it is made to be shared and holds no values.
const exampleMode = 0o644

func (a *app) exampleCommand() *cobra.Command {
	var file string
	var force bool
	c := &cobra.Command{
		Use:   "example",
		Short: "Write a .env.example: names and what is known of them, no values",
		Long: `Write a .env.example for a folder: every name that is there or required, with owner and cadence, without values. A file that
this command made is replaced; any other is kept unless --force is given, since it may hold values.`,
		Example: `  keyturn example --path /backend
  keyturn example -o .env.example`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, place, err := a.reach()
			if err != nil {
				return err
			}
			example, err := c.Example(cmd.Context(), place)
			if err != nil {
				return err
			}
			if file == "" || file == "-" {
				return a.print(example, func(w io.Writer) { _, _ = io.WriteString(w, example.Text) }) // w remembers a failure
			}
			if err := writeExample(file, []byte(example.Text), force); err != nil {
				return err
			}
			a.info("wrote %s", file)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "output", "o", "", "`FILE` to write to, instead of standard output")
	c.Flags().BoolVar(&force, "force", false, "replace a file that this command did not make")
	return c
}

// writeExample puts the whole file in place. What stands there and was not made by this command is kept, unless forced.
func writeExample(file string, text []byte, force bool) (err error) {
	old, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read what is there: %w", err)
	case len(old) > 0 && !bytes.HasPrefix(old, []byte(exampleMark)) && !force:
		return fault.New(fault.Exists, "%s exists and was not made by this command", file).WithHint("name another file, or add --force to replace it")
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("write the example: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(text); err != nil {
		return fmt.Errorf("write the example: %w", err)
	}
	if err = f.Close(); err != nil {
		return fmt.Errorf("write the example: %w", err)
	}
	if err = os.Chmod(f.Name(), exampleMode); err != nil {
		return fmt.Errorf("write the example: %w", err)
	}
	if err = os.Rename(f.Name(), file); err != nil {
		return fmt.Errorf("write the example: %w", err)
	}
	return nil
}
