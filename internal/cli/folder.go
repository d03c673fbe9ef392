package cli

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) folderCommand() *cobra.Command {
	return groupCommand("folder", "Make and change folders",
		a.folderCreate(), a.folderList(), a.folderShow(), a.folderRename(), a.folderDelete(), a.folderRestore(), a.folderImport(), a.folderRequire())
}

// inFolder turns the path of an argument into a place: relative ones start at the folder that --path and the like name.
func (a *app) inFolder(arg string) (client.Place, error) {
	place, err := a.place()
	if err != nil {
		return place, err
	}
	place.Path = joinFolder(place.Path, arg)
	return place, nil
}

// joinFolder joins a folder and a path; the server decides whether the outcome is valid, so nothing is cleaned away here.
func joinFolder(folder, p string) string {
	switch {
	case p == "" || p == ".":
		return folder
	case strings.HasPrefix(p, "/"):
	case folder == "/":
		p = "/" + p
	default:
		p = folder + "/" + p
	}
	if p != "/" {
		p = strings.TrimSuffix(p, "/")
	}
	return p
}

// folderChange commits one change of folders and tells it.
func (a *app) folderChange(cmd *cobra.Command, place client.Place, ch api.Change, message, told string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	ch.Path = place.Path
	done, err := c.Commit(cmd.Context(), place, api.CommitRequest{Message: message, Changes: []api.Change{ch}})
	if err != nil {
		return err
	}
	return a.print(done, func(w io.Writer) {
		if done.ID == "" {
			_, _ = fmt.Fprintln(w, "Nothing changed.")
			return
		}
		_, _ = fmt.Fprintf(w, "%s (%s revision %d)\n", told, place.Env, done.Revision)
	})
}

// messageFlag adds --message to a command that commits.
func messageFlag(c *cobra.Command, message *string) *cobra.Command {
	c.Flags().StringVar(message, "message", "", "why, for the history")
	return c
}

func (a *app) folderCreate() *cobra.Command {
	var message string
	return messageFlag(&cobra.Command{
		Use:     "create PATH",
		Short:   "Make a folder, and what is missing above it",
		Example: "  keyturn folder create /backend/worker --project shop --env dev",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := a.inFolder(args[0])
			if err != nil {
				return err
			}
			return a.folderChange(cmd, place, api.Change{Op: "folder.create"}, message, "Folder "+place.Path+" made.")
		},
	}, &message)
}

// folders is what folder list --json prints.
type folders struct {
	Revision int64    `json:"revision"`
	Folders  []string `json:"folders"`
}

func (a *app) folderList() *cobra.Command {
	return &cobra.Command{
		Use:               "list [PATH]",
		Short:             "List the folders of an environment, or those below one",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completePaths),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, _, err := a.listFolder(cmd.Context(), args, true)
			if err != nil {
				return err
			}
			return a.print(folders{list.Revision, list.Folders}, func(w io.Writer) {
				for _, f := range list.Folders {
					_, _ = fmt.Fprintln(w, f)
				}
			})
		},
	}
}

func (a *app) listFolder(ctx context.Context, args []string, recursive bool) (api.Secrets, client.Place, error) {
	place, err := a.inFolder(first(args...))
	if err != nil {
		return api.Secrets{}, place, err
	}
	c, err := a.client()
	if err != nil {
		return api.Secrets{}, place, err
	}
	list, err := c.List(ctx, place, client.ListOptions{Recursive: recursive, Imports: !recursive})
	return list, place, err
}

func (a *app) folderShow() *cobra.Command {
	return &cobra.Command{
		Use:               "show [PATH]",
		Short:             "Show what is in a folder, without values",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completePaths),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, place, err := a.listFolder(cmd.Context(), args, false)
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s (%s revision %d)\n", place.Path, place.Env, list.Revision)
				for _, f := range list.Folders {
					_, _ = fmt.Fprintf(w, "  %s/\n", f)
				}
				for _, s := range list.Secrets {
					from := ""
					if s.From != "" {
						from = "  from " + s.From
					}
					_, _ = fmt.Fprintf(w, "  %s%s\n", term.Clean(s.Name), term.Clean(from))
				}
			})
		},
	}
}

