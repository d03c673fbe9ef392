package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
)

// Kinds of slots whose root key is not seen by the server when the slot is made.
const (
	kindFile        = "file"
	kindEnvironment = "environment"
	kindCredential  = "credential"
	kindCommand     = "command"
	kindPassphrase  = "passphrase"
	kindShares      = "shares"
	kindRecovery    = "recovery"
)

// keyKinds are those whose root key lies somewhere as 64 hex characters, peopleKinds those that people hold.
var (
	keyKinds    = []string{kindFile, kindEnvironment, kindCredential, kindCommand}
	peopleKinds = []string{kindPassphrase, kindShares, kindRecovery}
)

// Where servers look for root keys, as slots name it.
const (
	sourceVariable = "env:KEYTURN_ROOT_KEY"
	sourceFileName = "env:KEYTURN_ROOT_KEY_FILE"
)

// held is a slot whose root key is here: the server gets its public half, and a proof that the root key is at hand.
type held struct {
	id, kind, source, replaces string
	kept                       []byte
	root                       keyring.Root
}

// holder adds slots for root keys that are here.
type holder struct {
	app      *app
	client   *client.Client
	instance string
	slots    []api.KeySlot
}

func (a *app) holder(ctx context.Context) (*holder, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	k, err := c.Keys(ctx)
	if err != nil {
		return nil, err
	}
	return &holder{a, c, s.InstanceID, k.Slots}, nil
}

// add makes the slot. It is no way in before [holder.prove].
func (h *holder) add(ctx context.Context, n held) (api.KeySlotMade, error) {
	public := n.root.Public()
	return h.client.AddKeySlot(ctx, api.KeySlotRequest{ID: n.id, Kind: n.kind, Source: n.source, Public: public.Key, Fingerprint: public.Fingerprint, Kept: n.kept, Replaces: n.replaces})
}

// prove shows the server that root opens the slot, without showing root. made may be an answer with a challenge, or none.
func (h *holder) prove(ctx context.Context, made api.KeySlotMade, root keyring.Root) (api.KeySlotMade, error) {
	if len(made.Challenge) == 0 {
		asked, err := h.client.TestKeySlot(ctx, made.ID, nil)
		if err != nil || len(asked.Challenge) == 0 { // the server has proved it itself meanwhile
			return asked, err
		}
		made = asked
	}
	answer, err := root.Answer(h.instance, made.ID, made.Challenge)
	if err != nil {
		return made, err
	}
	defer answer.Wipe()
	return h.client.TestKeySlot(ctx, made.ID, answer.Reveal())
}

// addProved makes a slot and proves it. One that cannot be proved is taken away again.
func (h *holder) addProved(ctx context.Context, n held) (api.KeySlotMade, error) {
	made, err := h.add(ctx, n)
	if err != nil {
		return made, err
	}
	proved, err := h.prove(ctx, made, n.root)
	if err != nil {
		return made, h.takeBack(ctx, made, err)
	}
	return proved, nil
}

// takeBack removes a slot that was not finished, also when the command is being interrupted.
func (h *holder) takeBack(ctx context.Context, made api.KeySlotMade, cause error) error {
	if _, err := h.client.RemoveKeySlot(context.WithoutCancel(ctx), made.ID, false); err != nil {
		h.app.warn("key slot %s was made and is not proved; remove it with: keyturn keys slot remove %s", made.ID, made.ID)
	}
	return cause
}

// localRoot makes a root key and writes it into a new file, or reads one. undo takes the file away that was made.
func (a *app) localRoot(out, from string) (root keyring.Root, file string, undo func(), err error) {
	undo = func() {}
	if from != "" {
		root, err = a.readRoot(from)
		return root, from, undo, err
	}
	root = keyring.NewRoot()
	if err := writeRoot(out, root); err != nil {
		return root, "", undo, err
	}
	return root, out, func() { a.removeMade(out) }, nil
}

// kindLike gives the kind of the slot that is replaced when its root key lies somewhere, else a file.
func kindLike(old api.KeySlot) string {
	for _, k := range keyKinds {
		if k == old.Kind {
			return k
		}
	}
	return kindFile
}

// placeFor says where the new root key goes so that servers find it, after where the old one lies.
func placeFor(old api.KeySlot, file string) string {
	if file == "-" {
		file = "the new root key"
	}
	scheme, rest, _ := strings.Cut(old.Source, ":")
	switch {
	case old.Source == sourceVariable:
		return fmt.Sprintf("put the 64 characters of %s into KEYTURN_ROOT_KEY of every server, and restart each", file)
	case old.Source == sourceFileName:
		return fmt.Sprintf("put %s in place of the file that KEYTURN_ROOT_KEY_FILE names, on every server; save the old one first", file)
	case scheme == "file" && rest != "":
		return fmt.Sprintf("put %s in place of %s, on every server; save the old one first", file, rest)
	case scheme == "credential" && rest != "":
		return fmt.Sprintf("make %s the credential %s of every server's unit, and restart each", file, rest)
	case scheme == "command" && rest != "":
		return fmt.Sprintf("make the command %s give what is in %s, on every server", rest, file)
	}
	return fmt.Sprintf("put %s where every server finds it, and name that place in KEYTURN_ROOT_SOURCES_FILE", file)
}

// errNoAnswer says that a slot's root key is needed here.
func errNoAnswer(s api.KeySlot) error {
	flag := map[string]string{kindPassphrase: "--passphrase-file FILE", kindShares: "--share-file FILE, once for each share", kindRecovery: "--identity FILE"}[s.Kind]
	return fault.New(fault.Invalid, "the server cannot fetch root key %s, which is of kind %s", s.Fingerprint, s.Kind).WithHint("give it here: %s", first(flag, "--from FILE"))
}

// errDiffers says that what was given is the root key of no such slot.
func errDiffers(s api.KeySlot, root keyring.Root) error {
	return fault.New(fault.Denied, "what was given makes root key %s, and key slot %s needs %s", root.Fingerprint(), s.ID, s.Fingerprint).
		WithHint("see which slots there are: keyturn keys slots")
}
