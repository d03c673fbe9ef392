package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/miekg/pkcs11"
)

// AES-GCM as NIST SP 800-38D recommends it: IVs of 96 bits, tags of 128.
const (
	ivSize  = 12
	tagBits = 128
	keySize = 32 // bytes of the AES key and of the root key
)

// maxPIN bounds the file of the PIN, in bytes.
const maxPIN = 256

// serve does what the request asks for in one session with the token.
func serve(r request) ([]byte, error) {
	module := pkcs11.New(r.Module)
	if module == nil {
		return nil, problem{badModule, errors.New("not a PKCS #11 module, or not readable")}
	}
	defer module.Destroy()
	if err := module.Initialize(); err != nil {
		return nil, problem{badModule, err}
	}
	defer func() { _ = module.Finalize() }() // the program ends anyway
	slot, err := findToken(module, r.Token)
	if err != nil {
		return nil, err
	}
	session, err := module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, err
	}
	defer func() { _ = module.CloseSession(session) }()
	if err := login(module, session, slot, r.PINSource); err != nil {
		return nil, err
	}
	defer func() { _ = module.Logout(session) }()
	key, err := findKey(module, session, r.Object)
	if err != nil {
		return nil, err
	}
	if r.Operation == "unwrap" {
		return unwrap(module, session, key, r)
	}
	if err := checkKey(module, session, key); err != nil {
		return nil, err
	}
	return wrap(module, session, key, r)
}

func findToken(module *pkcs11.Ctx, label string) (uint, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	var found []uint
	for _, slot := range slots {
		info, err := module.GetTokenInfo(slot)
		if err != nil {
			continue // pulled out in between, or not recognised
		}
		if strings.TrimRight(info.Label, " \x00") == label {
			found = append(found, slot)
		}
	}
	switch len(found) {
	case 0:
		return 0, problem{tokenMissing, errors.New("no token of that label")}
	case 1:
		return found[0], nil
	}
	return 0, problem{tokenTwice, errors.New("several tokens of that label")}
}

// login never spends the last try that the token gives: that one is a person's.
func login(module *pkcs11.Ctx, session pkcs11.SessionHandle, slot uint, source string) error {
	info, err := module.GetTokenInfo(slot)
	if err != nil {
		return err
	}
	switch {
	case info.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return problem{pinLocked, errors.New("CKF_USER_PIN_LOCKED")}
	case info.Flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return problem{pinLast, errors.New("CKF_USER_PIN_FINAL_TRY")}
	}
	pin, err := readPIN(source)
	if err != nil {
		return problem{pinFile, err}
	}
	defer clear(pin)
	switch err := module.Login(session, pkcs11.CKU_USER, string(pin)); {
	case err == nil, errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)):
		return nil
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_LOCKED)):
		return problem{pinLocked, err}
	case isOneOf(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_USER_PIN_NOT_INITIALIZED):
		return problem{pinWrong, err}
	default:
		return err
	}
}

func readPIN(source string) ([]byte, error) {
	f, err := os.Open(source)
	if err != nil {
		return nil, errors.Unwrap(err) // without the path
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxPIN+1))
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	pin := bytes.TrimRight(text, "\r\n")
	if len(pin) == 0 || len(text) > maxPIN {
		clear(text)
		return nil, errors.New("the file is empty or too long for a PIN")
	}
	return pin, nil
}

func findKey(module *pkcs11.Ctx, session pkcs11.SessionHandle, label string) (pkcs11.ObjectHandle, error) {
	if err := module.FindObjectsInit(session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
	}); err != nil {
		return 0, err
	}
	found, _, err := module.FindObjects(session, 2)
	if err := errors.Join(err, module.FindObjectsFinal(session)); err != nil {
		return 0, err
	}
	switch len(found) {
	case 0:
		return 0, problem{keyMissing, errors.New("no AES key of that label")}
	case 1:
		return found[0], nil
	}
	return 0, problem{keyTwice, errors.New("several AES keys of that label")}
}

// checkKey refuses a key that could be read out of the token or is shorter than the root key.
func checkKey(module *pkcs11.Ctx, session pkcs11.SessionHandle, key pkcs11.ObjectHandle) error {
	got, err := module.GetAttributeValue(session, key, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, nil),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, nil),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, nil),
	})
	if err != nil {
		return err
	}
	if !isTrue(got[0].Value) || isTrue(got[1].Value) {
		return problem{keyExposed, errors.New("CKA_SENSITIVE is false or CKA_EXTRACTABLE is true")}
	}
	// A CK_ULONG has the machine's order of bytes; a length below 256 has one byte that is not zero.
	if bytes.Count(got[2].Value, []byte{0}) != len(got[2].Value)-1 || !bytes.Contains(got[2].Value, []byte{keySize}) {
		return problem{keyExposed, errors.New("the key has not 256 bits")}
	}
	return nil
}

func isTrue(b []byte) bool { return len(b) == 1 && b[0] != 0 }

func wrap(module *pkcs11.Ctx, session pkcs11.SessionHandle, key pkcs11.ObjectHandle, r request) ([]byte, error) {
	if len(r.Input) != keySize {
		return nil, problem{badRequest, errors.New("a root key has 32 bytes")}
	}
	iv := make([]byte, ivSize)
	_, _ = rand.Read(iv) // never fails: crypto/rand stops the process instead
	params := pkcs11.NewGCMParams(iv, r.Binding, tagBits)
	defer params.Free()
	if err := module.EncryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, err
	}
	sealed, err := module.Encrypt(session, r.Input)
	if err != nil {
		return nil, err
	}
	// Some HSMs choose the IV themselves and write it back.
	if iv = params.IV(); len(iv) != ivSize || len(sealed) != keySize+tagBits/8 {
		return nil, errors.New("the token gave an IV or a ciphertext of another size")
	}
	return append(iv, sealed...), nil
}

func unwrap(module *pkcs11.Ctx, session pkcs11.SessionHandle, key pkcs11.ObjectHandle, r request) ([]byte, error) {
	if len(r.Input) != ivSize+keySize+tagBits/8 {
		return nil, problem{badRequest, errors.New("a wrapped root key has 60 bytes")}
	}
	params := pkcs11.NewGCMParams(r.Input[:ivSize], r.Binding, tagBits)
	defer params.Free()
	if err := module.DecryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, err
	}
	root, err := module.Decrypt(session, r.Input[ivSize:])
	// PKCS #11 2.40 has no code of its own for a wrong tag; modules use these, SoftHSM the last.
	if isOneOf(err, pkcs11.CKR_ENCRYPTED_DATA_INVALID, pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE, ckrAEADDecryptFailed, pkcs11.CKR_GENERAL_ERROR) {
		return nil, problem{closed, err}
	}
	return root, err
}

// ckrAEADDecryptFailed is CKR_AEAD_DECRYPT_FAILED of PKCS #11 3.0.
const ckrAEADDecryptFailed = 0x42

func isOneOf(err error, codes ...uint) bool {
	for _, code := range codes {
		if errors.Is(err, pkcs11.Error(code)) {
			return true
		}
	}
	return false
}
