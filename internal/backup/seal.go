package backup

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// parseRecipients reads age recipients, X25519 or hybrid. All must be of one kind: age refuses to seal to both, since the file
// would be only as strong as the weaker kind.
func parseRecipients(list []string) ([]age.Recipient, error) {
	var out []age.Recipient
	hybrid := 0
	for _, text := range list {
		var r age.Recipient
		var err error
		if isHybrid(text) {
			hybrid++
			r, err = age.ParseHybridRecipient(text)
		} else {
			r, err = age.ParseX25519Recipient(text)
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "a recovery recipient is not an age recipient").
				WithHint("want age1... or age1pq1..., the public line of a recovery kit")
		}
		out = append(out, r)
	}
	if hybrid > 0 && hybrid < len(out) {
		return nil, fault.New(fault.Invalid, "the recovery kits are of two kinds, and one backup cannot be sealed to both").
			WithHint("renew the older kits: keyturn keys recovery create")
	}
	return out, nil
}

func isHybrid(recipient string) bool { return strings.HasPrefix(recipient, "age1pq1") }

// source keeps the errors of reading apart from those of what was read: age wraps both alike.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

const (
	ageLine   = "age-encryption.org/v1\n"
	ageFamily = "age-encryption.org/v"
	ageArmor  = "-----BEGIN AGE"
)

// unseal opens the outer file.
func unseal(src *source, identities []age.Identity) (io.Reader, error) {
	if len(identities) == 0 {
		return nil, fault.New(fault.Invalid, "a backup opens with a recovery kit, and none was given")
	}
	first := make([]byte, len(ageLine))
	n, err := io.ReadFull(src, first)
	first = first[:n]
	switch {
	case src.err != nil:
		return nil, unreadable(src.err)
	case err != nil && bytes.HasPrefix([]byte(ageLine), first):
		return nil, cutShort()
	case bytes.HasPrefix(first, []byte(ageArmor)):
		return nil, fault.New(fault.Unsupported, "the backup was turned into text").WithHint("turn it back into the binary file")
	case !bytes.HasPrefix(first, []byte(ageFamily)):
		return nil, fault.New(fault.Invalid, "this file is not a Keyturn backup")
	case string(first) != ageLine:
		return nil, fault.New(fault.Unsupported, "the backup is sealed in a format that this program does not know").
			WithHint("use a newer program")
	}
	plain, err := age.Decrypt(io.MultiReader(bytes.NewReader(first), src), identities...)
	if err == nil {
		return plain, nil
	}
	if src.err != nil {
		return nil, unreadable(src.err)
	}
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		return nil, fault.Wrap(fault.Denied, err, "none of the recovery kits given opens this backup").
			WithHint("it was sealed to the kits that existed when it was made, or when it was last resealed")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, cutShort()
	}
	return nil, altered(err)
}

func unreadable(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "the backup cannot be read")
}

func altered(cause error) *fault.Error {
	return fault.Wrap(fault.Invalid, cause, "the backup was altered or is cut short").
		WithHint("fetch the file again, or use another backup")
}

// newReader reads a secret without copying it.
func newReader(v sensitive.Value) io.Reader { return bytes.NewReader(v.Reveal()) }
