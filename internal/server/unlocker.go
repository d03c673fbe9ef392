package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/rootkey"
)

// Where more sources of root keys are named.
const (
	envRootSources     = "KEYTURN_ROOT_SOURCES"
	envRootSourcesFile = "KEYTURN_ROOT_SOURCES_FILE"
)

// unlocker gets root keys from the places that the server's configuration names. It reads the configuration anew each time, so
// that a file may be swapped and a source added while the server runs.
type unlocker struct {
	lookup func(string) (string, bool)
	config *config.Config
	// entered is what a person entered while the server was sealed. It is kept for as long as the server runs, since another
	// server may turn the instance key, and nobody would be there to enter it again. Whoever can read this memory has the
	// instance key as well.
	entered *opening
}

// offer is one place: either it gives a root key, or it guards those of its slots.
type offer struct {
	kind, name string // as slots keep them
	words      string // for people
	root       func(context.Context) (keyring.Root, error)
	wrapper    rootkey.Wrapper
	// strict offers are asked for by name, so that a key in them that is none is an error and not a reason to look elsewhere.
	strict bool
}

func (u *unlocker) getenv(name string) string { v, _ := u.lookup(name); return v }

// offers lists what the configuration names: the two variables, the list, and in development mode the file beside the data
// when there is nothing else.
func (u *unlocker) offers() ([]offer, error) {
	var out []offer
	for _, name := range []string{keyring.EnvRoot, keyring.EnvRootFile} {
		if v, ok := u.lookup(name); ok && v == "" { // an empty variable is a mistake, not "none": somebody meant to set it
			return nil, fault.New(fault.Invalid, "%s is set but empty", name).WithHint("want 64 hex characters (openssl rand -hex 32), or unset it")
		}
	}
	given := func(context.Context) (keyring.Root, error) {
		root, _, _, err := keyring.LoadRoot(u.getenv, os.ReadFile)
		return root, err
	}
	text, path := u.getenv(keyring.EnvRoot), u.getenv(keyring.EnvRootFile)
	if text != "" || path != "" {
		o := offer{kind: keyring.SlotEnvironment, name: "env:" + keyring.EnvRoot, words: "from " + keyring.EnvRoot, root: given, strict: true}
		if path != "" {
			o.kind, o.name, o.words = keyring.SlotFile, "env:"+keyring.EnvRootFile, "from the file in "+keyring.EnvRootFile
		}
		out = append(out, o)
	}
	listed, err := u.listed()
	if err != nil {
		return nil, err
	}
	out = append(out, listed...)
	if beside := filepath.Join(u.config.Data, RootKeyFile); len(out) == 0 && u.config.Mode == config.Development {
		if info, err := os.Stat(beside); err == nil && info.Size() > 0 {
			out = append(out, offer{kind: keyring.SlotFile, name: "file:" + beside, words: beside, root: savedRoot(beside), strict: true})
		}
	}
	return out, nil
}

// savedRoot reads the root key that development mode keeps beside the data.
func savedRoot(file string) func(context.Context) (keyring.Root, error) {
	return func(context.Context) (keyring.Root, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return keyring.Root{}, fault.Wrap(fault.Sealed, err, "the root key file %s cannot be read", file).
				WithHint("put the saved root key back, or give it in KEYTURN_ROOT_KEY")
		}
		defer clear(text)
		return keyring.ParseRoot(text)
	}
}

