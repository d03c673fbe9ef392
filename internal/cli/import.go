package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/format"
)

// importFlags are the flags of import.
type importFlags struct {
	format, message, owner string
	tags                   []string
	dryRun, prune, literal bool
}

func (a *app) importCommand() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Take secrets from a file, all or nothing, as one commit",
		Long: `Reads a file of secrets, shows what it would add and change, then makes one commit of it.

Nothing is taken from a file that has a bad line; each is named with file and line. Values are never shown.
The format is told from the name and the content unless --format says it. An inventory is a YAML or JSON file that
describes several folders with owners, cadences and values; see examples/team/inventory.yaml.`,
		Example: "  keyturn import .env --env dev --path /backend\n  keyturn import examples/team/inventory.yaml --env prod\n  kubectl get secret app -o yaml | keyturn import - --format kubernetes --dry-run",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.importFile(cmd.Context(), args[0], f) },
	}
	c.Flags().StringVarP(&f.format, "format", "f", "", "one of "+strings.Join(importFormats(), ", "))
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show what would change")
	c.Flags().StringVarP(&f.message, "message", "m", "", "message of the commit")
	c.Flags().BoolVar(&f.prune, "prune", false, "delete what the folder has and the file has not")
	c.Flags().StringVar(&f.owner, "owner", "", "owner of every secret that the file gives none")
	c.Flags().StringArrayVar(&f.tags, "tag", nil, "tag of every secret that the file gives none; may be repeated")
	c.Flags().BoolVar(&f.literal, "literal", false, "keep ${...} as text instead of a reference")
	completeFixed(c, "format", importFormats())
	return c
}

func importFormats() []string { return append(format.Names(), inventoryFormat) }

// item is one change of an import and where it stands in the file; line 0 means nowhere.
type item struct {
	change api.Change
	line   int
}

// key names what the change is about.
func (it item) key() string { return keyOf(it.change.Path, it.change.Name) }

func keyOf(path, name string) string {
	if name == "" {
		return path
	}
	return strings.TrimRight(path, "/") + "/" + name
}

func (a *app) importFile(ctx context.Context, file string, f importFlags) error {
	content, err := a.readImport(file)
	if err != nil {
		return err
	}
	place, err := a.place()
	if err != nil {
		return err
	}
	name := filepath.Base(file)
	if file == "-" {
		name = "standard input"
	}
	items, kind, err := decodeImport(file, place.Path, f.format, content)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if f.prune {
		gone, err := pruned(ctx, c, place, items)
		if err != nil {
			return err
		}
		items = append(items, gone...)
	}
	request := importRequest(items, f, name)
	request.DryRun = true
	would, err := c.Commit(ctx, place, request)
	if err != nil {
		return importError(err, file, items)
	}
	result := importResult{File: file, Format: kind, Project: place.Project, Env: place.Env, DryRun: f.dryRun, Revision: would.Revision}
	result.take(would.Effects)
	if f.dryRun {
		return a.print(result, func(w io.Writer) {
			result.preview(w)
			_, _ = fmt.Fprintln(w, "nothing was changed: this was a dry run")
		})
	}
	if !a.flags.quiet && !a.flags.json {
		result.preview(a.err)
	}
	if result.changes() == 0 {
		return a.print(result, func(w io.Writer) { _, _ = fmt.Fprintln(w, "nothing to change") })
	}
	if n := len(result.Removed); n > 0 {
		if err := a.confirm(fmt.Sprintf("%d secrets of %s will be deleted. Go on?", n, place.Env)); err != nil {
			return err
		}
	}
	// What was shown is what is done: somebody else's commit in between ends this.
	request.DryRun, request.IfRevision = false, &would.Revision
	did, err := c.Commit(ctx, place, request)
	if err != nil {
		return importError(err, file, items)
	}
	result.Revision, result.ID = did.Revision, did.ID
	return a.print(result, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "imported into %s of %s: %s; revision %d\n", place.Env, place.Project, result.summary(), did.Revision)
	})
}

// readImport reads the file, or standard input for "-".
func (a *app) readImport(file string) ([]byte, error) {
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, openFault(err, file)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, format.MaxFile+1)) // the decoder refuses what is longer
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "couldn't read %s", file)
	}
	return b, nil
}

// openFault tells why a file that the user named cannot be opened.
func openFault(err error, file string) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fault.New(fault.NotFound, "there is no file %s", file)
	case errors.Is(err, os.ErrPermission):
		return fault.New(fault.Denied, "the file %s may not be read", file)
	}
	return fault.Wrap(fault.Unavailable, err, "couldn't read %s", file)
}

