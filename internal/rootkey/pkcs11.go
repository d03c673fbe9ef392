package rootkey

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// pkcs11Timeout is how long a token may take: network HSMs answer in seconds, a smart card with a slow bus too.
	pkcs11Timeout = 30 * time.Second
	// maxPKCS11Answer bounds the answer of the helper, in bytes.
	maxPKCS11Answer = 8 << 10
	// pkcs11Protocol is the version of the JSON between server and helper. Both refuse another.
	pkcs11Protocol = 1
)

// What a slot keeps is a version and then what the helper gave: IV, ciphertext and tag of AES-GCM.
const (
	pkcs11Kept   = 1
	pkcs11IV     = 12 // bytes: 96 bits, see NIST SP 800-38D section 8.2
	pkcs11Sealed = pkcs11IV + Size + 16
)

// hsm guards root keys by an AES key inside a PKCS #11 token. The module is loaded by a program of its own, over a pipe: the
// server stays one static binary without cgo, and a module that crashes takes only that program down.
type hsm struct{ uri pkcs11URI }

// parsePKCS11 reads what stands behind "pkcs11:".
func parsePKCS11(rest string, _ Environment) (Source, error) {
	uri, err := parsePKCS11URI(rest)
	if err != nil {
		return nil, err
	}
	return hsm{uri}, nil
}

func (h hsm) Kind() string { return "pkcs11" }
func (h hsm) Name() string { return h.uri.String() }

// Warning tells when every user of the machine may read the PIN.
func (h hsm) Warning() string { return openToAll(h.uri.pinAt, "the PIN of "+h.Name()) }

// Wrap encrypts root under the token's key by CKM_AES_GCM, with the binding as additional data.
func (h hsm) Wrap(ctx context.Context, b Binding, root sensitive.Value) ([]byte, error) {
	if root.Len() != Size {
		return nil, fault.New(fault.Invalid, "a root key has %d bytes", Size)
	}
	out, err := h.ask(ctx, "wrap", b, root.Reveal())
	if err != nil {
		return nil, err
	}
	if len(out) != pkcs11Sealed {
		clear(out)
		return nil, fault.New(fault.Internal, "the PKCS #11 helper answered with something that cannot be a ciphertext")
	}
	return append([]byte{pkcs11Kept}, out...), nil
}

// Unwrap gives back what Wrap was given.
func (h hsm) Unwrap(ctx context.Context, b Binding, kept []byte) (sensitive.Value, error) {
	if len(kept) != 1+pkcs11Sealed || kept[0] != pkcs11Kept {
		return sensitive.Value{}, fault.New(fault.Invalid, "what the slot keeps is not from a PKCS #11 token")
	}
	root, err := h.ask(ctx, "unwrap", b, kept[1:])
	if err != nil {
		return sensitive.Value{}, err
	}
	if len(root) != Size {
		clear(root)
		return sensitive.Value{}, fault.New(fault.Internal, "the PKCS #11 helper answered with something that cannot be a root key")
	}
	return sensitive.New(root), nil
}

// pkcs11Request and pkcs11Answer are the whole protocol: one JSON object on standard input, one on standard output. The same
// types stand in cmd/keyturn-pkcs11. The PIN is in neither.
type pkcs11Request struct {
	Version   int    `json:"version"`
	Operation string `json:"operation"` // "wrap" or "unwrap"
	Module    string `json:"module"`
	Token     string `json:"token"`
	Object    string `json:"object"`
	PINSource string `json:"pin_source"`
	Binding   []byte `json:"binding"`
	Input     []byte `json:"input"`
}

type pkcs11Answer struct {
	Version int    `json:"version"`
	Output  []byte `json:"output,omitempty"`
	Problem string `json:"problem,omitempty"` // a key of pkcs11Problems
	Detail  string `json:"detail,omitempty"`  // for the log
}

func (h hsm) ask(ctx context.Context, operation string, b Binding, input []byte) ([]byte, error) {
	path, err := helperPath(h.uri.helper)
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(pkcs11Request{pkcs11Protocol, operation, h.uri.modulePath, h.uri.token, h.uri.object, h.uri.pinAt, b.Bytes(), input})
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "couldn't write to the PKCS #11 helper")
	}
	defer clear(request)
	ctx, cancel := context.WithTimeout(ctx, pkcs11Timeout)
	defer cancel()
	text, err := program{argv: []string{path}, input: request, limit: maxPKCS11Answer}.run(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the PKCS #11 helper failed").
			WithHint("the log has the reason; a module that crashes does so in the helper, see its first line there")
	}
	defer clear(text)
	var answer pkcs11Answer
	if err := json.Unmarshal(text, &answer, json.RejectUnknownMembers(true)); err != nil || answer.Version != pkcs11Protocol {
		clear(answer.Output)
		return nil, fault.New(fault.Internal, "the PKCS #11 helper answered with something that it cannot say").
			WithHint("use the helper of the same release as the server")
	}
	if answer.Problem != "" {
		clear(answer.Output)
		return nil, pkcs11Fault(answer.Problem, answer.Detail)
	}
	return answer.Output, nil
}

// helperPath finds the helper beside the server's own file, where a release puts it, and else on the PATH.
func helperPath(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	if own, err := os.Executable(); err == nil {
		if beside, err := exec.LookPath(filepath.Join(filepath.Dir(own), name)); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "there is no PKCS #11 helper").
			WithHint("build it with make pkcs11 and put it beside the server's program, or name it in the URI: helper=/path")
	}
	return path, nil
}
