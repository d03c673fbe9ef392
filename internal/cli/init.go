package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Write " + projectFile + ", so that commands in this folder know their project",
		Long: `Write ` + projectFile + ` with server, project, environment and folder for commands in this folder and below it. It holds no
secret and belongs into version control. What no flag or variable gives is asked for.`,
		Example: "  keyturn init --project shop --env dev --path /backend",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.chosen(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := os.Lstat(projectFile); err == nil {
				if err := a.confirm("Write " + projectFile + " anew?"); err != nil {
					return err
				}
			} else if !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("write %s: %w", projectFile, err)
			}
			b, err := json.MarshalIndent(s, "", "  ")
			if err != nil {
				return fmt.Errorf("write %s: %w", projectFile, err)
			}
			if err := writeShared(projectFile, append(b, '\n')); err != nil {
				return fmt.Errorf("write %s: %w", projectFile, err)
			}
			return a.print(s, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s: project %s, environment %s, folder %s, server %s\n", projectFile, s.Project, s.Env, s.Path, s.Server)
			})
		},
	}
}

// chosen collects what goes into the file: flags, then environment, then what is in a file already, then questions.
func (a *app) chosen(ctx context.Context) (settings, error) {
	found, err := a.settings()
	if err != nil {
		return settings{}, err
	}
	server, err := a.server()
	if err != nil {
		return settings{}, err
	}
	s := settings{Server: server.address, Path: a.folder(found)}
	if _, err := a.dial(s.Server, ""); err != nil {
		return s, err
	}
	project := first(a.flags.project, a.getenv("KEYTURN_PROJECT"), found.Project)
	if s.Project, err = a.ask(project, "Project"+a.offer(ctx, "")+":", "project"); err != nil {
		return s, err
	}
	env := first(a.flags.env, a.getenv("KEYTURN_ENV"), found.Env)
	if s.Env, err = a.ask(env, "Environment"+a.offer(ctx, s.Project)+":", "env"); err != nil {
		return s, err
	}
	for _, text := range []string{s.Server, s.Project, s.Env, s.Path} {
		if looksSecret(text) {
			return s, fault.New(fault.Invalid, "%s must hold no token", projectFile).WithHint("tokens belong into KEYTURN_TOKEN, or log in: keyturn login")
		}
	}
	if err := checkSegment("project", s.Project); err != nil {
		return s, err
	}
	return s, checkSegment("environment", s.Env)
}

// looksSecret tells whether a text holds one of our tokens: the file goes into version control.
func looksSecret(text string) bool {
	for _, kind := range domain.TokenKinds {
		if strings.Contains(text, string(kind)) {
			return true
		}
	}
	return false
}

// offer lists projects, or the environments of one, for a question; nothing when nobody is asked or logged in.
func (a *app) offer(ctx context.Context, project string) string {
	console, err := a.console()
	if err != nil {
		return ""
	}
	_ = console.Close()
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	c, err := a.client()
	if err != nil {
		return ""
	}
	var names []string
	if project == "" {
		all, err := c.Projects(ctx, false)
		if err != nil {
			return ""
		}
		for _, p := range all.Projects {
			names = append(names, p.Slug)
		}
	} else if p, err := c.Project(ctx, project); err == nil {
		for _, e := range p.Envs {
			names = append(names, e.Slug)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// writeShared puts a file in place that others may read. A link is replaced, not followed.
func writeShared(file string, b []byte) error {
	if err := writePrivate(file, b); err != nil {
		return err
	}
	return os.Chmod(file, 0o644)
}
