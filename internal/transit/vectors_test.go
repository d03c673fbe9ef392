package transit

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Ciphertexts of the standards open: what we seal is nonce, ciphertext and tag of the algorithm itself, and nothing else.
func TestCiphertextsOfTheStandardsOpen(t *testing.T) {
	for name, c := range map[string]struct {
		kind                                     Kind
		key, nonce, associated, plain, text, tag string
	}{
		// The GCM specification (McGrew and Viega), test cases 4 and 16.
		"AES-128-GCM": {AES128, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
			"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
			"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
			"5bc94fbc3221a5db94fae95ae7121a47"},
		"AES-256-GCM": {AES256, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
			"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
			"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
			"76fc6ece0f4e1768cddf8853bb2d551b"},
		// RFC 8439, section 2.8.2.
		"ChaCha20-Poly1305": {ChaCha20, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
			"4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c642062652069742e",
			"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
			"1ae10b594f09e26a7e902ecbd0600691"},
	} {
		m, err := newMaterial(c.kind, unhex(t, c.key), make([]byte, hmacSize), nil)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := m.cipher.open(unhex(t, c.nonce+c.text+c.tag), unhex(t, c.associated))
		if err != nil || !bytes.Equal(plain, unhex(t, c.plain)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// HKDF as RFC 5869 says it, step by step: without salt, the context as info.
func TestDerivedKeysAreThoseOfHKDF(t *testing.T) {
	key, context := bytes.Repeat([]byte{0x0b}, 32), []byte("context")
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	want := mac(mac(make([]byte, sha256.Size), key), context, []byte{1})
	for kind, size := range map[Kind]int{AES128: 16, AES256: 32, ChaCha20: 32, Ed25519: 32} {
		got, err := derivedKey(kind, key, context)
		if err != nil || !bytes.Equal(got, want[:size]) {
			t.Errorf("%s: %x (%v), want %x", kind, got, err, want[:size])
		}
	}
	// The nonce of a convergent key, by the words of the doc comment.
	c, err := derive(AES256, key, context, true)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := c.seal([]byte("plain"), []byte("associated"))
	if err != nil {
		t.Fatal(err)
	}
	nonceKey := mac(mac([]byte("keyturn transit nonce v1"), key), context, []byte{1})
	if nonce := mac(nonceKey, []byte{0, 0, 0, 0, 0, 0, 0, 10}, []byte("associated"), []byte("plain"))[:12]; !bytes.Equal(sealed[:12], nonce) {
		t.Errorf("nonce %x, want %x", sealed[:12], nonce)
	}
}

// RFC 8032, section 7.1, test 2.
func TestEd25519SignsAsTheStandardSays(t *testing.T) {
	m, err := newMaterial(Ed25519, unhex(t, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"), make([]byte, hmacSize), nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
	got, err := Scheme{}.sign(Ed25519, m.signer(), []byte{0x72})
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("%x, %v", got, err)
	}
	ok, err := Scheme{}.verify(Ed25519, m.signer().Public(), []byte{0x72}, got, true)
	if err != nil || !ok {
		t.Error("it does not verify")
	}
}

// RFC 6979, A.2.5: P-256 with SHA-256 of "sample". Its s is the larger one, so it is taken only of keys that others may hold.
func TestECDSASignaturesOfOthersVerify(t *testing.T) {
	big16 := func(s string) *big.Int { n, _ := new(big.Int).SetString(s, 16); return n }
	public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big16("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"),
		Y: big16("7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")}
	sig := pair{big16("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"), big16("F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8")}
	der, err := asn1.Marshal(sig)
	if err != nil {
		t.Fatal(err)
	}
	jws := append(sig.R.FillBytes(make([]byte, 32)), sig.S.FillBytes(make([]byte, 32))...)
	for _, c := range []struct {
		form   Marshaling
		sig    []byte
		strict bool
		want   bool
	}{{ASN1, der, false, true}, {JWS, jws, false, true}, {ASN1, der, true, false}, {JWS, jws, true, false}, {JWS, der, false, false}, {ASN1, jws, false, false}, {JWS, append([]byte{0}, jws...), false, false}} {
		ok, err := Scheme{Marshaling: c.form}.verify(P256, public, []byte("sample"), c.sig, c.strict)
		if err != nil || ok != c.want {
			t.Errorf("%+v: %v, %v", c, ok, err)
		}
	}
}

// RFC 4231, test case 2, with a key of our least length made of its own: the code is plain HMAC.
func TestCodesArePlainHMAC(t *testing.T) {
	w := newWorld(t)
	ref := w.make(t, NewKey{Name: "mac", Kind: HMAC, Exportable: true})
	_, exported, err := w.Export(w.ctx, ref, HMACKey, 0)
	must(t, err)
	key := make([]byte, 64)
	n := decodeBase64(t, key, exported[0].Value.Reveal())
	for name, h := range map[Hash]crypto.Hash{"sha2-256": crypto.SHA256, "sha2-512": crypto.SHA512, "sha3-384": crypto.SHA3_384} {
		got, err := w.HMAC(w.ctx, ref, name, 0, []ToSign{{Input: []byte("what do ya want for nothing?")}})
		must(t, err)
		mac := hmac.New(h.New, key[:n])
		mac.Write([]byte("what do ya want for nothing?"))
		if !bytes.Equal(got[0].Bytes, mac.Sum(nil)) {
			t.Errorf("%s: %x", name, got[0].Bytes)
		}
	}
}
