package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

// transitTypes are the kinds of keys.
var transitTypes = [...]string{"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "hmac"}

func (a *app) transitCommand() *cobra.Command {
	var org bool
	key := groupCommand("key", "Make, rotate and configure keys that encrypt for others",
		a.transitCreate(&org), a.transitList(&org), a.transitRotate(&org), a.transitConfig(&org), a.transitDelete(&org))
	key.PersistentFlags().BoolVar(&org, "organisation", false, "keys of the organisation itself, not those of a project")
	c := groupCommand("transit", "Encrypt and sign for applications with keys that stay on the server", key)
	c.Long = `The encryption service encrypts, signs and authenticates for applications with named keys that never leave the server, unless a
key says that it may. Applications use it through the Vault dialect (/v1/transit) and the Infisical dialect (/api/v1/kms). Keys
belong to a project, or with --organisation to the organisation itself.`
	return c
}

// transitProject gives the project whose keys are meant, "" for the organisation.
func (a *app) transitProject(org bool) (string, error) {
	if org {
		return "", nil
	}
	return a.project()
}

// atTransit reaches the server and the place of keys.
func (a *app) atTransit(org bool) (*client.Client, string, error) {
	project, err := a.transitProject(org)
	if err != nil {
		return nil, "", err
	}
	c, err := a.client()
	return c, project, err
}

func (a *app) transitCreate(org *bool) *cobra.Command {
	var r api.TransitKeyRequest
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a key", Args: cobra.ExactArgs(1),
		Example: "  keyturn transit key create cards --rotate-every 90d\n  keyturn transit key create releases --type ed25519 --organisation",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := a.atTransit(*org)
			if err != nil {
				return err
			}
			r.Name, r.Project = args[0], project
			made, err := c.CreateTransitKey(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Key %s of type %s made.\n", made.Name, made.Type) })
		},
	}
	f := c.Flags()
	f.StringVar(&r.Type, "type", "aes256-gcm96", strings.Join(transitTypes[:], ", "))
	f.StringVar(&r.Description, "description", "", "what it is for")
	f.BoolVar(&r.Derived, "derived", false, "each context has a key of its own")
	f.BoolVar(&r.Convergent, "convergent", false, "equal plaintexts give equal ciphertexts (with --derived)")
	f.BoolVar(&r.Exportable, "exportable", false, "the key may leave the server")
	f.BoolVar(&r.PlaintextBackup, "plaintext-backup", false, "the key may be backed up in the open")
	f.StringVar(&r.RotateEvery, "rotate-every", "", "time between rotations that happen by themselves, 1h or more")
	completeFixed(c, "type", transitTypes[:])
	return c
}

func (a *app) transitList(org *bool) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List keys", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := a.atTransit(*org)
			if err != nil {
				return err
			}
			all, err := c.TransitKeys(cmd.Context(), project)
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				if len(all.Keys) == 0 {
					_, _ = fmt.Fprintln(w, "There are no keys.")
					return
				}
				t := term.NewTable("NAME", "TYPE", "VERSION", "DECRYPTS FROM", "ROTATED", "EVERY", "DESCRIPTION")
				for _, k := range all.Keys {
					t.Row(k.Name, k.Type, fmt.Sprint(k.LatestVersion), fmt.Sprint(k.MinDecryptionVersion), when(k.RotatedAt), k.RotateEvery, k.Description)
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) transitRotate(org *bool) *cobra.Command {
	return &cobra.Command{
		Use: "rotate NAME", Short: "Make a new version of a key; older ones still decrypt and verify", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeTransit(org)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := a.atTransit(*org)
			if err != nil {
				return err
			}
			k, err := c.RotateTransitKey(cmd.Context(), project, args[0])
			if err != nil {
				return err
			}
			return a.print(k, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Key %s has version %d now.\n", k.Name, k.LatestVersion)
				a.info("Older ciphertexts still open. Once all are rewrapped: keyturn transit key config %s --min-decryption-version %d", k.Name, k.LatestVersion)
			})
		},
	}
}

func (a *app) transitConfig(org *bool) *cobra.Command {
	var minDecryption, minEncryption int64
	var deletion, exportable, plain, disabled bool
	var every, description string
	c := &cobra.Command{
		Use: "config NAME", Short: "Change which versions of a key may still be used, and what else is allowed", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeTransit(org)),
		Example: "  keyturn transit key config cards --min-decryption-version 3\n  keyturn transit key config cards --deletion-allowed",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := a.atTransit(*org)
			if err != nil {
				return err
			}
			f := cmd.Flags()
			r := api.TransitKeyConfig{
				MinDecryptionVersion: given(f.Changed("min-decryption-version"), &minDecryption), MinEncryptionVersion: given(f.Changed("min-encryption-version"), &minEncryption),
				DeletionAllowed: given(f.Changed("deletion-allowed"), &deletion), Exportable: given(f.Changed("exportable"), &exportable),
				PlaintextBackup: given(f.Changed("plaintext-backup"), &plain), Disabled: given(f.Changed("disabled"), &disabled),
				RotateEvery: given(f.Changed("rotate-every"), &every), Description: given(f.Changed("description"), &description),
			}
			if r == (api.TransitKeyConfig{}) {
				return &usageError{text: "say what is to be changed", command: cmd.CommandPath()}
			}
			k, err := c.UpdateTransitKey(cmd.Context(), project, args[0], r)
			if err != nil {
				return err
			}
			return a.print(k, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Key %s changed.\n", k.Name) })
		},
	}
	f := c.Flags()
	f.Int64Var(&minDecryption, "min-decryption-version", 0, "the oldest version that may decrypt and verify")
	f.Int64Var(&minEncryption, "min-encryption-version", 0, "the oldest version that may be asked for to encrypt and sign")
	f.BoolVar(&deletion, "deletion-allowed", false, "the key may be deleted")
	f.BoolVar(&exportable, "exportable", false, "the key may leave the server; this cannot be taken back")
	f.BoolVar(&plain, "plaintext-backup", false, "the key may be backed up in the open; this cannot be taken back")
	f.BoolVar(&disabled, "disabled", false, "the key does nothing")
	f.StringVar(&every, "rotate-every", "", `time between rotations that happen by themselves, "" for never`)
	f.StringVar(&description, "description", "", "what it is for")
	return c
}

// given gives a value that was said, nil for one that was not.
func given[T any](said bool, v *T) *T {
	if !said {
		return nil
	}
	return v
}

func (a *app) transitDelete(org *bool) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Destroy a key whose deletion is allowed, and with it what was encrypted", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeTransit(org)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := a.atTransit(*org)
			if err != nil {
				return err
			}
			if err := a.confirm("Destroy the key " + term.Clean(args[0]) + "? What was encrypted with it is lost."); err != nil {
				return err
			}
			if err := c.DeleteTransitKey(cmd.Context(), project, args[0]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s is gone.\n", term.Clean(args[0])) })
		},
	}
}

func (a *app) completeTransit(org *bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
			project, err := a.transitProject(*org)
			if err != nil {
				return nil, err
			}
			all, err := c.TransitKeys(ctx, project)
			var out []string
			for _, k := range all.Keys {
				out = append(out, k.Name)
			}
			return out, err
		})(cmd, args, toComplete)
	}
}
