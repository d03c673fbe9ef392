package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) schemaCommand() *cobra.Command {
	c := a.schemaShowCommand("schema")
	c.Long = `Tell what a folder needs: which required names are missing, and which values are only placeholders (changeme, empty, one
character repeated). Values are looked at by the server and not shown. With --check it fails with exit code 12 when something
is missing or a placeholder, which suits a pipeline.

"schema require" and "schema unrequire" change what is required.`
	c.Example = `  keyturn schema --path /backend
  keyturn schema require DATABASE_URL REDIS_URL --path /backend
  keyturn schema --check --env prod --path /backend`
	c.AddCommand(a.schemaShowCommand("show"),
		a.requireCommand("require NAME...", "Say that a folder is incomplete without these names", requireNames),
		a.requireCommand("unrequire NAME...", "Say that a folder is complete without these names", unrequireNames))
	return c
}

func (a *app) schemaShowCommand(use string) *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   use,
		Short: "Tell what a folder needs, what is missing, and what is only a placeholder",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, place, err := a.reach()
			if err != nil {
				return err
			}
			s, err := c.Schema(cmd.Context(), place)
			if err != nil {
				return err
			}
			if err := a.print(s, func(w io.Writer) { a.table(w, schemaTable(s)) }); err != nil {
				return err
			}
			problem, hint := schemaProblem(s)
			switch {
			case problem == "" && len(s.Required) == 0:
				a.info("%s requires no names; say some with: keyturn schema require NAME...", folderName(place))
			case problem == "":
				a.info("%s is complete", folderName(place))
			case check:
				return checkFailed(hint, "%s: %s", folderName(place), problem)
			default:
				a.info("%s: %s", folderName(place), problem)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "fail with exit code 12 when something is missing or a placeholder")
	return c
}

func schemaTable(s api.Schema) *term.Table {
	t := term.NewTable("NAME", "REQUIRED", "STATE", "OWNER")
	for _, r := range s.Names {
		required := ""
		if slices.Contains(s.Required, r.Name) {
			required = "yes"
		}
		state := first(r.Problem, "there")
		if r.Missing {
			state = "missing"
		}
		t.Row(r.Name, required, state, r.Owner)
	}
	return t
}

// schemaProblem says what is wrong with a folder and what to do; "" when it is complete.
func schemaProblem(s api.Schema) (problem, hint string) {
	var lacks, poor []string
	for _, r := range s.Names {
		switch {
		case r.Missing:
			lacks = append(lacks, r.Name)
		case r.Problem != "":
			poor = append(poor, r.Name)
		}
	}
	var parts []string
	if len(lacks) > 0 {
		parts = append(parts, "missing: "+strings.Join(lacks, ", "))
	}
	if len(poor) > 0 {
		parts = append(parts, "not a real value: "+strings.Join(poor, ", "))
	}
	if len(parts) == 0 {
		return "", ""
	}
	return strings.Join(parts, "; "), "set them: keyturn set --path " + s.Path + " " + strings.Join(append(lacks, poor...), " ")
}

// maxSchemaTries bounds how often a schema is read again because somebody else changed the environment meanwhile.
const maxSchemaTries = 4

func (a *app) requireCommand(use, short string, change func(now, names []string) []string) *cobra.Command {
	var flags commitFlags
	c := &cobra.Command{
		Use:               use,
		Short:             short,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			names := make([]string, 0, len(args))
			for i, s := range args {
				name, err := domain.ParseSecretName(s)
				if err != nil {
					return fault.As(err).WithField("argument "+ordinal(i), "want a bare name; the folder is given by --path")
				}
				names = append(names, string(name))
			}
			c, place, err := a.reach()
			if err != nil {
				return err
			}
			out, err := changeRequired(cmd.Context(), c, place, flags, func(now []string) []string { return change(now, names) })
			if err != nil {
				return err
			}
			return a.showCommitted(place, out, flags.dryRun)
		},
	}
	flags.register(c.Flags())
	return c
}

func requireNames(now, names []string) []string {
	out := append(slices.Clone(now), names...)
	slices.Sort(out)
	return slices.Compact(out)
}

func unrequireNames(now, names []string) []string {
	return slices.DeleteFunc(slices.Clone(now), func(s string) bool { return slices.Contains(names, s) })
}

// changeRequired replaces the list of required names. The commit is pinned to the revision at which the list was read, so
// that what two people require at once is all required in the end.
func changeRequired(ctx context.Context, c *client.Client, p client.Place, flags commitFlags, change func([]string) []string) (api.Committed, error) {
	for try := 1; ; try++ {
		revision, now, err := requiredNow(ctx, c, p)
		if err != nil {
			return api.Committed{}, err
		}
		r := flags.request([]api.Change{{Op: "folder.required", Path: p.Path, Requires: change(now)}})
		r.IfRevision = &revision
		out, err := c.Commit(ctx, p, r)
		if err != nil && errors.Is(err, client.Conflict) && try < maxSchemaTries {
			continue
		}
		if err != nil {
			return out, fmt.Errorf("change what %s requires: %w", folderName(p), err)
		}
		return out, nil
	}
}

// requiredNow reads the revision before the list, so that a change between the two shows as a conflict. A folder that is not
// there yet requires nothing; the environment then tells the revision.
func requiredNow(ctx context.Context, c *client.Client, p client.Place) (int64, []string, error) {
	list, err := c.List(ctx, p, client.ListOptions{})
	if errors.Is(err, client.NotFound) {
		env, err := c.Env(ctx, p)
		return env.Revision, nil, err
	}
	if err != nil {
		return 0, nil, err
	}
	s, err := c.Schema(ctx, p)
	return list.Revision, s.Required, err
}
