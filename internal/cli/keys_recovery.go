package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) keysRecoveryCommand() *cobra.Command {
	return groupCommand("recovery", "Make and use a recovery kit for the safe", a.recoveryCreateCommand(), a.recoveryOpenCommand())
}

func (a *app) recoveryCreateCommand() *cobra.Command {
	f := slotFlags{kind: kindRecovery}
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a slot that opens with an identity in a safe",
		Long: `Makes a root key here and seals it to an age identity: a new one, which is written to --out or shown once, or those of
--recipient, whose identities may have been made on a machine that never was on a network. The server keeps the sealed root key
and can open nothing with it. Whoever has the identity and a copy of the database can read everything: print it, put it into a
safe, and keep it on no disk.`,
		Example: `  keyturn keys recovery create
  keyturn keys recovery create --recipient age1pq1... --recipient age1pq1...`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.addSlot(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.out, "out", "", "write the new identity to this new `FILE` instead of showing it")
	c.Flags().StringArrayVar(&f.recipients, "recipient", nil, "age `RECIPIENT` of an identity that exists; repeat it for more")
	c.Flags().StringVar(&f.keptOut, "kept-out", "", "also keep the sealed root key in this new `FILE`, for keys recovery open without a server")
	c.MarkFlagsMutuallyExclusive("out", "recipient")
	return c
}

// keptRoot is the file that --kept-out writes: what the slot keeps, with what it is bound to. It opens with the identity only.
type keptRoot struct {
	Instance    string `json:"instance_id"`
	Slot        string `json:"slot_id"`
	Fingerprint string `json:"root_fingerprint"`
	Kept        []byte `json:"kept"`
}

func (h *holder) addRecovery(ctx context.Context, f slotFlags) error {
	identity, recipients, err := h.app.kit(&f)
	if err != nil {
		return err
	}
	defer identity.Wipe()
	id := keyring.NewSlotID()
	binding := rootkey.Binding{Instance: h.instance, Slot: id}
	to, err := rootkey.ParseRecipients(strings.Join(recipients, "\n"))
	if err != nil {
		return err
	}
	root := keyring.NewRoot()
	defer root.Bytes().Wipe()
	kept, err := rootkey.SealRecovery(to, binding, root.Bytes())
	if err != nil {
		return err
	}
	out := slotMade{}
	undo := func() {}
	if f.out != "" {
		if err := writeSecret(f.out, identity); err != nil {
			return err
		}
		out.Files, undo = append(out.Files, f.out), func() { h.app.removeMade(f.out) }
	}
	made, err := h.add(ctx, held{id: id, kind: kindRecovery, source: strings.Join(recipients, " "), kept: kept, root: root})
	if err != nil {
		undo()
		return err
	}
	if f.out == "" && identity.Len() > 0 {
		err = h.app.showIdentity(identity)
	}
	proof := root
	if err == nil && identity.Len() > 0 { // what lies in the safe must open, so it is what proves
		if proof, err = openKept(identity, binding, kept); err == nil {
			defer proof.Bytes().Wipe()
		}
	}
	if err == nil {
		made, err = h.prove(ctx, made, proof)
	}
	if err == nil && f.keptOut != "" {
		err = writeKept(f.keptOut, keptRoot{h.instance, id, made.Fingerprint, kept})
		out.Files = append(out.Files, f.keptOut)
	}
	if err != nil {
		undo()
		return h.takeBack(ctx, made, err)
	}
	out.KeySlot = made.KeySlot
	if f.out != "" {
		out.Next = append(out.Next, "PRINT "+f.out+", put the paper into a safe, and remove the file: whoever has it and a copy of the database can read everything")
	}
	out.Next = append(out.Next, "try it once a year: keyturn keys slot test "+made.ID+" --identity FILE")
	return h.app.showSlot(out)
}

// kit makes an identity, unless recipients are given; the identity is empty then.
func (a *app) kit(f *slotFlags) (identity sensitive.Value, recipients []string, err error) {
	if len(f.recipients) > 0 {
		return identity, f.recipients, nil
	}
	if f.out == "" {
		console, err := a.console()
		if err != nil {
			return identity, nil, fault.New(fault.Invalid, "the identity is shown on a terminal, and there is none").WithHint("write it to a new file, to be printed and removed: --out FILE")
		}
		_ = console.Close()
	}
	identity, recipient, err := rootkey.NewRecoveryKit()
	return identity, []string{recipient}, err
}

// showIdentity shows an identity once.
func (a *app) showIdentity(identity sensitive.Value) error {
	console, err := a.console()
	if err != nil {
		return err
	}
	defer console.Close()
	if _, err := console.Ask(fmt.Sprintf("RECOVERY KIT. Print this or write it down, put it into a safe, keep it OFFLINE and on no disk. Whoever has it and a copy of the "+
		"database can read everything; nobody can show it again: %s Press Enter when it is safe.", identity.Reveal())); err != nil {
		return fmt.Errorf("show the recovery kit: %w", err)
	}
	return console.Erase()
}

func writeKept(file string, k keptRoot) error {
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	return writeNew(file, append(b, '\n'), privateMode)
}

// openKept gives the root key that is sealed for a recovery identity.
func openKept(identity sensitive.Value, b rootkey.Binding, kept []byte) (keyring.Root, error) {
	key, err := rootkey.OpenRecovery(identity, b, kept)
	if err != nil {
		return keyring.Root{}, err
	}
	return keyring.RootOf(key)
}