// listed reads the sources of the list.
func (u *unlocker) listed() ([]offer, error) {
	text := u.getenv(envRootSources)
	if name := u.getenv(envRootSourcesFile); name != "" {
		if text != "" {
			return nil, fault.New(fault.Invalid, "both %s and %s are set", envRootSources, envRootSourcesFile).WithHint("unset one of them")
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fault.Wrap(fault.Sealed, err, "couldn't read the file of %s", envRootSourcesFile)
		}
		text = string(b)
	}
	sources, err := rootkey.ParseAll(text, rootkey.Environment{Getenv: u.getenv, ReadFile: os.ReadFile})
	if err != nil {
		return nil, err
	}
	var out []offer
	for _, s := range sources {
		o := offer{kind: s.Kind(), name: s.Name(), words: "from " + s.Name()}
		switch s := s.(type) {
		case rootkey.Holder:
			o.root = func(ctx context.Context) (keyring.Root, error) {
				text, err := s.Root(ctx)
				if err != nil {
					return keyring.Root{}, err
				}
				defer text.Wipe()
				return keyring.ParseRoot(text.Reveal())
			}
		case rootkey.Wrapper:
			o.wrapper = s
		}
		out = append(out, o)
		if c, ok := s.(rootkey.Cautious); ok && c.Warning() != "" {
			slog.Warn(c.Warning())
		}
	}
	return out, nil
}

// unwrap gives the root key that a wrapper guards for a slot.
func (o *offer) unwrap(ctx context.Context, instanceID string, slot keyring.SlotRow) (keyring.Root, error) {
	key, err := o.wrapper.Unwrap(ctx, rootkey.Binding{Instance: instanceID, Slot: slot.ID}, slot.Kept)
	if err != nil {
		return keyring.Root{}, err
	}
	return keyring.RootOf(key)
}

func (o *offer) guards(slot keyring.SlotRow) bool {
	return o.wrapper != nil && o.kind == slot.Kind && o.name == slot.Source
}

// opening is a root key that was found, with the slot that it opens and where it came from.
type opening struct {
	root  keyring.Root
	slot  keyring.SlotRow
	words string
}

// open asks one offer after the other until one has the root key of a slot. Those that give keys come first: they are near.
// Where a key was given that fits no slot, it is given back all the same, so that its fingerprint can be told.
func (u *unlocker) open(ctx context.Context, instanceID string, slots []keyring.SlotRow) (opening, error) {
	offers, err := u.offers()
	if err != nil {
		return opening{}, err
	}
	if u.entered != nil {
		for _, slot := range slots {
			if slot.Fingerprint == u.entered.root.Fingerprint() {
				return opening{u.entered.root.Copy(), slot, u.entered.words}, nil
			}
		}
	}
	var misfit *opening
	var failed error
	note := func(o offer, err error) {
		slog.Warn("a source of root keys gives none", "source", o.name, "error", err)
		failed = errors.Join(failed, err)
	}
	for _, o := range offers {
		if o.root == nil {
			continue
		}
		root, err := o.root(ctx)
		if err != nil && o.strict {
			return opening{}, err
		}
		if err != nil {
			note(o, err)
			continue
		}
		fingerprint := root.Fingerprint()
		if i := slices.IndexFunc(slots, func(s keyring.SlotRow) bool { return s.Fingerprint == fingerprint }); i >= 0 {
			return opening{root, slots[i], o.words}, nil
		}
		if misfit == nil {
			misfit = &opening{root: root, words: o.words}
		}
	}
	for _, o := range offers {
		for _, slot := range slots {
			if !o.guards(slot) {
				continue
			}
			root, err := o.unwrap(ctx, instanceID, slot)
			if err == nil {
				return opening{root, slot, o.words}, nil
			}
			note(o, err)
		}
	}
	switch {
	case misfit != nil:
		return *misfit, nil
	case failed != nil:
		return opening{}, fault.Wrap(fault.Sealed, failed, "no source of root keys opens this instance: %s", fault.As(failed).Message)
	}
	return opening{}, fault.New(fault.Sealed, "there is no root key").
		WithHint("set %s, %s or %s", keyring.EnvRoot, keyring.EnvRootFile, envRootSources)
}

// Root implements [keys.Unlocker].
func (u *unlocker) Root(ctx context.Context, instanceID string, slots []keyring.SlotRow) (keyring.Root, keyring.SlotRow, error) {
	o, err := u.open(ctx, instanceID, slots)
	return o.root, o.slot, err
}

