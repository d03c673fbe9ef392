package rootkey

import (
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/keyturn/keyturn/internal/fault"
)

// openTPMDevice refuses: Windows has no device files, and its TPM base services are not supported yet.
func openTPMDevice(string) (transport.TPMCloser, error) {
	return nil, fault.New(fault.Unsupported, "a TPM can be used on Linux only").WithHint("choose another source of root keys")
}
