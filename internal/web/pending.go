package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// pendingFor is how long somebody may look for his phone between password and code.
const pendingFor = 5 * time.Minute

// pending seals a password that was right for the page that asks for the code, so that it need not be typed twice and is never
// in a page in clear. The key lives in this process alone: after a restart, or on another server, the login begins anew.
type pending struct{ box cipher.AEAD }

// begun is what is sealed.
type begun struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Until    int64  `json:"until"` // unix milliseconds
}

func newPending() (pending, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	block, err := aes.NewCipher(key)
	if err != nil {
		return pending{}, err
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	return pending{box}, err
}

var pendingPlace = []byte("keyturn console login v1")

func (p pending) seal(email string, password sensitive.Value) (string, error) {
	text, err := json.Marshal(begun{email, string(password.Reveal()), time.Now().Add(pendingFor).UnixMilli()})
	if err != nil {
		return "", err
	}
	defer clear(text)
	return base64.RawURLEncoding.EncodeToString(p.box.Seal(nil, nil, text, pendingPlace)), nil
}

// open gives back what was sealed; false when it was not sealed here or too long ago.
func (p pending) open(sealed string) (email string, password sensitive.Value, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return "", sensitive.Value{}, false
	}
	text, err := p.box.Open(nil, nil, raw, pendingPlace)
	if err != nil {
		return "", sensitive.Value{}, false
	}
	defer clear(text)
	var b begun
	if err := json.Unmarshal(text, &b); err != nil || time.Now().UnixMilli() > b.Until {
		return "", sensitive.Value{}, false
	}
	return b.Email, sensitive.FromString(b.Password), true
}