// RootOf implements [keys.Unlocker].
func (u *unlocker) RootOf(ctx context.Context, instanceID string, slot keyring.SlotRow) (keyring.Root, error) {
	offers, err := u.offers()
	if err != nil {
		return keyring.Root{}, err
	}
	for _, o := range offers {
		if o.guards(slot) {
			return o.unwrap(ctx, instanceID, slot)
		}
	}
	if u.entered != nil && u.entered.root.Fingerprint() == slot.Fingerprint {
		return u.entered.root.Copy(), nil
	}
	for _, o := range offers {
		if o.root == nil {
			continue
		}
		root, err := o.root(ctx)
		if err == nil && root.Fingerprint() == slot.Fingerprint {
			return root, nil
		}
		if err != nil && o.name == slot.Source {
			return keyring.Root{}, err
		}
	}
	return keyring.Root{}, fault.New(fault.Unsupported, "this server's configuration does not say where root key %s comes from", slot.Fingerprint)
}

// Fresh implements [keys.Unlocker].
func (u *unlocker) Fresh(ctx context.Context, instanceID, slotID, source string) (keyring.Root, string, []byte, error) {
	offers, err := u.offers()
	if err != nil {
		return keyring.Root{}, "", nil, err
	}
	for _, o := range offers {
		if o.name == source {
			root, kept, err := o.fresh(ctx, rootkey.Binding{Instance: instanceID, Slot: slotID})
			return root, o.kind, kept, err
		}
	}
	return keyring.Root{}, "", nil, fault.New(fault.NotFound, "this server's configuration names no such source of root keys").
		WithHint("add it to the file of %s; that file is read anew each time", envRootSourcesFile)
}

// fresh gives a root key for a new slot: the one that a holder has, or one that is made here and that a wrapper guards. What
// was wrapped is unwrapped once before anybody relies on it.
func (o *offer) fresh(ctx context.Context, b rootkey.Binding) (keyring.Root, []byte, error) {
	if o.wrapper == nil {
		root, err := o.root(ctx)
		return root, nil, err
	}
	root := keyring.NewRoot()
	kept, err := o.wrapper.Wrap(ctx, b, root.Bytes())
	if err != nil {
		return keyring.Root{}, nil, err
	}
	again, err := o.wrapper.Unwrap(ctx, b, kept)
	if err != nil {
		return keyring.Root{}, nil, err
	}
	defer again.Wipe()
	if !again.Equal(root.Bytes()) {
		return keyring.Root{}, nil, fault.New(fault.Internal, "%s gives back another root key than it was given", o.name)
	}
	return root, kept, nil
}

// first gives the root key of a fresh world and says in the draft of its slot where it came from.
func (u *unlocker) first(ctx context.Context, instanceID string, d *keyring.SlotDraft) (opening, error) {
	offers, err := u.offers()
	if err != nil {
		return opening{}, err
	}
	if len(offers) == 0 {
		return opening{}, fault.New(fault.Sealed, "there is no root key")
	}
	o := offers[0]
	root, kept, err := o.fresh(ctx, rootkey.Binding{Instance: instanceID, Slot: d.ID})
	d.Kind, d.Source, d.Kept = o.kind, o.name, kept
	return opening{root: root, words: o.words}, err
}

// Renews implements [keys.Unlocker].
func (u *unlocker) Renews(slot keyring.SlotRow) bool {
	offers, err := u.offers()
	return err == nil && slices.ContainsFunc(offers, func(o offer) bool { return o.guards(slot) })
}

// Reachable implements [keys.Unlocker].
func (u *unlocker) Reachable(slot keyring.SlotRow) bool {
	offers, err := u.offers()
	if err != nil {
		return false
	}
	for _, o := range offers {
		if o.strict { // these are read without asking anybody, and may hold another key by now
			root, err := o.root(context.Background())
			if err == nil && root.Fingerprint() == slot.Fingerprint {
				return true
			}
		} else if o.name == slot.Source {
			return true
		}
	}
	return false
}
