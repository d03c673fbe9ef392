package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Groups of the help.
const (
	groupSecrets = "secrets"
	groupHistory = "history"
	groupUse     = "use"
	groupPlaces  = "places"
	groupAccess  = "access"
	groupServer  = "server"
)

// Main runs the command line of the process and gives its exit code.
func Main(version string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends at once
	a := newApp(version)
	return a.execute(ctx, os.Args[1:])
}

// execute runs one command line, says what went wrong and gives the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.started {
		if _, is := errors.AsType[*usageError](err); !is {
			err = usage(cmd, err)
		}
	}
	if err != nil {
		a.explain(a.err, err)
	}
	return exitCode(err)
}

// usage makes the error about a command line that the library refused. The library repeats what it does not know; behind an
// equals sign that may be a value, as in "keyturn PASSWORD=..." where set was forgotten.
func usage(cmd *cobra.Command, err error) error {
	text, suggestions, _ := strings.Cut(err.Error(), "\n")
	if before, _, assigned := strings.Cut(text, "="); assigned {
		text = before + `=..."`
	}
	e := &usageError{text: text, command: cmd.CommandPath()}
	if _, list, found := strings.Cut(suggestions, "Did you mean this?"); found {
		return &misspelt{e, strings.Fields(list)}
	}
	return e
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "keyturn",
		Short: "Keep a team's secrets, deliver them to its processes, and record every touch",
		Long: `Keyturn keeps a team's secrets, delivers them to its processes, and records every touch.

Project, environment and folder come from --project, --env and --path, else from KEYTURN_PROJECT, KEYTURN_ENV and
KEYTURN_PATH, else from .keyturn.json in this folder or above it (keyturn init writes one).`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetFlagErrorFunc(flagError)
	a.globalFlags(root)
	for _, g := range []struct{ id, title string }{
		{groupSecrets, "Secrets:"}, {groupUse, "Use them:"}, {groupHistory, "History and overview:"}, {groupPlaces, "Projects, environments, folders:"},
		{groupAccess, "People, machines, tokens:"}, {groupServer, "Server and evidence:"},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
	}
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupPlaces,
		a.projectCommand(), a.envCommand(), a.folderCommand(), a.mountCommand(), a.initCommand(),
	)
	add(groupAccess,
		a.loginCommand(), a.logoutCommand(), a.whoamiCommand(), a.tokenCommand(), a.apiKeyCommand(), a.identityCommand(),
		a.userCommand(), a.mfaCommand(), a.orgCommand(), a.groupsCommand(), a.roleCommand(), a.anyGrantCommand(),
		a.policyCommand(), a.freezeCommand(), a.killCommand(), a.thawCommand(), a.joinCommand(), a.profileCommand(),
		a.sessionCommand(), a.leaversCommand(), a.tasksCommand(), a.accessCommand(), a.breakGlassCommand(), a.ssoCommand(),
		a.scimCommand(),
	)
	add(groupServer,
		a.serverCommand(), a.bootstrapCommand(), a.unlockCommand(), a.statusCommand(), a.auditCommand(), a.keysCommand(),
		a.backupCommand(), a.streamCommand(), a.canaryCommand(), a.doctorCommand(), a.alertCommand(),
	)
	add(groupHistory,
		a.consumersCommand(), a.unusedCommand(), a.readsCommand(), a.changeCommand(),
	)
	add(groupUse,
		a.runCommand(), a.importCommand(), a.migrateCommand(), a.exportCommand(), a.jwtCommand(), a.wrapCommand(), a.unwrapCommand(),
		a.transitCommand(),
	)
	a.addSecretCommands(add)
	root.AddCommand(a.versionCommand(), a.completionCommand(), a.exitCodesTopic())
	a.markStarts(root)
	return root
}

// markStarts notes for each command that its own work has begun. No hook of the library does: it checks required flags after
// all of them.
func (a *app) markStarts(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			a.started = true
			return a.settled(run(cmd, args))
		}
	}
	for _, sub := range c.Commands() {
		a.markStarts(sub)
	}
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.flags.server, "server", "", "address of the server (KEYTURN_SERVER; default "+defaultServer+")")
	f.StringVar(&a.flags.token, "token", "", "token; other users of the machine can see it here, so better set KEYTURN_TOKEN")
	f.StringVarP(&a.flags.project, "project", "p", "", "project, slug or id (KEYTURN_PROJECT)")
	f.StringVarP(&a.flags.env, "env", "e", "", "environment, slug or id (KEYTURN_ENV)")
	f.StringVar(&a.flags.path, "path", "", "folder (KEYTURN_PATH; default /)")
	f.BoolVar(&a.flags.json, "json", false, "print JSON")
	f.BoolVar(&a.flags.quiet, "quiet", false, "tell results and failures only")
	f.BoolVar(&a.flags.yes, "yes", false, "confirm everything that would be asked")
	for name, complete := range map[string]completer{"project": a.completeProjects, "env": a.completeEnvs, "path": a.completePaths} {
		// It fails only for flags that are not there.
		_ = root.RegisterFlagCompletionFunc(name, complete)
	}
}

// exitCodesTopic is a page of the help.
func (a *app) exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes say", Long: exitHelp}
}

// groupCommand makes a command that only holds others.
func groupCommand(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return &usageError{text: "say what to do", command: cmd.CommandPath()}
	}}
	c.AddCommand(commands...)
	return c
}
