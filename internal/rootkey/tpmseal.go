package rootkey

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/keyturn/keyturn/internal/fault"
)

// tpmSecret is the size of what is sealed: the root key and the digest of its binding. A TPM takes 128 bytes.
const tpmSecret = Size + sha256.Size

// tpmNonce is the size of the nonces of a session, in bytes.
const tpmNonce = 32

// errOtherTPM is a storage root key that is not the one of the sealing.
var errOtherTPM = errors.New("another storage root key")

// tpmKept is what a slot keeps: the name of the storage root key, and the two parts of the sealed object, which are of use in
// that TPM only.
type tpmKept struct{ parent, public, private []byte }

const (
	tpmKeptVersion = 1
	maxTPMPart     = 1 << 10 // bytes; the parts have some 34, 80 and 230
)

func (k tpmKept) bytes() []byte {
	out := []byte{tpmKeptVersion}
	for _, part := range [][]byte{k.parent, k.public, k.private} {
		out = binary.BigEndian.AppendUint16(out, uint16(len(part)))
		out = append(out, part...)
	}
	return out
}

func parseTPMKept(kept []byte) (tpmKept, error) {
	wrong := fault.New(fault.Invalid, "what the slot keeps is not from a TPM")
	if len(kept) == 0 || kept[0] != tpmKeptVersion {
		return tpmKept{}, wrong
	}
	rest := kept[1:]
	var parts [3][]byte
	for i := range parts {
		if len(rest) < 2 {
			return tpmKept{}, wrong
		}
		n := int(binary.BigEndian.Uint16(rest))
		if rest = rest[2:]; n == 0 || n > maxTPMPart || n > len(rest) {
			return tpmKept{}, wrong
		}
		parts[i], rest = rest[:n], rest[n:]
	}
	if len(rest) > 0 {
		return tpmKept{}, wrong
	}
	return tpmKept{parts[0], parts[1], parts[2]}, nil
}

// storageRoot is the storage root key, made anew for each conversation from the TPM's seed: the same key as long as the TPM
// is not cleared. Source: TCG TPM v2.0 Provisioning Guidance 1.0 section 7.5.1, template of ECC P-256.
type storageRoot struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

func openStorageRoot(t transport.TPM) (storageRoot, error) {
	made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t)
	if err != nil {
		return storageRoot{}, err
	}
	s := storageRoot{handle: made.ObjectHandle}
	public, err := made.OutPublic.Contents()
	if err != nil {
		return storageRoot{}, errors.Join(err, s.close(t))
	}
	// The name is computed, not believed: it decides whether this is the key of the sealing.
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return storageRoot{}, errors.Join(err, s.close(t))
	}
	s.public, s.name = *public, *name
	return s, nil
}

func (s storageRoot) close(t transport.TPM) error { return flush(t, s.handle) }

func flush(t transport.TPM, handle tpm2.TPMHandle) error {
	_, err := tpm2.FlushContext{FlushHandle: handle}.Execute(t)
	return err
}

// session authorises one command and encrypts its first parameter: of the command, which holds the secret of a sealing, or of
// the response, which holds that of an unsealing. It is salted by the storage root key, so that
// who listens on the bus between processor and TPM does not learn the key; and since the name of that key is kept with the
// slot, who answers in the TPM's place at an unsealing does not either.
func (s storageRoot) session(encryption tpm2.AuthOption) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, tpmNonce, encryption, tpm2.Salted(s.handle, s.public))
}

// tpmSeal makes a sealed object with an empty password. It is exempt from the dictionary attack counter, which therefore can
// neither be raised by it nor lock it.
func tpmSeal(t transport.TPM, secret []byte) (kept tpmKept, err error) {
	root, err := openStorageRoot(t)
	if err != nil {
		return tpmKept{}, err
	}
	defer func() { err = errors.Join(err, root.close(t)) }()
	made, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: root.handle, Name: root.name, Auth: root.session(tpm2.AESEncryption(128, tpm2.EncryptIn))},
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type:             tpm2.TPMAlgKeyedHash,
			NameAlg:          tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, NoDA: true},
		}),
	}.Execute(t)
	if err != nil {
		return tpmKept{}, err
	}
	return tpmKept{root.name.Buffer, made.OutPublic.Bytes(), made.OutPrivate.Buffer}, nil
}

// tpmUnseal gives what was sealed. The caller wipes it.
func tpmUnseal(t transport.TPM, kept tpmKept) (secret []byte, err error) {
	root, err := openStorageRoot(t)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.close(t)) }()
	if string(root.name.Buffer) != string(kept.parent) {
		return nil, errOtherTPM
	}
	loaded, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: root.handle, Name: root.name, Auth: root.session(tpm2.AESEncryption(128, tpm2.EncryptIn))},
		InPrivate:    tpm2.TPM2BPrivate{Buffer: kept.private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](kept.public),
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, flush(t, loaded.ObjectHandle)) }()
	opened, err := tpm2.Unseal{
		ItemHandle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: root.session(tpm2.AESEncryption(128, tpm2.EncryptOut))},
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	return opened.OutData.Buffer, nil
}
