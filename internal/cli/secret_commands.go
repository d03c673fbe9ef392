package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
)

// addSecretCommands adds the commands about secrets and their history.
func (a *app) addSecretCommands(add func(group string, commands ...*cobra.Command)) {
	add(groupSecrets, a.setCommand(), a.getCommand(), a.listCommand(), a.deleteCommand(), a.restoreCommand(), a.renameCommand(),
		a.moveCommand(), a.copyCommand(), a.personalCommand(), a.purgeCommand())
	add(groupHistory, a.historyCommand(), a.logCommand(), a.diffCommand(), a.rollbackCommand(), a.dueCommand(), a.reuseCommand(),
		a.searchCommand(), a.whereCommand(), a.schemaCommand(), a.exampleCommand())
}

// reach gives what nearly every command begins with: a client, and where to work.
func (a *app) reach() (*client.Client, client.Place, error) {
	place, err := a.place()
	if err != nil {
		return nil, place, err
	}
	c, err := a.client()
	return c, place, err
}

// reachOne is reach for one secret, named by an argument; the place is that of its folder.
func (a *app) reachOne(arg string) (*client.Client, client.Place, secretKey, error) {
	place, err := a.place()
	if err != nil {
		return nil, place, secretKey{}, err
	}
	key, err := parseSecretKey(place.Path, arg)
	if err != nil {
		return nil, place, key, err
	}
	c, err := a.client()
	return c, key.in(place), key, err
}

// envName names an environment for people: "shop/prod".
func envName(p client.Place) string { return p.Project + "/" + p.Env }

// folderName names a folder for people: "shop/prod:/backend".
func folderName(p client.Place) string { return envName(p) + ":" + p.Path }

// ordinal counts arguments as people do.
func ordinal(i int) string { return strconv.Itoa(i + 1) }

// counted is a flag that holds a number from a least one on. Without it, n is 0 and given is false.
type counted struct {
	n, least int64
	given    bool
}

// Set implements pflag.Value.
func (c *counted) Set(s string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < c.least {
		return fault.New(fault.Invalid, "want %s", c.Type())
	}
	c.n, c.given = n, true
	return nil
}

// String implements pflag.Value.
func (c *counted) String() string {
	if c.n == 0 {
		return ""
	}
	return strconv.FormatInt(c.n, 10)
}

// Type implements pflag.Value; the message about a wrong number shows it.
func (c *counted) Type() string { return "a whole number, at least " + strconv.FormatInt(c.least, 10) }
