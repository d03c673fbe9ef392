package rootkey

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/netip"
	"regexp"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// chip guards root keys by sealing them under the storage root key of a TPM 2.0: the sealed object opens in that TPM only.
type chip struct {
	at   string        // "/dev/tpmrm0", or host and port of a simulator on this machine
	turn chan struct{} // one conversation at a time: a TPM has room for three objects
}

// tpmDevice is what Linux calls a TPM; rm is the kernel's resource manager.
var tpmDevice = regexp.MustCompile(`^/dev/tpm(rm)?[0-9]{1,2}$`)

// parseTPM reads "///dev/tpmrm0" or "//127.0.0.1:2321".
func parseTPM(rest string, _ Environment) (Source, error) {
	at, ok := strings.CutPrefix(rest, "//")
	if ok && !tpmDevice.MatchString(at) {
		address, err := netip.ParseAddrPort(at)
		ok = err == nil && address.Addr().IsLoopback() && address.Addr().Zone() == "" && address.Port() != 0
		at = address.String()
	}
	if !ok {
		return nil, fault.New(fault.Invalid, "a TPM is named by its device, or a simulator by its address and port on this machine").
			WithHint("write tpm:///dev/tpmrm0; a TPM is never reached over a network")
	}
	return chip{at, make(chan struct{}, 1)}, nil
}

func (c chip) Kind() string { return "tpm" }
func (c chip) Name() string { return "tpm://" + c.at }

// Wrap seals root and the digest of the binding. A TPM that is away is [fault.Unavailable].
func (c chip) Wrap(ctx context.Context, b Binding, root sensitive.Value) ([]byte, error) {
	if root.Len() != Size {
		return nil, fault.New(fault.Invalid, "a root key has %d bytes", Size)
	}
	digest := b.Digest()
	secret := append(append(make([]byte, 0, tpmSecret), root.Reveal()...), digest[:]...)
	defer clear(secret)
	var kept tpmKept
	err := c.talk(ctx, func(t transport.TPM) (err error) {
		kept, err = tpmSeal(t, secret)
		return err
	})
	if err != nil {
		return nil, c.fault(ctx, err)
	}
	return kept.bytes(), nil
}

// Unwrap opens what Wrap sealed. What another TPM sealed, or a TPM that has been cleared since, or what was sealed for another
// binding, is [fault.Invalid].
func (c chip) Unwrap(ctx context.Context, b Binding, kept []byte) (sensitive.Value, error) {
	parsed, err := parseTPMKept(kept)
	if err != nil {
		return sensitive.Value{}, err
	}
	var secret []byte
	err = c.talk(ctx, func(t transport.TPM) (err error) {
		secret, err = tpmUnseal(t, parsed)
		return err
	})
	if err != nil {
		return sensitive.Value{}, c.fault(ctx, err)
	}
	defer clear(secret)
	if len(secret) != tpmSecret {
		return sensitive.Value{}, fault.New(fault.Internal, "the TPM at %s gave something that cannot be a root key", c.Name())
	}
	digest := b.Digest()
	if subtle.ConstantTimeCompare(secret[Size:], digest[:]) != 1 {
		return sensitive.Value{}, fault.New(fault.Invalid, "the root key in the TPM was sealed for another slot or installation").
			WithHint("the row of the slot was moved; restore it from a backup, or unseal by another slot")
	}
	return sensitive.New(append(make([]byte, 0, Size), secret[:Size]...)), nil
}

// talk has one conversation with the TPM, after those that came before.
func (c chip) talk(ctx context.Context, about func(transport.TPM) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var t transport.TPMCloser
	var err error
	if strings.HasPrefix(c.at, "/") {
		t, err = openTPMDevice(c.at)
	} else {
		t, err = dialTPM(ctx, c.at)
	}
	if err != nil {
		return err
	}
	return errors.Join(about(t), t.Close())
}

// fault gives a TPM's failure its kind.
func (c chip) fault(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, fault.Unsupported):
		return err
	case ctx.Err() != nil:
		return fault.Wrap(fault.Unavailable, err, "the TPM at %s was not waited for", c.Name())
	case errors.Is(err, errOtherTPM):
		return fault.Wrap(fault.Invalid, err, "the root key was not sealed by the TPM at %s", c.Name()).
			WithHint("the slot belongs to another machine, or the TPM was cleared or replaced; unseal by another slot and make a new one here")
	case errors.Is(err, tpm2.TPMRCBadAuth), errors.Is(err, tpm2.TPMRCAuthFail), errors.Is(err, tpm2.TPMRCHierarchy), errors.Is(err, tpm2.TPMRCLockout):
		return fault.Wrap(fault.Denied, err, "the TPM at %s refuses its storage hierarchy", c.Name()).
			WithHint("the owner hierarchy must be enabled and have no password of its own")
	case isOurFault(err):
		return fault.Wrap(fault.Internal, err, "the TPM at %s was asked in a wrong way", c.Name())
	case errors.Is(err, tpm2.TPMRCIntegrity), errors.Is(err, tpm2.TPMRCSize), errors.Is(err, tpm2.TPMRCBinding),
		errors.Is(err, tpm2.TPMRCValue), errors.Is(err, tpm2.TPMRCInsufficient), errors.Is(err, tpm2.TPMRCHash), errors.Is(err, tpm2.TPMRCType),
		errors.Is(err, tpm2.TPMRCAttributes), errors.Is(err, tpm2.TPMRCScheme), errors.Is(err, tpm2.TPMRCSensitive), errors.Is(err, tpm2.TPMRCReservedBits):
		return fault.Wrap(fault.Invalid, err, "what the slot keeps does not open in the TPM at %s", c.Name()).
			WithHint("the row of the slot was changed; restore it from a backup, or unseal by another slot")
	}
	return fault.Wrap(fault.Unavailable, err, "the TPM at %s failed", c.Name()).
		WithHint("check that it is enabled in the firmware, and that the server's user may open the device: group tss")
}

// isOurFault tells whether a TPM complains of a session, which is nothing that a slot keeps.
func isOurFault(err error) bool {
	var complaint tpm2.TPMFmt1Error
	if !errors.As(err, &complaint) {
		return false
	}
	session, _ := complaint.Session()
	return session
}
