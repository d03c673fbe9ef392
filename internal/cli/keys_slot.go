package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) keysSlotCommand() *cobra.Command {
	return groupCommand("slot", "Add, test and remove ways to unlock", a.slotAddCommand(), a.slotTestCommand(), a.slotRemoveCommand())
}

// slotFlags describe a slot that shall be made.
type slotFlags struct {
	kind, source, out, from, passphraseFile, outDir, keptOut string
	shares, threshold                                        int
	recipients                                               []string
}

func (a *app) slotAddCommand() *cobra.Command {
	var f slotFlags
	c := &cobra.Command{
		Use:   "add",
		Short: "Add a way to unlock",
		Long: `Adds one more root key that opens the instance, and proves that it does. Nothing is replaced.

  --source URI                     the server gets or makes the root key, from a source that its configuration names
  --kind file|environment|credential|command
                                   a root key is made here (--out FILE) or taken (--from FILE); the server never sees it
  --kind passphrase                derived here from words that a person keeps
  --kind shares                    made here and divided among people (--shares, --threshold)
  --kind recovery                  made here and sealed to a kit for the safe; the same as keyturn keys recovery create`,
		Example: `  keyturn keys slot add --source awskms:arn:aws:kms:eu-central-1:111122223333:key/1234
  keyturn keys slot add --kind shares --shares 5 --threshold 3 --out-dir shares
  keyturn keys slot add --kind passphrase`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.addSlot(cmd.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.kind, "kind", "", "where the root key will be: file, environment, credential, command, passphrase, shares or recovery")
	flags.StringVar(&f.source, "source", "", "let the server get or make the root key: `URI` of a source in its configuration")
	flags.StringVar(&f.out, "out", "", "new `FILE` for the root key that is made, or for the identity of a recovery kit")
	flags.StringVar(&f.from, "from", "", "take the root key from this `FILE`; - is standard input")
	flags.StringVar(&f.passphraseFile, "passphrase-file", "", "`FILE` with the passphrase, instead of asking; - is standard input")
	flags.IntVar(&f.shares, "shares", defaultShares, "among how many people the root key is divided, 2 to 16")
	flags.IntVar(&f.threshold, "threshold", defaultThreshold, "how many of them are needed")
	flags.StringVar(&f.outDir, "out-dir", "", "new `FOLDER` for the shares, one file each, instead of showing them one after the other")
	flags.StringArrayVar(&f.recipients, "recipient", nil, "age `RECIPIENT` of a kit that exists; repeat it for more")
	flags.StringVar(&f.keptOut, "kept-out", "", "also keep the sealed root key of a recovery slot in this new `FILE`, for keys recovery open")
	c.MarkFlagsMutuallyExclusive("kind", "source")
	c.MarkFlagsMutuallyExclusive("out", "from")
	c.MarkFlagsMutuallyExclusive("out", "recipient")
	completeFixed(c, "kind", slices.Concat(keyKinds, peopleKinds))
	return c
}

func (a *app) addSlot(ctx context.Context, f slotFlags) error {
	if f.kind == "" && f.source == "" {
		return fault.New(fault.Invalid, "say what kind of slot it shall be").WithHint("add --kind, or --source URI; see: keyturn keys slot add --help")
	}
	if err := oneOfWords("--kind", f.kind, slices.Concat(keyKinds, peopleKinds)); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	h, err := a.holder(ctx)
	if err != nil {
		return err
	}
	switch {
	case f.source != "":
		made, err := h.client.AddKeySlot(ctx, api.KeySlotRequest{Source: f.source})
		if err != nil {
			return err
		}
		return a.showSlot(slotMade{KeySlot: made.KeySlot, Next: []string{"name the source " + f.source + " in the configuration of every server that shall use it"}})
	case f.kind == kindPassphrase:
		return h.addPassphrase(ctx, f)
	case f.kind == kindShares:
		return h.addShares(ctx, f)
	case f.kind == kindRecovery:
		return h.addRecovery(ctx, f)
	}
	root, file, undo, err := a.localRoot(f.out, f.from)
	if err != nil {
		return err
	}
	made, err := h.addProved(ctx, held{kind: f.kind, root: root})
	if err != nil {
		undo()
		return err
	}
	out := slotMade{KeySlot: made.KeySlot, Next: []string{"put " + file + " where a server finds it when it needs it: its configuration names the place, see keyturn server --help",
		"keyturn keys slot test " + made.ID}}
	if f.out != "" {
		out.Files = []string{file}
	}
	return a.showSlot(out)
}

// check refuses flags that do not go with the kind, before anything is made.
func (f *slotFlags) check() error {
	key := slices.Contains(keyKinds, f.kind)
	switch {
	case key && f.out == "" && f.from == "":
		return fault.New(fault.Invalid, "say where the root key shall go, or where it is").WithHint("add --out FILE or --from FILE")
	case !key && f.from != "":
		return fault.New(fault.Invalid, "--from is for a root key that lies in a file").WithHint("use it with --kind file, environment, credential or command")
	case !key && f.kind != kindRecovery && f.out != "":
		return fault.New(fault.Invalid, "--out is for root keys and recovery kits").WithHint("shares go into --out-dir; a passphrase is written nowhere")
	case f.kind != kindPassphrase && f.passphraseFile != "":
		return fault.New(fault.Invalid, "--passphrase-file is for --kind passphrase").WithHint("leave it away")
	case f.kind != kindShares && f.outDir != "":
		return fault.New(fault.Invalid, "--out-dir is for --kind shares").WithHint("use --out FILE")
	case f.kind != kindRecovery && (len(f.recipients) > 0 || f.keptOut != ""):
		return fault.New(fault.Invalid, "--recipient and --kept-out are for --kind recovery").WithHint("leave them away")
	}
	return nil
}

func (h *holder) addPassphrase(ctx context.Context, f slotFlags) error {
	typed, err := h.app.password(f.passphraseFile, "Passphrase for the new slot, 16 characters or more:", true)
	if err != nil {
		return err
	}
	done := h.app.waiting("the passphrase is stretched")
	key, kept, err := rootkey.NewPassphrase(ctx, sensitive.FromString(typed))
	done()
	if err != nil {
		return err
	}
	root, err := keyring.RootOf(key)
	if err != nil {
		return err
	}
	made, err := h.addProved(ctx, held{kind: kindPassphrase, kept: kept, root: root})
	key.Wipe()
	if err != nil {
		return err
	}
	return h.app.showSlot(slotMade{KeySlot: made.KeySlot, Next: []string{"keep the passphrase away from the server and from copies of the database", "try it once a year: keyturn keys slot test " + made.ID}})
}

func (a *app) showSlot(out slotMade) error {
	out.Back = "keyturn keys slot remove " + out.ID
	return a.print(out, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "key slot %s of kind %s: root key %s opens this instance now\n", out.ID, out.Kind, out.Fingerprint)
		for _, file := range out.Files {
			_, _ = fmt.Fprintf(w, "written: %s\n", term.Clean(file))
		}
		_, _ = fmt.Fprintln(w, "next:")
		for i, step := range out.Next {
			_, _ = fmt.Fprintf(w, "  %d. %s\n", i+1, term.Clean(step))
		}
		_, _ = fmt.Fprintf(w, "going back is: %s\n", out.Back)
	})
}

