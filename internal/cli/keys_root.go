package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// rootFlags say which root key follows which.
type rootFlags struct{ source, out, from, kind, replaces string }

// slotMade is what making a slot prints.
type slotMade struct {
	api.KeySlot
	Replaces string   `json:"replaces,omitempty"` // fingerprint
	Files    []string `json:"files,omitempty"`    // that were written
	Next     []string `json:"next"`               // what to do now, in order
	Back     string   `json:"back,omitempty"`     // the command that undoes it
	Copies   string   `json:"copies,omitempty"`   // which copies of the database need which root key
}

func (a *app) rotateRootCommand() *cobra.Command {
	var f rootFlags
	c := &cobra.Command{
		Use:   "root",
		Short: "Turn the root key: another one is let in beside it, and then the old one is shut out",
		Long: `Makes a slot for a new root key beside that of the one that unlocked the server (or of --replaces), and proves that the new one
opens it. Then both open the instance. What is left is to put the new key where the servers find it, and to remove the old
slot; the command says how, and how to go back.

The new key is made here and written to --out (64 hex characters, for its owner only), or taken from --from; the server gets
its public half and never sees it. With --source the server gets or makes it, from a source that its configuration names.`,
		Example: `  keyturn keys rotate root --out new-root.key
  keyturn keys rotate root --source file:/etc/keyturn/new-root.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.rotateRoot(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.out, "out", "", "make the new root key and write it to this new `FILE`")
	c.Flags().StringVar(&f.from, "from", "", "take the new root key from this `FILE`; - is standard input")
	c.Flags().StringVar(&f.source, "source", "", "let the server get or make it: `URI` of a source in its configuration")
	c.Flags().StringVar(&f.kind, "kind", "", "with --out or --from, where the key will lie: file, environment, credential or command (default that of the old one, else file)")
	c.Flags().StringVar(&f.replaces, "replaces", "", "`FINGERPRINT` of the root key that shall go (default the one that unlocked the server)")
	c.MarkFlagsMutuallyExclusive("out", "from", "source")
	c.MarkFlagsMutuallyExclusive("kind", "source")
	completeFixed(c, "kind", keyKinds)
	_ = c.RegisterFlagCompletionFunc("replaces", a.completeFingerprints) // fails only for a flag that is not there
	return c
}

func (a *app) rotateRoot(ctx context.Context, f rootFlags) error {
	if f.source == "" && f.out == "" && f.from == "" {
		return fault.New(fault.Invalid, "say where the new root key shall go, or where it is").WithHint("add --out FILE, --from FILE or --source URI")
	}
	if err := oneOfWords("--kind", f.kind, keyKinds); err != nil {
		return err
	}
	h, err := a.holder(ctx)
	if err != nil {
		return err
	}
	old, err := h.replaced(f.replaces)
	if err != nil {
		return err
	}
	made, err := h.turnRoot(ctx, f, old)
	if err != nil {
		return err
	}
	return a.showRootTurn(made, old)
}

// replaced finds the slot whose root key shall go.
func (h *holder) replaced(fingerprint string) (api.KeySlot, error) {
	if fingerprint != "" {
		return findSlot(h.slots, fingerprint)
	}
	old, ok := unlockedBy(h.slots)
	if !ok {
		return old, fault.New(fault.NotFound, "the slot that unlocked the server is gone").WithHint("say which root key shall go: --replaces FINGERPRINT; see: keyturn keys slots")
	}
	return old, nil
}

func (h *holder) turnRoot(ctx context.Context, f rootFlags, old api.KeySlot) (slotMade, error) {
	out := slotMade{Replaces: old.Fingerprint, Next: []string{}}
	if f.source != "" {
		made, err := h.client.AddKeySlot(ctx, api.KeySlotRequest{Source: f.source, Replaces: old.Fingerprint})
		out.KeySlot = made.KeySlot
		out.Next = append(out.Next, "name the source "+f.source+" in the configuration of every other server too")
		return out, err
	}
	root, file, undo, err := h.app.localRoot(f.out, f.from)
	if err != nil {
		return out, err
	}
	n := held{kind: first(f.kind, kindLike(old)), replaces: old.Fingerprint, root: root}
	if n.kind == old.Kind {
		n.source = old.Source // it will lie in the same place
	}
	made, err := h.addProved(ctx, n)
	if err != nil {
		undo()
		return out, err
	}
	out.KeySlot = made.KeySlot
	if f.out != "" {
		out.Files = []string{file}
	}
	out.Next = append(out.Next, placeFor(old, file))
	return out, nil
}

func (a *app) showRootTurn(out slotMade, old api.KeySlot) error {
	out.Next = append(out.Next, "keyturn keys slot test "+out.ID, "keyturn keys slot remove "+old.ID)
	out.Back = "keyturn keys slot remove " + out.ID
	out.Copies = fmt.Sprintf("copies of the database from before now open with root key %s only, those made between now and the last step with either, later ones with %s: "+
		"keep each key as long as its copies", old.Fingerprint, out.Fingerprint)
	return a.print(out, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "root key %s opens this instance now, beside %s\n", out.Fingerprint, old.Fingerprint)
		for _, file := range out.Files {
			_, _ = fmt.Fprintf(w, "it is in %s: save it in a second place, away from the server and from the database's copies\n", term.Clean(file))
		}
		_, _ = fmt.Fprintln(w, "next:")
		for i, step := range out.Next {
			_, _ = fmt.Fprintf(w, "  %d. %s\n", i+1, term.Clean(step))
		}
		_, _ = fmt.Fprintf(w, "until the last step, going back is: %s\n%s\n", out.Back, out.Copies)
	})
}

// removeMade takes a file away that a command made and that nothing needs.
func (a *app) removeMade(file string) {
	if err := os.Remove(file); err != nil {
		a.warn("%s holds a root key that is of no use; remove it", file)
	}
}

// oneOfWords refuses a word that is none of those that a flag takes; empty passes.
func oneOfWords(flag, word string, words []string) error {
	if word == "" {
		return nil
	}
	for _, w := range words {
		if w == word {
			return nil
		}
	}
	return fault.New(fault.Invalid, "%s is not valid: want %s", flag, list(words, "or"))
}
