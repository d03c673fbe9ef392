// Package reference writes the reference pages from what the program itself is made of: the table of routes, the tree of
// commands, the table of settings, the kinds of faults, the rules of the policy. Nothing in a page is kept a second time, so
// a page cannot say something else than the program does. It is no part of the program.
package reference

import (
	"fmt"
	"regexp"
	"strings"
)

// Folder is where the pages lie, from the root of the repository.
const Folder = "docs/reference"

// Page is one generated file.
type Page struct {
	Name string // of the file in Folder
	Text []byte // Markdown
}

// blanks finds more than one empty line.
var blanks = regexp.MustCompile(`\n{3,}`)

// Pages makes all pages. The same source gives the same bytes.
func Pages() ([]Page, error) {
	var out []Page
	for _, p := range []struct {
		name, title string
		write       func(*page) error
	}{
		{"api.md", "API", writeAPI},
		{"cli.md", "Command line", writeCLI},
		{"config.md", "Configuration", writeConfig},
		{"errors.md", "Errors", writeErrors},
		{"permissions.md", "Permissions", writePermissions},
	} {
		var text page
		text.line("<!-- Made by `make docs` from the source. Changes made here are lost. -->")
		text.heading(1, p.title)
		if err := p.write(&text); err != nil {
			return nil, fmt.Errorf("write %s: %w", p.name, err)
		}
		out = append(out, Page{p.name, []byte(strings.TrimSpace(blanks.ReplaceAllString(text.String(), "\n\n")) + "\n")})
	}
	return out, nil
}

// page is Markdown in the making.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) heading(level int, text string) {
	p.line("\n%s %s\n", strings.Repeat("#", level), text)
}

// table writes rows under their heads. A cell's bars are escaped and its line breaks become blanks.
func (p *page) table(heads []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	p.row(heads)
	p.line("|%s", strings.Repeat("---|", len(heads)))
	for _, r := range rows {
		p.row(r)
	}
	p.line("")
}

func (p *page) row(cells []string) {
	for _, c := range cells {
		p.WriteString("| " + strings.ReplaceAll(strings.Join(strings.Fields(c), " "), "|", `\|`) + " ")
	}
	p.line("|")
}

// block writes text as it is, in a language for highlighting.
func (p *page) block(language, text string) {
	p.line("```%s\n%s\n```\n", language, strings.TrimRight(text, "\n"))
}

// code marks text as code, and leaves nothing as it is.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