// recovered is openKept with the identity in a file.
func (a *app) recovered(file string, b rootkey.Binding, kept []byte) (keyring.Root, error) {
	identity, err := a.readSecret(file)
	if err != nil {
		return keyring.Root{}, err
	}
	defer identity.Wipe()
	return openKept(identity, b, kept)
}

// openFlags say where a sealed root key is.
type openFlags struct{ identity, slot, kept, instance, out string }

func (a *app) recoveryOpenCommand() *cobra.Command {
	var f openFlags
	c := &cobra.Command{
		Use:   "open",
		Short: "Get the root key back with a recovery identity",
		Long: `Opens what a recovery slot keeps with the identity from the safe, and writes the root key as 64 hex characters to --out, for
KEYTURN_ROOT_KEY_FILE. What the slot keeps comes from a server that still answers, or from --kept: a file of keys recovery
create --kept-out, or the age file alone, with --instance and --slot.

Afterwards, turn the root key, and make a new kit: this one has been on a machine.`,
		Example: `  keyturn keys recovery open --identity kit.txt --out root.key
  keyturn keys recovery open --identity kit.txt --kept kept.json --out root.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.recover(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.identity, "identity", "", "`FILE` with the identity; - is standard input")
	c.Flags().StringVar(&f.out, "out", "", "new `FILE` for the root key")
	c.Flags().StringVar(&f.slot, "slot", "", "which `SLOT`, if there are several")
	c.Flags().StringVar(&f.kept, "kept", "", "`FILE` with what the slot keeps, instead of asking the server")
	c.Flags().StringVar(&f.instance, "instance", "", "with an age file in --kept: id of the `INSTANCE`, see keyturn status")
	_ = c.MarkFlagRequired("identity") // fails only for flags that are not there
	_ = c.MarkFlagRequired("out")
	_ = c.RegisterFlagCompletionFunc("slot", a.completeSlots)
	return c
}

func (a *app) recover(ctx context.Context, f openFlags) error {
	kept, err := a.keptFrom(ctx, f)
	if err != nil {
		return err
	}
	root, err := a.recovered(f.identity, rootkey.Binding{Instance: kept.Instance, Slot: kept.Slot}, kept.Kept)
	if err != nil {
		return err
	}
	if kept.Fingerprint != "" && kept.Fingerprint != root.Fingerprint() {
		return errDiffers(api.KeySlot{ID: kept.Slot, Fingerprint: kept.Fingerprint}, root)
	}
	if err := writeRoot(f.out, root); err != nil {
		return err
	}
	out := struct {
		File        string   `json:"file"`
		Fingerprint string   `json:"root_fingerprint"`
		Next        []string `json:"next"`
	}{f.out, root.Fingerprint(), []string{
		"start the server with KEYTURN_ROOT_KEY_FILE=" + f.out,
		"keyturn keys rotate root, so that a root key is in use that was never on this machine",
		"keyturn keys recovery create, for a new kit; then keyturn keys slot remove " + first(kept.Slot, "SLOT")}}
	return a.print(out, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "root key %s is in %s\nnext:\n", out.Fingerprint, term.Clean(out.File))
		for i, step := range out.Next {
			_, _ = fmt.Fprintf(w, "  %d. %s\n", i+1, term.Clean(step))
		}
	})
}

// keptFrom finds what a recovery slot keeps: in a file, or at the server.
func (a *app) keptFrom(ctx context.Context, f openFlags) (keptRoot, error) {
	if f.kept != "" {
		return a.keptFile(f)
	}
	h, err := a.holder(ctx)
	if err != nil {
		return keptRoot{}, err
	}
	var found []api.KeySlot
	for _, s := range h.slots {
		if s.Kind == kindRecovery && (f.slot == "" || s.ID == f.slot || s.Fingerprint == f.slot) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return keptRoot{}, fault.New(fault.NotFound, "there is no such recovery slot").WithHint("see: keyturn keys slots")
	case 1:
		return keptRoot{h.instance, found[0].ID, found[0].Fingerprint, found[0].Kept}, nil
	}
	return keptRoot{}, fault.New(fault.Invalid, "there are %d recovery slots", len(found)).WithHint("say which with --slot; see: keyturn keys slots")
}

func (a *app) keptFile(f openFlags) (keptRoot, error) {
	b, err := readBounded(f.kept, maxKeyFile, a.in)
	if err != nil {
		return keptRoot{}, err
	}
	if !strings.HasPrefix(strings.TrimSpace(string(b)), "{") {
		if f.instance == "" || f.slot == "" {
			return keptRoot{}, fault.New(fault.Invalid, "an age file alone does not say where it belongs").WithHint("add --instance ID and --slot ID")
		}
		return keptRoot{Instance: f.instance, Slot: f.slot, Kept: b}, nil
	}
	var k keptRoot
	if err := json.Unmarshal(b, &k); err != nil || k.Instance == "" || k.Slot == "" || len(k.Kept) == 0 {
		return keptRoot{}, fault.New(fault.Invalid, "%s holds no sealed root key", f.kept).WithHint("want the file of keys recovery create --kept-out, or an age file")
	}
	return k, nil
}