func (a *app) folderRename() *cobra.Command {
	var message string
	return messageFlag(&cobra.Command{
		Use:   "rename PATH NEW",
		Short: "Rename a folder, or move it with all that is in it; references follow",
		Long: `Rename a folder: a bare NEW name keeps it where it is, a NEW path that begins with a slash moves it there with all that is
in it. References to it follow in the same commit.`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: oneOf(a.completePaths),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := a.inFolder(args[0])
			if err != nil {
				return err
			}
			to := joinFolder(path.Dir(place.Path), args[1])
			return a.folderChange(cmd, place, api.Change{Op: "folder.move", ToPath: to}, message, fmt.Sprintf("Folder %s is now %s.", place.Path, to))
		},
	}, &message)
}

func (a *app) folderDelete() *cobra.Command {
	var message string
	return messageFlag(&cobra.Command{
		Use:               "delete PATH",
		Short:             "Delete a folder with all that is in it; nothing is destroyed",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completePaths),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, place, err := a.listFolder(cmd.Context(), args, true)
			if err != nil {
				return err
			}
			if len(list.Secrets) > 0 {
				question := fmt.Sprintf("Delete folder %s of %s with %d secrets? It can be restored.", place.Path, place.Env, len(list.Secrets))
				if err := a.confirm(question); err != nil {
					return err
				}
			}
			return a.folderChange(cmd, place, api.Change{Op: "folder.delete"}, message, "Folder "+place.Path+" deleted.")
		},
	}, &message)
}

func (a *app) folderRestore() *cobra.Command {
	var message string
	return messageFlag(&cobra.Command{
		Use:   "restore PATH",
		Short: "Bring a deleted folder back with all that was deleted with it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := a.inFolder(args[0])
			if err != nil {
				return err
			}
			return a.folderChange(cmd, place, api.Change{Op: "folder.restore"}, message, "Folder "+place.Path+" is back.")
		},
	}, &message)
}

func (a *app) folderImport() *cobra.Command {
	var message string
	var none bool
	c := &cobra.Command{
		Use:   "import PATH SOURCE...",
		Short: "Let a folder show the secrets of others",
		Long: `Let a folder show the secrets of other folders as if they were its own. The list replaces the one before; where two sources
have a name, the later wins, and the folder's own secrets win over all. A SOURCE is

  /folder               of the same environment
  env:/folder           of another environment
  project/env:/folder   of another project`,
		Example: "  keyturn folder import /backend /shared prod:/common",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if none == (len(args) > 1) {
				return &usageError{text: "say the sources, or --none", command: cmd.CommandPath()}
			}
			place, err := a.inFolder(args[0])
			if err != nil {
				return err
			}
			ch := api.Change{Op: "folder.imports"}
			for _, text := range args[1:] {
				source, err := parseSource(text)
				if err != nil {
					return err
				}
				ch.Imports = append(ch.Imports, source)
			}
			told := fmt.Sprintf("Folder %s shows %s.", place.Path, strings.Join(args[1:], ", "))
			if none {
				told = "Folder " + place.Path + " shows its own secrets only."
			}
			return a.folderChange(cmd, place, ch, message, told)
		},
	}
	c.Flags().BoolVar(&none, "none", false, "take all imports away")
	return messageFlag(c, &message)
}

// parseSource reads [[PROJECT/]ENV:]PATH.
func parseSource(text string) (api.Place, error) {
	where, folder, qualified := strings.Cut(text, ":")
	if !qualified {
		where, folder = "", text
	}
	project, env, inProject := strings.Cut(where, "/")
	if !inProject {
		project, env = "", where
	}
	if !strings.HasPrefix(folder, "/") || qualified && env == "" || inProject && project == "" || strings.Contains(env, "/") {
		return api.Place{}, fault.New(fault.Invalid, "not a source: want /folder, env:/folder or project/env:/folder")
	}
	return api.Place{Project: project, Env: env, Path: folder}, nil
}

func (a *app) folderRequire() *cobra.Command {
	var message string
	var none bool
	c := &cobra.Command{
		Use:   "require PATH NAME...",
		Short: "Say which names a folder is incomplete without",
		Long:  "Say which names a folder is incomplete without. The list replaces the one before; keyturn schema tells what is missing.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if none == (len(args) > 1) {
				return &usageError{text: "say the names, or --none", command: cmd.CommandPath()}
			}
			place, err := a.inFolder(args[0])
			if err != nil {
				return err
			}
			told := fmt.Sprintf("Folder %s requires %s.", place.Path, strings.Join(args[1:], ", "))
			if none {
				told = "Folder " + place.Path + " requires nothing."
			}
			return a.folderChange(cmd, place, api.Change{Op: "folder.required", Requires: args[1:]}, message, told)
		},
	}
	c.Flags().BoolVar(&none, "none", false, "require nothing")
	return messageFlag(c, &message)
}
