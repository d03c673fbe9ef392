package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	maxCheckpointBytes = 16 << 10 // three short lines and a signature per key; room for about a hundred
	maxLogKeys         = 16       // verification keys of one log that are tried; two in an overlap, more after many turns
)

// Head is what a checkpoint says: which log, how many entries, which root.
type Head struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// NewSigner makes the Ed25519 signer of the log named origin from its 32-byte seed (RFC 8032), and the verification key in
// the form of C2SP signed-note, "<origin>+<key hash>+<base64>". The origin must not be empty nor hold spaces or "+". A
// wrong origin or seed is [fault.Invalid].
func NewSigner(origin string, seed sensitive.Value) (note.Signer, string, error) {
	if seed.Len() != ed25519.SeedSize {
		return nil, "", fault.New(fault.Invalid, "the log-signing seed has %d bytes, not %d", seed.Len(), ed25519.SeedSize)
	}
	key := ed25519.NewKeyFromSeed(seed.Reveal())
	vkey, err := note.NewEd25519VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, "", fault.Wrap(fault.Internal, err, "could not derive the log's verification key")
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, "", fault.Wrap(fault.Invalid, err, "the name of the audit log is empty or holds a space or plus sign")
	}
	return signer{verifier.Name(), verifier.KeyHash(), func(msg []byte) []byte { return ed25519.Sign(key, msg) }}, vkey, nil
}

// signer keeps its key behind a function for the reason that [sensitive.Value] does: no fmt verb can print it.
type signer struct {
	name string
	hash uint32
	sign func(msg []byte) []byte
}

func (s signer) Name() string                    { return s.name }
func (s signer) KeyHash() uint32                 { return s.hash }
func (s signer) Sign(msg []byte) ([]byte, error) { return s.sign(msg), nil }

// Checkpoint signs the tree head in the form of C2SP tlog-checkpoint: origin, size and base64 root on a line each, then a
// signature per signer. While log-signing keys overlap, both sign.
func Checkpoint(origin string, size int64, root tlog.Hash, signers ...note.Signer) ([]byte, error) {
	if len(signers) == 0 || size < 0 || size > maxLogSize {
		return nil, fault.New(fault.Internal, "a checkpoint needs a signer and a possible size")
	}
	for _, s := range signers {
		if s.Name() != origin {
			return nil, fault.New(fault.Internal, "the signer belongs to another audit log")
		}
	}
	signed, err := note.Sign(&note.Note{Text: Head{origin, size, root}.text()}, signers...)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "could not sign the checkpoint")
	}
	return signed, nil
}

func (h Head) text() string { return fmt.Sprintf("%s\n%d\n%s\n", h.Origin, h.Size, h.Root) }

// OpenCheckpoint checks a checkpoint against the verification keys of one log and returns what it says. One good
// signature by any of the keys is enough and none may be bad; signatures by unknown keys are passed over, so that a
// reader who knows only the old key or only the new one can follow an overlap. The signed origin must be the name of the
// key. Extension lines and other spellings of the same content are refused. Errors are [fault.Invalid].
func OpenCheckpoint(signed []byte, vkeys ...string) (Head, error) {
	verifiers, err := openKeys(vkeys)
	if err != nil {
		return Head{}, err
	}
	if len(signed) > maxCheckpointBytes {
		return Head{}, fault.New(fault.Invalid, "the checkpoint is longer than %d bytes", maxCheckpointBytes)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return Head{}, fault.Wrap(fault.Invalid, err, "the checkpoint is not signed by the key of this audit log")
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || !strictSignatures(signed) {
		return Head{}, fault.New(fault.Invalid, "the checkpoint is not in the form of C2SP tlog-checkpoint")
	}
	h := Head{Origin: lines[0]}
	h.Size, err = strconv.ParseInt(lines[1], 10, 64)
	if err == nil {
		h.Root, err = tlog.ParseHash(lines[2])
	}
	if err != nil || h.Size < 0 || h.Size > maxLogSize || h.text() != n.Text {
		return Head{}, fault.New(fault.Invalid, "the checkpoint is not in the form of C2SP tlog-checkpoint")
	}
	for _, s := range n.Sigs {
		if s.Name != h.Origin {
			return Head{}, fault.New(fault.Invalid, "the checkpoint is signed by the key of another audit log")
		}
	}
	return h, nil
}

// openKeys parses verification keys strictly and without doubles.
func openKeys(vkeys []string) ([]note.Verifier, error) {
	if len(vkeys) == 0 || len(vkeys) > maxLogKeys {
		return nil, fault.New(fault.Invalid, "between 1 and %d verification keys are needed, not %d", maxLogKeys, len(vkeys))
	}
	seen := make(map[string]bool)
	var verifiers []note.Verifier
	for _, k := range vkeys {
		if seen[k] {
			continue
		}
		seen[k] = true
		v, err := note.NewVerifier(k)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the verification key is not in the form name+hash+base64")
		}
		_, rest, _ := strings.Cut(k, "+")
		hash, key, _ := strings.Cut(rest, "+")
		if hash != fmt.Sprintf("%08x", v.KeyHash()) || !strictBase64(key) {
			return nil, fault.New(fault.Invalid, "the verification key is not in the form name+hash+base64")
		}
		verifiers = append(verifiers, v)
	}
	return verifiers, nil
}

// splitKeys takes keys apart that are written one to a line, as in the file "key" of an export.
func splitKeys(vkey string) []string { return strings.Fields(vkey) }

// strictSignatures tells whether every signature line is the one spelling of its bytes. The decoder of the note package
// passes over the unused bits at the end of base64 and over repeated lines.
func strictSignatures(signed []byte) bool {
	block := signed[bytes.LastIndex(signed, []byte("\n\n"))+2:]
	seen := make(map[string]bool)
	for line := range strings.Lines(string(block)) {
		fields := strings.Fields(line)
		if seen[line] || len(fields) != 3 || !strictBase64(fields[2]) {
			return false
		}
		seen[line] = true
	}
	return true
}

func strictBase64(s string) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	return err == nil && base64.StdEncoding.EncodeToString(b) == s
}
