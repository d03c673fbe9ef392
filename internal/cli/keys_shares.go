package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/rootkey/shamir"
)

// Three of five is what most choose: two may be on holiday or lost, and two together know nothing.
const (
	defaultShares    = 5
	defaultThreshold = 3
)

// addShares makes a root key, divides it, gives each share out once, and proves the slot with shares, not with the key that
// they were made from: what was written down is what must open.
func (h *holder) addShares(ctx context.Context, f slotFlags) error {
	id := keyring.NewSlotID()
	binding := rootkey.Binding{Instance: h.instance, Slot: id}
	root := keyring.NewRoot()
	shares, kept, err := shamir.Split(root.Bytes(), f.threshold, f.shares, binding)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range shares {
			s.Wipe()
		}
	}()
	give, undo, err := h.app.shareOutlet(f.outDir)
	if err != nil {
		return err
	}
	made, err := h.add(ctx, held{id: id, kind: kindShares, kept: kept, root: root})
	if err != nil {
		undo()
		return err
	}
	root.Bytes().Wipe()
	out := slotMade{KeySlot: made.KeySlot}
	for _, s := range shares {
		if err = ctx.Err(); err != nil {
			break
		}
		var file string
		if file, err = give(s, f.shares); err != nil {
			break
		}
		if file != "" {
			out.Files = append(out.Files, file)
		}
	}
	if err == nil {
		root, err = combined(shares[:f.threshold], kept, binding)
	}
	if err == nil {
		made, err = h.prove(ctx, made, root)
		root.Bytes().Wipe()
	}
	if err != nil {
		undo()
		return h.takeBack(ctx, made, err)
	}
	out.KeySlot = made.KeySlot
	out.Next = []string{fmt.Sprintf("give each of the %d shares to another person, and keep none of them here; any %d open the instance", f.shares, f.threshold),
		"try it once a year, with the holders: keyturn keys slot test " + made.ID}
	return h.app.showSlot(out)
}

// combined gives the root key that shares make.
func combined(shares []shamir.Share, kept []byte, b rootkey.Binding) (keyring.Root, error) {
	collector, err := shamir.NewCollector(kept, b)
	if err != nil {
		return keyring.Root{}, err
	}
	defer collector.Cancel()
	for _, s := range shares {
		if _, err := collector.Add(s, time.Now()); err != nil {
			return keyring.Root{}, err
		}
	}
	key, err := collector.Root(time.Now())
	if err != nil {
		return keyring.Root{}, err
	}
	return keyring.RootOf(key)
}

// shareOutlet says where shares go: into files of a new folder, or onto the terminal one after the other. undo takes away
// what was written.
func (a *app) shareOutlet(dir string) (give func(shamir.Share, int) (string, error), undo func(), err error) {
	if dir == "" {
		give, err = a.shareScreen()
		return give, func() {}, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if os.IsExist(err) {
			return nil, nil, fault.New(fault.Exists, "%s exists already", dir).WithHint("name a new folder with --out-dir")
		}
		return nil, nil, fault.Wrap(fault.Unavailable, err, "couldn't make the folder %s", dir).WithHint("make the folder above it first")
	}
	return func(s shamir.Share, n int) (string, error) {
		file := filepath.Join(dir, fmt.Sprintf("share-%d-of-%d.txt", s.Index(), n))
		text := s.Text()
		defer text.Wipe()
		return file, writeSecret(file, text)
	}, func() { _ = os.RemoveAll(dir) }, nil
}

// shareScreen shows a share, waits until it is written down, and takes it off the screen.
func (a *app) shareScreen() (func(shamir.Share, int) (string, error), error) {
	if _, err := a.console(); err != nil {
		return nil, fault.New(fault.Invalid, "shares are shown on a terminal, and there is none").WithHint("write them into files of a new folder: --out-dir FOLDER")
	}
	return func(s shamir.Share, n int) (string, error) {
		console, err := a.console()
		if err != nil {
			return "", err
		}
		defer console.Close()
		text := s.Text()
		defer text.Wipe()
		question := fmt.Sprintf("Share %d of %d, for one person's eyes: %s Write it down, then press Enter; it is shown only once.", s.Index(), n, text.Reveal())
		if _, err := console.Ask(question); err != nil {
			return "", fmt.Errorf("show share %d: %w", s.Index(), err)
		}
		return "", console.Erase()
	}, nil
}

// readShares reads one share a file.
func (a *app) readShares(files []string) ([]shamir.Share, error) {
	var out []shamir.Share
	for _, file := range files {
		s, err := a.readShare(file)
		if err != nil {
			return out, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func (a *app) readShare(file string) (shamir.Share, error) {
	text, err := a.readSecret(file)
	if err != nil {
		return shamir.Share{}, err
	}
	defer text.Wipe()
	return shamir.ParseShare(text)
}
