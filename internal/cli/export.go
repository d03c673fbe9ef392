package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/format"
)

// exportFlags are the flags of export.
type exportFlags struct {
	format, file, name, namespace string
	only                          []string
	recursive, raw, noImports     bool
}

func (a *app) exportCommand() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export --format FORMAT",
		Short: "Write the values of a folder in a file format",
		Long: `Writes the values of a folder, with what it imports, in a file format: to standard output, or to a file that only you can
read. What the format cannot carry exactly is refused, and a format that can is named. Every name is recorded as read.

A program that takes its settings from the environment needs no file: keyturn run.`,
		Example: "  keyturn export --format dotenv --path /backend -o .env\n  keyturn export --format kubernetes --name backend | kubectl apply -f -",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.exportFolder(cmd.Context(), f) },
	}
	c.Flags().StringVarP(&f.format, "format", "f", "", "one of "+strings.Join(format.Names(), ", "))
	c.Flags().StringVarP(&f.file, "output", "o", "", "write to this file, mode 0600, whole or not at all")
	c.Flags().StringSliceVar(&f.only, "only", nil, "these names only, separated by commas")
	c.Flags().BoolVar(&f.recursive, "recursive", false, "with all folders below; a name that stands in two of them is refused")
	c.Flags().BoolVar(&f.raw, "raw", false, "leave references as they are written")
	c.Flags().BoolVar(&f.noImports, "no-imports", false, "without what the folder imports")
	c.Flags().StringVar(&f.name, "name", "", "name of the Kubernetes Secret")
	c.Flags().StringVar(&f.namespace, "namespace", "", "namespace of the Kubernetes Secret")
	completeFixed(c, "format", format.Names())
	_ = c.RegisterFlagCompletionFunc("only", a.completeNames) // fails only for a flag that is not there
	return c
}

func (a *app) exportFolder(ctx context.Context, f exportFlags) error {
	if f.format == "" {
		return fault.New(fault.Invalid, "say which format to write").WithHint("add --format with one of %s", strings.Join(format.Names(), ", "))
	}
	kind, err := format.ParseFormat(f.format)
	if err != nil {
		return err
	}
	place, err := a.place()
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	list, err := c.List(ctx, place, client.ListOptions{Reveal: true, Recursive: f.recursive, Raw: f.raw, Imports: !f.noImports, Only: f.only})
	if err != nil {
		return missingName(err, f.only)
	}
	pairs := make([]format.Pair, 0, len(list.Secrets))
	folders := map[string]string{} // name → folder
	for _, s := range list.Secrets {
		if first, twice := folders[s.Name]; twice {
			return fault.New(fault.Conflict, "%s stands in %s and in %s, and a file holds it once", s.Name, first, s.Path).WithHint("export the folders one by one")
		}
		folders[s.Name] = s.Path
		if s.Value == nil {
			return fault.New(fault.Denied, "the value of %s is not shown to you", s.Name)
		}
		b, err := s.Value.Bytes()
		if err != nil {
			return fault.Wrap(fault.Internal, err, "the server sent a value of %s that cannot be read", s.Name)
		}
		pairs = append(pairs, format.Pair{Name: s.Name, Value: b, Comment: s.Comment})
	}
	b, err := format.Encode(kind, pairs, format.Options{Name: f.name, Namespace: f.namespace})
	if err != nil {
		return err
	}
	if f.file == "" || f.file == "-" {
		_, err := a.out.Write(b)
		return err
	}
	if err := writeExport(f.file, b); err != nil {
		return fault.Wrap(fault.Unavailable, err, "couldn't write %s", f.file)
	}
	result := exportResult{File: f.file, Format: string(kind), Revision: list.Revision, Secrets: len(pairs)}
	return a.print(result, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "wrote %d secrets of revision %d to %s, readable by you only\n", result.Secrets, result.Revision, result.File)
	})
}

// missingName tells which names were asked for when one of them is not there: the server, which must not tell what exists,
// names none.
func missingName(err error, only []string) error {
	if len(only) == 0 || !errors.Is(err, client.NotFound) {
		return err
	}
	return fault.New(fault.NotFound, "not all of %s are there, or there is no right to read them", strings.Join(only, ", ")).
		WithHint("look what is there: keyturn list")
}

// exportResult tells what was written to a file.
type exportResult struct {
	File     string `json:"file"`
	Format   string `json:"format"`
	Revision int64  `json:"revision"`
	Secrets  int    `json:"secrets"`
}

// writeExport writes a file whole or not at all. A device or pipe is written as it is: nothing can be renamed over it.
func writeExport(file string, b []byte) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		if closed := f.Close(); err == nil {
			err = closed
		}
		return err
	}
	return writePrivate(file, b)
}
