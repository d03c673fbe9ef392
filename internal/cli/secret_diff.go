package cli

import (
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) diffCommand() *cobra.Command {
	var o client.DiffOptions
	c := &cobra.Command{
		Use:   "diff A [B]",
		Short: "Compare two environments, or two revisions",
		Long: `Compare two states of a project. A and B are each ENV, ENV@REVISION, or @REVISION of the current environment; without B, A is
compared with the current environment as it stands. Values are compared by digest and opened only with --reveal. With --path,
only that folder and what lies below is compared.

Removed stands only in A, added only in B.`,
		Example: `  keyturn diff staging prod
  keyturn diff @11 @12                    # what revision 12 changed
  keyturn diff @11                        # what changed since
  keyturn diff prod@40 prod --path /backend --reveal`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeEnvs,
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := a.project()
			if err != nil {
				return err
			}
			found, err := a.settings()
			if err != nil {
				return err
			}
			env := first(a.flags.env, a.getenv("KEYTURN_ENV"), found.Env)
			if len(args) == 1 {
				args = append(args, env)
			}
			var sides [2]string
			for i, s := range args {
				if sides[i], err = parseSide(env, s); err != nil {
					return err
				}
			}
			if folder := a.folder(found); folder != "/" {
				o.Path = folder
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Diff(cmd.Context(), project, sides[0], sides[1], o)
			if err != nil {
				return err
			}
			if err := a.print(all, func(w io.Writer) { a.table(w, diffTable(all.Differences, sides, o.Reveal)) }); err != nil {
				return err
			}
			if len(all.Differences) == 0 {
				a.info("%s and %s hold the same", sides[0], sides[1])
			}
			return nil
		},
	}
	c.Flags().BoolVar(&o.Reveal, "reveal", false, "with values")
	return c
}

func diffTable(all []api.Difference, sides [2]string, reveal bool) *term.Table {
	header := []string{"RESULT", "NAME", "WHAT"}
	if reveal {
		header = append(header, strings.ToUpper(sides[0]), strings.ToUpper(sides[1]))
	}
	t := term.NewTable(header...)
	for _, d := range all {
		row := []string{d.Outcome, strings.TrimSuffix(d.Path, "/") + "/" + d.Name, strings.Join(factsThatDiffer(d), ", ")}
		if reveal {
			row = append(row, sideText(d.From), sideText(d.To))
		}
		t.Row(row...)
	}
	return t
}

func sideText(s *api.Secret) string {
	if s == nil {
		return ""
	}
	return valueText(s.Value)
}

// factsThatDiffer names what a change is about. The value is named when it is certain to differ: by the values where both
// are shown, else since nothing else can be the reason.
func factsThatDiffer(d api.Difference) []string {
	if d.From == nil || d.To == nil {
		return nil
	}
	var out []string
	a, b := &d.From.Attributes, &d.To.Attributes
	for _, fact := range []struct {
		name    string
		differs bool
	}{
		{"owner", a.Owner != b.Owner},
		{"tags", !slices.Equal(a.Tags, b.Tags)},
		{"metadata", !maps.Equal(a.Metadata, b.Metadata)},
		{"public", a.Public != b.Public},
		{"rotate-every", a.RotateEvery != b.RotateEvery},
		{"expires", !reflect.DeepEqual(a.ExpiresAt, b.ExpiresAt)},
		{"required", a.Required != b.Required},
		{"literal", a.Literal != b.Literal},
	} {
		if fact.differs {
			out = append(out, fact.name)
		}
	}
	shown := d.From.Value != nil && d.To.Value != nil
	if shown && *d.From.Value != *d.To.Value || !shown && len(out) == 0 {
		out = append([]string{"value"}, out...)
	}
	return out
}
