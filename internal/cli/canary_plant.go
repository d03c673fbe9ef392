package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// decoyName is what a decoy is called when nobody says otherwise: something that whoever looks for keys tries first.
const decoyName = "ADMIN_API_TOKEN"

// plantFlags say where a decoy goes.
type plantFlags struct {
	file, place string
	backup      bool
}

func (a *app) canaryPlantCommand() *cobra.Command {
	var f plantFlags
	c := &cobra.Command{
		Use:   "plant [NAME]",
		Short: "Make a decoy and put it where it belongs: into an environment, a file, or backups",
		Long: `Make a decoy token and put it under NAME (default ` + decoyName + `) into the environment, or with --file into a .env file.

In an environment the secret is a canary too: reading it is a touch, and showing the token that was read is another one. With
--backup it says so: the environment should be one that nobody reads, so that a token that is shown came out of a backup.`,
		Example: `  keyturn canary plant --env prod
  keyturn canary plant --file .env AWS_BACKUP_TOKEN
  keyturn canary plant --backup --project vault --env unused`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := decoyName
			if len(args) == 1 {
				name = args[0]
			}
			if f.file != "" {
				return a.plantFile(cmd.Context(), f, name)
			}
			return a.plantSecret(cmd.Context(), f, name)
		},
	}
	c.Flags().StringVar(&f.file, "file", "", "file of NAME=value lines to append the decoy to")
	c.Flags().BoolVar(&f.backup, "backup", false, "the decoy is for backups")
	c.Flags().StringVar(&f.place, "place", "", "what a touch calls the place; default names the file or the secret")
	c.MarkFlagsMutuallyExclusive("file", "backup")
	return c
}

// plantFile appends a line. The file is asked for before the decoy is made, and written with one call.
func (a *app) plantFile(ctx context.Context, f plantFlags, name string) error {
	if _, err := domain.ParseSecretName(name); err != nil {
		return err
	}
	full, err := filepath.Abs(f.file)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the name of the file is not valid")
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(full, os.O_RDWR|os.O_APPEND|os.O_CREATE, privateMode)
	if err != nil {
		return openFault(err, f.file)
	}
	defer out.Close()
	before, err := lineBreak(out)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "couldn't read %s", f.file)
	}
	host, _ := os.Hostname()
	made, err := c.CreateCanary(ctx, api.CanaryRequest{Kind: canaryToken, Place: first(f.place, fmt.Sprintf("file %s:%s", host, full))})
	if err != nil {
		return err
	}
	if _, err = io.WriteString(out, before+name+"="+made.Token+"\n"); err == nil {
		err = out.Sync()
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "couldn't write %s", f.file).WithHint("forget the decoy: keyturn canary delete %s", made.Canary.ID)
	}
	made.Token = "" // it is where it belongs
	return a.print(made, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Planted %s in %s.\n", name, f.file) })
}

// lineBreak is what must stand before a new line: nothing, unless the last one has no end.
func lineBreak(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return "", err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil {
		return "", err
	}
	if last[0] == '\n' {
		return "", nil
	}
	return "\n", nil
}

// plantSecret stores a decoy token as a new secret and makes a decoy of that as well.
func (a *app) plantSecret(ctx context.Context, f plantFlags, name string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	place, err := a.place()
	if err != nil {
		return err
	}
	key, err := parseSecretKey(place.Path, name)
	if err != nil {
		return err
	}
	place.Path = string(key.path)
	if err := a.absent(ctx, c, place, key); err != nil {
		return err
	}
	where := first(f.place, fmt.Sprintf("%s/%s:%s", place.Project, place.Env, key))
	token := where + ", its value"
	if f.backup {
		token = first(f.place, "backup") + ", value of " + where
	}
	made, err := c.CreateCanary(ctx, api.CanaryRequest{Kind: canaryToken, Place: token})
	if err != nil {
		return err
	}
	change := api.Change{Op: "set", Path: string(key.path), Name: string(key.name), Value: &made.Token}
	_, err = c.Commit(ctx, place, api.CommitRequest{Changes: []api.Change{change}})
	var secret api.CanaryMade
	if err == nil {
		secret, err = c.CreateCanary(ctx, api.CanaryRequest{Kind: canarySecret, Place: where, Project: place.Project, Env: place.Env, Path: string(key.path), Name: string(key.name)})
	}
	if err != nil {
		a.warn("the decoy is planted by half; forget it with: keyturn canary delete %s", made.Canary.ID)
		return err
	}
	return a.print(secret, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Planted %s in %s/%s.\n", key, place.Project, place.Env) })
}

// absent refuses a name that is taken: a decoy must not replace what somebody needs.
func (a *app) absent(ctx context.Context, c *client.Client, place client.Place, key secretKey) error {
	there, err := c.List(ctx, place, client.ListOptions{})
	if err != nil && !errors.Is(err, client.NotFound) {
		return err
	}
	for _, s := range there.Secrets {
		if s.Name == string(key.name) {
			return fault.New(fault.Exists, "there is a secret %s already", key).WithHint("a decoy replaces nothing: choose another name")
		}
	}
	return nil
}