// decodeImport reads the changes of a file, and tells its format.
func decodeImport(file, path, named string, content []byte) ([]item, string, error) {
	if named == inventoryFormat || named == "" && isInventory(file, content) {
		items, err := decodeInventory(file, path, content)
		return items, inventoryFormat, err
	}
	var kind format.Format
	var err error
	if named != "" {
		kind, err = format.ParseFormat(named)
	} else {
		kind, err = format.Detect(file, content)
	}
	if err != nil {
		if f, ok := errors.AsType[*fault.Error](err); ok && f.Hint != "" {
			err = f.WithHint("add --format with one of %s", strings.Join(importFormats(), ", "))
		}
		return nil, "", err
	}
	pairs, err := format.Decode(kind, file, content)
	if err != nil {
		return nil, "", err
	}
	if len(pairs) == 0 {
		return nil, "", fault.New(fault.Invalid, "%s holds no secret", file)
	}
	items := make([]item, 0, len(pairs))
	for _, p := range pairs {
		v := api.NewValue(p.Value)
		it := item{api.Change{Op: "set", Path: path, Name: p.Name, Value: &v.Value, Encoding: v.Encoding}, p.Line}
		if p.Comment != "" {
			it.change.Comment = &p.Comment
		}
		items = append(items, it)
	}
	return items, string(kind), nil
}

var (
	yamlInventory = regexp.MustCompile(`(?m)^folders[ \t]*:[ \t]*(?:#.*)?\r?$|^folders[ \t]*:[ \t]*\[`)
	jsonInventory = regexp.MustCompile(`^\s*\{\s*"folders"\s*:\s*\[`)
)

// isInventory tells whether a file has a list of folders where a flat file would have a value.
func isInventory(file string, content []byte) bool {
	kind, err := format.Detect(file, content)
	if err != nil || kind != format.YAML && kind != format.JSON {
		return false
	}
	return yamlInventory.Match(content) || jsonInventory.Match(content)
}

// importRequest makes the commit. Owner and tags of the command line are for what the file says nothing of.
func importRequest(items []item, f importFlags, name string) api.CommitRequest {
	r := api.CommitRequest{Message: f.message, Cause: "import", Changes: make([]api.Change, 0, len(items))}
	if r.Message == "" {
		r.Message = "import of " + name
	}
	for _, it := range items {
		c := it.change
		if c.Op == "set" {
			if c.Owner == nil && f.owner != "" {
				c.Owner = &f.owner
			}
			if c.Tags == nil && len(f.tags) > 0 {
				c.Tags = &f.tags
			}
			if f.literal && c.Literal == nil && c.Value != nil && strings.Contains(*c.Value, "${") {
				yes := true
				c.Literal = &yes
			}
		}
		r.Changes = append(r.Changes, c)
	}
	return r
}

// pruned gives the deletion of every secret that lies in a folder of the file and is not in the file.
func pruned(ctx context.Context, c *client.Client, place client.Place, items []item) ([]item, error) {
	kept := map[string]bool{}
	var folders []string
	for _, it := range items {
		if it.change.Op == "set" {
			if !kept[it.change.Path] {
				kept[it.change.Path] = true
				folders = append(folders, it.change.Path)
			}
			kept[it.key()] = true
		}
	}
	var out []item
	for _, path := range folders {
		place.Path = path
		list, err := c.List(ctx, place, client.ListOptions{})
		if errors.Is(err, client.NotFound) {
			continue // a new folder has nothing to delete
		}
		if err != nil {
			return nil, err
		}
		for _, s := range list.Secrets {
			if !kept[keyOf(s.Path, s.Name)] {
				out = append(out, item{api.Change{Op: "delete", Path: s.Path, Name: s.Name}, 0})
			}
		}
	}
	return out, nil
}

// importError puts file and line in place of the number of the change, and tells the way out for text that looks like a
// reference.
func importError(err error, file string, items []item) error {
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err
	}
	references := false
	for _, it := range items {
		references = references || it.change.Value != nil && strings.Contains(*it.change.Value, "${")
	}
	for i, f := range e.Fields {
		if n, found := changeNumber(f.Where); found && n < len(items) && items[n].line > 0 {
			e.Fields[i].Where = file + ":" + strconv.Itoa(items[n].line) + " " + items[n].key()
			continue
		}
		for _, it := range items {
			if it.line > 0 && it.change.Name != "" && strings.HasSuffix(f.Where, it.key()) {
				e.Fields[i].Where = file + ":" + strconv.Itoa(it.line) + " " + it.key()
				break
			}
		}
	}
	if references && e.Kind == string(client.Invalid) && strings.Contains(e.Detail, "reference") {
		e.Hint = "set the missing secret first, or keep ${...} as text with --literal"
	}
	return err
}

// changeNumber takes N out of the JSON pointer /changes/N/...
func changeNumber(where string) (int, bool) {
	rest, ok := strings.CutPrefix(where, "/changes/")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, "/")
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0
}
