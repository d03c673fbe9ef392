package migrate

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	maxSopsDepth  = 100 // of nested maps and lists
	sopsNonce     = 32  // bytes; SOPS takes more than the usual 12
	maxRecipients = 1000
	maxDataKey    = 1 << 10 // bytes of an opened age file that holds a key of 32
)

// sopsValue is what SOPS writes for a value: base64 of ciphertext, nonce and tag, and what the value was.
var sopsValue = regexp.MustCompile(`^ENC\[AES256_GCM,data:([^,]*),iv:([^,]+),tag:([^,]+),type:([a-z]+)\]$`)

// sopsNode is a tree in the order of the file, which is the order of its MAC. A list has children without names.
type sopsNode struct {
	name     string
	children []*sopsNode // of a map or a list
	leaf     bool
	list     bool
	text     string // of a leaf, as it is written
	kind     string // of a leaf: str, int, float, bool, null
	plain    []byte // of a leaf, once it is opened
}

// sopsMeta is the part of a file that SOPS adds.
type sopsMeta struct {
	Age []struct {
		Enc string `json:"enc" yaml:"enc"`
	} `json:"age" yaml:"age"`
	KeyGroups    []any  `json:"key_groups" yaml:"key_groups"`
	LastModified string `json:"lastmodified" yaml:"lastmodified"`
	MAC          string `json:"mac" yaml:"mac"`
	MACOnly      bool   `json:"mac_only_encrypted" yaml:"mac_only_encrypted"`
}

// Sops reads a YAML, JSON or dotenv file that SOPS encrypted for age recipients. Maps become folders, other values secrets. A
// file whose MAC does not match is refused: somebody changed it without the key.
func Sops(name string, content []byte, identities []age.Identity, o Options) (*Plan, error) {
	if err := tooLarge(name, content); err != nil {
		return nil, err
	}
	root, meta, err := parseSops(name, content)
	if err != nil {
		return nil, err
	}
	key, err := meta.dataKey(name, identities)
	if err != nil {
		return nil, err
	}
	c, err := newSopsCipher(key)
	if err != nil {
		return nil, err
	}
	sum := sha512.New()
	if meta.MACOnly {
		seed := sha256.Sum256([]byte("sops"))
		sum.Write(seed[:])
	}
	if err := c.open(name, root, nil, meta.MACOnly, sum, 0); err != nil {
		return nil, err
	}
	if err := c.check(name, meta, sum); err != nil {
		return nil, err
	}
	p, e := filePlan("sops", name, o)
	var step Step
	err = flatten(p, e, &step, "/", root)
	e.Steps = []Step{step}
	return p, err
}

// dataKey opens the key of the file with one of the identities.
func (m *sopsMeta) dataKey(name string, identities []age.Identity) ([]byte, error) {
	if len(m.KeyGroups) > 0 {
		return nil, fault.New(fault.Unsupported, "%s is split among groups of keys", name).WithHint("decrypt it with sops --decrypt and import the result with keyturn import")
	}
	if len(m.Age) == 0 {
		return nil, fault.New(fault.Unsupported, "%s is not encrypted for age", name).WithHint("decrypt it with sops --decrypt and import the result with keyturn import")
	}
	if len(m.Age) > maxRecipients {
		return nil, fault.New(fault.Invalid, "%s has more than %d recipients", name, maxRecipients)
	}
	if len(identities) == 0 {
		return nil, fault.New(fault.Unauthenticated, "%s is encrypted, and there is no age identity", name).WithHint("name a file of identities: --identity keys.txt, or set SOPS_AGE_KEY or SOPS_AGE_KEY_FILE")
	}
	for _, r := range m.Age {
		plain, err := age.Decrypt(armor.NewReader(strings.NewReader(strings.TrimSpace(r.Enc))), identities...)
		if err != nil {
			continue
		}
		key, err := io.ReadAll(io.LimitReader(plain, maxDataKey))
		if err == nil && len(key) == 32 {
			return key, nil
		}
	}
	return nil, fault.New(fault.Unauthenticated, "no age identity opens %s", name).WithHint("it is encrypted for others: add yours with sops updatekeys, or give another --identity")
}

// sopsCipher opens values with the data key.
type sopsCipher struct{ gcm cipher.AEAD }

func newSopsCipher(key []byte) (*sopsCipher, error) {
	block, err := aes.NewCipher(key)
	if err == nil {
		var gcm cipher.AEAD
		if gcm, err = cipher.NewGCMWithNonceSize(block, sopsNonce); err == nil {
			return &sopsCipher{gcm}, nil
		}
	}
	return nil, fault.Wrap(fault.Internal, err, "the data key is not one of AES-256")
}

