package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/client"
)

// completionTime is how long a person waits after pressing the key.
const completionTime = time.Second

// completer gives candidates; what is wrong is silent, since there is no place to tell it.
type completer = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

func (a *app) complete(list func(ctx context.Context, c *client.Client) ([]string, error)) completer {
	return func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		c, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, err := list(ctx, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for _, s := range all {
			if strings.HasPrefix(s, toComplete) {
				out = append(out, s)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeProjects offers the slugs of projects.
func (a *app) completeProjects(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.Projects(ctx, false)
		var out []string
		for _, p := range all.Projects {
			out = append(out, p.Slug)
		}
		return out, err
	})(cmd, args, toComplete)
}

// completeEnvs offers the slugs of the project's environments.
func (a *app) completeEnvs(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		project, err := a.project()
		if err != nil {
			return nil, err
		}
		p, err := c.Project(ctx, project)
		var out []string
		for _, e := range p.Envs {
			out = append(out, e.Slug)
		}
		return out, err
	})(cmd, args, toComplete)
}

// completePaths offers the folders of the environment.
func (a *app) completePaths(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		place, err := a.place()
		if err != nil {
			return nil, err
		}
		place.Path = "/"
		all, err := c.List(ctx, place, client.ListOptions{Recursive: true})
		return append([]string{"/"}, all.Folders...), err
	})(cmd, args, toComplete)
}

// completeNames offers the names of the folder.
func (a *app) completeNames(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		place, err := a.place()
		if err != nil {
			return nil, err
		}
		all, err := c.List(ctx, place, client.ListOptions{Imports: true})
		var out []string
		for _, s := range all.Secrets {
			out = append(out, s.Name)
		}
		return out, err
	})(cmd, args, toComplete)
}

// oneOf makes a completer for the first argument only.
func oneOf(c completer) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c(cmd, args, toComplete)
	}
}
