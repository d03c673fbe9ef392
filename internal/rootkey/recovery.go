package rootkey

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// maxRecipients is how many kits fit into what a slot keeps: a hybrid stanza has some 1600 bytes.
	maxRecipients = 8
	// maxRecoveryText bounds a list of recipients or an identity file as age writes it, in bytes.
	maxRecoveryText = 64 << 10
	// maxKept is what a slot keeps at most, in bytes, see [Wrapper].
	maxKept = 16 << 10
)

// NewRecoveryKit makes an age identity for a safe and its recipient for the server. It is hybrid, ML-KEM-768 with X25519, so
// that a copy of the database that is stolen today does not open for a quantum computer later. Source: the age format's
// mlkem768x25519 recipient (C2SP age). The caller shows identity once and wipes it.
func NewRecoveryKit() (identity sensitive.Value, recipient string, err error) {
	made, err := age.GenerateHybridIdentity()
	if err != nil {
		return sensitive.Value{}, "", fault.Wrap(fault.Internal, err, "couldn't make a recovery kit")
	}
	return sensitive.FromString(made.String()), made.Recipient().String(), nil
}

// ParseRecipients reads one age recipient a line, hybrid ("age1pq1...") or X25519 ("age1..."), as age's recipients files have
// them: blank lines and lines that begin with # are left out. At most eight, none twice, and the two kinds not together,
// because the weaker would decide. Errors are [fault.Invalid] with the number of the line and without its text.
func ParseRecipients(text string) ([]age.Recipient, error) {
	if len(text) > maxRecoveryText {
		return nil, fault.New(fault.Invalid, "the list of recovery recipients has more than %d KiB", maxRecoveryText>>10)
	}
	var found []age.Recipient
	seen := map[string]bool{}
	hybrids, number := 0, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		r, hybrid, err := parseRecipient(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of the recovery recipients: %w", number, err)
		}
		if seen[line] {
			return nil, fault.New(fault.Invalid, "line %d of the recovery recipients: it was there before", number)
		}
		seen[line] = true
		if found = append(found, r); len(found) > maxRecipients {
			return nil, fault.New(fault.Invalid, "there are more than %d recovery recipients", maxRecipients)
		}
		if hybrid {
			hybrids++
		}
	}
	switch {
	case len(found) == 0:
		return nil, fault.New(fault.Invalid, "there is no recovery recipient").WithHint("make a kit with a new identity, or with: age-keygen -pq")
	case hybrids != 0 && hybrids != len(found):
		return nil, fault.New(fault.Invalid, "hybrid and X25519 recipients are mixed").
			WithHint("a quantum computer would take the weaker one; make all of them hybrid (age1pq1...), or put them into two slots")
	}
	return found, nil
}

// parseRecipient drops age's own errors: they repeat the line.
func parseRecipient(line string) (r age.Recipient, hybrid bool, err error) {
	switch lower := strings.ToLower(line); {
	case strings.HasPrefix(lower, "age-secret-key-"):
		return nil, false, fault.New(fault.Invalid, "this is an identity, where a recipient belongs").
			WithHint("it has been seen by others now: make a new kit, and give only the line that begins with age1")
	case strings.HasPrefix(lower, "age1pq1"):
		r, err = age.ParseHybridRecipient(line)
		hybrid = true
	case strings.HasPrefix(lower, "age1"):
		r, err = age.ParseX25519Recipient(line)
	default:
		return nil, false, fault.New(fault.Invalid, "this is no age recipient").WithHint("a recipient begins with age1pq1 or age1")
	}
	if err != nil {
		return nil, false, fault.New(fault.Invalid, "this recipient has a typing mistake or is of a kind that is not supported").
			WithHint("copy the whole line that begins with age1; plugins and SSH keys are not supported")
	}
	return r, hybrid, nil
}

// recoveryText is the plaintext of what is kept: text, so that it can also be read without Keyturn by age -d.
const recoveryText = "keyturn recovery v1\ninstance %q\nslot %q\nroot %s\n"

