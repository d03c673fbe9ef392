package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// answerFlags say where the root key of a slot is.
type answerFlags struct {
	from, passphraseFile, identity string
	shareFiles                     []string
}

func (f *answerFlags) none() bool {
	return f.from == "" && f.passphraseFile == "" && f.identity == "" && len(f.shareFiles) == 0
}

func (a *app) slotTestCommand() *cobra.Command {
	var f answerFlags
	c := &cobra.Command{
		Use:   "test SLOT",
		Short: "Prove that a way to unlock still opens",
		Long: `Proves that the root key of a slot, named by its id or its root key's fingerprint, still opens it. The server fetches the root key
itself where its configuration says how. Otherwise it asks a question that only the root key's holder can answer, and the
answer is made here: the root key does not leave this machine.`,
		Example: `  keyturn keys slot test SLOT
  keyturn keys slot test SLOT --share-file one.txt --share-file two.txt --share-file three.txt
  keyturn keys slot test SLOT --identity recovery-kit.txt`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSlots,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.testSlot(cmd.Context(), args[0], f) },
	}
	c.Flags().StringVar(&f.from, "from", "", "`FILE` with the root key; - is standard input")
	c.Flags().StringVar(&f.passphraseFile, "passphrase-file", "", "`FILE` with the passphrase; - is standard input")
	c.Flags().StringArrayVar(&f.shareFiles, "share-file", nil, "`FILE` with one share; repeat it for each")
	c.Flags().StringVar(&f.identity, "identity", "", "`FILE` with the identity of a recovery kit; - is standard input")
	c.MarkFlagsMutuallyExclusive("from", "passphrase-file", "share-file", "identity")
	return c
}

func (a *app) testSlot(ctx context.Context, name string, f answerFlags) error {
	h, err := a.holder(ctx)
	if err != nil {
		return err
	}
	slot, err := findSlot(h.slots, name)
	if err != nil {
		return err
	}
	made := api.KeySlotMade{KeySlot: slot}
	by := "here"
	if f.none() {
		done := a.waiting("the server fetches the root key")
		made, err = h.client.TestKeySlot(ctx, slot.ID, nil)
		done()
		if err != nil {
			return err
		}
		by = "the server"
	}
	if len(made.Challenge) > 0 || !f.none() {
		root, err := h.rootFor(ctx, slot, f)
		if err != nil {
			return err
		}
		if root.Fingerprint() != slot.Fingerprint {
			return errDiffers(slot, root)
		}
		if made, err = h.prove(ctx, made, root); err != nil {
			return err
		}
		by = "here"
	}
	return a.print(made.KeySlot, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "root key %s opens key slot %s; proved by %s\n", slot.Fingerprint, slot.ID, by)
	})
}

// rootFor gets the root key of a slot from what its holder gives.
func (h *holder) rootFor(ctx context.Context, slot api.KeySlot, f answerFlags) (keyring.Root, error) {
	binding := rootkey.Binding{Instance: h.instance, Slot: slot.ID}
	switch {
	case f.from != "":
		return h.app.readRoot(f.from)
	case f.identity != "":
		return h.app.recovered(f.identity, binding, slot.Kept)
	case len(f.shareFiles) > 0:
		shares, err := h.app.readShares(f.shareFiles)
		defer func() {
			for _, s := range shares {
				s.Wipe()
			}
		}()
		if err != nil {
			return keyring.Root{}, err
		}
		return combined(shares, slot.Kept, binding)
	case slot.Kind == kindPassphrase:
		return h.app.rootOfPassphrase(ctx, f.passphraseFile, slot)
	case f.passphraseFile != "":
		return keyring.Root{}, fault.New(fault.Invalid, "key slot %s is of kind %s, not of a passphrase", slot.ID, slot.Kind).WithHint("see: keyturn keys slots")
	}
	return keyring.Root{}, errNoAnswer(slot)
}

func (a *app) rootOfPassphrase(ctx context.Context, file string, slot api.KeySlot) (keyring.Root, error) {
	if file == "" {
		console, err := a.console()
		if err != nil {
			return keyring.Root{}, errNoAnswer(slot)
		}
		_ = console.Close()
	}
	typed, err := a.password(file, "Passphrase of key slot "+slot.ID+":", false)
	if err != nil {
		return keyring.Root{}, err
	}
	done := a.waiting("the passphrase is stretched")
	key, err := rootkey.FromPassphrase(ctx, sensitive.FromString(typed), slot.Kept)
	done()
	if err != nil {
		return keyring.Root{}, err
	}
	return keyring.RootOf(key)
}

// readSecret reads a small file that holds a secret.
func (a *app) readSecret(file string) (sensitive.Value, error) {
	b, err := readBounded(file, maxKeyFile, a.in)
	return sensitive.New(b), err
}
