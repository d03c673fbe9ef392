package domain

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash/crc32"
	"math/big"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// TokenKind is the prefix that tells people and scanners what a leaked string is.
type TokenKind string

// Kinds of our own bearer secrets. Each token is kind + 43 base62 digits (256 random bits) + 6 digits of CRC-32, so that a
// scanner can find a leaked one with certainty and a typing error is refused before any look-up.
const (
	SessionToken TokenKind = "kts_" // a person who logged in
	AccessToken  TokenKind = "kta_" // a machine identity that logged in
	APIToken     TokenKind = "ktk_" // made by "token create"
	ClientSecret TokenKind = "ktc_" // proves a machine identity at login
	SetupToken   TokenKind = "ktu_" // lets the first admin in, once
	SCIMToken    TokenKind = "ktd_" // a directory that keeps people and groups by SCIM
	LinkToken    TokenKind = "kti_" // in an invitation and other links that work once
	ReviewLink   TokenKind = "ktv_" // approves one change set in the name of one reviewer, once
	CustodyShare TokenKind = "ktg_" // one custodian's share of a break-glass credential
	WrapToken    TokenKind = "ktw_" // opens a value that was wrapped, once
)

// TokenKinds lists them all, for whoever must know one of ours when he sees it.
var TokenKinds = []TokenKind{SessionToken, AccessToken, APIToken, ClientSecret, SetupToken, SCIMToken, LinkToken, ReviewLink, CustodyShare, WrapToken}

const (
	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	bodyLen   = 43
	crcLen    = 6
	prefixLen = 4
)

// NewToken makes a fresh one.
func NewToken(kind TokenKind) sensitive.Value {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	body := string(kind) + digits(new(big.Int).SetBytes(random[:]), bodyLen)
	return sensitive.FromString(body + checksum(body))
}

func digits(n *big.Int, width int) string {
	out := make([]byte, width)
	base, rem := big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, rem)
		out[i] = base62[rem.Int64()]
	}
	return string(out)
}

func checksum(body string) string {
	return digits(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))), crcLen)
}

// CheckToken tells the kind of a token whose form and checksum are right.
func CheckToken(token string) (TokenKind, error) {
	bad := fault.New(fault.Unauthenticated, "not a Keyturn token").WithHint("log in again, or make one with: keyturn token create")
	if len(token) != prefixLen+bodyLen+crcLen || !chars(token[prefixLen:], "", true) {
		return "", bad
	}
	kind := TokenKind(token[:prefixLen])
	if !slices.Contains(TokenKinds, kind) {
		return "", bad
	}
	if body := token[:len(token)-crcLen]; !strings.HasSuffix(token, checksum(body)) {
		return "", bad
	}
	return kind, nil
}

// dressed stands before a token that takes the place of a signature in the form of a JWT, so that its length is one of base64.
const dressed = "sig"

// DressToken gives a token the form of a JWT with the given claims, which are JSON: foreign clients look into their token and
// never check it. The token stands where a signature would. It is found by its hash as always, so the claims decide nothing, it
// ends at once when it is revoked, and scanners still find it.
func DressToken(token sensitive.Value, claims []byte) sensitive.Value {
	b64 := base64.RawURLEncoding
	return sensitive.FromString(b64.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64.EncodeToString(claims) + "." + dressed + string(token.Reveal()))
}

// BareToken finds the token in what a client shows: a token, one in the form of a JWT ([DressToken]), or the form
// "st.ID.TOKEN[.KEY]" of old service tokens. What is none of these comes back as it is.
func BareToken(shown string) string {
	if len(shown) == prefixLen+bodyLen+crcLen || !strings.Contains(shown, ".") {
		return shown
	}
	parts := strings.Split(shown, ".")
	if len(parts) < 3 || len(parts) > 4 {
		return shown
	}
	third := parts[2]
	if parts[0] != "st" {
		third = strings.TrimPrefix(third, dressed)
	}
	if _, err := CheckToken(third); err != nil {
		return shown
	}
	return third
}

// TokenHash is what is stored instead of a token. Tokens have 256 random bits, so a fast hash is enough.
func TokenHash(token string) [32]byte { return sha256.Sum256([]byte("keyturn token v1\x00" + token)) }
