package httpkit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// PendingFor is how long a login may take between one step and the next: somebody looks for his phone.
const PendingFor = 5 * time.Minute

// Begun is what is known of a login that has begun: a password that was right while a code is wanted, or the session that is
// handed over when the last step is done.
type Begun struct {
	Email    string
	Password sensitive.Value
	Session  sensitive.Value
}

// Pending seals what is known of a login for the client that takes the next step, so that nothing need be typed twice and is never
// with the client in clear. The key lives in this process alone: after a restart, or on another server, the login begins anew.
type Pending struct {
	box   cipher.AEAD
	place []byte
}

// begun is the sealed form.
type begun struct {
	Email    string `json:"email"`
	Password string `json:"password,omitempty"`
	Session  string `json:"session,omitempty"`
	Until    int64  `json:"until"` // unix milliseconds
}

// NewPending makes one for a place: what is sealed in one is nothing in another.
func NewPending(place string) Pending {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("a key of 32 bytes is one of AES")
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("a block of AES is one of GCM")
	}
	return Pending{box, []byte(place)}
}

// Seal gives a text of the alphabet of base64url.
func (p Pending) Seal(b Begun) (string, error) {
	text, err := json.Marshal(begun{b.Email, string(b.Password.Reveal()), string(b.Session.Reveal()), time.Now().Add(PendingFor).UnixMilli()})
	if err != nil {
		return "", err
	}
	defer clear(text)
	return base64.RawURLEncoding.EncodeToString(p.box.Seal(nil, nil, text, p.place)), nil
}

// Open gives back what was sealed. Ours tells whether it was sealed here at all; good, whether that was not too long ago.
func (p Pending) Open(sealed string) (b Begun, ours, good bool) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return Begun{}, false, false
	}
	text, err := p.box.Open(nil, nil, raw, p.place)
	if err != nil {
		return Begun{}, false, false
	}
	defer clear(text)
	var in begun
	if err := json.Unmarshal(text, &in); err != nil {
		return Begun{}, false, false
	}
	if time.Now().UnixMilli() > in.Until {
		return Begun{}, true, false
	}
	return Begun{in.Email, sensitive.FromString(in.Password), sensitive.FromString(in.Session)}, true, true
}