// SealRecovery encrypts root, of [Size] bytes, with its binding to every recipient. kept is an age file of at most 16 KiB.
func SealRecovery(recipients []age.Recipient, b Binding, root sensitive.Value) (kept []byte, err error) {
	if root.Len() != Size {
		return nil, fault.New(fault.Invalid, "a root key has %d bytes", Size)
	}
	if len(recipients) == 0 || len(recipients) > maxRecipients {
		return nil, fault.New(fault.Invalid, "a recovery slot has 1 to %d recipients", maxRecipients)
	}
	plain := recoveryPlain(b, root.Reveal())
	defer clear(plain)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipients...)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "couldn't encrypt to the recovery recipients")
	}
	if _, err = w.Write(plain); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "couldn't encrypt to the recovery recipients")
	}
	if out.Len() > maxKept {
		return nil, fault.New(fault.Invalid, "the recovery recipients need more than %d KiB", maxKept>>10)
	}
	return out.Bytes(), nil
}

// OpenRecovery gives the root key back. identityText is an age identity, or a whole identity file with comments. Text that is
// no identity is [fault.Invalid]; an identity to which nothing was sealed is [fault.Denied]; a file that was changed, or that
// belongs to another slot or installation, is [fault.Invalid]. The caller wipes root.
func OpenRecovery(identityText sensitive.Value, b Binding, kept []byte) (root sensitive.Value, err error) {
	if identityText.Len() > maxRecoveryText || len(kept) > maxKept {
		return sensitive.Value{}, fault.New(fault.Invalid, "the identity or what the slot keeps is too long")
	}
	identities, err := age.ParseIdentities(bytes.NewReader(bytes.TrimSpace(identityText.Reveal())))
	if err != nil { // not wrapped: it may show a part of the text
		return sensitive.Value{}, fault.New(fault.Invalid, "this is no age identity, or it has a typing mistake").
			WithHint("enter the line of the recovery kit that begins with AGE-SECRET-KEY-")
	}
	refused := func(cause error) error {
		return fault.Wrap(fault.Invalid, cause, "what the slot keeps for recovery was changed or belongs elsewhere").
			WithHint("the row of the slot is damaged or was moved; restore it from a backup")
	}
	r, err := age.Decrypt(bytes.NewReader(kept), identities...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return sensitive.Value{}, fault.Wrap(fault.Denied, err, "this recovery identity is of no use for this slot").
			WithHint("take the kit that was made for this slot; an older kit is void once the slot has been replaced")
	}
	if err != nil {
		return sensitive.Value{}, refused(err)
	}
	plain := make([]byte, maxKept)
	defer clear(plain)
	n, err := io.ReadFull(r, plain)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return sensitive.Value{}, refused(err)
	}
	return recoveryRoot(b, plain[:n], refused)
}

// recoveryRoot compares the whole text with the one that is expected around the key, so that nothing else is accepted.
func recoveryRoot(b Binding, plain []byte, refused func(error) error) (sensitive.Value, error) {
	const tail = 2*Size + 1 // the key in hex and a line end
	if len(plain) < tail {
		return sensitive.Value{}, refused(errors.New("too short"))
	}
	key := make([]byte, Size)
	if _, err := hex.Decode(key, plain[len(plain)-tail:len(plain)-1]); err != nil {
		clear(key)
		return sensitive.Value{}, refused(errors.New("no key in it"))
	}
	want := recoveryPlain(b, key)
	defer clear(want)
	if !bytes.Equal(want, plain) {
		clear(key)
		return sensitive.Value{}, refused(errors.New("another binding"))
	}
	return sensitive.New(key), nil
}

func recoveryPlain(b Binding, root []byte) []byte {
	text := make([]byte, 0, 2*Size)
	text = hex.AppendEncode(text, root)
	defer clear(text)
	return fmt.Appendf(make([]byte, 0, 1<<10), recoveryText, b.Instance, b.Slot, text)
}
