package reference

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyturn/keyturn/internal/cli"
)

func writeCLI(p *page) error {
	root := cli.Command()
	p.line("%s\n", paragraphs(root.Long))
	p.line("Data goes to standard output, everything else to standard error. Everything that prints takes `--json`.\n")
	p.heading(2, "Flags of every command")
	p.flags(root.PersistentFlags())
	p.heading(2, "Commands")
	for _, g := range root.Groups() {
		p.line("**%s**\n", strings.TrimSuffix(g.Title, ":"))
		p.index(root, g.ID)
	}
	p.line("**Others**\n")
	p.index(root, "")
	for _, g := range root.Groups() {
		p.commands(root, g.ID)
	}
	p.commands(root, "")
	return nil
}

// shown lists the commands of a group that are not hidden, in the order of the help.
func shown(root *cobra.Command, group string) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range root.Commands() {
		if c.GroupID == group && !c.Hidden && c.Deprecated == "" {
			out = append(out, c)
		}
	}
	return out
}

func (p *page) index(root *cobra.Command, group string) {
	var rows [][]string
	for _, c := range shown(root, group) {
		rows = append(rows, []string{"[" + c.CommandPath() + "](#" + anchor(c) + ")", c.Short})
	}
	p.table([]string{"command", "what it does"}, rows)
}

func (p *page) commands(parent *cobra.Command, group string) {
	for _, c := range shown(parent, group) {
		p.command(c)
	}
}

func (p *page) command(c *cobra.Command) {
	p.heading(3, c.CommandPath())
	p.line("%s\n", sentence(c.Short))
	if c.Runnable() && !c.HasSubCommands() {
		p.block("", strings.Join(strings.Fields(strings.Replace(c.UseLine(), "[flags]", "", 1)), " "))
	}
	if text := paragraphs(c.Long); text != "" {
		p.line("%s\n", text)
	}
	if len(c.Aliases) > 0 {
		p.line("Also called: %s\n", code(strings.Join(c.Aliases, ", ")))
	}
	p.flags(c.LocalNonPersistentFlags())
	if c.Example != "" {
		p.block("sh", unindented(c.Example))
	}
	p.commands(c, "")
}

func (p *page) flags(flags *pflag.FlagSet) {
	var rows [][]string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if kind != "" {
			name += " " + kind
		}
		rows = append(rows, []string{code(name), usage, code(defaultOf(f))})
	})
	p.table([]string{"flag", "what it does", "default"}, rows)
}

// defaultOf gives the default of a flag, nothing where it is the empty value of its type.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "0", "[]", "0s":
		return ""
	}
	return f.DefValue
}

func anchor(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

var indentedLine = regexp.MustCompile(`(?m)^ {4,}\S`)

// paragraphs keeps the paragraphs of a help text; those that are laid out by hand become blocks.
func paragraphs(text string) string {
	var out []string
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if indentedLine.MatchString(part) {
			part = "```\n" + unindented(part) + "\n```"
		} else {
			part = strings.ReplaceAll(part, "<", "&lt;")
		}
		out = append(out, part)
	}
	return strings.Join(out, "\n\n")
}

// unindented takes away the blanks that all lines begin with.
func unindented(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	least := -1
	for _, l := range lines {
		if n := len(l) - len(strings.TrimLeft(l, " ")); strings.TrimSpace(l) != "" && (least < 0 || n < least) {
			least = n
		}
	}
	for i, l := range lines {
		lines[i] = strings.TrimRight(l[min(max(least, 0), len(l)):], " ")
	}
	return strings.Join(lines, "\n")
}
