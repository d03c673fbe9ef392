package rootkey

import (
	"errors"

	"github.com/keyturn/keyturn/internal/fault"
)

// pkcs11Problems are all that the helper can complain of, and what a person should hear. Only kinds that may be tried again
// without harm are [fault.Unavailable]: a token counts wrong PINs and locks itself.
var pkcs11Problems = map[string]struct {
	kind          fault.Kind
	message, hint string
}{
	"request":       {fault.Internal, "the PKCS #11 helper doesn't understand the server", "use the helper of the same release as the server"},
	"module":        {fault.Unavailable, "the PKCS #11 module cannot be loaded", "check module-path, and that the service of the module runs"},
	"token-missing": {fault.Unavailable, "the PKCS #11 token is not there", "check that the token is plugged in or reachable, and its label"},
	"token-twice":   {fault.Denied, "more than one PKCS #11 token has that label", "give each token its own label"},
	"pin-file":      {fault.Unavailable, "the file with the PIN of the PKCS #11 token cannot be read", "check pin-source, and that the server's user may read it"},
	"pin-wrong":     {fault.Denied, "the PKCS #11 token refuses the PIN", "mend the file that pin-source names before trying again: the token locks itself after a few wrong PINs"},
	"pin-last":      {fault.Denied, "the PKCS #11 token has one try for its PIN left, which is left to people", "log in once by hand with the right PIN"},
	"pin-locked":    {fault.Denied, "the PIN of the PKCS #11 token is locked", "let the security officer set a new PIN"},
	"key-missing":   {fault.Unavailable, "the PKCS #11 token has no AES key of that label", "check the label of the key, and that it is in this token"},
	"key-twice":     {fault.Denied, "the PKCS #11 token has more than one AES key of that label", "give each key its own label"},
	"key-exposed":   {fault.Denied, "the key in the PKCS #11 token may leave it", "make an AES key of 256 bits that is sensitive and not extractable"},
	"closed":        {fault.Invalid, "the wrapped root key does not open with the key of the PKCS #11 token", "the slot was made with another key, or its row was changed or moved"},
	"failed":        {fault.Unavailable, "the PKCS #11 token failed", "the log has the error of the module"},
}

func pkcs11Fault(problem, detail string) error {
	p, known := pkcs11Problems[problem]
	if !known {
		return fault.New(fault.Internal, "the PKCS #11 helper complains of something that is not known").
			WithHint("use the helper of the same release as the server")
	}
	return fault.Wrap(p.kind, errors.New(oneLine(detail)), "%s", p.message).WithHint("%s", p.hint)
}

// oneLine makes a foreign text fit for the log.
func oneLine(s string) string {
	f := &firstLine{}
	_, _ = f.Write([]byte(s)) // never fails
	return f.text()
}
