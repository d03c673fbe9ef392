// Package cli is the command line: one file for each noun, data on standard output, everything else on standard error, exit
// codes by kind of fault. Commands speak to the server through package client; only server and the offline checks touch the
// inside.
package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// app is what all commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	version  string
	flags    globalFlags
	started  bool // a command's own work has begun: errors before are about usage

	found *settings // what files in the working folder and above say, read once
}

// globalFlags are the flags that every command takes.
type globalFlags struct {
	server, token, project, env, path string
	json, quiet, yes                  bool
}

func newApp(version string) *app {
	return &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, version: version}
}

// client gives a client with a token, or says how to get one.
func (a *app) client() (*client.Client, error) {
	server, err := a.server()
	if err != nil {
		return nil, err
	}
	token, err := a.token(server)
	if err != nil {
		return nil, err
	}
	return a.dial(server.address, token)
}

// dial makes a client for a server, with a token or without.
func (a *app) dial(address, token string) (*client.Client, error) {
	options := []client.Option{client.WithUserAgent("keyturn-cli/" + a.version), client.WithReauth(a.reprove)}
	if file := a.getenv("KEYTURN_CA_FILE"); file != "" {
		options = append(options, client.WithCA(file))
	}
	c, err := client.New(address, token, options...)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s", err).WithHint("look at --server, --token, KEYTURN_SERVER, KEYTURN_TOKEN and KEYTURN_CA_FILE")
	}
	return c, nil
}

// project gives the project by slug or id: --project, KEYTURN_PROJECT, .keyturn.json, .infisical.json.
func (a *app) project() (string, error) {
	found, err := a.settings()
	if err != nil {
		return "", err
	}
	project := first(a.flags.project, a.getenv("KEYTURN_PROJECT"), found.Project)
	if project == "" {
		return "", fault.New(fault.Invalid, "no project is named").WithHint("add --project NAME, set KEYTURN_PROJECT, or run once in this folder: keyturn init")
	}
	return project, checkSegment("project", project)
}

// place gives project, environment and folder, in the same order of sources. The folder is "/" unless something names one.
func (a *app) place() (client.Place, error) {
	project, err := a.project()
	if err != nil {
		return client.Place{}, err
	}
	found, err := a.settings()
	if err != nil {
		return client.Place{}, err
	}
	env := first(a.flags.env, a.getenv("KEYTURN_ENV"), found.Env)
	if env == "" {
		return client.Place{}, fault.New(fault.Invalid, "no environment is named").WithHint("add --env NAME, set KEYTURN_ENV, or run once in this folder: keyturn init")
	}
	return client.Place{Project: project, Env: env, Path: a.folder(found)}, checkSegment("environment", env)
}

// folder gives the folder that flags, environment and files name; a path without a leading slash gets one.
func (a *app) folder(found *settings) string {
	p := first(a.flags.path, a.getenv("KEYTURN_PATH"), found.Path, "/")
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return p
}

// checkSegment refuses what cannot stand in a URL as one part, so that no name reaches another route.
func checkSegment(what, s string) error {
	if s == "." || s == ".." || strings.ContainsAny(s, "/\\") {
		return fault.New(fault.Invalid, "not a name of one %s", what)
	}
	return nil
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// info tells a person what happened, on standard error; --quiet switches it off.
func (a *app) info(format string, args ...any) {
	if !a.flags.quiet {
		_, _ = fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// warn tells what wants attention, on standard error, always.
func (a *app) warn(format string, args ...any) {
	style := term.StyleFor(a.err, a.getenv)
	_, _ = fmt.Fprintf(a.err, "%s %s\n", style.Warn("warning:"), fmt.Sprintf(format, args...))
}