// value opens one value. The associated data is the place of the value in the file.
func (c *sopsCipher) value(text, place string) (plain []byte, kind string, ok bool) {
	m := sopsValue.FindStringSubmatch(text)
	if m == nil {
		return nil, "", false
	}
	var b [3][]byte
	for i := range b {
		var err error
		if b[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return nil, "", false
		}
	}
	if len(b[1]) != sopsNonce {
		return nil, "", false
	}
	plain, err := c.gcm.Open([]byte{}, b[1], append(b[0], b[2]...), []byte(place))
	return plain, m[4], err == nil
}

// open opens the values below a node and feeds the MAC in the order of the file.
func (c *sopsCipher) open(name string, n *sopsNode, path []string, macOnly bool, sum hash.Hash, depth int) error {
	if depth > maxSopsDepth {
		return fault.New(fault.Invalid, "%s nests deeper than %d", name, maxSopsDepth)
	}
	for _, child := range n.children {
		at := path
		if !n.list {
			at = append(path[:len(path):len(path)], child.name)
		}
		if !child.leaf {
			if err := c.open(name, child, at, macOnly, sum, depth+1); err != nil {
				return err
			}
			continue
		}
		sealed := child.kind == "str" && strings.HasPrefix(child.text, "ENC[AES256_GCM,")
		child.plain = []byte(child.text)
		if sealed {
			var ok bool
			if child.plain, child.kind, ok = c.value(child.text, strings.Join(at, ":")+":"); !ok {
				return fault.New(fault.Invalid, "a value in %s does not open: it was moved or changed without the key", name).
					WithField(word(strings.Join(at, ".")), "does not open").WithHint("get the file anew, or look at its history")
			}
		}
		if sealed || !macOnly {
			sum.Write(child.forMAC())
		}
		if child.kind == "bool" {
			child.plain = bytes.ToLower(child.plain)
		}
	}
	return nil
}

// forMAC gives the bytes of a leaf as SOPS counts them: True and False as Python wrote them, numbers in their shortest form.
func (n *sopsNode) forMAC() []byte {
	switch n.kind {
	case "bool":
		if b, err := strconv.ParseBool(strings.ToLower(string(n.plain))); err == nil {
			if b {
				return []byte("True")
			}
			return []byte("False")
		}
	case "int":
		if i, err := strconv.ParseInt(string(n.plain), 0, 64); err == nil {
			return strconv.AppendInt(nil, i, 10)
		}
	case "float":
		if f, err := strconv.ParseFloat(string(n.plain), 64); err == nil {
			return strconv.AppendFloat(nil, f, 'f', -1, 64)
		}
	case "null":
		return nil
	}
	return n.plain
}

// check compares the MAC of the file with the sum over its values.
func (c *sopsCipher) check(name string, meta *sopsMeta, sum hash.Hash) error {
	at, err := time.Parse(time.RFC3339, meta.LastModified)
	if err != nil {
		return unreadable(name, "a file of SOPS: its lastmodified is no time")
	}
	want, _, ok := c.value(meta.MAC, at.Format(time.RFC3339))
	got := strings.ToUpper(hexText(sum.Sum(nil)))
	if !ok || !hmac.Equal(want, []byte(got)) {
		return fault.New(fault.Invalid, "the MAC of %s does not match: the file was changed without the key", name).
			WithHint("look at its history; nothing was taken from it")
	}
	return nil
}

// flatten makes folders of maps and secrets of all else; a list becomes JSON text.
func flatten(p *Plan, e *Env, step *Step, folder string, n *sopsNode) error {
	e.Folders = append(e.Folders, Folder{Path: folder})
	for _, child := range n.children {
		switch {
		case !child.leaf && !child.list:
			if err := flatten(p, e, step, strings.TrimSuffix(folder, "/")+"/"+strings.ReplaceAll(child.name, "/", "-"), child); err != nil {
				return err
			}
			continue
		case child.kind == "null":
			p.note(Skipped, word((Key{folder, child.name}).String()), "has no value")
			continue
		}
		s := Secret{Key: Key{folder, child.name}}
		if child.list {
			text, err := child.json()
			if err != nil {
				return err
			}
			s.Value, s.JSON = sensitive.New(text), true
			p.note(Changed, word((Key{folder, child.name}).String()), "is a list: kept as JSON text")
		} else {
			s.Value = sensitive.New(child.plain)
			s.JSON = (child.kind == "int" || child.kind == "float" || child.kind == "bool") && jsontext.Value(child.plain).IsValid()
		}
		if err := p.count(s.Value.Len()); err != nil {
			return err
		}
		step.Sets = append(step.Sets, s)
	}
	return nil
}
