package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// maxRuleFile bounds a file of rules or policy tests: what the server takes.
const maxRuleFile = 512 << 10

// ruleFile reads a file of rules or tests, or standard input for "-".
func (a *app) ruleFile(name string) (string, error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", fault.Wrap(fault.Invalid, err, "cannot read the file")
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxRuleFile+1))
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "cannot read the file")
	}
	if len(text) > maxRuleFile {
		return "", fault.New(fault.Invalid, "the file is too long: at most %d bytes", maxRuleFile)
	}
	return string(text), nil
}

func (a *app) roleCommand() *cobra.Command {
	return groupCommand("role", "Make roles of your own from rules", a.roleCreate(), a.roleList(), a.roleShow(), a.roleUpdate(), a.roleDelete())
}

func (a *app) roleCreate() *cobra.Command {
	var file, description string
	c := &cobra.Command{
		Use:   "create NAME --file RULES",
		Short: "Make a role from a file of rules; it does nothing until it is granted",
		Long: `Make a role from a file of rules, YAML or JSON: a list of rules, or a mapping with description and rules. A rule has an effect
(allow or deny) and actions ('*' stands for any characters), and may be narrowed by environments, paths, names and tags, and
by conditions: when and unless, with networks, times (UTC), mfa_within and attributes. What no rule allows is refused, and a
deny wins over every allow.`,
		Example: "  keyturn role create database-reader --file reader.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rules, err := a.ruleFile(file)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			r := api.RoleRequest{Name: args[0], Rules: rules}
			if cmd.Flags().Changed("description") {
				r.Description = &description
			}
			made, err := c.CreateRole(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Role %s made, with %d rules.\n", made.Name, len(made.Rules))
				a.info("  next: keyturn grant PRINCIPAL --role %s --project P", made.Name)
			})
		},
	}
	c.Flags().StringVar(&file, "file", "", "file of rules, - for standard input")
	c.Flags().StringVar(&description, "description", "", "what it is for")
	_ = c.MarkFlagRequired("file") // fails only for a flag that is not there
	return c
}

func (a *app) roleList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all roles",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Roles(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("NAME", "RULES", "DESCRIPTION", "ID")
				for _, r := range all.Roles {
					t.Row(r.Name, fmt.Sprint(len(r.Rules)), r.Description, r.ID)
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) roleShow() *cobra.Command {
	return &cobra.Command{
		Use:               "show NAME",
		Short:             "Show the rules of a role, in the form that create and update take",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeRoles),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			r, err := c.Role(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) { writeRules(w, r) })
		},
	}
}

// writeRules writes YAML with one rule in a line: JSON is YAML too.
func writeRules(w io.Writer, r api.CustomRole) {
	line := func(prefix string, v any) {
		text, err := json.Marshal(v)
		if err == nil {
			_, _ = fmt.Fprintf(w, "%s%s\n", prefix, text)
		}
	}
	line("description: ", r.Description)
	_, _ = fmt.Fprintln(w, "rules:")
	for _, rule := range r.Rules {
		line("- ", rule)
	}
}

func (a *app) roleUpdate() *cobra.Command {
	var file, description string
	c := &cobra.Command{
		Use:               "update NAME --file RULES",
		Short:             "Change a role for everybody who holds it",
		Long:              "Change a role for everybody who holds it. See first who gains and loses what: keyturn policy diff --role NAME --file RULES.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeRoles),
		RunE: func(cmd *cobra.Command, args []string) error {
			var r api.RoleRequest
			if file != "" {
				var err error
				if r.Rules, err = a.ruleFile(file); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("description") {
				r.Description = &description
			}
			if r.Rules == "" && r.Description == nil {
				return &usageError{text: "say what changes: --file or --description", command: cmd.CommandPath()}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.UpdateRole(cmd.Context(), args[0], r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Role %s changed, with %d rules.\n", made.Name, len(made.Rules))
			})
		},
	}
	c.Flags().StringVar(&file, "file", "", "file of rules, - for standard input")
	c.Flags().StringVar(&description, "description", "", "what it is for")
	return c
}

func (a *app) roleDelete() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a role; everybody who holds it loses it",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeRoles),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm("Delete role " + args[0] + " and take it from everybody who holds it?"); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.DeleteRole(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Role %s deleted.\n", args[0]) })
		},
	}
}
