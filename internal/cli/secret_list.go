package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) listCommand() *cobra.Command {
	var o client.ListOptions
	at := counted{least: 1}
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the secrets of a folder, with values only when asked",
		Long: `List the secrets of a folder. Values come only with --reveal, and the audit log names each that was shown; references in
them are filled in.`,
		Example: `  keyturn list --path /backend
  keyturn list --recursive --json
  keyturn list --reveal --env dev
  keyturn list --at 12                    # as it was at revision 12`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, place, err := a.reach()
			if err != nil {
				return err
			}
			o.At = at.n
			all, err := c.List(cmd.Context(), place, o)
			if err != nil {
				return err
			}
			if err := a.print(all, func(w io.Writer) { a.table(w, listTable(all, place.Path, o, time.Now())) }); err != nil {
				return err
			}
			if len(all.Secrets)+len(all.Folders) == 0 {
				a.info("no secrets in %s; make one with: keyturn set NAME", folderName(place))
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.Recursive, "recursive", "r", false, "with all folders below")
	f.BoolVar(&o.Reveal, "reveal", false, "with values and comments")
	f.BoolVar(&o.Imports, "imports", false, "with what the folder's imports show")
	f.BoolVar(&o.Raw, "raw", false, "leave references as they are written")
	f.BoolVar(&o.Personal, "personal", false, "your own values, where you have some")
	f.Var(&at, "at", "as it was at this `REVISION` of the environment")
	return c
}

// listTable shows the secrets of a folder; below it, names stand with their folder.
func listTable(all api.Secrets, folder string, o client.ListOptions, now time.Time) *term.Table {
	header := []string{"NAME", "VERSION", "OWNER", "DUE", "CHANGED"}
	if o.Imports {
		header = append(header, "FROM")
	}
	if o.Reveal {
		header = append(header, "VALUE")
	}
	t := term.NewTable(header...)
	if !o.Recursive {
		for _, f := range all.Folders {
			t.Row(f[strings.LastIndexByte(f, '/')+1:] + "/")
		}
	}
	for i := range all.Secrets {
		s := &all.Secrets[i]
		name := s.Name
		if o.Recursive {
			name = strings.TrimSuffix(s.Path, "/") + "/" + s.Name
		}
		row := []string{name, numberOrNone(s.Version), s.Owner, dueText(s.DueAt, now), when(s.ChangedAt)}
		if o.Imports {
			row = append(row, s.From)
		}
		if o.Reveal {
			row = append(row, valueText(s.Value))
		}
		t.Row(row...)
	}
	return t
}

// dueText shows the day on which a value must be replaced, and whether it has passed.
func dueText(at *time.Time, now time.Time) string {
	if at == nil {
		return ""
	}
	text := at.UTC().Format(time.DateOnly)
	if at.Before(now) {
		text += " (overdue)"
	}
	return text
}

// valueText shows a value in a cell of a table.
func valueText(v *api.Value) string {
	switch {
	case v == nil:
		return ""
	case v.Encoding != "":
		b, _ := v.Bytes() // an encoding that is not known shows as nothing
		return fmt.Sprintf("(%d bytes that are no text)", len(b))
	}
	return v.Value
}