func (a *app) slotRemoveCommand() *cobra.Command {
	var force, wait bool
	c := &cobra.Command{
		Use:   "remove SLOT",
		Short: "Take a way to unlock away, for good",
		Long: `Removes a slot, named by its id or by the fingerprint of its root key. That root key opens nothing here any more, and the wrapping
is overwritten in the files; copies of the database from before still open with it. When the slot is the old one of a turn of the
root key, a census ends the turn; when it is the new one, the turn is undone.

The last slot, and the last one that was proved, cannot be removed. One that the server needs to start by itself goes with
--force only.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSlots,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			s, err := c.Keys(cmd.Context())
			if err != nil {
				return err
			}
			slot, err := findSlot(s.Slots, args[0])
			if err != nil {
				return err
			}
			return a.removeSlot(cmd.Context(), c, s.Slots, slot, force, wait)
		},
	}
	c.Flags().BoolVar(&force, "force", false, "also when the server cannot unlock by itself afterwards")
	c.Flags().BoolVar(&wait, "wait", false, "wait until the census is signed, and show it")
	return c
}

func (a *app) removeSlot(ctx context.Context, c *client.Client, slots []api.KeySlot, slot api.KeySlot, force, wait bool) error {
	var rest []string
	for _, s := range slots {
		if s.ID != slot.ID && !s.ProvedAt.IsZero() {
			rest = append(rest, s.Fingerprint+" ("+s.Kind+")")
		}
	}
	a.info("key slot %s of kind %s goes; root key %s opens nothing here any more, not even in the raw files", slot.ID, slot.Kind, slot.Fingerprint)
	if slot.Unlocked {
		a.info("it is the one that unlocked this server: after the next start another one must")
	}
	a.info("what opens the instance then: %s", list(rest, "or"))
	a.info("backups and dumps from before still open with root key %s", slot.Fingerprint)
	if err := a.confirm("Remove it for good?"); err != nil {
		return err
	}
	t, err := c.RemoveKeySlot(ctx, slot.ID, force)
	if err != nil {
		return err
	}
	if wait {
		return a.waitForTurns(ctx, c, []api.KeyTurn{t}, false)
	}
	return a.print(t, func(w io.Writer) {
		if t.Stage == stageUndone {
			_, _ = fmt.Fprintf(w, "the slot of root key %s is gone; the turn to it is undone\n", slot.Fingerprint)
			return
		}
		_, _ = fmt.Fprintf(w, "the slot of root key %s is gone; a census follows: keyturn keys show %s\n", slot.Fingerprint, t.ID)
	})
}
